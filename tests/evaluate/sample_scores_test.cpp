#include "evaluate/sample_scores.hpp"

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "catch.hpp"
#include "halftone/evaluate/gate.hpp"

using namespace halftone;
using internal::SampleScores;

namespace {

/// A task's results under one plan, drawn at random, with a gate that the plan passes or fails by little or by much.
struct Case {
  std::vector<double> baseline;
  std::vector<double> score;
  std::vector<double> damage;
  std::optional<ScoreRange> range;
  std::vector<std::size_t> order;
};

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}
  double unit() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  Case next() {
    Case c;
    const std::size_t samples = 1 + below(60);
    const bool is_whole = below(2) == 0;  // right or wrong
    const ScoreRange range = is_whole ? ScoreRange{0, 1} : ScoreRange{-unit(), 0.1 + 2 * unit()};
    const double change = unit();
    for (std::size_t i = 0; i < samples; ++i) {
      const auto score = [&] {
        const double share = is_whole ? static_cast<double>(below(4) > 0) : unit();
        return range.low + share * (range.high - range.low);
      };
      c.baseline.push_back(score());
      c.score.push_back(unit() < change ? score() : c.baseline.back());
      c.damage.push_back(unit() < change ? unit() : 0);
    }
    if (below(5) > 0) c.range = range;
    c.order.resize(samples);
    std::iota(c.order.begin(), c.order.end(), 0);
    for (std::size_t left = samples; left > 1; --left) std::swap(c.order[left - 1], c.order[below(left)]);
    return c;
  }

  /// Of any kind; half of them such that `full` passes or fails by a hair.
  Gate gate(const Evaluation& full, double baseline) {
    const double hair = below(3) == 0 ? 0 : (unit() - 0.5) * 1e-3;
    const bool close = below(2) == 0;
    const auto kind = static_cast<GateKind>(below(3));
    if (kind == GateKind::Damage) return {.kind = kind, .budget = std::abs(close ? full.damage + hair : unit()) + 1e-6};
    const double margin = kind == GateKind::Confidence ? score_margin(full) : 0;
    const double keep = close && baseline != 0 ? (full.score - margin) / baseline + hair : unit();
    return {.keep = keep > 0 && keep <= 1 ? keep : 0.9, .kind = kind};
  }

 private:
  std::mt19937_64 random_;
};

SampleScores complete(const Case& c) {
  SampleScores scores(c.score.size(), c.range);
  for (std::size_t i = 0; i < c.score.size(); ++i) scores.add(i, c.score[i], c.damage[i]);
  return scores;
}

double mean(const std::vector<double>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), 0.0) / static_cast<double>(numbers.size());
}

}  // namespace

TEST_CASE("a complete comparison has the paired statistics of its samples") {
  const std::vector<double> baseline{1, 0, 1, 1, 0, 1};
  const std::vector<double> score{1, 1, 0, 0, 0, 1};
  SampleScores scores(6, ScoreRange{0, 1});
  for (std::size_t i = 6; i-- > 0;) scores.add(i, score[i], 0.25 * static_cast<double>(i));
  const Evaluation evaluation = scores.compare(baseline);
  CHECK(evaluation.score_count == 3);
  CHECK(evaluation.score == 0.5);
  CHECK(evaluation.samples == 6);
  CHECK_FALSE(evaluation.ended_early());
  CHECK(evaluation.damage == 0.625);
  CHECK(evaluation.score_span == 1);
  // Two lost, one gained: differences 0, 1, -1, -1, 0, 0 of mean -1/6.
  const double error = std::sqrt((3 - 6 * (1.0 / 36)) / 5 / 6);
  CHECK(evaluation.score_error == Approx(error));
  CHECK(evaluation.interval.low == Approx(1 + (-1.0 / 6 - 1.96 * error) / (4.0 / 6)));
  CHECK(evaluation.interval.high == Approx(1 + (-1.0 / 6 + 1.96 * error) / (4.0 / 6)));
}

TEST_CASE("without a difference the interval is that of the rule of three, in units of the most a sample can change") {
  for (const double span : {1.0, 4.0}) {
    SampleScores scores(100, ScoreRange{0, span});
    for (std::size_t i = 0; i < 100; ++i) scores.add(i, span / 2, 0);
    const Evaluation evaluation = scores.compare(std::vector<double>(100, span / 2));
    CHECK(evaluation.interval.low == Approx(1 - 0.03 * span / (span / 2)));
    CHECK(evaluation.interval.high == Approx(1 + 0.03 * span / (span / 2)));
  }
}

TEST_CASE("where a task has no range, a sample can change by the spread of the scores seen, or by anything still") {
  SampleScores scores(3, {});
  scores.add(1, 7, 0.5);
  const Evaluation part = scores.compare({1, 2, 3});
  CHECK(part.score == std::numeric_limits<double>::infinity());
  CHECK(part.score_span == 6);
  CHECK(part.damage == Approx(0.5 / 3));
  CHECK(part.unscored == 2);
  scores.add(0, -2, 0);
  scores.add(2, 3, 0);
  CHECK(scores.compare({1, 2, 3}).score_span == 9);
}

TEST_CASE("an evaluation ends early exactly where all samples fail, for any task, order and gate") {
  Draw draw(20);
  int early = 0;
  int passed = 0;
  for (int k = 0; k < 6000; ++k) {
    const Case c = draw.next();
    const Evaluation full = complete(c).compare(c.baseline);
    const Evaluation baseline{.score = mean(c.baseline), .samples = full.samples};
    const Gate gate = draw.gate(full, baseline.score);
    CAPTURE(k, to_string(gate), full.score, baseline.score, full.damage);
    SampleScores scores(c.score.size(), c.range);
    Evaluation known = scores.compare(c.baseline);
    for (std::size_t i = 0; i < c.order.size() && gate.passes(known, baseline); ++i) {
      scores.add(c.order[i], c.score[c.order[i]], c.damage[c.order[i]]);
      known = scores.compare(c.baseline);
    }
    REQUIRE(gate.passes(known, baseline) == gate.passes(full, baseline));
    if (!known.ended_early()) {
      REQUIRE(known.score_count == full.score_count);
      REQUIRE(known.damage == full.damage);
      REQUIRE(known.score_error == full.score_error);
    }
    early += known.ended_early();
    passed += gate.passes(full, baseline);
    for (int other = 0; other < 5; ++other) {  // judged again
      const Gate again = draw.gate(full, baseline.score);
      if (!again.passes(known, baseline)) REQUIRE_FALSE(again.passes(full, baseline));
    }
  }
  CHECK(early > 1000);
  CHECK(passed > 1000);
}

TEST_CASE("a point gate ends an evaluation with the first sample that makes failing certain") {
  Draw draw(21);
  for (int k = 0; k < 500; ++k) {
    const Case c = draw.next();
    if (!c.range) continue;
    const Gate gate{.keep = 0.5 + 0.5 * draw.unit()};
    const Evaluation baseline{.score = mean(c.baseline)};
    SampleScores scores(c.score.size(), c.range);
    Case best = c;  // whatever is left turns out best
    std::fill(best.score.begin(), best.score.end(), c.range->high);
    for (const std::size_t sample : c.order) {
      scores.add(sample, c.score[sample], c.damage[sample]);
      best.score[sample] = c.score[sample];
      const Evaluation reachable = complete(best).compare(c.baseline);
      REQUIRE(gate.passes(scores.compare(c.baseline), baseline) == gate.passes(reachable, baseline));
    }
  }
}
