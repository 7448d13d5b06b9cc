#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <utility>

#include "calibrate/token_ids.hpp"
#include "cli/command.hpp"
#include "cli/job.hpp"
#include "cli/subject.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/distributed/team.hpp"
#include "halftone/engine/deployed_evaluator.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "quantize/same_machine.hpp"
#include "report/evaluation_json.hpp"
#include "report/text_summary.hpp"

namespace halftone::cli {
namespace {

struct Arguments {
  ModelOptions model;
  CommonOptions common;
  SubjectOptions subject;
  std::string data;
  std::string engine;
  std::string float_type = "auto";
  std::string task = "top1";
  std::int64_t eval_batch = 16;
};

/// The arguments after every one was checked.
struct Request {
  ModelRequest model;
  SubjectRequest subject;
  EvaluatorOptions evaluator;
  std::shared_ptr<const Task> task;
  std::shared_ptr<const Engine> engine;  ///< null: simulated only
  FloatType float_type = FloatType::BFloat16;
};

Request check(const Registry& registry, const Arguments& arguments) {
  const int threads = thread_count(arguments.common);
  Request request{.model = check(arguments.model),
                  .subject = check(arguments.subject, arguments.eval_batch, arguments.common),
                  .evaluator = {.gate = {}, .batch_size = arguments.eval_batch, .threads = threads},
                  .task = registry.task(arguments.task),
                  .engine = arguments.engine.empty() ? nullptr : registry.engine(arguments.engine)};
  request.subject.task = request.task;
  require_calibration_used(request.subject);
  if (request.subject.data == kRandomData)
    throw Error(
        Errc::InvalidArgument,
        "--calibrate random gives ranges for timing (`halftone bench`): a score needs ranges from samples, give "
        "--calibrate DATA");
  const auto type = parse_float(arguments.float_type);
  if (type && !request.engine)
    throw Error(Errc::InvalidArgument, "--float says what an engine computes in, and there is none: give --engine");
  if (request.engine) request.float_type = type.value_or(preferred_float(*request.engine));
  return request;
}

struct Scored {
  Evaluation float_score;
  Evaluation baseline;
  Evaluation result;
};

using MakeRunner = std::function<std::unique_ptr<PlanRunner>(const Model& model)>;

/// The plan with fine-tuned weights stands beside the network as it was.
std::optional<Evaluation> score_plan(PlanEvaluator& evaluator, const MakeRunner& make, const Subject& subject) {
  if (!subject.finished) return evaluator.evaluate(subject.plan);
  return PlanEvaluator(make(*subject.finished), evaluator).evaluate(subject.plan);
}

std::optional<Scored> score(const MakeRunner& make, const Request& request, const Subject& subject,
                            const LoadedModel& loaded, const Dataset& data, const Monitor& monitor) {
  PlanEvaluator evaluator(make(loaded.model), data, *request.task, request.evaluator, monitor);
  const Plan& plan = subject.plan;
  const Plan baseline = Plan::uniform(plan.size(), k16);
  const auto scored = evaluator.measure_baseline(baseline);
  if (!scored) return std::nullopt;
  const bool is_float = !request.subject.file && !request.subject.uniform;
  const auto result = is_float                                ? evaluator.float_score()
                      : plan == baseline && !subject.finished ? evaluator.baseline()
                                                              : score_plan(evaluator, make, subject);
  if (!result) return std::nullopt;
  return Scored{evaluator.float_score(), *scored, *result};
}

/// Simulated and, where an engine was asked for, deployed.
struct Results {
  Scored simulated;
  std::optional<Scored> deployed;
  std::string data_digest{};  ///< for JSON
};

std::optional<Results> score(const Request& request, const Subject& subject, const LoadedModel& loaded,
                             const Dataset& data, const Monitor& monitor) {
  internal::require_known_ids(loaded.model.graph, data);
  std::optional<Scored> in_engine;
  if (request.engine) {  // first: it is faster, and may not know the network
    const auto deployed = [&](const Model& model) {
      return deploy(model, subject.calibration, request.engine, request.evaluator, request.float_type);
    };
    in_engine = score(deployed, request, subject, loaded, data, monitor);
    if (!in_engine) return std::nullopt;
  }
  const auto simulated = [&](const Model& model) { return simulate(model, subject.calibration); };
  const auto scored = score(simulated, request, subject, loaded, data, monitor);
  if (!scored) return std::nullopt;
  return Results{*scored, in_engine};
}

void print_text(const Context& context, const Request& request, const Arguments& arguments, const Subject& subject,
                const Results& results, const Dataset& data) {
  const bool more = request.subject.file || (request.subject.uniform && *request.subject.uniform != k16);
  const std::string name = request.subject.file ? "plan" : internal::composition(subject.plan);
  const auto table = [&](const Scored& scored) {
    std::vector<internal::ScoreRow> rows{{"float, as trained", scored.float_score, scored.baseline},
                                         {"all at 16 bits", scored.baseline, scored.baseline}};
    if (more) rows.push_back({name, scored.result, scored.baseline});
    context.out << internal::score_table(internal::ScoreText(arguments.task), rows).text();
  };
  context.out << arguments.model.spec << " on " << data.name() << '\n';
  if (request.subject.file) context.out << "plan: " << describe(request.subject, subject.plan) << '\n';
  context.out << "\nSimulated in LibTorch, operands of sites quantized and back\n";
  table(results.simulated);
  if (!results.deployed) return;
  context.out << "\nDeployed in " << request.engine->name() << ' ' << request.engine->version()
              << ", all but integers in " << to_string(request.float_type) << "; the float network in f32\n";
  table(*results.deployed);
}

nlohmann::json to_json(const Scored& scored) {
  nlohmann::json object = internal::figures_json(scored.result);
  object.update(
      {{"baseline", internal::figures_json(scored.baseline)}, {"float", internal::figures_json(scored.float_score)}});
  return object;
}

nlohmann::json to_json(const Request& request, const Arguments& arguments, const LoadedModel& loaded,
                       const Subject& subject, const Results& results, const Dataset& data) {
  nlohmann::json plan;
  if (request.subject.file || request.subject.uniform)
    for (std::size_t i = 0; i < subject.plan.size(); ++i) plan[loaded.model.sites[i].name] = to_string(subject.plan[i]);
  nlohmann::json object = to_json(results.simulated);
  object.update({{"plan", std::move(plan)},
                 {"evaluated", describe(request.subject, subject.plan)},
                 {"model", arguments.model.spec},
                 {"model_digest", digest(loaded.model)},
                 {"task", arguments.task},
                 {"data", {{"name", data.name()}, {"digest", results.data_digest}, {"samples", data.size()}}}});
  if (results.deployed) {
    object["deployed"] = to_json(*results.deployed);
    object["deployed"].update({{"engine", request.engine->name()},
                               {"version", request.engine->version()},
                               {"float_type", to_string(request.float_type)}});
  }
  return object;
}

/// What ranks must agree on before they score together.
void require_same(Team& team, const Arguments& arguments, const LoadedModel& loaded, const Dataset& data) {
  internal::require_same_machine(team);
  team.require_same("the network", digest(loaded.model));
  team.require_same("the data", data.digest(1, {}).value());
  const SubjectOptions& subject = arguments.subject;
  team.require_same("their options",
                    message(arguments.task, ' ', arguments.engine, ' ', arguments.float_type, ' ', arguments.eval_batch,
                            ' ', subject.uniform, ' ', subject.calibrate, ' ', subject.adjust, ' ',
                            subject.ranges.input, ' ', subject.ranges.weight, ' ', arguments.common.seed));
}

/// And on the plan with its ranges, which may come from a file.
void require_same(Team& team, const Subject& subject) {
  team.require_same("the plan", to_string(subject.plan));
  team.require_same("ranges", Digest().add(nlohmann::json(subject.calibration).dump()).hex());
}

int run_evaluate(const Context& context, const Arguments& arguments) {
  Request request = check(context.registry, arguments);
  Job job(context, arguments.common);
  const LoadedModel loaded = load(request.model, request.subject, context.registry, arguments.common.seed);
  const auto data = open_data(arguments.data, loaded);
  std::optional<Subject> subject;
  std::optional<Results> results;
  {
    Watch watch(job.err(), arguments.common.quiet || !job.is_first());
    Monitor monitor = watch.monitor();
    const auto work = [&] {
      subject = make_subject(request.subject, loaded, monitor);
      if (subject && request.evaluator.team != nullptr) require_same(*request.evaluator.team, *subject);
      if (subject) results = score(request, *subject, loaded, *data, monitor);
    };
    if (job.communicator() == nullptr) {
      work();
    } else {
      Team team(*job.communicator(), monitor.should_stop);
      monitor = team.monitor(monitor);
      request.evaluator.team = request.subject.calibrate.team = &team;
      team.share_failures([&] {
        require_same(team, arguments, loaded, *data);
        work();
      });
    }
    if (results && arguments.common.json) {
      const auto digest = data->digest(request.evaluator.threads, watch.monitor());
      if (digest)
        results->data_digest = *digest;
      else
        results.reset();
    }
  }
  if (!job.is_first()) return results ? 0 : 1;
  if (!results) {
    context.err << "Stopped on request before all samples were scored: there is no result.\n";
    return 1;
  }
  if (arguments.common.json)
    print_json(context.out, to_json(request, arguments, loaded, *subject, *results, *data));
  else
    print_text(context, request, arguments, *subject, *results, *data);
  return 0;
}

}  // namespace

void add_evaluate(CLI::App& app, const Context& context, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App& command = *app.add_subcommand("evaluate", "score a network: float, all at 16 bits, and as asked");
  add_model(command, arguments->model);
  add_text(command, "--data", arguments->data, "DATA", "samples to score")->required();
  add_subject(command, arguments->subject);
  add_engine(command, context.registry, arguments->engine, "score the network as deployed too, in ");
  add_float(command, arguments->float_type);
  add_text(command, "--task", arguments->task, "NAME", "what is scored: " + names(context.registry.tasks));
  add_count(command, "--eval-batch", arguments->eval_batch, 1,
            "samples run together: for speed and memory, though --adjust\ntakes its steps by batches");
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
