#include <ATen/ATen.h>

#include "halftone/data/torch_file.hpp"
#include "hostile/memory_file.hpp"

void hostile::read_torch(Bytes file) {
  for (const auto& [name, tensor] : halftone::read_state_dict(MemoryFile(file).path())) tensor.clone();
}
