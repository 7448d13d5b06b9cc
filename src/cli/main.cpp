#include <exception>
#include <iostream>

#include "halftone/cli/run.hpp"

int main(int argc, char** argv) {
  try {
    return halftone::cli::run(halftone::default_registry(), {argv + 1, argv + argc}, std::cout, std::cerr);
  } catch (const std::exception& error) {
    std::cerr << "halftone: internal error: " << error.what() << '\n';
    return 3;
  }
}
