#include "halftone/plan/plan_file.hpp"
#include "hostile/memory_file.hpp"

void hostile::read_plan(Bytes file) {
  const halftone::PlanFile plan = halftone::read_plan_file(MemoryFile(file).path());
  static_cast<void>(to_text(plan));
}
