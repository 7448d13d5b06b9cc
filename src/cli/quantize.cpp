#include "halftone/quantize.hpp"

#include <ATen/core/Tensor.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <functional>
#include <optional>
#include <ostream>
#include <utility>

#include "cli/command.hpp"
#include "cli/job.hpp"
#include "cli/quantize_request.hpp"
#include "cli/work_folder.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/options.hpp"
#include "halftone/data/split.hpp"
#include "halftone/plan/finished_file.hpp"
#include "halftone/sensitivity/sensitivity_file.hpp"
#include "report/outcome.hpp"
#include "report/text.hpp"

namespace halftone::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFinished = "finished.safetensors";

struct Data {
  std::shared_ptr<const Dataset> calibration;
  std::shared_ptr<const Dataset> validation;
  std::shared_ptr<const Dataset> report{};    ///< may be null
  std::shared_ptr<const Dataset> training{};  ///< likewise
};

/// The class of every group of samples that belong together, by its first; one class for all where pairs and the like
/// have none.
std::vector<std::int64_t> labels(const Dataset& data) {
  const std::int64_t group = data.group();
  const at::Tensor targets = data.targets();
  const bool has_classes =
      targets.defined() && targets.dim() == 1 && c10::isIntegralType(targets.scalar_type(), /*includeBool=*/false);
  if (!has_classes && group == 1)
    throw Error(Errc::InvalidArgument, message("--report with a share draws from every class alike, and ", data.name(),
                                               " has no class labels: give --report DATA"));
  std::vector<std::int64_t> classes(static_cast<std::size_t>((data.size() + group - 1) / group));
  if (!has_classes) return classes;
  const at::Tensor numbers = targets.to(at::kCPU, at::kLong).contiguous();
  for (std::size_t i = 0; i < classes.size(); ++i)
    classes[i] = numbers.const_data_ptr<std::int64_t>()[static_cast<std::int64_t>(i) * group];
  return classes;
}

/// The samples of `groups`.
std::vector<std::int64_t> samples_of(const std::vector<std::int64_t>& groups, const Dataset& data) {
  std::vector<std::int64_t> samples;
  for (const std::int64_t group : groups)
    for (std::int64_t i = group * data.group(); i < std::min((group + 1) * data.group(), data.size()); ++i)
      samples.push_back(i);
  return samples;
}

/// Sets `share` of the validation data aside as the report part; samples that belong together stay so.
void split_validation(Data& data, double share, const std::string& text, std::uint64_t seed) {
  const std::shared_ptr<const Dataset> whole = data.validation;
  const double fractions[] = {1 - share, share};
  const auto parts = stratified_split(labels(*whole), fractions, seed);
  for (const auto& part : parts)
    if (part.empty())
      throw Error(Errc::InvalidArgument, message("--report ", text, " of the ", whole->size(), " samples of ",
                                                 whole->name(), " leaves nothing for one of the two parts"));
  const std::string by = whole->group() > 1 ? message("by ", whole->group(), " that belong together") : "by class";
  const std::string how = message(by, ", seed ", seed);
  data.validation =
      make_subset(whole, samples_of(parts[0], *whole), message(whole->name(), " less ", text, " (", how, ')'));
  data.report = make_subset(whole, samples_of(parts[1], *whole), message(text, " of ", whole->name(), " (", how, ')'));
}

Data open_parts(const QuantizeArguments& arguments, const QuantizeRequest& request, const LoadedModel& loaded) {
  Data data{.calibration = open_data(arguments.calibrate, loaded), .validation = open_data(arguments.validate, loaded)};
  if (request.report_share)
    split_validation(data, *request.report_share, arguments.report, arguments.common.seed);
  else if (!arguments.report.empty())
    data.report = open_data(arguments.report, loaded);
  if (request.finisher) data.training = open_data(arguments.train, loaded);
  return data;
}

std::map<std::string, std::string> given(const ModelOptions& model) {
  std::map<std::string, std::string> options;
  if (!model.mean.empty()) options["mean"] = model.mean;
  if (!model.std.empty()) options["std"] = model.std;
  const auto& [resize, crop, vocabulary, max_tokens] = model.samples;
  if (resize > 0) options["resize"] = std::to_string(resize);
  if (crop > 0) options["crop"] = std::to_string(crop);
  if (!vocabulary.empty()) options["vocabulary"] = vocabulary;
  if (max_tokens > 0) options["max_tokens"] = std::to_string(max_tokens);
  if (model.sites.additions) options["additions"] = "true";
  if (model.sites.products) options["products"] = "true";
  if (!model.state_dict.empty()) options["state_dict"] = model.state_dict;
  if (model.any_length) options["any_length"] = "true";
  for (const auto& shape : model.inputs) options["input"] += (options["input"].empty() ? "" : " ") + shape;
  for (const auto& rule : model.renames) options["rename"] += (options["rename"].empty() ? "" : " ") + rule;
  return options;
}

/// What sensitivities from a file were measured under, where that is not what this run has.
void note_differences(const SensitivityFile& file, const RangeChoice& ranges, RunResult& result) {
  std::string text;
  const auto compare = [&](const char* what, const std::string& there, const std::string& here) {
    if (there != here) text += message(text.empty() ? "" : ", ", what, ' ', there, " (here ", here, ')');
  };
  compare("input ranges by", file.range_input, ranges.input);
  compare("weight ranges by", file.range_weight, ranges.weight);
  compare("ranges of", file.calibration.name, result.calibration_data.name);
  if (text.empty() && file.calibration.digest != result.calibration_data.digest &&
      !result.calibration_data.digest.empty())
    text = "other content of " + file.calibration.name;
  if (!text.empty())
    result.notes.push_back(message("The sensitivities read from ", result.sensitivity_file, " were measured under ",
                                   text, ": the order of sites may not be the best for this run."));
}

/// The run and, where the network was fine-tuned and is better for it, the file of its weights.
struct Work {
  RunResult run;
  std::function<void()> write_weights{};
};

Work work(const Registry& registry, Job& job, const QuantizeArguments& arguments, const QuantizeRequest& request) {
  const LoadedModel loaded = load(request.model, registry, arguments.common.seed);
  if (request.sensitivity) {
    std::vector<Precision> scored = request.options.precisions;
    std::erase(scored, k16);
    require_fits(*request.sensitivity, arguments.sensitivity, digest(loaded.model), loaded.model.sites, scored);
    if (request.sensitivity->task != request.parts.task->name())
      throw Error(Errc::InvalidArgument,
                  message("sensitivities ", arguments.sensitivity, ": they are of task ", request.sensitivity->task,
                          ", and this one is ", request.parts.task->name(),
                          ": measure again with `halftone sense`, or leave them out"));
  }
  const Data data = open_parts(arguments, request, loaded);
  Watch watch(job.err(), arguments.common.quiet || !job.is_first(),
              " What is finished is kept either way: the same command goes on from there.");
  const QuantizeData parts{*data.calibration, *data.validation, data.report.get()};
  FinishedRun made = request.finisher
                         ? quantize_and_finish(loaded.model, parts, {*data.training, *request.finisher},
                                               request.options, request.parts, watch.monitor())
                         : FinishedRun{quantize(loaded.model, parts, request.options, request.parts, watch.monitor())};
  RunResult& result = made.run;
  result.model = arguments.model.spec;
  result.model_options = given(arguments.model);
  result.sensitivity_file = arguments.sensitivity;
  if (request.sensitivity) note_differences(*request.sensitivity, arguments.ranges, result);
  Work done{.run = std::move(result)};
  if (made.finished)
    done.write_weights = [model = loaded.model, finished = *std::move(made.finished),
                          path = fs::path(arguments.out) / kFinished] { write_finished_file(path, model, finished); };
  return done;
}

bool is_stopped_on_request(const RunResult& run) {
  return run.status == RunStatus::Stopped && run.stop_reason == "on request";
}

void say_stopped(std::ostream& err, const RunResult& run, const WorkFolder& folder) {
  const bool on_request = is_stopped_on_request(run);
  if (on_request && run.steps.empty())
    err << "Stopped on request before any plan but the baseline was scored: no result was written.\n";
  else
    err << "Stopped " << run.stop_reason << "; the best plan so far is in " << folder.path().string() << ".\n";
  if (folder.holds_work())
    err << (on_request ? "The same command goes on where this one was cut short.\n"
                       : "The same command with more to spend goes on from what was found.\n");
}

/// The files of `run`, in a line.
std::string written(const RunResult& run, const fs::path& out) {
  std::string text = message("\nWritten: ", (out / "report.html").string(), " (to look at)");
  std::vector<std::string> names{"report.txt", "run.json", "plan.json"};
  for (const TargetResult& target : run.looser) names.push_back(plan_file_name(target.gate));
  if (run.finished_ranges) names.emplace_back(kFinished);
  for (const std::string& name : names) text += ", " + (out / name).string();
  return text + '\n';
}

/// Weights before the plan that needs them; those of an earlier result go behind its plan.
void write_all(const Work& done, const fs::path& out) {
  require_writable(out);
  if (done.write_weights) done.write_weights();
  write_run(done.run, out);
  std::error_code ignored;
  if (!done.write_weights) fs::remove(out / kFinished, ignored);
}

/// Writes and shows what came of it.
void publish(const Work& done, const WorkFolder& folder, const QuantizeArguments& arguments, Job& job) {
  const RunResult& result = done.run;
  // The baseline alone is worth no file, least of all in place of an earlier result.
  const bool is_result = !is_stopped_on_request(result) || !result.steps.empty();
  if (is_result) write_all(done, arguments.out);
  if (result.status == RunStatus::Stopped) say_stopped(job.err(), result, folder);
  if (arguments.common.json)
    print_json(job.out(), to_run_json(result));
  else if (is_result)
    job.out() << text_summary(result) << written(result, arguments.out);
  else
    job.out() << internal::wrapped(internal::outcome(result)) << '\n';
}

int run_quantize(const Context& context, const QuantizeArguments& arguments) {
  QuantizeRequest request = check(context.registry, arguments);
  std::vector<std::string> files{"plan.json", "run.json", "report.txt", "report.html", WorkFolder::kJournal, kFinished};
  for (const Gate& gate : request.options.gates) files.push_back(plan_file_name(gate));
  require_output(arguments.out, files);
  Job job(context, arguments.common);
  request.options.communicator = job.communicator();
  request.options.journal = fs::absolute(arguments.out) / WorkFolder::kJournal;
  std::optional<WorkFolder> folder;  // rank 0's
  if (job.is_first()) {
    folder.emplace(arguments.out, arguments.fresh);
    request.options.journal = folder->journal();
    if (folder->holds_work() && !arguments.common.quiet)
      job.err() << "Going on from what an earlier run left in " << arguments.out
                << ": what still holds is not done again.\n";
  }
  const Work done = work(context.registry, job, arguments, request);
  if (job.is_first()) publish(done, *folder, arguments, job);
  const auto targets = all_targets(done.run);
  const auto is_met = [](const TargetResult& target) { return target.status == RunStatus::Met; };
  return std::all_of(targets.begin(), targets.end(), is_met) ? 0 : 1;
}

void add_data(CLI::App& command, QuantizeArguments& arguments) {
  add_text(command, "--calibrate", arguments.calibrate, "DATA", "samples that ranges come from, 250 to 500")
      ->required();
  add_text(command, "--validate", arguments.validate, "DATA", "samples that decide whether a plan keeps enough")
      ->required();
  add_text(command, "--report", arguments.report, "DATA|SHARE",
           "samples for nothing but the final score; 20% takes that share\nof the validation data");
}

void add_finishing(CLI::App& command, QuantizeArguments& arguments) {
  add_text(command, "--train", arguments.train, "DATA",
           "samples to fine-tune the weights and ranges of the plan found\non: finished.safetensors beside plan.json, "
           "where that scores\nbetter on the validation data. Needs no labels");
  add_count(command, "--finish-steps", arguments.finish_steps, 1, "steps of 128 samples that fine-tuning takes");
  command
      .add_option("--finish-rate", arguments.finish_rate,
                  "largest step of fine-tuning in a weight, in units of its\ntensor's root mean square")
      ->capture_default_str()
      ->type_name("RATE");
  command
      .add_option("--finish-labels", arguments.finish_labels,
                  "share of its loss that is cross entropy with the labels, 0 to 1;\nthe rest is divergence from the "
                  "network as it was")
      ->capture_default_str()
      ->type_name("SHARE");
}

void add_goal(CLI::App& command, const Registry& registry, QuantizeArguments& arguments) {
  add_text(command, "--task", arguments.task, "NAME", "what is scored: " + names(registry.tasks));
  add_text(command, "--keep", arguments.keep, "SHARES",
           "how much of the 16-bit score to keep, 99.9% by default; a list\n(95%,99%,99.9%) gives a plan for each: "
           "plan-keep-95.json and so\non, and plan.json for the strictest");
  add_text(command, "--gate", arguments.gate, "KIND",
           "what keeping means: point; confidence (the lower end of a 95 %\ninterval keeps it too); or damage:BUDGET, "
           "the mean divergence\nfrom the float network, a list gives a plan for each");
  add_text(command, "--latency-target", arguments.latency_target, "LATENCY",
           "instead of a share to keep: the plan that does least damage\nwithin a latency, e.g. 2ms or -30%");
  add_count(
      command, "--max-evaluations", arguments.most_evaluations, 0,
      "plans scored at most; the best so far is the result, and where\nthere are several targets the loosest comes "
      "first. 0: no limit");
  const auto check_seconds = [](const std::string& text) {
    double seconds = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    const bool fits =
        error == std::errc{} && end == text.data() + text.size() && seconds >= 0 && std::isfinite(seconds);
    return fits ? "" : message('"', text, "\" is given: a number of seconds, 0 (no limit) or more, is needed");
  };
  command.add_option("--max-seconds", arguments.most_seconds, "seconds the search may take; 0: no limit")
      ->check(CLI::Validator(check_seconds, ""))
      ->capture_default_str()
      ->type_name("S");
}

void add_latency(CLI::App& command, const Registry& registry, QuantizeArguments& arguments) {
  add_text(command, "--latency", arguments.latency, "MODEL",
           "measured (where an engine is here, the default),\nroofline:DEVICE (a100 where there is none), table:FILE, "
           "size, or\n"
           "spatial:RANKS:DEVICE (images split by rows over ranks, modelled)");
  add_engine(command, registry, arguments.engine, "where the network runs: ");
  add_text(command, "--evaluate", arguments.evaluate, "HOW",
           "how plans are scored: deployed (in the engine, the default\nwhere there is one) or simulated");
  add_count(command, "--compare-samples", arguments.compare_samples, 0,
            "validation samples at most on which the plan is scored the\nother way too, simulated beside deployed; 0: "
            "none");
  add_count(command, "--batch", arguments.batch, 1, "samples that one latency is of");
  command
      .add_option("--engine-threads", arguments.engine_threads, "threads of a network that is measured; 1 by default")
      ->check(whole_number(1))
      ->type_name("N");
  add_float(command, arguments.float_type);
  add_text(command, "--cache", arguments.cache, "DIR",
           "folder of latencies measured earlier, or none;\n~/.cache/halftone by default, where it can be written. "
           "Only where\n"
           "latency is measured");
}

void add_rules(CLI::App& command, QuantizeArguments& arguments) {
  const auto add = [&](const char* name, std::vector<std::string>& rules, const char* value, const char* help) {
    command.add_option(name, rules, help)->allow_extra_args(false)->type_name(value);
  };
  add("--together", arguments.together, "PATTERN",
      "sites that share one precision: a regular expression of whole\nnames; with a capture, those of equal captures: "
      "'(.*)\\.(q|k|v)'");
  add("--keep-high", arguments.keep_high, "PATTERN",
      "sites that stay at 16 bits, or with PATTERN=PRECISION, e.g.\n'head=8', at least there");
  add("--leave-out", arguments.leave_out, "PATTERN",
      "sites that take no part in the search: they stay at the highest\nof the precisions");
  add_text(command, "--rules", arguments.rules, "FILE",
           "such rules: {\"version\": 1, \"rules\": [{\"together\": PATTERN},\n{\"keep\": PATTERN, \"at_least\": "
           "\"8\"}, {\"out\": PATTERN}]}");
}

void add_search(CLI::App& command, const Registry& registry, QuantizeArguments& arguments) {
  add_text(command, "--precisions", arguments.precisions, "LIST",
           "to choose from: 16, 2 to 8, w4a8; 8,16 where latency is\nmeasured, else 4,8,16");
  add_text(command, "--metric", arguments.metric, "NAME",
           "sensitivity that orders the sites, interlayer by default:\n" + names(registry.metrics));
  add_text(command, "--sensitivity", arguments.sensitivity, "FILE",
           "sensitivity.json of `halftone sense`, of this network, instead\nof measuring anew");
  add_text(command, "--order", arguments.order, "NAME",
           "how the sites are ordered: " + names(registry.orders) +
               ", or auto: nested\nwhere the metric tells of pairs of sites, else gain");
  add_text(command, "--search", arguments.search, "NAME", "strategy: " + names(registry.searches));
  add_count(command, "--repairs", arguments.repairs, 0, "single sites, at most, that are tried lower after the search");
}

}  // namespace

void add_quantize(CLI::App& app, const Context& context, Action& action) {
  auto arguments = std::make_shared<QuantizeArguments>();
  CLI::App& command = *app.add_subcommand("quantize", "find the fastest precisions that keep enough of the score");
  add_model(command, arguments->model);
  add_data(command, *arguments);
  add_finishing(command, *arguments);
  add_goal(command, context.registry, *arguments);
  add_latency(command, context.registry, *arguments);
  add_search(command, context.registry, *arguments);
  add_rules(command, *arguments);
  add_ranges(command, arguments->ranges);
  add_text(command, "--adjust", arguments->adjust, "WHEN",
           "adjust ranges by gradient descent: before the search (search),\nto the plan found (final), both, or none");
  add_count(command, "--eval-batch", arguments->eval_batch, 1,
            "samples run together: for speed and memory, though what is\ndrawn by batches (fisher, hessian, --adjust) "
            "follows it");
  command.add_flag("--fresh", arguments->fresh, "begin anew, without what an earlier run left in --out");
  command.add_option("--out", arguments->out, "folder for plan.json, run.json, report.html and report.txt")
      ->required()
      ->type_name("DIR");
  add_common(command, arguments->common);
  command.footer(
      "Ctrl-C keeps the best plan so far; where none but the baseline was scored, no result is written.\n"
      "The same command on the same --out goes on where a run was cut short; other options take from it\n"
      "what still holds. One process at a time.\n\n"
      "Example:\n"
      "  halftone quantize cifar_resnet20:weights.safetensors --calibrate 'cifar10:train.bin[0:500]' \\\n"
      "    --validate cifar10:test.bin --report 20% --keep 99.9% --out result");
  command.callback(
      [arguments, &context, &action] { action = [arguments, &context] { return run_quantize(context, *arguments); }; });
}

}  // namespace halftone::cli
