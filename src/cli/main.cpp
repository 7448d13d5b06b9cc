#include <exception>
#include <iostream>
#include <malloc.h>

#include "halftone/cli/run.hpp"

namespace {

/// Keeps freed memory in the process. Activations of a few megabytes come and go with every operator; returned to the
/// system each time, their page faults take as long as the work itself.
void keep_freed_memory() {
  constexpr int kOneGiB = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kOneGiB);
  mallopt(M_TRIM_THRESHOLD, kOneGiB);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    keep_freed_memory();
    return halftone::cli::run(halftone::default_registry(), {argv + 1, argv + argc}, std::cout, std::cerr);
  } catch (const std::exception& error) {
    std::cerr << "halftone: internal error: " << error.what() << '\n';
    return 3;
  }
}
