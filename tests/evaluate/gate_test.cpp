#include "halftone/evaluate/gate.hpp"

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// Of `samples` right or wrong answers, `losses` that the baseline has right and `gains` that it has wrong.
Evaluation counted(std::int64_t samples, double baseline, std::int64_t losses, std::int64_t gains) {
  const auto n = static_cast<double>(samples);
  const double mean = static_cast<double>(gains - losses) / n;
  const double squares = static_cast<double>(gains + losses) - n * mean * mean;
  return {.score = baseline + mean,
          .samples = samples,
          .score_error = samples > 1 ? std::sqrt(squares / n / (n - 1)) : 0,
          .score_span = 1};
}

double log_binomial(double n, double k, double p) {
  if (p <= 0) return k == 0 ? 0 : -1e300;
  return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) + k * std::log(p) + (n - k) * std::log1p(-p);
}

/// Counts out of `n` whose probability is not negligible.
std::pair<std::int64_t, std::int64_t> likely(double n, double p) {
  const double far = 7 * std::sqrt(n * p) + 12;
  return {static_cast<std::int64_t>(std::max(0.0, n * p - far)), static_cast<std::int64_t>(std::min(n, n * p + far))};
}

/// Probability that `gate` passes a plan that loses and gains with these probabilities: a sum over all counts.
double pass_rate(const Gate& gate, std::int64_t samples, double baseline, double loss, double gain) {
  const auto n = static_cast<double>(samples);
  const auto [least_losses, most_losses] = likely(n, loss);
  const auto [least_gains, most_gains] = likely(n, gain);
  double rate = 0;
  for (auto losses = least_losses; losses <= most_losses; ++losses) {
    const auto lost = static_cast<double>(losses);
    double among = 0;
    for (auto gains = least_gains; gains <= most_gains; ++gains)
      if (gate.passes(counted(samples, baseline, losses, gains), {.score = baseline}))
        among += std::exp(log_binomial(n - lost, static_cast<double>(gains), gain / (1 - loss)));
    rate += among * std::exp(log_binomial(n, lost, loss));
  }
  return rate;
}

/// Upper 95 % limit of a Poisson count's mean: the mean at which so few or fewer have a probability of 5 %.
double poisson_limit(std::int64_t count) {
  double low = 0;
  double high = 10 + 3 * static_cast<double>(count);
  for (int step = 0; step < 60; ++step) {
    const double mean = (low + high) / 2;
    double probability = 0;
    for (std::int64_t k = 0; k <= count; ++k)
      probability += std::exp(static_cast<double>(k) * std::log(mean) - mean - std::lgamma(static_cast<double>(k) + 1));
    (probability > 0.05 ? low : high) = mean;
  }
  return low;
}

}  // namespace

TEST_CASE("the share to keep reads alike as a percentage and as a fraction") {
  CHECK(parse_keep("99.9%") == 0.999);
  CHECK(parse_keep("99.9%") == parse_keep("0.999"));
  CHECK(parse_keep("99.99%") == 0.9999);
  CHECK(parse_keep("100%") == 1);
  CHECK(parse_keep("1") == 1);
  CHECK(parse_keep("1%") == 0.01);
}

TEST_CASE("shares that keep nothing, more than all, or are no numbers are refused") {
  const std::pair<std::string, std::string> cases[] = {
      {"120%", "at most 100 %"},     {"0", "keeps nothing"},
      {"-1%", "keeps nothing"},      {"0%", "keeps nothing"},
      {"nan", "is not a number"},    {"inf", "is not a number"},
      {"", "is not a number"},       {"%", "is not a number"},
      {"99.9%%", "is not a number"}, {"0.9x", "is not a number"},
      {"99,9%", "is not a number"},  {" 0.9", "is not a number"},
      {"1e400", "is not a number"},  {"99.9", "did you mean \"99.9%\"?"},
      {"120", "at most 100 %"},
  };
  for (const auto& [text, expected] : cases) {
    const Failure f = failure([&text = text] { return parse_keep(text); });
    CHECK(f.code == Errc::InvalidArgument);
    CHECK_THAT(f.text, Contains("keep \"" + text + '"') && Contains(expected));
  }
}

TEST_CASE("a gate passes what keeps the stated share, equality included") {
  const Gate gate{.keep = 0.9};
  CHECK(gate.passes({.score = 0.9}, {.score = 1.0}));
  CHECK(gate.passes({.score = 0.9 * 0.7}, {.score = 0.7}));
  CHECK_FALSE(gate.passes({.score = 0.8999}, {.score = 1.0}));
  CHECK(Gate{.keep = 1}.passes({.score = 0.5}, {.score = 0.5}));
}

TEST_CASE("a share of a score below 0 is lost downwards too") {
  CHECK(Gate{.keep = 0.9}.passes({.score = -1.1}, {.score = -1}));
  CHECK_FALSE(Gate{.keep = 0.9}.passes({.score = -1.11}, {.score = -1}));
}

TEST_CASE("a damage gate passes what does no more damage than its budget, whatever the score") {
  const Gate gate{.kind = GateKind::Damage, .budget = 0.03};
  CHECK(gate.passes({.score = 0, .damage = 0.03}, {.score = 1}));
  CHECK_FALSE(gate.passes({.score = 1, .damage = 0.0301}, {.score = 1}));
  CHECK(Gate{.kind = GateKind::Damage, .budget = 0.3}.passes({.damage = 0.1 + 0.2}, {}));  // equal up to rounding
}

TEST_CASE("confidence takes 1.645 standard errors off, and more where few samples could tell") {
  const Evaluation many{.score = 0.9, .samples = 1'000'000'000, .score_error = 0.01, .score_span = 1};
  CHECK(score_margin(many) == Approx(0.01645));
  const Gate gate{.keep = 0.98, .kind = GateKind::Confidence};
  CHECK(gate.passes(many, {.score = 0.9 + 0.001}));
  CHECK_FALSE(gate.passes(many, {.score = 0.9 + 0.002}));
  const Evaluation few{.score = 0.9, .samples = 50, .score_error = 0.01, .score_span = 2};
  CHECK(score_margin(few) == Approx(1.645 * std::sqrt(0.0001 + 0.75 * 0.04 * 0.04) + 1.6 * 0.04));
}

TEST_CASE("samples that all stay as they are certify no more than the rule of three") {
  const Gate gate{.keep = 0.999, .kind = GateKind::Confidence};
  CHECK_FALSE(gate.passes(counted(1, 1, 0, 0), {.score = 1}));
  CHECK_FALSE(gate.passes(counted(2990, 1, 0, 0), {.score = 1}));
  CHECK(gate.passes(counted(3030, 1, 0, 0), {.score = 1}));
  Evaluation itself = counted(1, 1, 0, 0);
  itself.score_span = 0;  // the baseline itself
  CHECK(gate.passes(itself, {.score = 1}));
}

TEST_CASE("with losses alone the confidence margin is the exact limit of a Poisson count, and at most .05 more") {
  constexpr std::int64_t kMany = 1'000'000'000;
  for (const std::int64_t losses : {0, 1, 2, 3, 4, 5, 7, 10, 20, 50, 100, 300}) {
    const double limit = static_cast<double>(losses) + kMany * score_margin(counted(kMany, 1, losses, 0));
    CAPTURE(losses, limit);
    CHECK(limit >= poisson_limit(losses));
    CHECK(limit <= poisson_limit(losses) + 0.05);
  }
}

TEST_CASE("the confidence gate passes at most 5 % of the plans that lose as much as it tolerates") {
  for (const std::int64_t samples : {20, 500, 5000, 50'000})
    for (const double keep : {0.99, 0.999})
      for (const double gain : {0.0, 0.0005, 0.002, 0.005, 0.02, 0.05}) {
        const Gate gate{.keep = keep, .kind = GateKind::Confidence};
        const double rate = pass_rate(gate, samples, 0.92, gain + (1 - keep) * 0.92, gain);
        CAPTURE(samples, keep, gain, rate);
        CHECK(rate <= 0.05);
        if (static_cast<double>(samples) * (1 - keep) * 0.92 > 40) CHECK(rate > 0.035);  // without being timid
      }
}

TEST_CASE("it keeps that promise where the baseline is drawn too, and where scores lie between right and wrong") {
  constexpr int kDraws = 4000;
  constexpr int kSamples = 500;
  const Gate gate{.keep = 0.98, .kind = GateKind::Confidence};
  for (const double size : {1.0, 0.3}) {     // of a loss
    for (const double gain : {0.0, 0.02}) {  // samples that gain `size`
      std::mt19937_64 random(5);
      const auto unit = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
      int passed = 0;
      for (int draw = 0; draw < kDraws; ++draw) {
        double before = 0;
        double difference = 0;
        double squares = 0;
        for (int i = 0; i < kSamples; ++i) {
          const bool right = unit() < 0.9;
          before += right ? 1 : 0;
          const double p = right ? (0.02 * 0.9 / size + gain) / 0.9 : gain / 0.1;
          const double d = unit() < p ? (right ? -size : size) : 0;
          difference += d;
          squares += d * d;
        }
        const double mean = difference / kSamples;
        const double variance = std::max(0.0, squares - kSamples * mean * mean) / (kSamples - 1);
        passed += gate.passes({.score = (before + difference) / kSamples,
                               .samples = kSamples,
                               .score_error = std::sqrt(variance / kSamples),
                               .score_span = 1},
                              {.score = before / kSamples});
      }
      CAPTURE(size, gain, passed);
      CHECK(passed <= kDraws * 0.05 + 3 * std::sqrt(kDraws * 0.05 * 0.95));
    }
  }
}

TEST_CASE("a gate is looser than another where it passes all that the other passes, and more") {
  const auto point = [](double keep) { return Gate{.keep = keep}; };
  const auto sure = [](double keep) { return Gate{.keep = keep, .kind = GateKind::Confidence}; };
  const auto damage = [](double budget) { return Gate{.kind = GateKind::Damage, .budget = budget}; };
  CHECK(point(0.9).is_looser_than(point(0.99)));
  CHECK(point(0.99).is_looser_than(sure(0.99)));
  CHECK(sure(0.9).is_looser_than(sure(0.99)));
  CHECK(damage(0.2).is_looser_than(damage(0.1)));
  CHECK_FALSE(point(0.9).is_looser_than(point(0.9)));
  CHECK_FALSE(sure(0.9).is_looser_than(point(0.99)));
  CHECK_FALSE(point(0.999).is_looser_than(sure(0.99)));
  CHECK_FALSE(point(0.9).is_looser_than(damage(0.1)));
  CHECK_FALSE(damage(0.1).is_looser_than(point(0.9)));
}

TEST_CASE("gates are read from what to keep and how to judge it, loosest first") {
  const auto texts = [](const std::string& keep, const std::string& gate) {
    std::vector<std::string> all;
    for (const Gate& one : parse_gates(keep, gate)) all.push_back(to_string(one));
    return all;
  };
  using Texts = std::vector<std::string>;
  CHECK(texts("99.9%,99%,0.99", "point") == Texts{"99 %", "99.9 %"});
  CHECK(texts("", "confidence") == Texts{"99.9 % with confidence"});
  CHECK(texts("", "damage:0.03,0.1") == Texts{"damage 0.1", "damage 0.03"});
  CHECK_THAT(failure([] { return parse_gates("99%", "damage:1"); }).text, Contains("leave one of them out"));
  CHECK_THAT(failure([] { return parse_gates("", "damage"); }).text, Contains("needs a budget"));
  CHECK_THAT(failure([] { return parse_gates("", "damage:0"); }).text, Contains("is no number above 0"));
  CHECK_THAT(failure([] { return parse_gates("", "sharp"); }).text, Contains("gate \"sharp\" is unknown"));
  CHECK(validate(Gate{.keep = 0}).at(0).starts_with("gate.keep is 0"));
  CHECK(validate(Gate{.kind = GateKind::Damage}, "gates[1]").at(0).starts_with("gates[1].budget is 0"));
}
