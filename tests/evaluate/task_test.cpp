#include "halftone/evaluate/task.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "failure.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::unique_ptr<Dataset> labelled(const at::Tensor& targets) {
  return make_tensor_dataset("set", {at::zeros({targets.size(0), 3})}, targets);
}

/// Few distinct values, so that ties abound.
at::Tensor logits_with_ties(std::int64_t samples, std::int64_t classes) {
  return tiny::random({samples, classes}, 40).mul_(2).round_();
}

/// A task as a user writes it.
class Constant : public Task {
 public:
  explicit Constant(at::Tensor result) : result_(std::move(result)) {}
  [[nodiscard]] std::string name() const override { return "constant"; }

 private:
  void do_check(const std::vector<at::Tensor>&, const Dataset&) const override {}
  [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>&, const at::Tensor&) const override {
    return result_;
  }
  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>&, const std::vector<at::Tensor>&) const override {
    return result_;
  }
  at::Tensor result_;
};

}  // namespace

TEST_CASE("top1 is argmax, the first of equal logits") {
  const at::Tensor logits = logits_with_ties(200, 6);
  const at::Tensor targets = at::arange(200, at::kLong) % 6;
  const auto task = make_top_k(1);
  CHECK(task->name() == "top1");
  const at::Tensor score = task->score({logits}, targets);
  CHECK(score.scalar_type() == at::kDouble);
  CHECK(at::equal(score, logits.argmax(1).eq(targets).to(at::kDouble)));
}

TEST_CASE("top5 holds the five largest logits, the first of equals") {
  const at::Tensor logits = logits_with_ties(100, 9);
  const at::Tensor targets = at::arange(100, at::kLong) % 9;
  const at::Tensor score = make_top_k(5)->score({logits}, targets);
  for (std::int64_t n = 0; n < 100; ++n) {
    std::vector<std::int64_t> order(9);
    std::iota(order.begin(), order.end(), 0);
    const auto logit = [&](std::int64_t c) { return logits[n][c].item<float>(); };
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return logit(a) > logit(b); });
    const bool in = std::find(order.begin(), order.begin() + 5, n % 9) != order.begin() + 5;
    CHECK(score[n].item<double>() == (in ? 1 : 0));
  }
}

TEST_CASE("damage is the Kullback-Leibler divergence from the clean to the quantized output") {
  const at::Tensor clean = tiny::random({20, 4}, 41) * 5;
  const at::Tensor other = tiny::random({20, 4}, 42) * 5;
  const at::Tensor damage = make_top_k(1)->damage({other}, {clean});
  for (std::int64_t n = 0; n < 20; ++n) {
    double clean_sum = 0;
    double other_sum = 0;
    for (std::int64_t c = 0; c < 4; ++c) {
      clean_sum += std::exp(clean[n][c].item<double>());
      other_sum += std::exp(other[n][c].item<double>());
    }
    double divergence = 0;
    for (std::int64_t c = 0; c < 4; ++c) {
      const double p = std::exp(clean[n][c].item<double>()) / clean_sum;
      const double q = std::exp(other[n][c].item<double>()) / other_sum;
      divergence += p * std::log(p / q);
    }
    CHECK(damage[n].item<double>() == Approx(divergence).epsilon(1e-9));
  }
}

TEST_CASE("equal outputs have no damage, extreme ones a finite one") {
  const at::Tensor clean = tiny::random({20, 4}, 43) * 5;
  const auto task = make_top_k(1);
  CHECK(at::equal(task->damage({clean}, {clean}), at::zeros({20}, at::kDouble)));
  const at::Tensor far = task->damage({clean * 1e30}, {clean * -1e30});
  CHECK(far.isfinite().all().item<bool>());
  CHECK(far.ge(0).all().item<bool>());
}

TEST_CASE("half a response's squared length is the damage of a small difference") {
  const at::Tensor clean = tiny::random({20, 4}, 44) * 3;
  const at::Tensor close = clean + tiny::random({20, 4}, 45) * 1e-3;
  class SquaredError final : public Task {  // of a user: has the response that a task has by default
   public:
    [[nodiscard]] std::string name() const override { return "squared"; }

   private:
    void do_check(const std::vector<at::Tensor>&, const Dataset&) const override {}
    [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>&, const at::Tensor&) const override { return {}; }
    [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                       const std::vector<at::Tensor>& reference) const override {
      const at::Tensor z = reference[0].to(at::kDouble);
      return (outputs[0].to(at::kDouble) - z).square().mean(1) / z.square().mean(1);
    }
  };
  const SquaredError squared;
  const auto top1 = make_top_k(1);
  for (const Task* task : {static_cast<const Task*>(top1.get()), static_cast<const Task*>(&squared)}) {
    const at::Tensor half = task->response({close}, {clean}).square().sum(1) / 2;
    const at::Tensor damage = task->damage({close}, {clean});
    CHECK(((half - damage).abs() / damage).max().item<double>() < 0.01);
    const at::Tensor twice = task->response({clean + 2 * (close - clean)}, {clean});
    CHECK(at::allclose(twice, 2 * task->response({close}, {clean}), 1e-3, 1e-7));  // linear up to float32
  }
  const at::Tensor warm = top1->response({close}, {clean}, 4);
  const at::Tensor p = (clean.to(at::kDouble) / 4).softmax(1);
  const at::Tensor u = close.to(at::kDouble) - clean.to(at::kDouble);
  CHECK(at::allclose(warm.square().sum(1), (p * u.square()).sum(1) - (p * u).sum(1).square()));
}

TEST_CASE("targets that do not fit the outputs are refused with value and place") {
  const at::Tensor logits = at::zeros({2, 5});
  const auto task = make_top_k(1);
  task->check({logits}, *labelled(at::tensor({0, 4, 2}, at::kLong)));

  const auto values = failure([&] { task->check({logits}, *labelled(at::zeros({10}))); });
  CHECK(values.code == Errc::InvalidArgument);
  CHECK(values.text == "top1: the targets of set are Float [10]: one integer class number a sample is needed");
  CHECK(failure([&] {
          task->check({logits}, *labelled(at::tensor({0, 1, 9}, at::kLong)));
        }).text ==
        "target 9 of sample 2 in set does not fit the network's 5 outputs: targets are class numbers from 0 to 4");
  CHECK(failure([&] {
          task->check({logits}, *labelled(at::tensor({0, -1}, at::kInt)));
        }).text.starts_with("target -1"));
  CHECK(failure([&] { task->check({logits}, *labelled(at::zeros({3, 1}, at::kLong))); }).code == Errc::InvalidArgument);
  CHECK(failure([&] {
          task->check({logits}, *make_tensor_dataset("bare", {at::zeros({2, 3})}, {}));
        }).text == "top1: bare has no targets to score against");
}

TEST_CASE("outputs that are no logits are refused") {
  const auto data = labelled(at::zeros({3}, at::kLong));
  const auto task = make_top_k(1);
  CHECK(failure([&] { task->check({}, *data); }).code == Errc::InvalidArgument);
  CHECK(failure([&] { task->check({at::zeros({3, 5, 2})}, *data); }).text.find("[3, 5, 2]") != std::string::npos);
  const auto few = failure([&] { make_top_k(5)->check({at::zeros({3, 5})}, *data); });
  CHECK(few.text.starts_with("top5: the network has 5 outputs, so that every answer would count as right"));
  CHECK(failure([] { (void)make_top_k(0); }).code == Errc::InvalidArgument);
}

TEST_CASE("outputs that are not finite are refused by sample") {
  for (const float bad : {kNaN, std::numeric_limits<float>::infinity()}) {
    at::Tensor logits = at::zeros({4, 3});
    logits[2][1] = bad;
    const auto task = make_top_k(1);
    const auto score = failure([&] { (void)task->score({logits}, at::zeros({4}, at::kLong)); });
    CHECK(score.code == Errc::NonFinite);
    CHECK(score.text.starts_with("top1: output 0 is NaN or infinite for sample 2 of the batch"));
    CHECK(failure([&] { (void)task->damage({logits}, {at::zeros({4, 3})}); }).code == Errc::NonFinite);
  }
}

TEST_CASE("a user's task must give one float64 a sample") {
  const std::vector<at::Tensor> outputs{at::zeros({3, 2})};
  CHECK(Constant(at::zeros({3}, at::kDouble)).score(outputs, {}).size(0) == 3);
  const auto narrow = failure([&] { (void)Constant(at::zeros({3})).score(outputs, {}); });
  CHECK(narrow.code == Errc::Internal);
  CHECK(narrow.text == "task constant gave Float [3] as score of 3 samples: one float64 a sample is needed");
  CHECK(failure([&] { (void)Constant(at::zeros({}, at::kDouble)).damage(outputs, outputs); }).code == Errc::Internal);
  CHECK(failure([&] { (void)Constant({}).damage(outputs, outputs); }).code == Errc::Internal);
}

TEST_CASE("a score outside the task's range and a damage below 0 are refused, but for rounding") {
  class Ranged final : public Task {
   public:
    Ranged(double value, ScoreRange range) : value_(value), range_(range) {}
    [[nodiscard]] std::string name() const override { return "ranged"; }

   private:
    void do_check(const std::vector<at::Tensor>&, const Dataset&) const override {}
    [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>&, const at::Tensor&) const override {
      return at::tensor({0.5, value_}, at::kDouble);
    }
    [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>&, const std::vector<at::Tensor>&) const override {
      return at::tensor({0.5, value_}, at::kDouble);
    }
    [[nodiscard]] std::optional<ScoreRange> do_score_range() const override { return range_; }
    double value_;
    ScoreRange range_;
  };
  const std::vector<at::Tensor> outputs{at::zeros({2, 2})};
  CHECK(at::equal(Ranged(1 + 1e-7, {0, 1}).score(outputs, {}), at::tensor({0.5, 1.0}, at::kDouble)));
  CHECK(at::equal(Ranged(-1e-7, {0, 1}).damage(outputs, outputs), at::tensor({0.5, 0.0}, at::kDouble)));
  CHECK(failure([&] {
          (void)Ranged(1.5, {0, 1}).score(outputs, {});
        }).text == "task ranged gave 1.5 as score of a sample: from 0 to 1 is allowed");
  const Failure negative = failure([&] { (void)Ranged(-0.25, {0, 1}).damage(outputs, outputs); });
  CHECK(negative.code == Errc::Internal);
  CHECK(negative.text == "task ranged gave -0.25 as damage of a sample: from 0 to inf is allowed");
  CHECK(failure([&] {
          (void)Ranged(1, {1, 1}).score_range();
        }).text == "task ranged: the range of its scores is 1 to 1: two finite numbers in ascending order are needed");
  CHECK_FALSE(Constant({}).score_range());
  CHECK(make_top_k(5)->score_range()->high == 1);
}

TEST_CASE("top-k's fragility ranks wrong samples before right ones, and these by what parts them from a wrong answer") {
  const at::Tensor logits = tiny::random({60, 6}, 46);
  const at::Tensor targets = at::arange(60, at::kLong) % 6;
  for (const std::int64_t k : {1, 3}) {
    const auto task = make_top_k(k);
    const at::Tensor fragility = task->fragility({logits}, targets);
    const at::Tensor score = task->score({logits}, targets);
    for (std::int64_t n = 0; n < 60; ++n) {
      std::vector<double> others;
      for (std::int64_t c = 0; c < 6; ++c)
        if (c != n % 6) others.push_back(logits[n][c].item<double>());
      std::sort(others.rbegin(), others.rend());
      const double margin = logits[n][n % 6].item<double>() - others[static_cast<std::size_t>(k - 1)];
      CHECK(fragility[n].item<double>() == Approx(-margin));
      CHECK((score[n].item<double>() == 1) == (margin > 0));
    }
  }
  CHECK(at::equal(Constant({}).fragility({logits}, targets), at::zeros({60}, at::kDouble)));
  class Unordered final : public Constant {
   public:
    Unordered() : Constant({}) {}

   private:
    [[nodiscard]] at::Tensor do_fragility(const std::vector<at::Tensor>&, const at::Tensor&) const override {
      return at::full({60}, kNaN, at::kDouble);
    }
  };
  CHECK(failure([&] { (void)Unordered().fragility({logits}, targets); }).text ==
        "task constant gave NaN as fragility: samples cannot be ordered by it");
}
