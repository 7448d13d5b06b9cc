#include "report/parse_figures.hpp"

#include <limits>
#include <sstream>

namespace halftone::internal {
namespace {

struct Ends {
  double low = 0;
  double high = 0;
};

Ends read_ends(const JsonField& field) {
  std::vector<double> ends;
  field.each_element([&](const JsonField& end) { ends.push_back(end.number()); });
  if (ends.size() != 2) field.fail(message("two numbers are needed, there are ", ends.size()));
  return {ends[0], ends[1]};
}

}  // namespace

Timing read_timing(const JsonField& field) {
  constexpr double kUnknown = std::numeric_limits<double>::infinity();
  Timing timing{.minimum = field.need("minimum").number_not_negative(),
                .median = field.need("median").number_not_negative(),
                .low = -kUnknown,
                .high = kUnknown,
                .spread = field.need("spread").number_not_negative(),
                .passes = field.need("passes").integer(0)};
  if (const auto interval = field.find("interval")) {
    const auto [low, high] = read_ends(*interval);
    timing.low = low;
    timing.high = high;
  }
  if (const auto turns = field.find("turns"))
    turns->each_element([&](const JsonField& turn) { timing.samples.push_back(turn.positive_number()); });
  return timing;
}

/// A score, or a sum of scores of `samples`. Shares of right answers have limits; of other tasks nothing is known.
static double read_score(const JsonField& field, const std::string& task, std::int64_t samples) {
  if (!task.starts_with("top")) return field.number();
  const double score = field.number_not_negative();
  if (score > static_cast<double>(samples)) field.fail(message("a number of at most ", samples, " is needed"));
  return score;
}

Evaluation read_evaluation(const JsonField& field, const std::string& task) {
  Evaluation evaluation;
  evaluation.samples = field.need("samples").integer(0);
  if (evaluation.samples == 0) return evaluation;
  evaluation.damage = field.need("damage").number();
  if (const auto scored = field.find("samples_scored"))
    evaluation.unscored = evaluation.samples - scored->integer(0, evaluation.samples);
  // What a score can still be, where a task knows no limit, has no number.
  const bool may_lack = evaluation.ended_early() && !field.find("score");
  evaluation.score = may_lack ? std::numeric_limits<double>::infinity() : read_score(field.need("score"), task, 1);
  evaluation.score_count = may_lack ? std::numeric_limits<double>::infinity()
                                    : read_score(field.need("score_count"), task, evaluation.samples);
  if (const auto span = field.find("score_span")) evaluation.score_span = span->number_not_negative();
  if (const auto error = field.find("score_error")) evaluation.score_error = error->number_not_negative();
  if (evaluation.ended_early()) return evaluation;
  const auto [low, high] = read_ends(field.need("interval"));
  evaluation.interval = {low, high};
  return evaluation;
}

PlanFigures read_plan_figures(const JsonField& field, const std::string& task) {
  PlanFigures figures{.evaluation = read_evaluation(field, task)};
  if (const auto latency = field.need("latency_ms").find("predicted"))
    figures.predicted_latency = latency->number_not_negative();
  return figures;
}

std::optional<Timing> read_latency_timing(const JsonField& figures) {
  const JsonField latency = figures.need("latency_ms");
  if (!latency.find("measured")) return std::nullopt;
  return Timing{.minimum = latency.need("measured").number_not_negative(),
                .median = latency.need("median").number_not_negative(),
                .spread = latency.need("spread").number_not_negative()};
}

EngineTimes read_engine_times(const JsonField& field) {
  EngineTimes times{.batch = field.need("batch").integer(1),
                    .load = field.need("load").number_not_negative(),
                    .precise = field.need("precise").truth(),
                    .baseline = read_timing(field.need("baseline")),
                    .plan = read_timing(field.need("plan"))};
  field.need("uniform").each_precision(
      [&](Precision precision, const JsonField& timing) { times.uniform[to_string(precision)] = read_timing(timing); });
  return times;
}

Plan read_plan(const JsonField& field, const std::vector<Site>& sites) {
  Plan plan;
  for (const Site& site : sites) plan.precisions.push_back(field.need(site.name).precision());
  return plan;
}

Plan read_plan_words(const JsonField& field, std::size_t sites) {
  std::istringstream words(field.text());
  Plan plan;
  for (std::string word; words >> word;) {
    try {
      plan.precisions.push_back(parse_precision(word));
    } catch (const Error&) {
      field.fail(message("\"", shortened(word, 20), "\" is no precision: one for each site is needed, such as 8 8 4"));
    }
  }
  if (plan.size() != sites)
    field.fail(message("one precision for each of the ", sites, " sites is needed, there are ", plan.size()));
  return plan;
}

}  // namespace halftone::internal
