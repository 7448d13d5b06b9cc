// The task of rated pairs of sentences.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "evaluations.hpp"
#include "failure.hpp"
#include "fake_engine.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/rank_correlation.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/evaluate/task.hpp"

using namespace halftone;

namespace {

constexpr std::int64_t kPairs = 40;

at::Tensor ratings(std::int64_t pairs = kPairs) {
  return tiny::random({pairs}, 3).to(at::kDouble).mul_(4).round_().repeat_interleave(2);
}

std::vector<double> numbers(const at::Tensor& tensor) {
  const at::Tensor copy = tensor.to(at::kDouble).contiguous();
  return {copy.const_data_ptr<double>(), copy.const_data_ptr<double>() + copy.numel()};
}

double spearman(const at::Tensor& embeddings, const at::Tensor& targets) {
  std::vector<double> cosines;
  std::vector<double> rated;
  for (std::int64_t i = 0; i < embeddings.size(0); i += 2) {
    const at::Tensor a = embeddings[i].to(at::kDouble);
    const at::Tensor b = embeddings[i + 1].to(at::kDouble);
    cosines.push_back((a.dot(b) / (a.norm() * b.norm())).item<double>());
    rated.push_back(targets[i].item<double>());
  }
  return *rank_correlation(cosines, rated);
}

/// The standard error of the mean of `scores`.
double error_of(const std::vector<double>& scores) {
  const auto n = static_cast<double>(scores.size());
  const double mean = std::accumulate(scores.begin(), scores.end(), 0.0) / n;
  double squares = 0;
  for (const double score : scores) squares += (score - mean) * (score - mean);
  return std::sqrt(squares / (n * (n - 1)));
}

}  // namespace

TEST_CASE("sentence similarity is the rank correlation of cosines and ratings, with the error of leaving out pairs") {
  const auto task = make_sentence_similarity();
  CHECK(task->scores_together());
  const at::Tensor embeddings = tiny::random({2 * kPairs, 5}, 7);
  const at::Tensor targets = ratings();
  const at::Tensor parts = task->score({embeddings}, targets);
  const auto scores = numbers(task->score_all(parts, targets));
  const double mean = std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
  CHECK(mean == Approx(spearman(embeddings, targets)));

  // The jackknife as textbooks have it: sqrt((n - 1) / n x sum of squared deviations of the estimates without one).
  std::vector<double> without;
  for (std::int64_t pair = 0; pair < kPairs; ++pair) {
    const at::Tensor rest = at::cat({at::arange(2 * pair), at::arange(2 * pair + 2, 2 * kPairs)}).to(at::kLong);
    without.push_back(spearman(embeddings.index_select(0, rest), targets.index_select(0, rest)));
  }
  const double center = std::accumulate(without.begin(), without.end(), 0.0) / kPairs;
  double squares = 0;
  for (const double value : without) squares += (value - center) * (value - center);
  CHECK(error_of(scores) == Approx(std::sqrt(squares * (kPairs - 1) / kPairs)));
}

TEST_CASE("damage of embeddings is 1 - cos, and half the squared response of small differences") {
  const auto task = make_sentence_similarity();
  const at::Tensor clean = tiny::random({6, 5}, 8).to(at::kDouble) * 3;
  const at::Tensor other = tiny::random({6, 5}, 9).to(at::kDouble);
  const auto damage = numbers(task->damage({other}, {clean}));
  for (std::int64_t i = 0; i < 6; ++i) {
    const double cosine = (other[i].dot(clean[i]) / (other[i].norm() * clean[i].norm())).item<double>();
    CHECK(damage[static_cast<std::size_t>(i)] == Approx(1 - cosine));
  }
  const at::Tensor near = clean + 1e-4 * other;
  const at::Tensor half = task->response({near}, {clean}).square().sum(1) / 2;
  CHECK(at::allclose(half, task->damage({near}, {clean}), 1e-3, 1e-14));
  CHECK(task->damage({clean * 2}, {clean}).abs().max().item<double>() < 1e-15);
}

TEST_CASE("data of no pairs is refused") {
  const auto task = make_sentence_similarity();
  const auto refused = [&](const at::Tensor& targets, const at::Tensor& output) {
    const auto data = make_tensor_dataset("set", {at::zeros({8, 3})}, targets);
    return failure([&] { task->check({output}, *data); }).text;
  };
  const at::Tensor embeddings = at::zeros({8, 4});
  CHECK_THAT(refused(at::arange(8, at::kLong), embeddings), Catch::Contains("has no ratings"));
  CHECK_THAT(refused(at::arange(8, at::kDouble), embeddings),
             Catch::Contains("sentences 0 and 1 of set have different"));
  CHECK_THAT(refused(ratings(4), at::zeros({8, 4, 2})), Catch::Contains("embeddings [sentences, numbers] are needed"));
}

TEST_CASE("plans are scored together whatever the order, early stop and threads") {
  const Model model = tiny::residual_net();
  const auto inputs = tiny::random({2 * kPairs, 2, 6, 6}, 4);
  const auto data = make_tensor_dataset("pairs", {inputs}, ratings());
  const std::vector<Precision> precisions{k16, k4};
  const Calibration calibration = calibrate(model, *data, precisions);
  const auto task = make_sentence_similarity();
  const Plan plan = Plan::uniform(model.sites.size(), k4);
  std::vector<Evaluation> evaluations;
  for (const bool early : {false, true})
    for (const int threads : {1, 3}) {
      EvaluatorOptions options;
      options.batch_size = 7;
      options.threads = threads;
      options.early_stop = early;
      PlanEvaluator evaluator(simulate(model, calibration), *data, *task, options);
      REQUIRE(evaluator.measure_baseline(Plan::uniform(model.sites.size(), k16)));
      evaluations.push_back(*evaluator.evaluate(plan));
      CHECK_FALSE(evaluations.back().ended_early());
    }
  for (const Evaluation& evaluation : evaluations) {
    CHECK(evaluation.score == evaluations[0].score);
    CHECK(evaluation.interval.low == evaluations[0].interval.low);
    CHECK(evaluation.damage == evaluations[0].damage);
  }
  CHECK(evaluations[0].score_error > 0);

  EvaluatorOptions options;
  options.batch_size = 7;
  options.early_stop = true;
  options.gate = {.kind = GateKind::Damage, .budget = evaluations[0].damage / 2};
  PlanEvaluator evaluator(simulate(model, calibration), *data, *task, options);
  REQUIRE(evaluator.measure_baseline(Plan::uniform(model.sites.size(), k16)));
  const auto failing = evaluator.evaluate(plan);
  CHECK(failing->ended_early());
  CHECK_FALSE(failing->passed);
  CHECK(std::isinf(failing->score));
  CHECK(failing->score_error == 0);
}
