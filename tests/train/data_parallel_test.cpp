#include "halftone/train/data_parallel.hpp"

#include <sstream>

#include "distributed/on_ranks.hpp"
#include "failure.hpp"
#include "halftone/train/mllog_rules.hpp"
#include "train/bright_rows.hpp"

using namespace halftone;
using namespace bright;

namespace {

/// By rank.
std::vector<Trained> train_on(int ranks, const TrainOptions& options) {
  return on_ranks(ranks, [&](Communicator& communicator) { return train(options, communicator); });
}

}  // namespace

TEST_CASE("training gives the weights of one rank on any number of them, with shards and without") {
  const TrainOptions options{.batch = 8, .epochs = 3, .label_smoothing = 0.1, .evaluation_batch = 4, .seed = 5};
  const Trained alone = train_on(1, options).front();
  CHECK(alone.result.steps == 3 * 7);
  CHECK(alone.result.epochs.size() == 3);
  CHECK(alone.result.epochs.back().loss < 0.8 * alone.result.epochs.front().loss);
  TrainOptions in_parts = options;
  in_parts.together = 3;
  const Trained alone_in_parts = train_on(1, in_parts).front();
  CHECK_FALSE(at::equal(alone_in_parts.weights[0], alone.weights[0]));  // batch norms see other samples
  for (const bool parts : {false, true})
    for (const UpdateMode mode : {UpdateMode::Sharded, UpdateMode::Replicated}) {
      CAPTURE(parts, mode == UpdateMode::Sharded);
      TrainOptions shared = parts ? in_parts : options;
      shared.update = mode;
      const Trained& reference = parts ? alone_in_parts : alone;
      for (const Trained& of_rank : train_on(2, shared)) {
        REQUIRE(of_rank.result.epochs.size() == 3);
        CHECK(are_close(of_rank, reference));
        CHECK(of_rank.result.epochs.back().accuracy == reference.result.epochs.back().accuracy);
      }
    }
}

TEST_CASE("samples of an epoch's end that would leave a rank without any are left out") {
  CHECK(steps_of_epoch(50, 8, 2) == 7);
  CHECK(steps_of_epoch(50, 8, 3) == 6);
  CHECK(steps_of_epoch(48, 8, 8) == 6);
  for (const Trained& of_rank : train_on(3, {.batch = 8, .epochs = 2})) CHECK(of_rank.result.steps == 12);
}

TEST_CASE("ranks end with equal weights, bit for bit, and each keeps its share of the optimizer's state") {
  const auto trained = train_on(3, {.batch = 9, .epochs = 2});
  for (const Trained& of_rank : trained)
    for (std::size_t i = 0; i < of_rank.weights.size(); ++i)
      CHECK(at::equal(of_rank.weights[i], trained.front().weights[i]));
  const std::int64_t whole = train_on(1, {.batch = 9, .epochs = 1}).front().result.optimizer_bytes;
  std::int64_t sum = 0;
  for (const Trained& of_rank : trained) sum += of_rank.result.optimizer_bytes;
  CHECK(sum >= whole);
  CHECK(trained.front().result.optimizer_bytes < whole / 2);
}

TEST_CASE("training ends at the target, with a log that keeps the rules") {
  std::ostringstream text;
  MlLog log(text);
  log.submission({.benchmark = "resnet", .org = "halftone", .platform = "test"});
  log.init_start();
  log.init_stop();
  const auto trained = train_on(1, {.batch = 10, .epochs = 30, .target = 0.6, .log = &log}).front();
  CHECK(trained.result.reached);
  CHECK(trained.result.epochs.size() < 30);
  CHECK(trained.result.epochs.back().accuracy >= 0.6);
  CHECK(mllog_violations(text.str()).empty());
}

TEST_CASE("samples right are counted over all ranks, whatever their number") {
  const auto data = bright_rows(13, 7);
  std::vector<Count> counts;
  for (const int ranks : {1, 4}) {
    std::vector<Count> by_rank(static_cast<std::size_t>(ranks));
    const auto failures = failures_on_ranks(ranks, [&](Communicator& communicator) {
      const auto net = std::make_shared<Net>(communicator);
      net->eval();
      by_rank[static_cast<std::size_t>(communicator.rank())] = count_right(make_trainable(net), *data, 2, communicator);
    });
    for (const auto& failure : failures) CHECK(failure == "");
    counts.insert(counts.end(), by_rank.begin(), by_rank.end());
  }
  for (const Count& count : counts) {
    CHECK(count.samples == 13);
    CHECK(count.right == counts.front().right);
  }
}

TEST_CASE("a stop on one rank ends training on all, after the epoch") {
  const auto data = bright_rows(20, 3);
  std::vector<TrainResult> results(2);
  const auto failures = failures_on_ranks(2, [&](Communicator& communicator) {
    const auto net = std::make_shared<Net>(communicator);
    const Monitor monitor{.on_progress = {}, .should_stop = [&] { return communicator.rank() == 1; }};
    results[static_cast<std::size_t>(communicator.rank())] =
        train_data_parallel(make_trainable(net), *data, *data, {torch::optim::OptimizerParamGroup(net->parameters())},
                            sgd(0.1), {.batch = 4, .epochs = 5}, communicator, monitor);
  });
  for (const auto& failure : failures) CHECK(failure == "");
  for (const TrainResult& result : results) {
    CHECK(result.stopped);
    CHECK(result.epochs.empty());
  }
}

TEST_CASE("training says what is wrong with its options and data") {
  const auto data = bright_rows(5, 3);
  const auto of = [&](const Dataset& training, const TrainOptions& options) {
    return failures_on_ranks(2,
                             [&](Communicator& communicator) {
                               const auto net = std::make_shared<Net>(communicator);
                               (void)train_data_parallel(make_trainable(net), training, *data,
                                                         {torch::optim::OptimizerParamGroup(net->parameters())},
                                                         sgd(0.1), options, communicator);
                             })
        .front();
  };
  const std::string several = of(*data, {.batch = 0, .epochs = 0, .target = 2, .label_smoothing = 1});
  for (const char* name : {"batch is 0", "epochs is 0", "target is 2", "label_smoothing is 1"})
    CHECK(several.find(name) != std::string::npos);
  CHECK(of(*data, {.batch = 1}).find("for 2 ranks: each needs at least one") != std::string::npos);
  CHECK(of(*data, {.batch = 4, .together = 1}).find("1 samples at once") != std::string::npos);
  CHECK(of(*make_tensor_dataset("no classes", {tiny::random({4, 1, 6, 6}, 1)}, {}), {.batch = 2})
            .find("has no class for each") != std::string::npos);
}
