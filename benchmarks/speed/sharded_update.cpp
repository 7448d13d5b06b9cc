// What dividing the weight update among ranks saves: processor time of the optimizer's part of a step, without
// communication, and bytes of its state, for 1, 2 and 4 ranks. Ranks are threads, but update one after the other, so
// that none takes memory's time from another. The median of the steps counts; of ranks, the slowest. One thread each.
#include "halftone/train/sharded_update.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <mutex>
#include <thread>

#include "halftone/train/lamb.hpp"
#include "halftone/train/lars.hpp"

namespace {

using namespace halftone;
using Groups = std::vector<torch::optim::OptimizerParamGroup>;

constexpr int kSteps = 9;

/// Shapes of ResNet-50's larger layers, 10 million weights, with its many small vectors.
std::vector<at::Tensor> network() {
  std::vector<at::Tensor> parameters;
  for (int layer = 0; layer < 4; ++layer)
    for (const auto& shape : std::vector<std::vector<std::int64_t>>{
             {512, 1024, 1, 1}, {256, 256, 3, 3}, {1024, 1024, 1, 1}, {1024}, {1024}})
      parameters.push_back(at::randn(shape).mul_(0.05));
  parameters.push_back(at::randn({1000, 1024}).mul_(0.05));
  return parameters;
}

/// Of this thread: waiting, and what else runs on the machine, count for nothing.
double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Times the step of the optimizer that it stands for, one rank at a time.
class Timed final : public torch::optim::Optimizer, public UsesNorms {
 public:
  Timed(std::unique_ptr<Optimizer> inner, std::mutex& turn)
      : Optimizer(Groups{}, std::make_unique<torch::optim::OptimizerOptions>()),
        inner_(std::move(inner)),
        turn_(turn) {}

  at::Tensor step(LossClosure /*closure*/) override {
    // Norms are communicated in the middle of a step: the turn is given up meanwhile.
    if (auto* user = dynamic_cast<UsesNorms*>(inner_.get()))
      user->set_norm_reducer([this](const at::Tensor& sums) {
        pause();
        norm_reducer_(sums);
        resume();
      });
    seconds_.push_back(0);
    resume();
    inner_->step();
    pause();
    return {};
  }

  [[nodiscard]] double median() {
    std::nth_element(seconds_.begin(), seconds_.begin() + kSteps / 2, seconds_.end());
    return seconds_[kSteps / 2];
  }
  [[nodiscard]] std::int64_t bytes() const { return optimizer_state_bytes(*inner_); }

 private:
  void resume() {
    turn_.lock();
    start_ = thread_seconds();
  }
  void pause() {
    seconds_.back() += thread_seconds() - start_;
    turn_.unlock();
  }

  std::unique_ptr<Optimizer> inner_;
  std::mutex& turn_;
  double start_ = 0;
  std::vector<double> seconds_;
};

struct Figures {
  double seconds = 0;
  std::int64_t bytes = 0;
};

template <class Optimizer, class Options>
Figures measure(int ranks, const Options& options) {
  const auto communicators = make_thread_communicators(ranks);
  std::mutex turn;
  std::vector<Figures> figures(communicators.size());
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < communicators.size(); ++r)
    threads.emplace_back([&, r] {
      at::set_num_threads(1);
      const auto parameters = network();
      ShardedUpdate update(*communicators[r], {parameters}, [&](Groups groups) {
        return std::make_unique<Timed>(std::make_unique<Optimizer>(groups, options), turn);
      });
      for (const auto& parameter : parameters) parameter.mutable_grad() = at::ones_like(parameter).mul_(1e-3);
      for (int step = 0; step < kSteps; ++step) update.step();
      auto& timed = static_cast<Timed&>(update.optimizer());
      figures[r] = {timed.median(), timed.bytes()};
    });
  for (auto& thread : threads) thread.join();
  Figures worst;
  for (const auto& of_rank : figures)
    worst = {std::max(worst.seconds, of_rank.seconds), std::max(worst.bytes, of_rank.bytes)};
  return worst;
}

template <class Optimizer, class Options>
void compare(const char* name, const Options& options) {
  Figures one;
  for (const int ranks : {1, 2, 4}) {
    const Figures now = measure<Optimizer>(ranks, options);
    if (ranks == 1) one = now;
    std::cout << std::left << std::setw(10) << name << std::right << " P = " << ranks << std::fixed
              << std::setprecision(2) << std::setw(9) << now.seconds * 1e3 << " ms  x" << std::setprecision(3)
              << now.seconds / one.seconds << std::setw(12) << now.bytes << " bytes of state  x"
              << static_cast<double>(now.bytes) / static_cast<double>(one.bytes) << std::endl;
  }
}

}  // namespace

int main() {
  at::set_num_threads(1);
  std::cout << "Update of one rank's shard, without communication; slowest rank, median of " << kSteps << " steps\n";
  compare<torch::optim::SGD>("momentum", torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(1e-4));
  compare<torch::optim::Adam>("Adam", torch::optim::AdamOptions(1e-3));
  compare<Lars>("LARS", LarsOptions(1));
  compare<Lamb>("LAMB", LambOptions(1e-3));
}
