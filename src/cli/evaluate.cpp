#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <ostream>
#include <set>
#include <utility>

#include "cli/command.hpp"
#include "halftone/core/error.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/plan/plan_file.hpp"
#include "report/evaluation_json.hpp"
#include "report/text_summary.hpp"

namespace halftone::cli {
namespace {

struct Arguments {
  ModelOptions model;
  CommonOptions common;
  RangeChoice ranges;
  std::string data;
  std::string plan;
  std::string uniform;
  std::string calibrate;
  std::string task = "top1";
  std::int64_t eval_batch = 16;
};

/// The arguments after every one was checked.
struct Request {
  ModelRequest model;
  CalibrateOptions calibrate;
  std::shared_ptr<const Task> task;
  std::optional<PlanFile> file{};      ///< --plan
  std::optional<Precision> uniform{};  ///< --uniform; with neither, the float network is asked for
};

bool needs_ranges(Precision p) { return p.weight_bits < 16 || p.activation_bits < 16; }

Request check(const Registry& registry, const Arguments& arguments) {
  Request request{.model = check(arguments.model),
                  .calibrate = {.input = range_options(arguments.ranges.input),
                                .weight = range_options(arguments.ranges.weight),
                                .batch_size = arguments.eval_batch,
                                .threads = thread_count(arguments.common)},
                  .task = registry.task(arguments.task)};
  if (!arguments.plan.empty() && !arguments.uniform.empty())
    throw Error(Errc::InvalidArgument, "--plan and --uniform are both given: one network is scored at a time");
  if (!arguments.plan.empty()) {
    request.file = read_plan_file(arguments.plan);
  } else if (arguments.uniform != "float") {
    request.uniform = parse_precision(arguments.uniform.empty() ? "16" : arguments.uniform);
    if (needs_ranges(*request.uniform) && arguments.calibrate.empty())
      throw Error(Errc::InvalidArgument, message("--uniform ", arguments.uniform,
                                                 " needs ranges to quantize to: give --calibrate DATA, 250 to "
                                                 "500 samples that they come from, or --plan, which brings its own"));
  }
  return request;
}

/// What is scored.
struct Subject {
  Plan plan;
  Calibration calibration;
};

/// Nothing when stopped.
std::optional<Subject> make_subject(const Request& request, const Arguments& arguments, const LoadedModel& loaded,
                                    const Monitor& monitor) {
  const std::vector<Site>& sites = loaded.model.sites;
  Subject subject{.plan = Plan::uniform(sites.size(), request.uniform.value_or(k16)),
                  .calibration = {std::vector<SiteRanges>(sites.size())}};
  if (request.file) {
    AppliedPlan applied = apply_plan_file(*request.file, sites, digest(loaded.model));
    subject = {std::move(applied.plan), std::move(applied.calibration)};
  }
  const std::set<Precision> used(subject.plan.precisions.begin(), subject.plan.precisions.end());
  const std::vector<Precision> precisions(used.begin(), used.end());
  if (arguments.calibrate.empty() || !std::any_of(precisions.begin(), precisions.end(), needs_ranges)) return subject;
  const auto data = open_dataset(arguments.calibrate, loaded.data);
  subject.calibration = calibrate(loaded.model, *data, precisions, request.calibrate, monitor);
  if (subject.calibration.sites.empty()) return std::nullopt;
  return subject;
}

struct Scored {
  Evaluation float_score;
  Evaluation baseline;
  Evaluation result;
};

std::optional<Scored> score(const Request& request, const Subject& subject, const LoadedModel& loaded,
                            const Dataset& data, const Monitor& monitor) {
  SimulatedEvaluator evaluator(
      loaded.model, subject.calibration, data, *request.task,
      {.gate = {}, .batch_size = request.calibrate.batch_size, .threads = request.calibrate.threads}, monitor);
  const Plan baseline = Plan::uniform(subject.plan.size(), k16);
  const auto scored = evaluator.measure_baseline(baseline);
  if (!scored) return std::nullopt;
  const bool is_float = !request.file && !request.uniform;
  const auto result = is_float                   ? evaluator.float_score()
                      : subject.plan == baseline ? scored
                                                 : evaluator.evaluate(subject.plan);
  if (!result) return std::nullopt;
  return Scored{evaluator.float_score(), *scored, *result};
}

std::string subject_name(const Request& request, const Arguments& arguments, const Plan& plan) {
  if (request.file) return arguments.plan + ": " + internal::composition(plan);
  return request.uniform ? internal::composition(plan) : "float, as trained";
}

void print_text(const Context& context, const Request& request, const Arguments& arguments, const Subject& subject,
                const Scored& scored, const Dataset& data) {
  std::vector<internal::ScoreRow> rows{{"float, as trained", scored.float_score, scored.baseline},
                                       {"all at 16 bits", scored.baseline, scored.baseline}};
  const bool more = request.file || (request.uniform && *request.uniform != k16);
  if (more)
    rows.push_back({request.file ? "plan" : internal::composition(subject.plan), scored.result, scored.baseline});
  context.out << arguments.model.spec << " on " << data.name() << '\n';
  if (request.file) context.out << "plan: " << subject_name(request, arguments, subject.plan) << '\n';
  context.out << '\n' << internal::score_table(internal::ScoreText(arguments.task), rows);
}

nlohmann::json to_json(const Request& request, const Arguments& arguments, const LoadedModel& loaded,
                       const Subject& subject, const Scored& scored, const Dataset& data) {
  nlohmann::json plan;
  if (request.file || request.uniform)
    for (std::size_t i = 0; i < subject.plan.size(); ++i) plan[loaded.model.sites[i].name] = to_string(subject.plan[i]);
  nlohmann::json object = internal::figures_json(scored.result);
  object.update({{"baseline", internal::figures_json(scored.baseline)},
                 {"float", internal::figures_json(scored.float_score)},
                 {"plan", std::move(plan)},
                 {"evaluated", subject_name(request, arguments, subject.plan)},
                 {"model", arguments.model.spec},
                 {"model_digest", digest(loaded.model)},
                 {"task", arguments.task},
                 {"data", {{"name", data.name()}, {"digest", data.digest()}, {"samples", data.size()}}}});
  return object;
}

int run_evaluate(const Context& context, const Arguments& arguments) {
  const Request request = check(context.registry, arguments);
  const LoadedModel loaded = load(request.model, context.registry, arguments.common.seed);
  const auto data = open_dataset(arguments.data, loaded.data);
  std::optional<Subject> subject;
  std::optional<Scored> scored;
  {
    Watch watch(context.err, arguments.common.quiet);
    const Monitor monitor = watch.monitor();
    subject = make_subject(request, arguments, loaded, monitor);
    if (subject) scored = score(request, *subject, loaded, *data, monitor);
  }
  if (!scored) {
    context.err << "Stopped on request before all samples were scored: there is no result.\n";
    return 1;
  }
  if (arguments.common.json)
    print_json(context.out, to_json(request, arguments, loaded, *subject, *scored, *data));
  else
    print_text(context, request, arguments, *subject, *scored, *data);
  return 0;
}

}  // namespace

void add_evaluate(CLI::App& app, const Context& context, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App& command = *app.add_subcommand("evaluate", "score a network: float, all at 16 bits, and as asked");
  add_model(command, arguments->model);
  command.add_option("--data", arguments->data, "samples to score")->required()->type_name("DATA");
  command.add_option("--plan", arguments->plan, "plan.json of `halftone quantize`")->type_name("FILE");
  command
      .add_option("--uniform", arguments->uniform,
                  "all sites alike: float, 16, 2 to 8, w4a8; 16 where neither\nthis nor --plan is given")
      ->type_name("PRECISION");
  command
      .add_option("--calibrate", arguments->calibrate,
                  "samples that ranges come from: for --uniform below 16, or\ninstead of the ranges in the plan")
      ->type_name("DATA");
  command.add_option("--task", arguments->task, "what is scored: " + names(context.registry.tasks))
      ->capture_default_str()
      ->type_name("NAME");
  add_ranges(command, arguments->ranges);
  add_count(command, "--eval-batch", arguments->eval_batch, 1, "samples run together; for speed and memory only");
  add_common(command, arguments->common);
  command.footer(
      "Examples:\n"
      "  halftone evaluate cifar_resnet20:weights.safetensors --data cifar10:test.bin \\\n"
      "    --plan result/plan.json\n"
      "  halftone evaluate cifar_resnet20:weights.safetensors --data cifar10:test.bin --uniform 8 \\\n"
      "    --calibrate 'cifar10:train.bin[0:500]'");
  command.callback(
      [arguments, &context, &action] { action = [arguments, &context] { return run_evaluate(context, *arguments); }; });
}

}  // namespace halftone::cli
