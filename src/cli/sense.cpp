#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <utility>

#include "cli/command.hpp"
#include "cli/job.hpp"
#include "cli/sense_text.hpp"
#include "core/json_field.hpp"
#include "halftone/adjust/weight_method.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/journal.hpp"
#include "halftone/distributed/team.hpp"
#include "halftone/sensitivity/sensitivity_file.hpp"
#include "quantize/same_machine.hpp"
#include "sensitivity/input_digest.hpp"
#include "sensitivity/kept_table.hpp"

namespace halftone::cli {
namespace {

using namespace internal;
namespace fs = std::filesystem;

struct Arguments {
  ModelOptions model;
  CommonOptions common;
  RangeChoice ranges{.weight = "auto"};
  std::string calibrate;
  std::string data;
  std::string metrics = "interlayer";
  std::string precisions = "8,4";
  std::string task = "top1";
  std::int64_t eval_batch = 16;
  std::int64_t samples = 256;
  std::string out;
};

/// The arguments after every one was checked.
struct Request {
  ModelRequest model;
  CalibrateOptions calibrate;
  std::vector<std::shared_ptr<const SensitivityMetric>> metrics;
  std::vector<Precision> precisions;
  std::shared_ptr<const Task> task;
};

/// Calls `use` with every word between commas; none may come twice.
template <class Use>
void each_word(const char* option, const std::string& text, const Use& use) {
  std::set<std::string> seen;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string word = without_blanks(text.substr(begin, end - begin));
    if (!seen.insert(word).second)
      throw Error(Errc::InvalidArgument, message(option, " is \"", text, "\": \"", word, "\" is listed twice"));
    use(word);
    begin = end + 1;
  }
}

/// From highest to lowest. 16 bits, which other commands list too, need no score.
std::vector<Precision> parse_scored(const std::string& text) {
  std::vector<Precision> precisions;
  each_word("--precisions", text, [&](const std::string& word) {
    const Precision precision = parse_precision(word);
    if (std::find(precisions.begin(), precisions.end(), precision) != precisions.end())
      throw Error(Errc::InvalidArgument, message("--precisions is \"", text, "\": ", precision, " is listed twice"));
    if (precision != k16) precisions.push_back(precision);
  });
  if (precisions.empty())
    throw Error(Errc::InvalidArgument, message("--precisions is ", text,
                                               ", the baseline that others are scored against: give "
                                               "some of 2 to 8 bits too, e.g. 8,4"));
  std::sort(precisions.begin(), precisions.end(), std::greater<>());
  return precisions;
}

Request check(const Registry& registry, const Arguments& arguments) {
  Request request{.model = check(arguments.model),
                  .calibrate = {.input = range_options(arguments.ranges.input),
                                .weight = range_options(arguments.ranges.weight),
                                .batch_size = arguments.eval_batch,
                                .threads = thread_count(arguments.common)},
                  .metrics = {},
                  .precisions = parse_scored(arguments.precisions),
                  .task = registry.task(arguments.task)};
  each_word("--metric", arguments.metrics,
            [&](const std::string& name) { request.metrics.push_back(registry.metric(name)); });
  require_trained(arguments.model, "its sensitivities mean nothing");
  if (std::error_code ignored; fs::is_directory(arguments.out, ignored))
    throw Error(Errc::InvalidArgument, message("--out ", arguments.out, " is a folder: name a file"));
  if (!arguments.out.empty()) {
    const fs::path out = fs::absolute(arguments.out);
    require_output(out.parent_path(), {out.filename().string()});
  }
  return request;
}

/// What decides the work, by option, but for the content of files.
using Command = std::map<std::string, std::string>;

Command describe(const Arguments& arguments, const Request& request) {
  std::string precisions;
  for (const Precision precision : request.precisions)
    precisions += (precisions.empty() ? "" : ",") + to_string(precision);
  return {{"MODEL", arguments.model.spec},
          {"--calibrate", arguments.calibrate},
          {"--data", arguments.data},
          {"--metric", arguments.metrics},
          {"--precisions", precisions},
          {"--task", arguments.task},
          {"--range-input", arguments.ranges.input},
          {"--range-weight", arguments.ranges.weight},
          {"--sense-samples", std::to_string(arguments.samples)},
          {"--eval-batch", std::to_string(arguments.eval_batch)},
          {"--seed", std::to_string(arguments.common.seed)}};
}

/// Where `now` does not do all the work of `before`: how they differ, in words.
std::string differences(Command before, const Command& now) {
  std::string text;
  std::set<std::string> metrics;
  each_word("--metric", now.at("--metric"), [&](const std::string& name) { metrics.insert(name); });
  bool has_all = true;
  each_word("--metric", before["--metric"], [&](const std::string& name) { has_all &= metrics.contains(name); });
  for (const auto& [option, value] : now)
    if (before[option] != value && !(option == "--metric" && has_all))
      text += message(text.empty() ? "" : ", ", option, ' ', before[option].empty() ? "not given" : before[option],
                      " (now ", value.empty() ? "not given" : value, ')');
  return text;
}

/// What is done so far, beside the file that will hold all of it; none where no file is asked for. Stays where there is
/// work in it and it was not `finish`ed.
class UnfinishedWork {
 public:
  /// `command` says what is to be done. Work that it does not include is kept and refused.
  UnfinishedWork(const std::string& out, const Command& command) : path_(out + ".journal") {
    if (out.empty()) return;
    require_writable(fs::absolute(out).parent_path());
    journal_.emplace(path_);
    const auto before = journal_->find(kCommand);
    resumes_ = before.has_value();
    const std::string text = nlohmann::json(command).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (before) require_same(parse_json(*before, path_), command);
    if (before != text) journal_->append(kCommand, text);
  }
  ~UnfinishedWork() {
    try {
      if (journal_ && !holds_work()) journal_->remove();
    } catch (const Error&) {
      // an empty file stays: no harm
    }
  }
  UnfinishedWork(UnfinishedWork&&) = delete;
  UnfinishedWork& operator=(UnfinishedWork&&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Journal* journal() { return journal_ ? &*journal_ : nullptr; }
  [[nodiscard]] bool resumes() const { return resumes_; }
  [[nodiscard]] bool holds_work() const { return journal_ && journal_->records() > 1; }
  void finish() {
    if (journal_) journal_->remove();
  }

 private:
  static constexpr const char* kCommand = "command";

  void require_same(const nlohmann::json& before, const Command& command) const {
    Command parsed;
    for (const auto& [option, value] : before.items())
      if (value.is_string()) parsed[option] = value.get<std::string>();
    if (const std::string text = differences(std::move(parsed), command); !text.empty())
      throw Error(Errc::InvalidArgument, message(path_, " holds unfinished work of another command, with ", text,
                                                 ": finish that one, delete the file, or choose another --out"));
  }

  std::string path_;
  std::optional<Journal> journal_;
  bool resumes_ = false;
};

/// Nothing when stopped.
std::optional<SensitivityFile> measure(const Request& request, const Arguments& arguments, const LoadedModel& loaded,
                                       Journal* journal, const Monitor& monitor, Team* team) {
  const std::shared_ptr<const Dataset> calibration_data = open_data(arguments.calibrate, loaded);
  const std::shared_ptr<const Dataset> other_data =
      arguments.data.empty() ? nullptr : open_data(arguments.data, loaded);
  const std::shared_ptr<const Dataset> chosen =
      sorted_by_length(other_data ? other_data : spread_subset(calibration_data, arguments.samples));
  const Dataset& data = *chosen;
  const auto describe = [&](const Dataset& set) -> SensitivityData {
    const auto digest = set.digest(request.calibrate.threads, monitor);
    if (!digest) throw Stopped();
    return {.name = set.name(), .digest = *digest, .samples = set.size()};
  };
  SensitivityFile file{.model = arguments.model.spec,
                       .model_digest = digest(loaded.model),
                       .precisions = request.precisions,
                       .task = request.task->name(),
                       .range_input = arguments.ranges.input,
                       .range_weight = arguments.ranges.weight,
                       .seed = arguments.common.seed,
                       .batch_size = arguments.eval_batch};
  for (const Site& site : loaded.model.sites) file.sites.push_back(site.name);
  try {
    file.calibration = describe(*calibration_data);
    file.data = data.size() == calibration_data->size() && !other_data ? file.calibration : describe(data);
    if (team != nullptr) team->require_same("the network", file.model_digest);
    if (team != nullptr) team->require_same("the data", file.calibration.digest + ' ' + file.data.digest);
    CalibrateOptions calibrate = request.calibrate;
    calibrate.team = team;
    const auto ranges = calibrate_and_choose(loaded.model, *calibration_data, *request.task, request.precisions,
                                             calibrate, arguments.common.seed, monitor);
    if (!ranges) return std::nullopt;
    SensitivityInput input{.model = loaded.model,
                           .calibration = ranges->calibration,
                           .data = data,
                           .task = *request.task,
                           .precisions = request.precisions,
                           .seed = arguments.common.seed,
                           .batch_size = arguments.eval_batch,
                           .threads = request.calibrate.threads,
                           .monitor = monitor,
                           .journal = journal,
                           .team = team};
    if (journal != nullptr) input.digest = internal::input_digest(input);
    for (const auto& metric : request.metrics) file.tables.push_back(internal::find_or_measure(*metric, input));
  } catch (const Stopped&) {
    return std::nullopt;
  }
  return file;
}

/// `measure`, with the other ranks where there are any.
std::optional<SensitivityFile> measure_on_all(const Request& request, const Arguments& arguments,
                                              const Command& command, const LoadedModel& loaded, Journal* journal,
                                              const Monitor& monitor, const Job& job) {
  if (job.communicator() == nullptr) return measure(request, arguments, loaded, journal, monitor, nullptr);
  Team team(*job.communicator(), monitor.should_stop);
  return team.share_failures([&] {
    internal::require_same_machine(team);
    team.require_same(
        "their options",
        Digest().add(nlohmann::json(command).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)).hex());
    const std::string begun =
        team.share_first("opening the journal", [&] { return journal != nullptr ? journal->bytes() : ""; });
    const auto replica = job.is_first() || begun.empty() ? nullptr : Journal::in_memory(begun);
    return measure(request, arguments, loaded, job.is_first() ? journal : replica.get(), team.monitor(monitor), &team);
  });
}

int run_sense(const Context& context, const Arguments& arguments) {
  const Request request = check(context.registry, arguments);
  Job job(context, arguments.common);
  const LoadedModel loaded = load(request.model, context.registry, arguments.common.seed);
  const Command command = describe(arguments, request);
  UnfinishedWork work(job.is_first() ? arguments.out : "", command);
  if (work.resumes() && !arguments.common.quiet)
    job.err() << "Going on from what an earlier run left in " << work.path() << ".\n";
  std::optional<SensitivityFile> file;
  {
    Watch watch(job.err(), arguments.common.quiet || !job.is_first());
    file = measure_on_all(request, arguments, command, loaded, work.journal(), watch.monitor(), job);
  }
  if (!job.is_first()) return file ? 0 : 1;
  if (!file) {
    context.err << "Stopped on request before all metrics were measured: there is no result.\n";
    if (work.holds_work())
      context.err << "What is done is in " << work.path() << ": the same command goes on from there, "
                  << "a metric by gradients that was under way from its start.\n";
    else
      context.err << "Nothing was done yet that could be kept.\n";
    return 1;
  }
  if (!arguments.out.empty())
    write_atomically(arguments.out,
                     nlohmann::json(*file).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n');
  work.finish();
  if (arguments.common.json) {
    print_json(context.out, to_json_with_correlations(*file));
  } else {
    print_text(*file, context.out);
    if (!arguments.out.empty()) context.out << "\nWritten: " << arguments.out << '\n';
  }
  return 0;
}

}  // namespace

void add_sense(CLI::App& app, const Context& context, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App& command =
      *app.add_subcommand("sense", "measure how sensitive a network's sites are, by one metric or more");
  add_model(command, arguments->model);
  add_text(command, "--calibrate", arguments->calibrate, "DATA", "samples that ranges come from, 250 to 500")
      ->required();
  add_text(command, "--data", arguments->data, "DATA",
           "samples that sensitivities come from, all of them, instead\nof --calibrate's");
  add_count(command, "--sense-samples", arguments->samples, 1,
            "samples of --calibrate at most that sensitivities come from,\nat even distances");
  add_text(command, "--metric", arguments->metrics, "LIST", "one or more of " + names(context.registry.metrics));
  add_text(command, "--precisions", arguments->precisions, "LIST",
           "to score: 2 to 8, w4a8; 16, the baseline, is left out");
  add_text(command, "--task", arguments->task, "NAME", "whose damage is measured: " + names(context.registry.tasks));
  add_ranges(command, arguments->ranges);
  add_count(command, "--eval-batch", arguments->eval_batch, 1,
            "samples run together: for speed and memory, though what is\ndrawn by batches (fisher, hessian, --adjust) "
            "follows it");
  command.add_option("--out", arguments->out, "sensitivity.json, for `halftone quantize --sensitivity`")
      ->type_name("FILE");
  add_common(command, arguments->common);
  command.footer(
      "Example:\n"
      "  halftone sense cifar_resnet20:weights.safetensors --calibrate 'cifar10:train.bin[0:256]' \\\n"
      "    --metric error,damage,interlayer --precisions 8,4 --out sensitivity.json");
  command.callback(
      [arguments, &context, &action] { action = [arguments, &context] { return run_sense(context, *arguments); }; });
}

}  // namespace halftone::cli
