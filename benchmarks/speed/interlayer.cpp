// The pair matrix of all sites at 8 and 4 bits, from single changes that start from the clean pass, against full passes
// of every change (2L, and the clean one); one thread, in turn, on ResNet-20 where no network is named. Prints seconds
// of the processor, the ratio of the medians and how far memory rises above that of the loaded network and its data.
//   interlayer_speed [MODEL DATA [SAMPLES]]
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <malloc.h>
#include <string>
#include <vector>

#include "../processor_seconds.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/error.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/sensitivity/metrics.hpp"

namespace {

using namespace halftone;
using benchmarks::processor_seconds;

constexpr int kTurns = 3;

/// Of this process, in MB: "VmRSS" now, "VmHWM" at its highest.
double megabytes(const std::string& what) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word)
    if (word == what + ":") {
      double kilobytes = 0;
      status >> kilobytes;
      return kilobytes / 1000;
    }
  return 0;
}

/// From now on the highest is what follows.
void forget_highest() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;
}

struct Side {
  const char* name;
  std::int64_t most_bytes;
  std::vector<double> seconds{};
  double rise = 0;
  SensitivityTable table{};

  [[nodiscard]] double median() {
    std::sort(seconds.begin(), seconds.end());
    return seconds[seconds.size() / 2];
  }
};

void run(const std::string& model, const std::string& samples, std::int64_t count) {
  const auto network = load_model(model);
  const std::shared_ptr<const Dataset> all = open_dataset(samples, network.data);
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < std::min(count, all->size()); ++i) indices.push_back(i);
  const auto data = make_subset(all, indices, all->name());
  const std::vector<Precision> precisions{k8, k4};
  const Calibration calibration = calibrate(network.model, *data, precisions);
  const auto task = make_top_k(1);
  // One sample's clean values and the differences of its outputs do not fit into the former alone; differences do.
  Side sides[] = {{"from the clean pass", std::int64_t{2} << 30},
                  {"full passes", Interpreter(network.model).recorded_bytes(network.model.graph.sizes(1))}};
  for (int turn = 0; turn < kTurns; ++turn)
    for (Side& side : sides) {
      forget_highest();
      const double before = megabytes("VmRSS");
      const double start = processor_seconds();
      side.table = make_interlayer()->measure({.model = network.model,
                                               .calibration = calibration,
                                               .data = *data,
                                               .task = *task,
                                               .precisions = precisions,
                                               .most_bytes = side.most_bytes});
      side.seconds.push_back(processor_seconds() - start);
      side.rise = std::max(side.rise, megabytes("VmHWM") - before);
    }
  std::printf("%s, %lld samples, %zu sites\n", model.c_str(), static_cast<long long>(data->size()),
              network.model.sites.size());
  for (Side& side : sides)
    std::printf("  %-20s %7.3f CPU s, %6.1f passes, %6.0f MB above the network\n", side.name, side.median(),
                side.table.forward_passes, side.rise);
  std::printf("  full passes take %.2f times as long\n", sides[1].median() / sides[0].median());
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as the program does: see src/cli/main.cpp
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  try {
    if (argc > 2)
      run(argv[1], argv[2], argc > 3 ? std::stoll(argv[3]) : 256);
    else
      run("cifar_resnet20:assets/cifar_resnet20.safetensors", "cifar10:assets/cifar10/calibration.bin", 256);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
