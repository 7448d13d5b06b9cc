#include <halftone/core/precision.hpp>
#include <halftone/evaluate/gate.hpp>
#include <halftone/version.hpp>
#include <iostream>

int main() {
  std::cout << "Halftone " << HALFTONE_VERSION << '\n';
  const bool right = halftone::parse_precision("w4a8") == halftone::kW4A8 && halftone::parse_keep("99%") == 0.99;
  return right ? 0 : 1;
}
