// Convolutions as ResNet-50 has them, forward and backward, with rows split over ranks that are threads, one thread of
// LibTorch's each: wall time, time of the processor on the busiest rank, which suffers less from a busy machine, and
// its traffic beside the formula. The minimum of some turns counts. Wall time can fall only where every rank has a
// core. spatial_speed [BATCH [TURNS]]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "halftone/spatial/exchange.hpp"
#include "halftone/spatial/operators.hpp"

namespace {

using namespace halftone;

struct Layer {
  const char* name;
  std::int64_t in, out, size, kernel, stride;
};

struct Cost {
  double wall = std::numeric_limits<double>::infinity();       ///< s, of the slowest rank
  double processor = std::numeric_limits<double>::infinity();  ///< s, of the busiest rank
  std::int64_t bytes = 0;                                      ///< most that a rank sent
};

double thread_seconds() {
  std::timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

SpatialConvOptions options(const Layer& layer) {
  return {.stride = {layer.stride, layer.stride}, .padding = {layer.kernel / 2, layer.kernel / 2}};
}

/// One pass forward and backward on one rank.
void pass(const Layer& layer, const at::Tensor& x, const at::Tensor& weight, Communicator& ranks) {
  const RowSplit split = split_evenly(layer.size, ranks.size());
  const at::Tensor rows = split_rows(x, split, ranks.rank()).clone().requires_grad_();
  const at::Tensor own = weight.detach().requires_grad_();
  const SplitImage y = spatial_conv2d({rows, split}, own, {}, options(layer), ranks);
  (void)torch::autograd::grad({y.rows}, {rows, own}, {at::ones_like(y.rows)});
}

Cost measure(const Layer& layer, std::int64_t batch, int size, int turns) {
  const at::Tensor x = at::rand({batch, layer.in, layer.size, layer.size});
  const at::Tensor weight = at::rand({layer.out, layer.in, layer.kernel, layer.kernel});
  auto communicators = make_thread_communicators(size);
  const auto count = static_cast<std::size_t>(turns) + 1;  // the first one warms up
  std::vector<std::vector<Cost>> costs(communicators.size(), std::vector<Cost>(count));
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < communicators.size(); ++rank)
    threads.emplace_back([&, rank] {
      at::set_num_threads(1);
      Communicator& ranks = *communicators[rank];
      for (Cost& cost : costs[rank]) {
        ranks.barrier();
        const std::int64_t bytes = ranks.traffic().bytes;
        const double processor = thread_seconds();
        const auto start = std::chrono::steady_clock::now();
        pass(layer, x, weight, ranks);
        cost.wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        cost.processor = thread_seconds() - processor;
        cost.bytes = ranks.traffic().bytes - bytes;
      }
    });
  for (auto& thread : threads) thread.join();
  Cost best;
  for (std::size_t turn = 1; turn < count; ++turn) {
    Cost slowest{0, 0, 0};
    for (const auto& rank : costs)
      slowest = {std::max(slowest.wall, rank[turn].wall), std::max(slowest.processor, rank[turn].processor),
                 std::max(slowest.bytes, rank[turn].bytes)};
    best = {std::min(best.wall, slowest.wall), std::min(best.processor, slowest.processor), slowest.bytes};
  }
  return best;
}

/// What the rank that sends most sends, forward and backward.
std::int64_t formula(const Layer& layer, std::int64_t batch, int size) {
  const RowWindow window{layer.kernel, layer.stride, layer.kernel / 2, 1};
  const RowSplit image = split_evenly(layer.size, size);
  const auto transfers =
      row_transfers(image, rows_needed(window, image, split_evenly(output_rows(window, layer.size), size)));
  std::int64_t most = 0;
  for (int rank = 0; rank < size; ++rank)
    most = std::max(most, rows_sent(transfers, rank) + rows_received(transfers, rank));
  return most * batch * layer.in * layer.size * 4;
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t batch = argc > 1 ? std::stoll(argv[1]) : 2;
  const int turns = argc > 2 ? std::stoi(argv[2]) : 10;
  const std::vector<Layer> layers{{"7x7 / 2, 3 to 64, 224", 3, 64, 224, 7, 2}, {"3x3, 64, 56", 64, 64, 56, 3, 1},
                                  {"3x3, 128, 28", 128, 128, 28, 3, 1},        {"3x3 / 2, 128, 56", 128, 128, 56, 3, 2},
                                  {"3x3, 256, 14", 256, 256, 14, 3, 1},        {"3x3, 512, 7", 512, 512, 7, 3, 1},
                                  {"1x1, 256 to 64, 56", 256, 64, 56, 1, 1}};
  std::cout << "batch " << batch << ", " << std::thread::hardware_concurrency() << " cores\n"
            << "layer                  ranks  wall ms  ratio  busiest rank's CPU ms  ratio  sent kB  formula kB\n"
            << std::fixed;
  for (const Layer& layer : layers) {
    Cost one;
    for (const int size : {1, 2, 4}) {
      const Cost cost = measure(layer, batch, size, turns);
      if (size == 1) one = cost;
      std::cout << std::left << std::setw(23) << layer.name << std::right << std::setw(5) << size
                << std::setprecision(2) << std::setw(9) << cost.wall * 1e3 << std::setw(7) << one.wall / cost.wall
                << std::setw(23) << cost.processor * 1e3 << std::setw(7) << one.processor / cost.processor
                << std::setprecision(1) << std::setw(9) << static_cast<double>(cost.bytes) / 1e3 << std::setw(12)
                << static_cast<double>(formula(layer, batch, size)) / 1e3 << '\n';
    }
  }
}
