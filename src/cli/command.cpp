#include "cli/command.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "cli/progress_bar.hpp"
#include "cli/ranks.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/graph/passes.hpp"

namespace halftone::cli {
namespace {

/// Set by the signal handler: the only thing a handler may touch.
volatile std::sig_atomic_t stop_requested = 0;

constexpr std::array kStopSignals{SIGINT, SIGTERM};

/// Numbers between commas.
template <class Number>
std::vector<Number> parse_list(const std::string& text, const char* option, const char* example) {
  std::vector<Number> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    Number number{};
    const auto [next, error] = std::from_chars(at, end, number);
    const bool finite = std::isfinite(static_cast<double>(number));
    if (error != std::errc{} || !finite || (next != end && *next != ','))
      throw Error(Errc::InvalidArgument, message(option, " is \"", text, "\": numbers between commas are needed, e.g. ",
                                                 option, ' ', example));
    numbers.push_back(number);
    if (next == end) return numbers;
    at = next + 1;
  }
}

/// The width of the terminal that `stream` writes to; nothing where it is no terminal.
std::optional<std::size_t> terminal_width(const std::ostream& stream) {
  if (stream.rdbuf() != std::cerr.rdbuf() || ::isatty(STDERR_FILENO) == 0) return std::nullopt;
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

CLI::Validator whole_number(std::int64_t least) {
  const auto check = [least](const std::string& text) -> std::string {
    constexpr std::int64_t kMost = 1 << 20;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc{} && end == text.data() + text.size() && number >= least && number <= kMost) return {};
    return message('"', text, "\" is given: a whole number from ", least, " to ", kMost, " is needed");
  };
  return {check, ""};
}

void add_count(CLI::App& command, const std::string& name, std::int64_t& count, std::int64_t least,
               const std::string& description) {
  command.add_option(name, count, description)->check(whole_number(least))->capture_default_str()->type_name("N");
}

CLI::Option* add_text(CLI::App& command, const std::string& name, std::string& value, const std::string& type,
                      const std::string& description) {
  return command.add_option(name, value, description)->capture_default_str()->type_name(type);
}

void add_common(CLI::App& command, CommonOptions& options) {
  add_count(command, "--threads", options.threads, 0, "that work in LibTorch, not in the engine; 0: one per core");
  add_common_but_threads(command, options);
}

void add_common_but_threads(CLI::App& command, CommonOptions& options) {
  // CLI11 reads -1 as a very large number.
  const CLI::Validator not_negative(
      [](std::string& text) { return text.starts_with('-') ? "at least 0 is needed" : ""; }, "");
  command.add_option("--seed", options.seed, "for all that is drawn at random")
      ->check(not_negative)
      ->capture_default_str()
      ->type_name("N");
  add_json(command, options);
  command.add_flag("--quiet", options.quiet, "show no progress");
}

void add_json(CLI::App& command, CommonOptions& options) {
  command.add_flag("--json", options.json, "the result as one JSON object on standard output");
}

std::int64_t cores() { return std::max(1U, std::thread::hardware_concurrency()); }

int thread_count(const CommonOptions& options) {
  if (options.threads > 0) return static_cast<int>(options.threads);
  return static_cast<int>(std::max<std::int64_t>(1, cores() / ranks_on_this_host()));
}

int engine_threads(const char* option, std::int64_t count) {
  if (count > cores())
    throw Error(Errc::InvalidArgument, message(option, " is ", count, ": there are ", cores(), " cores here"));
  return static_cast<int>(std::max<std::int64_t>(1, count));
}

void add_model(CLI::App& command, ModelOptions& options) {
  command
      .add_option(
          "MODEL", options.spec,
          "ARCH:weights.safetensors, ARCH:weights.pth (of torch.save),\nARCH:random, x.pt2 (torch.export) or x.pt "
          "(TorchScript);\n`halftone models` lists what ARCH can be")
      ->required()
      ->type_name("");
  command
      .add_option("--input", options.inputs,
                  "shape of one sample for x.pt, e.g. 3,32,32, or int64:128 for\ntoken ids; once an input")
      ->allow_extra_args(false)
      ->type_name("SHAPE");
  command.add_flag("--any-length", options.any_length,
                   "x.pt runs at other lengths too: the first size of --input\nmay vary, alike in all inputs");
  command.add_option("--mean", options.mean, "of image channels, e.g. 0.49,0.48,0.45; where ARCH sets none")
      ->type_name("NUMBERS");
  command.add_option("--std", options.std, "standard deviation of image channels")->type_name("NUMBERS");
  command
      .add_option("--rename", options.renames,
                  "rule for names of tensors in the weights, a regular expression\nand what takes its place, e.g. "
                  "'^backbone\\.='; several apply in\nturn; or x.json with [[\"FROM\", \"TO\"], …]")
      ->allow_extra_args(false)
      ->type_name("FROM=TO");
  add_text(command, "--state-dict", options.state_dict, "NAME",
           "dictionary of a torch.save checkpoint with several, e.g. ema");
  auto& [resize, crop, vocabulary, max_tokens] = options.samples;
  add_count(command, "--resize", resize, 0,
            "shorter side that images are scaled to; 0: 8/7 of the crop,\nwhere needed");
  add_count(command, "--crop", crop, 0, "side of the square cut out of images; 0: what MODEL takes");
  command.add_option("--vocabulary", vocabulary, "for texts; vocab.txt beside the weights by default")
      ->type_name("FILE");
  add_count(command, "--max-tokens", max_tokens, 0,
            "to which texts are cut; 0: what MODEL takes, or 128, for\nsquad: 384");
  command.add_flag("--additions", options.sites.additions,
                   "residual additions are sites too, an operand each; where\n--plan is given, the plan decides");
  command.add_flag(
      "--products", options.sites.products,
      "products of two activations (attention) are sites too, an\noperand each; where --plan is given, the "
      "plan decides");
}

namespace {

/// "3,32,32", or with the type of its elements "int64:128".
ScriptExample::Input parse_input(const std::string& text) {
  ScriptExample::Input input;
  const auto colon = text.find(':');
  if (colon != std::string::npos) {
    const auto type = std::find_if(kDTypes.begin(), kDTypes.end(),
                                   [&](const DTypeInfo& known) { return known.name == text.substr(0, colon); });
    if (type == kDTypes.end())
      throw Error(Errc::InvalidArgument,
                  message("--input is \"", text, "\": before the colon stands a type, such as int64 or float32"));
    input.dtype = type->dtype;
  }
  const std::string sizes = colon == std::string::npos ? text : text.substr(colon + 1);
  input.sizes = parse_list<std::int64_t>(sizes, "--input", "3,32,32");
  for (const std::int64_t size : input.sizes)
    if (size < 1) throw Error(Errc::InvalidArgument, message("--input is \"", text, "\": sizes are 1 or more"));
  return input;
}

}  // namespace

ModelRequest check(const ModelOptions& options) {
  ModelRequest request{
      .spec = options.spec, .example = {}, .normalization = {}, .samples = options.samples, .sites = options.sites};
  for (const std::string& input : options.inputs) request.example.inputs.push_back(parse_input(input));
  request.example.any_length = options.any_length;
  request.weights.dictionary = options.state_dict;
  for (const std::string& rule : options.renames) request.weights.names.add(rule);
  if (options.mean.empty() != options.std.empty())
    throw Error(Errc::InvalidArgument, message(options.mean.empty() ? "--std" : "--mean", " is given alone: give ",
                                               "--mean and --std together"));
  if (options.mean.empty()) return request;
  request.sets_normalization = true;
  request.normalization = {.mean = parse_list<double>(options.mean, "--mean", "0.49,0.48,0.45"),
                           .std = parse_list<double>(options.std, "--std", "0.25,0.24,0.26")};
  const auto& [mean, std] = request.normalization;
  if (mean.size() != std.size())
    throw Error(Errc::InvalidArgument, message("--mean has ", mean.size(), " channels and --std ", std.size(),
                                               ": give one of each a channel"));
  for (const double deviation : std)
    if (deviation <= 0)
      throw Error(Errc::InvalidArgument, message("--std is \"", options.std, "\": it must be above 0"));
  return request;
}

LoadedModel load(const ModelRequest& request, const Registry& registry, std::uint64_t seed) {
  LoadedModel loaded = load_model(request.spec, registry.architectures, request.example, seed, request.weights);
  if (request.sets_normalization) loaded.data.normalization = request.normalization;
  const auto& [resize, crop, vocabulary, max_tokens] = request.samples;
  if (resize > 0) loaded.data.resize = resize;
  if (crop > 0) loaded.data.crop = crop;
  if (!vocabulary.empty()) loaded.data.vocabulary = vocabulary;
  if (max_tokens > 0) loaded.data.max_tokens = max_tokens;
  if (request.sites != SiteOptions{}) loaded.model = with_sites(std::move(loaded.model), request.sites);
  return loaded;
}

std::string without_blanks(std::string text) {
  std::erase(text, ' ');
  return text;
}

void require_trained(const ModelOptions& options, const std::string& consequence) {
  if (options.spec.ends_with(":random"))
    throw Error(
        Errc::InvalidArgument,
        message("model \"", options.spec, "\" has random weights, so ", consequence,
                ": give ARCH:weights.safetensors (random weights are for `halftone scan`, `bench` and `export`)"));
}

void require_output(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  std::error_code ignored;
  std::filesystem::path there = std::filesystem::absolute(folder);
  while (!std::filesystem::exists(there, ignored) && there != there.root_path()) there = there.parent_path();
  require_writable(there);
  for (const std::string& name : names) require_replaceable(folder / name);
}

bool gives_ranges(const CLI::App& command) {
  return command.count("--range-input") + command.count("--range-weight") > 0;
}

void add_ranges(CLI::App& command, RangeChoice& choice) {
  const auto add = [&command](const char* name, std::string& method, const char* description) {
    command.add_option(name, method, description)->capture_default_str()->type_name("METHOD");
  };
  add("--range-input", choice.input, "ranges of activations: mse, max or percentile");
  add("--range-weight", choice.weight,
      "ranges of weights: max, mse, percentile, or auto: max or\nmse, whichever damages the outputs less");
}

CLI::Option* add_engine(CLI::App& command, const Registry& registry, std::string& name, const std::string& purpose) {
  return command.add_option("--engine", name, purpose + names(registry.engines))->type_name("NAME");
}

std::string default_engine(const Registry& registry) {
  if (registry.engines.contains("openvino") && has_openvino()) return "openvino";
  if (registry.engines.contains("libtorch")) return "libtorch";
  for (const auto& [name, unused] : registry.engines)
    if (name != "openvino") return name;
  return "";
}

void add_float(CLI::App& command, std::string& text) {
  command
      .add_option(
          "--float", text,
          "what the engine does not run in integers: bf16, f32, or auto, which\nis bf16 where this machine has it")
      ->capture_default_str()
      ->type_name("TYPE");
}

std::optional<FloatType> parse_float(const std::string& text) {
  for (const FloatType type : {FloatType::BFloat16, FloatType::Float32})
    if (text == to_string(type)) return type;
  if (text == "auto") return std::nullopt;
  throw Error(Errc::InvalidArgument, message("--float is \"", text, "\": bf16, f32 or auto is needed"));
}

std::string default_cache() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache + "/halftone";
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + "/.cache/halftone";
}

RangeOptions range_options(const std::string& method) { return {.method = parse_range_method(method)}; }

struct Watch::State {
  std::ostream& err;
  std::string promise;
  std::optional<ProgressBar> bar{};
  std::array<struct sigaction, kStopSignals.size()> before{};
  bool told = false;
};

Watch::Watch(std::ostream& err, bool quiet, const std::string& promise) : state_(new State{err, promise}) {
  if (!quiet) state_->bar.emplace(err, ProgressBar::Options{.terminal_width = terminal_width(err)});
  stop_requested = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;  // a second one does what it always does
  for (std::size_t i = 0; i < kStopSignals.size(); ++i) {
    ::sigaction(kStopSignals[i], nullptr, &state_->before[i]);
    // Ignored where a shell started the program in the background: then it stays so.
    if (state_->before[i].sa_handler != SIG_IGN) ::sigaction(kStopSignals[i], &action, nullptr);
  }
}

Watch::~Watch() {
  for (std::size_t i = 0; i < kStopSignals.size(); ++i) ::sigaction(kStopSignals[i], &state_->before[i], nullptr);
}

Monitor Watch::monitor() {
  State& state = *state_;
  Monitor monitor;
  if (state.bar) monitor.on_progress = [&state](const Progress& progress) { state.bar->update(progress); };
  if (state.bar)
    monitor.on_message = [&state](std::string_view sentence) {
      state.bar->clear();
      state.err << sentence << std::endl;
    };
  monitor.should_stop = [&state] {
    if (stop_requested != 0 && !std::exchange(state.told, true)) {
      if (state.bar) state.bar->clear();
      state.err << "Stopping. Ctrl-C again ends at once, without a result." << state.promise << std::endl;
    }
    return stop_requested != 0;
  };
  return monitor;
}

void print_json(std::ostream& out, const nlohmann::json& json) {
  out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

}  // namespace halftone::cli
