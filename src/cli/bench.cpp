#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cmath>
#include <ostream>
#include <set>

#include "cli/command.hpp"
#include "cli/subject.hpp"
#include "halftone/core/error.hpp"
#include "halftone/engine/benchmark.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

namespace halftone::cli {
namespace {

using namespace internal;

struct Arguments {
  ModelOptions model;
  CommonOptions common;
  SubjectOptions subject;
  std::string engine;
  std::string float_type = "auto";
  std::int64_t batch = 1;
  std::int64_t threads = 1;  ///< of the network
  double error = 1;          ///< %
  double seconds = 20;
};

struct Request {
  ModelRequest model;
  SubjectRequest subject;
  std::shared_ptr<const Engine> engine;
  FloatType float_type;
  BenchmarkOptions options;
};

void require_between(const char* option, double value, double least, double most) {
  if (!(value >= least && value <= most))
    throw Error(Errc::InvalidArgument, message(option, " is ", value, ": ", least, " to ", most, " is needed"));
}

Request check(const Registry& registry, const Arguments& arguments) {
  require_between("--error", arguments.error, 0.01, 100);
  require_between("--seconds", arguments.seconds, 0.01, 1e6);
  constexpr std::int64_t kCalibrationBatch = 16;
  const auto engine = registry.engine(arguments.engine);
  return {.model = check(arguments.model),
          .subject = check(arguments.subject, kCalibrationBatch, arguments.common),
          .engine = engine,
          .float_type = parse_float(arguments.float_type).value_or(preferred_float(*engine)),
          .options = {.batch = arguments.batch,
                      .threads = engine_threads("--threads", arguments.threads),
                      .measure = {.relative_error = arguments.error / 100, .max_seconds = arguments.seconds}}};
}

/// What was timed: the reference networks, and the plan where one was given.
struct Bench {
  std::vector<Variant> variants;
  std::size_t baseline = 0;  ///< the variant that ratios are of
  Measurement measurement{};
  bool random_ranges = false;
  bool stopped = false;
};

/// In float32 the plan of 16 bits is the float network.
std::vector<Variant> variants(const Request& request, const Plan& plan) {
  const std::size_t sites = plan.size();
  const bool bf16 = request.float_type == FloatType::BFloat16;
  std::vector<Variant> list;
  if (bf16) list.push_back({"32-bit float", Plan::uniform(sites, k16), FloatType::Float32});
  list.push_back(
      {message("all at 16 bits (", to_string(request.float_type), ')'), Plan::uniform(sites, k16), request.float_type});
  list.push_back({"all at 8 bits", Plan::uniform(sites, k8), request.float_type});
  if (request.subject.file || (request.subject.uniform && *request.subject.uniform != k16 && plan != list.back().plan))
    list.push_back({request.subject.file ? "plan" : composition(plan), plan, request.float_type});
  return list;
}

/// Makes up the 8-bit ranges that a plan made without them, or no plan at all, leaves open: time does not depend on
/// them. Whether there were any.
bool fill_ranges(const Model& model, Calibration& calibration) {
  bool lacks = false;
  for (std::size_t i = 0; i < model.sites.size(); ++i)
    lacks = lacks || !calibration.sites[i].input.contains(8) ||
            (model.sites[i].has_weight() && !calibration.sites[i].weight.contains(8));
  if (!lacks) return false;
  const Precision eight[] = {k8};
  const Calibration random = random_calibration(model, eight);
  for (std::size_t i = 0; i < model.sites.size(); ++i) {
    calibration.sites[i].input.insert(random.sites[i].input.begin(), random.sites[i].input.end());
    calibration.sites[i].weight.insert(random.sites[i].weight.begin(), random.sites[i].weight.end());
  }
  return true;
}

std::optional<Bench> run(const Request& request, const LoadedModel& loaded, const Monitor& monitor) {
  auto subject = make_subject(request.subject, loaded, monitor, {k8});
  if (!subject) return std::nullopt;
  Bench bench{.variants = variants(request, subject->plan),
              .baseline = request.float_type == FloatType::BFloat16 ? 1U : 0U,
              .random_ranges = subject->random_ranges};
  if (fill_ranges(loaded.model, subject->calibration)) bench.random_ranges = true;
  bench.measurement = benchmark(*request.engine, subject->network(loaded), subject->calibration, bench.variants,
                                request.options, monitor);
  if (bench.measurement.timings.empty()) return std::nullopt;
  bench.stopped = monitor.stopped();
  return bench;
}

std::string ratio_text(const Ratio& ratio) {
  if (!ratio.is_known()) return message("x ", fixed(ratio.value, 3), " (too few turns for an interval)");
  const std::string interval = message(fixed(ratio.low, 3), " to ", fixed(ratio.high, 3));
  return ratio.differs() ? message("x ", fixed(ratio.value, 3), " (", interval, ')')
                         : message("no difference seen (", interval, ')');
}

/// What to say where the fastest passes say the opposite of the ratio.
std::optional<std::string> contradiction(const Timing& timing, const Timing& baseline) {
  const Ratio ratio = compare(timing, baseline);
  const double minima = timing.minimum / baseline.minimum;
  if (!ratio.differs() || (ratio.value > 1) == (minima > 1)) return std::nullopt;
  return message("its fastest pass takes ", change(1, minima), ", its turns ", change(1, ratio.value),
                 ": something else uses the machine; measure again when it is quiet.");
}

void print_text(const Context& context, const Arguments& arguments, const Request& request, const Bench& bench) {
  const Measurement& measured = bench.measurement;
  const int threads = request.options.threads;
  context.out << arguments.model.spec << " in " << request.engine->name() << ' ' << request.engine->version()
              << ", batch " << request.options.batch << ", " << threads << (threads == 1 ? " thread" : " threads")
              << "\n\n";
  using Align = TextTable::Align;
  TextTable table({Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left});
  table.add({"", "minimum", "median", "+-", "spread", "of the 16-bit time (95 % interval)"});
  for (std::size_t i = 0; i < bench.variants.size(); ++i) {
    const Timing& timing = measured.timings[i];
    table.add({bench.variants[i].name, with_unit(timing.minimum, "ms"), with_unit(timing.median, "ms"),
               std::isfinite(timing.relative_error()) ? percent(timing.relative_error(), 1) : "?",
               percent(timing.spread, 1),
               i == bench.baseline ? "" : ratio_text(compare(timing, measured.timings[bench.baseline]))});
  }
  const auto turns = measured.timings.front().samples.size();
  context.out << table.text() << '\n'
              << wrapped(
                     "The minimum is the fastest pass; of the 16-bit time: the median of the turns' ratios, and no "
                     "difference is claimed that compiling anew could make (1 %).")
              << '\n'
              << wrapped(message("Measured in ", fixed(measured.seconds, 1), " s, the networks in turn, ", turns,
                                 turns == 1 ? " turn" : " turns", " each; load of the machine ",
                                 fixed(measured.load_before, 1), " before and ", fixed(measured.load_after, 1),
                                 " after."))
              << '\n';
  for (std::size_t i = 0; i < bench.variants.size(); ++i)
    if (const auto doubt = contradiction(measured.timings[i], measured.timings[bench.baseline]))
      context.out << wrapped(message("! ", bench.variants[i].name, ": ", *doubt), 2) << '\n';
  if (bench.stopped)
    context.out << "! Stopped on request: measured for less long than was asked for.\n";
  else if (!measured.precise)
    context.out << wrapped(message("! Not all medians are known to ", significant(arguments.error),
                                   " %: something else uses the machine, or give it more time (--seconds)."),
                           2)
                << '\n';
  if (bench.random_ranges)
    context.out << wrapped("! Some 8-bit ranges come from random inputs: right for time, not for accuracy.", 2) << '\n';
}

nlohmann::json to_json(const Arguments& arguments, const Request& request, const Bench& bench) {
  const Measurement& measured = bench.measurement;
  nlohmann::json networks = nlohmann::json::array();
  for (std::size_t i = 0; i < bench.variants.size(); ++i) {
    const Timing& timing = measured.timings[i];
    const Ratio ratio = compare(timing, measured.timings[bench.baseline]);
    networks.push_back(
        {{"name", bench.variants[i].name},
         {"float_type", to_string(bench.variants[i].float_type)},
         {"minimum_ms", timing.minimum},
         {"median_ms", timing.median},
         {"interval_ms", {timing.low, timing.high}},
         {"spread", timing.spread},
         {"passes", timing.passes},
         {"ratio_to_baseline",
          {{"value", ratio.value}, {"interval", {ratio.low, ratio.high}}, {"differs", ratio.differs()}}}});
  }
  return {{"model", arguments.model.spec},
          {"engine", request.engine->name()},
          {"version", request.engine->version()},
          {"batch", request.options.batch},
          {"threads", request.options.threads},
          {"load", {measured.load_before, measured.load_after}},
          {"seconds", measured.seconds},
          {"precise", measured.precise},
          {"random_ranges", bench.random_ranges},
          {"stopped", bench.stopped},
          {"baseline", bench.variants[bench.baseline].name},
          {"networks", std::move(networks)}};
}

int run_bench(const Context& context, const Arguments& arguments) {
  const Request request = check(context.registry, arguments);
  const LoadedModel loaded = load(request.model, request.subject, context.registry, arguments.common.seed);
  std::optional<Bench> bench;
  {
    Watch watch(context.err, arguments.common.quiet);
    bench = run(request, loaded, watch.monitor());
  }
  if (!bench) {
    context.err << "Stopped on request before anything was measured.\n";
    return 1;
  }
  if (arguments.common.json)
    print_json(context.out, to_json(arguments, request, *bench));
  else
    print_text(context, arguments, request, *bench);
  return bench->stopped ? 1 : 0;
}

}  // namespace

void add_bench(CLI::App& app, const Context& context, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  arguments->engine = default_engine(context.registry);
  CLI::App& command = *app.add_subcommand("bench", "measure how fast a network runs: 32 bits, 16, 8, and the plan");
  add_model(command, arguments->model);
  add_subject(command, arguments->subject);
  add_engine(command, context.registry, arguments->engine, "where it runs: ")->capture_default_str();
  add_float(command, arguments->float_type);
  add_count(command, "--batch", arguments->batch, 1, "samples a pass");
  add_count(command, "--threads", arguments->threads, 1, "threads of the network, in the engine");
  command.add_option("--error", arguments->error, "how well each median is to be known, in %")
      ->capture_default_str()
      ->type_name("PERCENT");
  command.add_option("--seconds", arguments->seconds, "and the longest time to spend on it")
      ->capture_default_str()
      ->type_name("S");
  add_common_but_threads(command, arguments->common);
  command.footer(
      "The networks run in turn, so that what disturbs the machine disturbs them alike.\n\n"
      "Examples:\n"
      "  halftone bench cifar_resnet20:weights.safetensors --plan result/plan.json\n"
      "  halftone bench cifar_resnet56:random --batch 8");
  command.callback(
      [arguments, &context, &action] { action = [arguments, &context] { return run_bench(context, *arguments); }; });
}

}  // namespace halftone::cli
