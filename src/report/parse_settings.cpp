#include "report/parse_settings.hpp"

#include <nlohmann/json.hpp>

#include "report/parse_fields.hpp"
#include "report/parse_figures.hpp"

namespace halftone::internal {
namespace {

WeightMethodChoice read_weight_method(const JsonField& field) {
  const auto read_method = [](const JsonField& method) {
    return read_choice(method, {RangeMethod::Max, RangeMethod::Percentile, RangeMethod::MeanSquaredError});
  };
  WeightMethodChoice choice{.bits = read_count(field.need("bits"), 2),
                            .precision = field.need("precision").precision(),
                            .chosen = read_method(field.need("chosen")),
                            .trials = {},
                            .samples = field.need("samples").integer(0)};
  field.need("damage").each_member([&](const std::string& name, const JsonField& damage) {
    const nlohmann::json method = name;
    choice.trials.push_back({read_method(JsonField(method, damage.place())), damage.number()});
  });
  return choice;
}

RangeAdjustment read_adjustment(const JsonField& field) {
  RangeAdjustment adjustment{
      .plan = field.need("plan").text_or_empty(),
      .damage_before = field.need("damage_before").number(),
      .damage_after = field.need("damage_after").number(),
      .held_out = field.need("held_out").integer(0),
      .trained_on = field.need("trained_on").integer(0),
      .bounds = static_cast<std::size_t>(field.need("bounds").integer(0)),
      .steps = read_count(field.need("steps")),
      .step_kept = static_cast<int>(field.need("step_kept").integer(0, field.need("steps").integer(0, INT_MAX))),
      .checks = {},
      .forward_passes = field.need("passes").need("forward").number_not_negative(),
      .backward_passes = field.need("passes").need("backward").number_not_negative(),
      .seconds = field.need("seconds").number_not_negative(),
      .stopped = field.need("stopped").truth()};
  field.need("checks").each_element([&](const JsonField& check) {
    adjustment.checks.push_back({.step = read_count(check.need("step")),
                                 .training = check.need("training").number(),
                                 .held_out = check.need("held_out").number()});
  });
  return adjustment;
}

}  // namespace

void read_options(const JsonField& options, RunResult& run) {
  run.task = options.need("task").text();
  run.metric = options.need("metric").text_or_empty();
  run.sensitivity_file = text_if_any(options, "sensitivity");
  run.order = text_if_any(options, "order");
  run.search = options.need("search").text_or_empty();
  run.precisions = options.need("precisions").precisions();
  run.range_input = options.need("range_input").text_or_empty();
  run.range_weight = options.need("range_weight").text_or_empty();
  run.adjust_ranges = text_if_any(options, "adjust");
  run.batch_size = options.need("eval_batch").integer(1);
  run.threads = read_count(options.need("threads"), 1);
  run.seed = options.need("seed").unsigned_integer();
  run.latency_model = options.need("latency").text_or_empty();
  run.latency_measured = run.latency_model.starts_with("measured");
  if (const auto batch = options.find("batch")) run.latency_batch = batch->integer(1);
  if (const auto most = options.find("most_evaluations")) run.limits.most_evaluations = read_count(*most);
  if (const auto most = options.find("most_seconds")) run.limits.most_seconds = most->number_not_negative();
  if (const auto repairs = options.find("repairs")) run.limits.repairs = read_count(*repairs);
  for (const char* name : {"input", "any_length", "mean", "std", "resize", "crop", "vocabulary", "max_tokens", "rename",
                           "state_dict", "additions", "products"})
    if (const auto value = options.find(name)) run.model_options[name] = value->text_or_empty();
}

void read_engine(const JsonField& field, RunResult& run) {
  if (const auto engine = field.find("engine"))
    run.engine = EngineUsed{.name = engine->need("name").text(),
                            .version = engine->need("version").text_or_empty(),
                            .threads = read_count(engine->need("threads"), 1),
                            .float_type = engine->need("float_type").text_or_empty()};
  const auto measured = field.find("measured");
  if (!measured) return;
  run.measured = read_engine_times(*measured);
  if (run.engine) return;
  // Earlier versions wrote the engine here only.
  const std::string name = measured->need("engine").text();
  const std::size_t space = std::min(name.find(' '), name.size());
  run.engine = EngineUsed{.name = name.substr(0, space),
                          .version = name.substr(std::min(space + 1, name.size())),
                          .threads = read_count(measured->need("threads"), 1),
                          .float_type = measured->need("float_type").text_or_empty()};
}

void read_ranges(const JsonField& field, RunResult& run) {
  field.need("weight_methods").each_element([&](const JsonField& entry) {
    run.weight_methods.push_back(read_weight_method(entry));
  });
  field.need("adjustments").each_element([&](const JsonField& entry) {
    run.adjustments.push_back(read_adjustment(entry));
  });
}

void read_finishing(const JsonField& field, RunResult& run) {
  run.finishing = FinishRecord{.descent = read_adjustment(field),
                               .tensors = field.need("tensors").integer(0),
                               .values = field.need("values").integer(0),
                               .label_share = field.need("label_share").number_not_negative(),
                               .model_digest = field.need("finished_digest").text_or_empty(),
                               .kept = field.need("kept").truth()};
}

}  // namespace halftone::internal
