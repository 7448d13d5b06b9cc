#include <numeric>

#include "halftone/data/safetensors.hpp"
#include "hostile/memory_file.hpp"

void hostile::read_safetensors(Bytes file) {
  const MemoryFile memory(file);
  const halftone::SafetensorsFile tensors(memory.path());
  unsigned sum = 0;
  for (const auto& entry : tensors.entries())
    for (const std::byte byte : entry.bytes) sum += std::to_integer<unsigned>(byte);
  volatile unsigned kept = sum;  // the bytes are read
  static_cast<void>(kept);
}
