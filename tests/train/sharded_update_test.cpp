#include "halftone/train/sharded_update.hpp"

#include <ATen/ATen.h>
#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include "catch.hpp"
#include "halftone/train/lamb.hpp"
#include "halftone/train/lars.hpp"
#include "ranks.hpp"
#include "small_net.hpp"

using namespace halftone;

namespace {

using Groups = std::vector<torch::optim::OptimizerParamGroup>;

struct Method {
  std::string name;
  OptimizerFactory make;
  std::function<Groups(const std::vector<at::Tensor>&)> groups;
  std::int64_t numbers_a_weight = 0;  ///< of its state
  bool norms = false;
};

template <class Optimizer, class Options>
OptimizerFactory maker(const Options& options) {
  return [options](Groups groups) { return std::make_unique<Optimizer>(std::move(groups), options); };
}

Groups one_group(const std::vector<at::Tensor>& parameters) {
  Groups groups;
  groups.emplace_back(parameters);
  return groups;
}

std::vector<Method> methods() {
  using namespace torch::optim;
  const auto lars = [](LarsForm form) { return LarsOptions(2).form(form).eta(0.02).weight_decay(0.01); };
  const auto lars_groups = [lars](LarsForm form) {
    return [options = lars(form)](const std::vector<at::Tensor>& all) { return Lars::groups(all, options); };
  };
  const LambOptions lamb = LambOptions(0.02);
  return {
      {"SGD", maker<SGD>(SGDOptions(0.1)), one_group, 0},
      {"momentum", maker<SGD>(SGDOptions(0.1).momentum(0.9).weight_decay(0.01).nesterov(true)), one_group, 1},
      {"Adam", maker<Adam>(AdamOptions(0.01).weight_decay(0.01)), one_group, 2},
      {"AMSGrad", maker<Adam>(AdamOptions(0.01).amsgrad(true)), one_group, 3},
      {"AdamW", maker<AdamW>(AdamWOptions(0.01)), one_group, 2},
      {"RMSprop", maker<RMSprop>(RMSpropOptions(0.01).momentum(0.9).centered(true)), one_group, 3},
      {"Adagrad", maker<Adagrad>(AdagradOptions(0.1)), one_group, 1},
      {"scaled LARS", maker<Lars>(lars(LarsForm::Scaled)), lars_groups(LarsForm::Scaled), 1, true},
      {"unscaled LARS", maker<Lars>(lars(LarsForm::Unscaled)), lars_groups(LarsForm::Unscaled), 1, true},
      {"LAMB", maker<Lamb>(lamb), [lamb](const std::vector<at::Tensor>& all) { return Lamb::groups(all, lamb); }, 2,
       true},
  };
}

constexpr std::uint64_t kSteps = 20;
constexpr std::int64_t kWeights = 447;

std::uint64_t batch(std::uint64_t step, int rank) { return 1000 * step + static_cast<std::uint64_t>(rank); }

struct Outcome {
  std::vector<at::Tensor> weights;
  std::int64_t state_bytes = 0;
  std::int64_t bytes_a_step = 0;  ///< sent
};

/// One optimizer over whole tensors with the mean of the gradients of all ranks' batches, without communicators.
Outcome replicated(const Method& method, int ranks) {
  const SmallNet net;
  const auto optimizer = method.make(method.groups(net.parameters));
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    std::vector<at::Tensor> sums;
    for (int rank = 0; rank < ranks; ++rank) {
      net.zero_grad();
      net.loss(batch(step, rank)).backward();
      for (std::size_t i = 0; i < net.parameters.size(); ++i)
        rank == 0 ? sums.push_back(net.parameters[i].grad().clone()) : void(sums[i].add_(net.parameters[i].grad()));
    }
    for (std::size_t i = 0; i < sums.size(); ++i) net.parameters[i].mutable_grad() = sums[i].div_(ranks);
    optimizer->step();
  }
  return {copies(net.parameters), optimizer_state_bytes(*optimizer)};
}

std::vector<Outcome> sharded(const Method& method, int ranks) {
  return on_ranks(ranks, [&](Communicator& communicator) {
    const SmallNet net(communicator.rank() == 0 ? 1 : 99);  // those of rank 0 count
    ShardedUpdate update(communicator, method.groups(net.parameters), method.make);
    const std::int64_t before = communicator.traffic().bytes;
    for (std::uint64_t step = 0; step < kSteps; ++step) {
      update.zero_grad();
      net.loss(batch(step, communicator.rank())).backward();
      update.step();
    }
    const std::int64_t sent = communicator.traffic().bytes - before;
    return Outcome{copies(net.parameters), update.state_bytes(), sent / static_cast<std::int64_t>(kSteps)};
  });
}

/// Largest difference relative to the largest weight of a tensor.
double difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, ((a[i] - b[i]).abs().max() / b[i].abs().max()).item<double>());
  return most;
}

}  // namespace

TEST_CASE("shards of an update give the weights of the whole update after 20 steps, for every optimizer") {
  for (const Method& method : methods())
    for (const int ranks : {1, 2, 4}) {
      CAPTURE(method.name, ranks);
      const Outcome whole = replicated(method, ranks);
      CHECK(difference(whole.weights, SmallNet().parameters) > 0.01);
      const auto outcomes = sharded(method, ranks);
      for (const Outcome& outcome : outcomes) {
        const double far = difference(outcome.weights, whole.weights);
        CHECK(far <= (method.norms && ranks > 1 ? 1e-6 : 0));
        CHECK(difference(outcome.weights, outcomes[0].weights) == 0);
      }
    }
}

TEST_CASE("the state of an optimizer is divided among ranks") {
  for (const Method& method : methods())
    for (const int ranks : {1, 2, 4}) {
      CAPTURE(method.name, ranks);
      const std::int64_t whole = replicated(method, 1).state_bytes;
      CHECK(whole == 4 * method.numbers_a_weight * kWeights);
      std::int64_t sum = 0;
      for (const Outcome& outcome : sharded(method, ranks)) {
        sum += outcome.state_bytes;
        const std::int64_t groups = method.norms ? 2 : 1;  // each is padded
        CHECK(outcome.state_bytes <= 4 * method.numbers_a_weight * (kWeights / ranks + groups));
      }
      CHECK(sum == whole);
    }
}

TEST_CASE("a step of shards sends what one all-reduce of all gradients sends") {
  for (const Method& method : methods())
    for (const int ranks : {2, 4}) {
      CAPTURE(method.name, ranks);
      std::int64_t sum = 0;
      const auto outcomes = sharded(method, ranks);
      for (const Outcome& outcome : outcomes) sum += outcome.bytes_a_step;
      // Whole groups: of all 447 weights; of LARS and LAMB 423 in matrices and 24 in vectors.
      const auto padded = [&](std::int64_t count) { return (count + ranks - 1) / ranks * ranks; };
      const std::int64_t numbers = method.norms ? padded(423) + padded(24) : padded(kWeights);
      const std::int64_t norms = method.norms ? 2 * 8 * 8 : 0;  // two float64 for each of 8 tensors
      CHECK(sum == 2 * (ranks - 1) * (4 * numbers + norms));    // of all ranks together
    }
}

TEST_CASE("a parameter without a gradient counts as one of gradient 0, and ranks need not agree") {
  const auto weights = on_ranks(2, [](Communicator& communicator) {
    std::vector<at::Tensor> parameters{at::ones({3}), at::ones({2})};
    ShardedUpdate update(communicator, one_group(parameters), maker<torch::optim::SGD>(torch::optim::SGDOptions(1)));
    if (communicator.rank() == 0) parameters[0].mutable_grad() = at::full({3}, 0.5F);
    update.step();
    return parameters;
  });
  for (const auto& rank : weights) {
    CHECK(at::equal(rank[0], at::full({3}, 0.75F)));
    CHECK(at::equal(rank[1], at::ones({2})));
  }
}

TEST_CASE("more ranks than weights leave some without") {
  const auto weights = on_ranks(4, [](Communicator& communicator) {
    std::vector<at::Tensor> parameters{at::ones({1, 2}).requires_grad_(true)};
    ShardedUpdate update(communicator, one_group(parameters), maker<Lars>(LarsOptions(1).eta(1).weight_decay(0)));
    parameters[0].mutable_grad() = at::tensor({3.0F, 4.0F}).view({1, 2});
    update.step();
    return parameters[0].detach();
  });
  const double lam = std::sqrt(2.0) / (5 + 1e-5);
  for (const auto& w : weights)
    CHECK(at::allclose(w, at::tensor({1 - 3 * lam, 1 - 4 * lam}, at::kFloat).view({1, 2}), 1e-6));
}

TEST_CASE("a sharded update refuses what it cannot divide, and says which parameter") {
  using torch::optim::SGD;
  using torch::optim::SGDOptions;
  const auto ranks = make_thread_communicators(1);
  const auto refusal = [&](const std::vector<at::Tensor>& parameters, const OptimizerFactory& make) {
    return error_message([&] { ShardedUpdate(*ranks[0], one_group(parameters), make); });
  };
  const auto sgd = maker<SGD>(SGDOptions(1));
  const at::Tensor w = at::ones({2, 3});
  CHECK_THAT(refusal({w, at::ones({4}, at::kDouble)}, sgd),
             Catch::Contains("parameter 1 [4] of group 0 is double") &&
                 Catch::Contains("parameter 0 [2, 3] of group 0 is float") &&
                 Catch::Contains("give each type a group of its own"));
  CHECK_THAT(refusal({w, w}, sgd), Catch::Contains("parameter 1 of group 0 is there twice"));
  CHECK_THAT(refusal({at::ones({2}).requires_grad_(true) * 2}, sgd), Catch::Contains("is computed from others"));
  CHECK_THAT(refusal({}, sgd), Catch::Contains("group 0 has no weights"));
  CHECK_THAT(refusal({w}, maker<torch::optim::LBFGS>(torch::optim::LBFGSOptions(1))), Catch::Contains("LBFGS"));
  CHECK_THAT(error_message([&] {
               on_ranks(2, [&](Communicator& communicator) {
                 ShardedUpdate(communicator, one_group({at::ones({2 + communicator.rank()})}), sgd);
                 return 0;
               });
             }),
             Catch::Contains("ranks differ in what a sharded update is of"));
  at::Tensor moved = at::ones({3});
  ShardedUpdate update(*ranks[0], one_group({moved}), sgd);
  moved.set_data(at::ones({3}));
  CHECK_THAT(error_message([&] { update.step(); }), Catch::Contains("parameter 0 [3] of group 0 is no longer where"));
}
