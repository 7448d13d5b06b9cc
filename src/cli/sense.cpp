#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <ostream>
#include <set>
#include <utility>

#include "cli/command.hpp"
#include "cli/subject.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/journal.hpp"
#include "halftone/sensitivity/rank_correlation.hpp"
#include "halftone/sensitivity/sensitivity_file.hpp"
#include "report/text.hpp"
#include "sensitivity/input_digest.hpp"

namespace halftone::cli {
namespace {

using namespace internal;
using Align = TextTable::Align;
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
    const std::string word = text.substr(begin, end - begin);
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
    if (const Precision precision = parse_precision(word); precision != k16) precisions.push_back(precision);
  });
  if (precisions.empty())
    throw Error(Errc::InvalidArgument, message("--precisions is ", text,
                                               ", the baseline that others are scored against: give "
                                               "some of 2 to 8 bits too, e.g. 8,4"));
  std::stable_sort(precisions.begin(), precisions.end(), [](Precision a, Precision b) {
    return a.weight_bits + a.activation_bits > b.weight_bits + b.activation_bits;
  });
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
  if (fs::exists(arguments.out) && !fs::is_regular_file(arguments.out))
    throw Error(Errc::InvalidArgument,
                message("--out ", arguments.out,
                        fs::is_directory(arguments.out) ? " is a folder" : " is no regular file", ": name a file"));
  if (!arguments.out.empty()) require_writable(fs::absolute(arguments.out).parent_path());
  return request;
}

/// What is done so far, beside the file that will hold all of it; none where no file is asked for. Stays where there is
/// work in it and it was not `finish`ed.
class UnfinishedWork {
 public:
  explicit UnfinishedWork(const std::string& out) : path_(out + ".journal") {
    if (!out.empty()) journal_.emplace(path_);
    resumes_ = journal_ && journal_->records() > 0;
  }
  ~UnfinishedWork() {
    try {
      if (journal_ && journal_->records() == 0) journal_->remove();
    } catch (const Error&) {
      // an empty file stays: no harm
    }
  }
  UnfinishedWork(UnfinishedWork&&) = delete;
  UnfinishedWork& operator=(UnfinishedWork&&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Journal* journal() { return journal_ ? &*journal_ : nullptr; }
  [[nodiscard]] bool resumes() const { return resumes_; }
  [[nodiscard]] bool holds_work() const { return journal_ && journal_->records() > 0; }
  void finish() {
    if (journal_) journal_->remove();
  }

 private:
  std::string path_;
  std::optional<Journal> journal_;
  bool resumes_ = false;
};

/// A metric's table, as an earlier run had it where the journal knows.
SensitivityTable measure(const SensitivityMetric& metric, const SensitivityInput& input) {
  if (input.journal == nullptr) return metric.measure(input);
  const std::string key =
      "table " +
      Digest().add(internal::input_digest(input)).add(metric.name()).add(input.batch_size).add(input.threads).hex();
  if (const auto known = input.journal->find(key)) return nlohmann::json::parse(*known).get<SensitivityTable>();
  SensitivityTable table = metric.measure(input);
  input.journal->append(key, nlohmann::json(table).dump());
  return table;
}

/// Nothing when stopped.
std::optional<SensitivityFile> measure(const Request& request, const Arguments& arguments, const LoadedModel& loaded,
                                       Journal* journal, const Monitor& monitor) {
  const std::shared_ptr<const Dataset> calibration_data = open_data(arguments.calibrate, loaded);
  const std::shared_ptr<const Dataset> other_data =
      arguments.data.empty() ? nullptr : open_data(arguments.data, loaded);
  const Dataset& data = other_data ? *other_data : *calibration_data;
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
    file.data = other_data ? describe(data) : file.calibration;
    const Calibration calibration = make_calibration(request.calibrate, loaded.model, *calibration_data, *request.task,
                                                     request.precisions, monitor);
    if (calibration.sites.empty()) return std::nullopt;
    for (const auto& metric : request.metrics)
      file.tables.push_back(measure(*metric, {.model = loaded.model,
                                              .calibration = calibration,
                                              .data = data,
                                              .task = *request.task,
                                              .precisions = request.precisions,
                                              .seed = arguments.common.seed,
                                              .batch_size = arguments.eval_batch,
                                              .threads = request.calibrate.threads,
                                              .monitor = monitor,
                                              .journal = journal}));
  } catch (const Stopped&) {
    return std::nullopt;
  }
  return file;
}

/// Rank correlations of every two metrics at a precision.
std::vector<std::vector<std::optional<double>>> correlations(const SensitivityFile& file, Precision precision) {
  std::vector<std::vector<double>> scores;
  for (const SensitivityTable& table : file.tables) {
    auto& of_table = scores.emplace_back();
    for (const auto& site : table.scores) of_table.push_back(site.at(precision));
  }
  std::vector<std::vector<std::optional<double>>> rows;
  for (const auto& a : scores) {
    auto& row = rows.emplace_back();
    for (const auto& b : scores) row.push_back(rank_correlation(a, b));
  }
  return rows;
}

/// The sites' scores by some metrics at some precisions.
struct Columns {
  std::vector<Precision> precisions;
  std::size_t metrics = 0;
  bool shows_errors = true;
};

std::string score_text(const SensitivityTable& table, std::size_t site, Precision precision, bool shows_error) {
  std::string text = significant(table.scores[site].at(precision), 3);
  const bool is_clamped = std::any_of(table.clamped.begin(), table.clamped.end(), [&](const ClampedScore& score) {
    return score.site == site && score.precision == precision;
  });
  if (is_clamped) text += '*';
  if (shows_error && !table.standard_errors.empty())
    text += " +- " + significant(table.standard_errors[site].at(precision), 2);
  return text;
}

std::string score_table(const SensitivityFile& file, const Columns& columns) {
  std::vector<Align> align{Align::Left};
  align.insert(align.end(), columns.metrics * columns.precisions.size(), Align::Right);
  TextTable table(align);
  TextTable::Row head{"site"};
  for (std::size_t m = 0; m < columns.metrics; ++m)
    for (const Precision precision : columns.precisions)
      head.push_back(message(file.tables[m].metric, " at ", precision));
  table.add(head);
  for (std::size_t site = 0; site < file.sites.size(); ++site) {
    TextTable::Row row{file.sites[site]};
    for (std::size_t m = 0; m < columns.metrics; ++m)
      for (const Precision precision : columns.precisions)
        row.push_back(score_text(file.tables[m], site, precision, columns.shows_errors));
    table.add(row);
  }
  return table.text();
}

bool is_too_wide(const std::string& text) {
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != text.npos; begin = end + 1)
    if (internal::columns(std::string_view(text).substr(begin, end - begin)) > kTextWidth) return true;
  return false;
}

/// As much as fits: all, the lowest precision, without standard errors, the first metrics. Says what it leaves out.
std::string sites_text(const SensitivityFile& file) {
  const std::vector<Precision> lowest{file.precisions.back()};
  const bool has_errors = std::any_of(file.tables.begin(), file.tables.end(),
                                      [](const SensitivityTable& table) { return !table.standard_errors.empty(); });
  Columns columns{.precisions = file.precisions, .metrics = file.tables.size()};
  std::string left_out;
  std::string text = score_table(file, columns);
  if (is_too_wide(text) && file.precisions.size() > 1) {
    columns.precisions = lowest;
    left_out += message(" Only the lowest precision, ", lowest.front(), ", fits here.");
    text = score_table(file, columns);
  }
  if (is_too_wide(text) && has_errors) {
    columns.shows_errors = false;
    left_out += " Standard errors are left out.";
    text = score_table(file, columns);
  }
  while (is_too_wide(text) && columns.metrics > 1) {
    --columns.metrics;
    text = score_table(file, columns);
  }
  if (columns.metrics < file.tables.size())
    left_out += message(" Only the first ", columns.metrics, " of ", file.tables.size(), " metrics fit here.");
  if (!left_out.empty()) left_out += " --json and --out have all.";
  std::string legend = "Sites in network order; lower is safer, by one metric's own measure.";
  if (has_errors && columns.shows_errors) legend += " +-: standard error.";
  const bool has_clamped = std::any_of(file.tables.begin(), file.tables.end(),
                                       [](const SensitivityTable& table) { return !table.clamped.empty(); });
  if (has_clamped)
    legend += " *: the metric gave a negative score, taken as 0, or none that is finite, taken as the largest.";
  return wrapped(legend + left_out) + '\n' + text;
}

std::string cost_text(const SensitivityFile& file) {
  TextTable table({Align::Left, Align::Right, Align::Right, Align::Right});
  table.add({"metric", "forward passes", "backward passes", "seconds"});
  for (const SensitivityTable& one : file.tables)
    table.add({one.metric, significant(one.forward_passes), significant(one.backward_passes), fixed(one.seconds, 1)});
  return table.text();
}

std::string correlation_text(const SensitivityFile& file) {
  std::string text;
  for (const Precision precision : file.precisions) {
    TextTable table(std::vector<Align>(file.tables.size() + 2, Align::Right));
    TextTable::Row head{"", message("at ", in_words(precision))};
    for (std::size_t i = 0; i < file.tables.size(); ++i) head.push_back(std::to_string(i + 1));
    table.add(head);
    const auto rows = correlations(file, precision);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      TextTable::Row row{std::to_string(i + 1), file.tables[i].metric};
      for (const auto& value : rows[i]) row.push_back(value ? fixed(*value, 2) : "-");
      table.add(row);
    }
    text += table.text();
  }
  return text;
}

void print_text(const SensitivityFile& file, std::ostream& out) {
  out << wrapped(message(file.model, ": sensitivity of ", file.sites.size(), " sites on ", grouped(file.data.samples),
                         " samples of ", file.data.name))
      << "\n\n"
      << sites_text(file) << '\n'
      << cost_text(file);
  if (file.tables.size() > 1) out << "\nRank correlations of the metrics\n" << correlation_text(file);
}

nlohmann::json to_json_with_correlations(const SensitivityFile& file) {
  nlohmann::json json = file;
  for (const Precision precision : file.precisions) {
    nlohmann::json rows = nlohmann::json::array();
    for (const auto& row : correlations(file, precision)) {
      nlohmann::json& values = rows.emplace_back(nlohmann::json::array());
      for (const auto& value : row) values.push_back(value ? nlohmann::json(*value) : nlohmann::json());
    }
    json["rank_correlations"][to_string(precision)] = std::move(rows);
  }
  return json;
}

int run_sense(const Context& context, const Arguments& arguments) {
  const Request request = check(context.registry, arguments);
  const LoadedModel loaded = load(request.model, context.registry, arguments.common.seed);
  UnfinishedWork work(arguments.out);
  if (work.resumes() && !arguments.common.quiet)
    context.err << "Going on from what an earlier run left in " << work.path() << ".\n";
  std::optional<SensitivityFile> file;
  {
    Watch watch(context.err, arguments.common.quiet);
    file = measure(request, arguments, loaded, work.journal(), watch.monitor());
  }
  if (!file) {
    context.err << "Stopped on request before all metrics were measured: there is no result.\n";
    if (work.holds_work())
      context.err << "What is done is in " << work.path() << ": the same command goes on from there.\n";
    return 1;
  }
  if (!arguments.out.empty()) write_atomically(arguments.out, nlohmann::json(*file).dump(1) + '\n');
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
  command.add_option("--calibrate", arguments->calibrate, "samples that ranges come from, 250 to 500")
      ->required()
      ->type_name("DATA");
  command
      .add_option("--data", arguments->data,
                  "samples that sensitivities come from; by default those\nof --calibrate, as in `halftone quantize`")
      ->type_name("DATA");
  const auto add = [&command](const char* name, std::string& value, const char* type, const std::string& description) {
    command.add_option(name, value, description)->capture_default_str()->type_name(type);
  };
  add("--metric", arguments->metrics, "LIST", "one or more of " + names(context.registry.metrics));
  add("--precisions", arguments->precisions, "LIST", "to score: 2 to 8, w4a8");
  add("--task", arguments->task, "NAME", "whose damage is measured: " + names(context.registry.tasks));
  add_ranges(command, arguments->ranges);
  add_count(command, "--eval-batch", arguments->eval_batch, 1, "samples run together");
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
