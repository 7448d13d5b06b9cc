#include "distributed/training_laws.hpp"

#include <ATen/ATen.h>

#include <csignal>

#include "spatial/passes.hpp"
#include "train/bright_rows.hpp"
#include "train/joined_batch_norm.hpp"
#include "train/update_methods.hpp"

using namespace halftone;

namespace {

bool close(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  return a.sizes() == b.sizes() && at::allclose(a, b, tolerance, tolerance);
}

class Laws {
 public:
  explicit Laws(Communicator& ranks) : ranks_(ranks), size_(ranks.size()), rank_(ranks.rank()) {}

  std::vector<std::string> run() {
    sharded_updates();
    batch_norm();
    spatial("a ResNet", networks::captured({3, 37, 40}, networks::resnet18), {2, 3, 37, 40}, {});
    spatial("a detector", networks::captured({3, 33, 24}, networks::detector), {2, 3, 33, 24}, {.gather = true});
    training();
    return broken_;
  }

 private:
  void expect(bool holds, const std::string& law) {
    if (!holds) broken_.push_back(message("rank ", rank_, " of ", size_, " (", ranks_.engine(), "): ", law));
  }

  void sharded_updates() {
    for (const auto& method : updates::methods()) {
      const auto whole = updates::replicated(method, size_);
      const auto own = updates::sharded(method, ranks_);
      expect(updates::difference(own.weights, whole.weights) <= updates::tolerance(method, size_),
             method.name + ": weights of a sharded update after 20 steps");
    }
  }

  void batch_norm() {
    joined_batch::Case batch{.samples = {}, .rest = {3, 2}};
    for (int rank = 0; rank < size_; ++rank) batch.samples.push_back(rank == 1 ? 0 : 2 + rank);
    const auto whole = joined_batch::joined(batch);
    const auto own = joined_batch::distributed(batch, ranks_);
    const auto part = [&](const at::Tensor& all) {
      return all.narrow(0, joined_batch::first_sample(batch, rank_), batch.samples[static_cast<std::size_t>(rank_)]);
    };
    constexpr double kTolerance = 1e-10;
    expect(close(own.output, part(whole.output), kTolerance), "outputs of batch norm");
    expect(close(own.input_gradient, part(whole.input_gradient), kTolerance), "gradients of batch norm's input");
    for (const auto& gradient : {own.weight_gradient, own.bias_gradient}) ranks_.all_reduce(gradient);
    expect(close(own.weight_gradient, whole.weight_gradient, kTolerance), "gradients of batch norm's weight");
    expect(close(own.bias_gradient, whole.bias_gradient, kTolerance), "gradients of batch norm's bias");
    expect(close(own.running_mean, whole.running_mean, kTolerance) &&
               close(own.running_var, whole.running_var, kTolerance),
           "running statistics of batch norm");
  }

  void spatial(const std::string& what, const Model& network, const std::vector<std::int64_t>& shape,
               const SpatialOptions& options) {
    const at::Tensor x = networks::doubles(shape, 7);
    const auto whole = networks::whole_pass(network, x);
    const auto own = networks::spatial_pass(network, x, ranks_, options);
    constexpr double kTolerance = 1e-11;
    for (std::size_t i = 0; i < whole.outputs.size(); ++i)
      expect(close(own.outputs[i], whole.outputs[i], kTolerance), message("output ", i, " of ", what, " in rows"));
    for (std::size_t i = 0; i < whole.gradients.size(); ++i) {
      const at::Tensor& expected = whole.gradients[i];
      const at::Tensor sum =
          own.gradients[i].defined() ? own.gradients[i].contiguous() : at::zeros_like(expected).contiguous();
      ranks_.all_reduce(sum);
      expect(close(sum, expected, kTolerance), message("gradient ", i, " of ", what, " in rows"));
    }
  }

  void training() {
    const auto alone = make_single_communicator();
    TrainOptions options{.batch = 10, .epochs = 3, .label_smoothing = 0.1, .evaluation_batch = 4, .seed = 5};
    const auto reference = bright::train(options, *alone);
    for (const UpdateMode mode : {UpdateMode::Sharded, UpdateMode::Replicated}) {
      options.update = mode;
      const auto own = bright::train(options, ranks_);
      const std::string how = mode == UpdateMode::Sharded ? "with shards" : "with buckets";
      expect(bright::are_close(own, reference), "weights after training " + how);
      expect(own.result.epochs.back().accuracy == reference.result.epochs.back().accuracy, "accuracy " + how);
      for (const auto& weight : own.weights) {
        const at::Tensor first = weight.clone();
        ranks_.broadcast(first, 0);
        expect(at::equal(first, weight), "equal weights of ranks after training " + how);
      }
    }
  }

  Communicator& ranks_;
  int size_;
  int rank_;
  std::vector<std::string> broken_;
};

}  // namespace

std::vector<std::string> broken_training_laws(Communicator& ranks) { return Laws(ranks).run(); }

void lose_in_training(Communicator& ranks, int lost) {
  (void)bright::train({.batch = 8,
                       .epochs = 1000,
                       .rate =
                           [&](std::int64_t step) {
                             if (ranks.rank() == lost && step == 10) ::raise(SIGKILL);
                             return 0.01;
                           }},
                      ranks);
}
