#include "halftone/train/sharded_update.hpp"

#include <torch/optim/lbfgs.h>

#include "catch.hpp"
#include "distributed/on_ranks.hpp"
#include "train/update_methods.hpp"

using namespace halftone;
using namespace updates;

namespace {

std::vector<Outcome> sharded_on(int ranks, const Method& method) {
  return on_ranks(ranks, [&](Communicator& communicator) { return sharded(method, communicator); });
}

/// With as many threads of LibTorch's own as a rank has, for the same bits.
Outcome replicated_for(int ranks, const Method& method) {
  return on_ranks(1, [&](Communicator&) { return replicated(method, ranks); }).front();
}

}  // namespace

TEST_CASE("shards of an update give the weights of the whole update after 20 steps, for every optimizer") {
  for (const Method& method : methods())
    for (const int ranks : {1, 2, 4}) {
      CAPTURE(method.name, ranks);
      const Outcome whole = replicated_for(ranks, method);
      CHECK(difference(whole.weights, SmallNet().parameters) > 0.01);
      const auto outcomes = sharded_on(ranks, method);
      for (const Outcome& outcome : outcomes) {
        const double far = difference(outcome.weights, whole.weights);
        CHECK(far <= tolerance(method, ranks));
        CHECK(difference(outcome.weights, outcomes[0].weights) == 0);
      }
    }
}

TEST_CASE("the state of an optimizer is divided among ranks") {
  for (const Method& method : methods())
    for (const int ranks : {1, 2, 4}) {
      CAPTURE(method.name, ranks);
      const std::int64_t whole = replicated_for(1, method).state_bytes;
      CHECK(whole == 4 * method.numbers_a_weight * kWeights);
      std::int64_t sum = 0;
      for (const Outcome& outcome : sharded_on(ranks, method)) {
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
      const auto outcomes = sharded_on(ranks, method);
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
