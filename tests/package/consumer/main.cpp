#include <halftone/cli/run.hpp>
#include <halftone/core/plan.hpp>
#include <halftone/graph/model.hpp>
#include <halftone/version.hpp>
#include <iostream>

int main() {
  std::cout << "Halftone " << HALFTONE_VERSION << '\n';
  const auto plan = halftone::Plan::uniform(2, halftone::k8);
  const auto fingerprint = halftone::digest(halftone::Model{});
  if (to_string(plan) != "8 8" || fingerprint.size() != 32) return 1;
  return halftone::cli::run(halftone::default_registry(), {"models"}, std::cout, std::cerr);
}
