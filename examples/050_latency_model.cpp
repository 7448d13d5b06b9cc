// A latency model of one's own, in the command line: my_halftone quantize … --latency cycles:4
#include <iostream>

#include "halftone/cli/run.hpp"

int main(int argc, char** argv) {
  // [readme]
  halftone::Registry registry = halftone::default_registry();
  // "cycles:4": a device that multiplies 4 numbers of 16 bits a cycle, and twice as many of half the width.
  registry.latencies["cycles"] = [](const std::string& argument, std::int64_t batch) {
    const double units = argument.empty() ? 1 : std::stod(argument);
    const auto cost = [units, batch](std::span<const halftone::Site> sites, const halftone::Plan& plan) {
      double cycles = 0;
      for (std::size_t i = 0; i < sites.size(); ++i)
        cycles += static_cast<double>(batch * sites[i].macs) * plan[i].activation_bits / (16 * units);
      return cycles;
    };
    return halftone::make_latency_model("cycles", "cycles", cost, batch);
  };
  return halftone::cli::run(registry, {argv + 1, argv + argc}, std::cout, std::cerr);
  // [readme]
}
