// What libFuzzer calls with files that it makes; HALFTONE_FUZZ_READER is the reader of one format.
#include <cstdint>

#include "halftone/core/error.hpp"
#include "hostile/readers.hpp"

extern "C" const char* __asan_default_options() { return "detect_container_overflow=0:detect_leaks=0"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    hostile::HALFTONE_FUZZ_READER(std::as_bytes(std::span(data, size)));
  } catch (const halftone::Error&) {
    // Refused, as it may be.
  }
  return 0;
}
