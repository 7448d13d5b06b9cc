#include <ATen/ATen.h>

#include "graph/pt2/archive.hpp"
#include "graph/pt2/program.hpp"
#include "hostile/memory_file.hpp"

// Reads an exported program and its tensors; none of its operators runs.
void hostile::read_pt2(Bytes file) {
  using namespace halftone::internal::pt2;
  const Program program = read_program(Archive(MemoryFile(file).path()), {});
  for (const auto& [name, tensor, is_buffer] : program.tensors) tensor.clone();
}
