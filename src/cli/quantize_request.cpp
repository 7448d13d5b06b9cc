#include "cli/quantize_request.hpp"

#include <charconv>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/options.hpp"

namespace halftone::cli {
namespace {

namespace fs = std::filesystem;

/// The engine that was asked for; else, unless a modelled latency was, the first that is here. Null for none.
std::shared_ptr<const Engine> choose_engine(const Registry& registry, const QuantizeArguments& arguments) {
  if (!arguments.engine.empty()) return registry.engine(arguments.engine);
  const bool modelled = !arguments.latency.empty() && arguments.latency != "measured";
  const bool simulated = arguments.evaluate != "deployed";
  if (modelled && simulated) return nullptr;
  const std::string name = default_engine(registry);
  if (name.empty() && (arguments.latency == "measured" || !simulated))
    throw Error(Errc::Unsupported,
                "--latency measured and --evaluate deployed need an engine, and there is none: build with OpenVINO, or "
                "give --latency roofline:DEVICE");
  return name.empty() ? nullptr : registry.engine(name);
}

/// Null where latency is measured, or where there is neither an engine nor a wish: the library's default.
std::shared_ptr<const LatencyModel> choose_latency(const Registry& registry, const QuantizeArguments& arguments) {
  if (arguments.latency.empty() || arguments.latency == "measured") return nullptr;
  if (!registry.latencies.contains(arguments.latency.substr(0, arguments.latency.find(':'))))
    throw Error(Errc::NotFound, message("there is no latency model \"", arguments.latency, "\": choose from measured, ",
                                        names(registry.latencies)));
  return registry.latency(arguments.latency, arguments.batch);
}

Scoring parse_scoring(const std::string& text) {
  if (text.empty()) return Scoring::Automatic;
  if (text == "simulated") return Scoring::Simulated;
  if (text == "deployed") return Scoring::Deployed;
  throw Error(Errc::InvalidArgument, message("--evaluate is \"", text, "\": simulated or deployed is needed"));
}

bool measures_latency(const QuantizeArguments& arguments, const Engine* engine) {
  return engine != nullptr && (arguments.latency.empty() || arguments.latency == "measured");
}

/// Where nothing was asked for: 4 bits too where a modelled device gains by them; CPUs gain nothing.
std::string precisions(const QuantizeArguments& arguments, const Engine* engine) {
  if (!arguments.precisions.empty()) return arguments.precisions;
  return measures_latency(arguments, engine) ? "8,16" : "4,8,16";
}

/// Options that say something of measuring, where nothing is measured.
void refuse_unused(const QuantizeArguments& arguments, const Engine* engine) {
  const auto refuse = [](const char* option, const char* need) {
    throw Error(Errc::InvalidArgument, message(option, " is given, and ", need));
  };
  if (!measures_latency(arguments, engine) && !arguments.cache.empty() && arguments.cache != "none")
    refuse("--cache", "no latency is measured: leave it out, or give --latency measured");
  if (engine == nullptr && arguments.engine_threads > 0)
    refuse("--engine-threads", "there is no engine: give --engine");
  if (engine == nullptr && arguments.float_type != "auto") refuse("--float", "there is no engine: give --engine");
}

/// The folder of earlier latencies; none where the default one cannot be written.
fs::path choose_cache(const std::string& given) {
  if (given == "none") return {};
  if (!given.empty()) return given;
  const std::string standard = default_cache();
  try {
    if (!standard.empty()) require_writable(standard);
    return standard;
  } catch (const Error&) {
    return {};
  }
}

/// Nothing where the library is to choose. Refuses what the metric gives no ground for.
std::optional<OrderMethod> choose_order(const Registry& registry, const std::string& name,
                                        const SensitivityMetric& metric) {
  if (name == "auto") return std::nullopt;
  if (!registry.orders.contains(name))
    throw Error(Errc::NotFound,
                message("there is no order \"", name, "\": choose from auto, ", names(registry.orders)));
  const OrderMethod& order = registry.order(name);
  if (!order.needs_pairs || metric.gives_pairs()) return order;
  std::string able;
  for (const auto& [other, make] : registry.metrics)
    if (make()->gives_pairs()) able += (able.empty() ? "" : ", ") + other;
  throw Error(Errc::InvalidArgument,
              message("--order ", name, " needs to know of pairs of sites, and --metric ", metric.name(),
                      " says nothing of them: choose --metric from ", able, ", or another order"));
}

/// 0.2 for "20%"; nothing for what is no percentage.
std::optional<double> parse_share(const std::string& text) {
  double percent = 0;
  const auto plain = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (!text.empty() && plain.ec == std::errc{} && plain.ptr == text.data() + text.size())
    throw Error(Errc::InvalidArgument,
                message("--report is ", text, ", a number without a unit: give a share, such as ",
                        percent < 1 ? percent * 100 : percent, "%, or DATA"));
  if (!text.ends_with('%')) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 1, percent);
  if (error != std::errc{} || end != text.data() + text.size() - 1) return std::nullopt;
  if (!(percent > 0 && percent < 100))
    throw Error(Errc::InvalidArgument, message("--report is ", text,
                                               ": a share above 0 % and below 100 % of the "
                                               "validation data can be set aside, e.g. 20%"));
  return percent / 100;
}

/// "2ms", "0.4" (in the latency model's unit) or "-30%".
std::optional<LatencyTarget> parse_latency_target(const std::string& text, const std::string& unit) {
  if (text.empty()) return std::nullopt;
  const auto refuse = [&](const std::string& why) -> Error {
    return {Errc::InvalidArgument, message("--latency-target is ", text, ": ", why)};
  };
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string given(end, text.data() + text.size());
  if (error != std::errc{})
    throw refuse("give a latency, e.g. 2ms, or a change against all sites at 16 bits, e.g. -30%");
  if (given == "%") {
    if (!(number < 0 && number > -100)) throw refuse("a change is above -100 % and below 0 %, e.g. -30%");
    return LatencyTarget{.change = number / 100};
  }
  if (!(number > 0)) throw refuse("a latency above 0 is needed, or a change with its sign and %, e.g. -30%");
  if (given == unit || given.empty()) return LatencyTarget{.limit = number};
  if (unit == "ms" && given == "us") return LatencyTarget{.limit = number / 1000};
  if (unit == "ms" && given == "s") return LatencyTarget{.limit = number * 1000};
  throw refuse(message("latency is in ", unit, " here"));
}

/// Empty where a latency is asked for instead.
std::vector<Gate> choose_gates(const QuantizeArguments& arguments) {
  if (arguments.latency_target.empty())
    return parse_gates(without_blanks(arguments.keep), without_blanks(arguments.gate));
  if (!arguments.keep.empty() || arguments.gate != "point")
    throw Error(Errc::InvalidArgument,
                "--latency-target finds the plan that does least damage within a latency: leave --keep and --gate out");
  return {};
}

/// Those of the file first.
std::vector<SiteRule> choose_rules(const QuantizeArguments& arguments) {
  std::vector<SiteRule> rules;
  if (!arguments.rules.empty()) rules = read_site_rules(arguments.rules);
  for (const auto& pattern : arguments.together) rules.push_back({RuleKind::Together, pattern});
  for (const auto& text : arguments.keep_high) rules.push_back(parse_at_least(text));
  for (const auto& pattern : arguments.leave_out) rules.push_back({RuleKind::Out, pattern});
  return rules;
}

}  // namespace

QuantizeRequest check(const Registry& registry, const QuantizeArguments& arguments) {
  const auto engine = choose_engine(registry, arguments);
  refuse_unused(arguments, engine.get());
  std::optional<SensitivityFile> known;
  if (!arguments.sensitivity.empty()) known = read_sensitivity_file(arguments.sensitivity);
  const std::shared_ptr<const SensitivityMetric> metric =
      known ? make_known_metric(find_table(*known, arguments.sensitivity, arguments.metric))
            : registry.metric(arguments.metric.empty() ? "interlayer" : arguments.metric);
  QuantizeRequest request{
      .model = check(arguments.model),
      .options = {.gates = choose_gates(arguments),
                  .limits = {.most_evaluations = static_cast<int>(arguments.most_evaluations),
                             .most_seconds = arguments.most_seconds,
                             .repairs = static_cast<int>(arguments.repairs)},
                  .precisions = parse_precisions(without_blanks(precisions(arguments, engine.get()))),
                  .rules = choose_rules(arguments),
                  .input_range = range_options(arguments.ranges.input),
                  .weight_range = range_options(arguments.ranges.weight),
                  .adjust_ranges = parse_range_adjusting(arguments.adjust),
                  .batch_size = arguments.eval_batch,
                  .threads = thread_count(arguments.common),
                  .seed = arguments.common.seed,
                  .scoring = parse_scoring(arguments.evaluate),
                  .compare_samples = arguments.compare_samples,
                  .latency_batch = arguments.batch,
                  .latency_threads = engine_threads("--engine-threads", arguments.engine_threads),
                  .float_type = parse_float(arguments.float_type)},
      .parts = {.task = registry.task(arguments.task),
                .metric = metric,
                .order = choose_order(registry, arguments.order, *metric),
                .search = registry.search(arguments.search),
                .engine = engine,
                .latency = choose_latency(registry, arguments)},
      .sensitivity = std::move(known),
      .report_share = parse_share(arguments.report)};
  const auto& latency = request.parts.latency;
  request.options.latency_target = parse_latency_target(arguments.latency_target, latency ? latency->unit() : "ms");
  require_valid("options", validate(request.options));
  if (!arguments.train.empty())
    request.finisher = make_finisher({.steps = static_cast<int>(arguments.finish_steps),
                                      .weight_rate = arguments.finish_rate,
                                      .label_share = arguments.finish_labels,
                                      .threads = thread_count(arguments.common),
                                      .seed = arguments.common.seed});
  require_trained(arguments.model, "there is no accuracy to keep");
  // Last, as it makes the folder.
  if (measures_latency(arguments, engine.get())) request.options.latency_cache = choose_cache(arguments.cache);
  return request;
}

}  // namespace halftone::cli
