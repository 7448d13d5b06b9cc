#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/monitor.hpp"
#include "halftone/distributed/communicator.hpp"
#include "halftone/registry.hpp"

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

/// What the subcommands share.
namespace halftone::cli {

/// Where a command works.
struct Context {
  const Registry& registry;
  std::ostream& out;  ///< results
  std::ostream& err;  ///< all else
  /// Joins the other ranks that run the same command; null, or a communicator of one rank, where there are none.
  std::function<std::unique_ptr<Communicator>()> join_ranks{};
};

/// What the chosen subcommand does; gives the exit code.
using Action = std::function<int()>;

/// Each adds one subcommand to `app`; `action` is set once the user chose it. All three must outlive the action.
void add_quantize(CLI::App& app, const Context& context, Action& action);
void add_scan(CLI::App& app, const Context& context, Action& action);
void add_sense(CLI::App& app, const Context& context, Action& action);
void add_evaluate(CLI::App& app, const Context& context, Action& action);
void add_export(CLI::App& app, const Context& context, Action& action);
void add_bench(CLI::App& app, const Context& context, Action& action);
void add_report(CLI::App& app, const Context& context, Action& action);
void add_compare(CLI::App& app, const Context& context, Action& action);
void add_models(CLI::App& app, const Context& context, Action& action);
void add_launch(CLI::App& app, const Context& context, Action& action);
void add_doctor(CLI::App& app, const Context& context, Action& action);

/// Accepts whole numbers from `least` to 2^20.
CLI::Validator whole_number(std::int64_t least);

/// A count of samples, threads and so on, at least `least`.
void add_count(CLI::App& command, const std::string& name, std::int64_t& count, std::int64_t least,
               const std::string& description);

/// A text, such as a name or a path, that `type` names in the help.
CLI::Option* add_text(CLI::App& command, const std::string& name, std::string& value, const std::string& type,
                      const std::string& description);

/// --json --quiet --seed --threads; commands that have no use for some leave them out.
struct CommonOptions {
  bool json = false;
  bool quiet = false;
  std::uint64_t seed = 0;
  std::int64_t threads = 0;  ///< 0: one per core, shared by the ranks of this host
};
void add_common(CLI::App& command, CommonOptions& options);
void add_common_but_threads(CLI::App& command, CommonOptions& options);
void add_json(CLI::App& command, CommonOptions& options);
int thread_count(const CommonOptions& options);
std::int64_t cores();  ///< of this host, at least 1

/// Threads of a network in an engine: one where none were asked for. Throws where this machine has fewer cores.
int engine_threads(const char* option, std::int64_t count);

/// --resize --crop --vocabulary --max-tokens: what DATA becomes, where it is not as the model says. 0 and empty: as
/// that.
struct SampleOptions {
  std::int64_t resize = 0;
  std::int64_t crop = 0;
  std::string vocabulary;
  std::int64_t max_tokens = 0;
};

/// MODEL --input --any-length --mean --std --rename --state-dict --additions --products, and what DATA becomes
struct ModelOptions {
  std::string spec;
  std::vector<std::string> inputs;
  bool any_length = false;
  std::string mean;
  std::string std;
  std::vector<std::string> renames;
  std::string state_dict;
  SampleOptions samples;
  SiteOptions sites{};
};
void add_model(CLI::App& command, ModelOptions& options);

/// MODEL's options after they were checked.
struct ModelRequest {
  std::string spec;
  ScriptExample example;
  ImageNormalization normalization;
  bool sets_normalization = false;
  WeightsOptions weights{};
  SampleOptions samples{};
  SiteOptions sites{};
};
ModelRequest check(const ModelOptions& options);
LoadedModel load(const ModelRequest& request, const Registry& registry, std::uint64_t seed);

/// Opens DATA; throws `BadFile` where the first sample does not fit the model.
std::shared_ptr<const Dataset> open_data(const std::string& spec, const LoadedModel& loaded);

/// `text` without its blanks, as lists may be written: "8, 4".
std::string without_blanks(std::string text);

/// Throws where the weights are random; `consequence` says why that will not do.
void require_trained(const ModelOptions& options, const std::string& consequence);

/// Proves that `names` can be written into `folder`, and makes nothing: where it is not there, the innermost folder
/// above it that is must take files.
void require_output(const std::filesystem::path& folder, const std::vector<std::string>& names);

/// --range-input --range-weight
struct RangeChoice {
  std::string input = "mse";
  std::string weight = "max";
};
void add_ranges(CLI::App& command, RangeChoice& choice);
/// Whether either option is given.
bool gives_ranges(const CLI::App& command);
RangeOptions range_options(const std::string& method);

/// --engine; `purpose` comes before the names of the engines.
CLI::Option* add_engine(CLI::App& command, const Registry& registry, std::string& name, const std::string& purpose);

/// --float
void add_float(CLI::App& command, std::string& text);
/// Nothing for "auto".
std::optional<FloatType> parse_float(const std::string& text);

/// The engine that is taken where none is named: OpenVINO, LibTorch, or the first there is; empty where there is none.
std::string default_engine(const Registry& registry);

/// Where measured latencies are kept for later: "~/.cache/halftone" or what XDG_CACHE_HOME says; empty without a home.
std::string default_cache();

/// While it lives, the first Ctrl-C (or SIGTERM) asks the work under way to stop, a second one ends the program as
/// usual, and progress is shown on `err` unless `quiet`. One at a time.
class Watch {
 public:
  /// `promise`: what is said of finished work when the user asks to stop.
  Watch(std::ostream& err, bool quiet, const std::string& promise = "");
  ~Watch();
  Watch(Watch&&) = delete;
  Watch& operator=(Watch&&) = delete;

  /// Borrows this.
  [[nodiscard]] Monitor monitor();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "error, noise": the keys of a registry's map, in lines that fit a help text.
template <class Map>
std::string names(const Map& map) {
  constexpr std::size_t kWidth = 48;
  std::string text;
  std::size_t line = 0;
  for (const auto& [name, unused] : map) {
    const bool wraps = line > 0 && line + name.size() > kWidth;
    text += (text.empty() ? "" : wraps ? ",\n" : ", ") + name;
    line = wraps ? name.size() : line + 2 + name.size();
  }
  return text;
}

void print_json(std::ostream& out, const nlohmann::json& json);

}  // namespace halftone::cli
