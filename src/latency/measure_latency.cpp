#include "halftone/latency/measure_latency.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <random>

#include "engine/cpu_features.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/options.hpp"
#include "halftone/engine/benchmark.hpp"
#include "halftone/version.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

/// The integer precision that stands for all: 8 bits, or the highest there is.
Precision representative(std::span<const Precision> precisions) {
  std::optional<Precision> found;
  for (const Precision p : precisions)
    if (in_integers(p) && (!found || p == k8 || (*found != k8 && p > *found))) found = p;
  if (!found)
    throw Error(Errc::InvalidArgument,
                "latency measuring: at none of the precisions are both operands integers, so that there is nothing to "
                "tell apart: add 8, or give a latency model");
  return *found;
}

std::string fingerprint(const Engine& engine, const Model& model, Precision integer,
                        const MeasureLatencyOptions& options) {
  Digest digest;
  // How a network is lowered and fused decides its time, and changes between versions.
  digest.add(HALFTONE_VERSION).add(engine.name()).add(engine.version()).add(internal::cpu_identity());
  digest.add(options.batch).add(options.threads).add(options.plans).add(to_string(options.float_type));
  digest.add(to_string(integer)).add(to_string(model.graph));
  for (const Site& site : model.sites) digest.add(site.name).add(to_string(site.kind));
  for (const Value& value : model.graph.values) {
    digest.add(static_cast<std::int64_t>(value.dtype));
    for (const SymInt& size : value.shape) digest.add(size.at(model.graph.sizes(options.batch)));
  }
  return digest.hex();
}

/// Plans that lower a share of the sites drawn at random, the share from a fifth to four fifths.
std::vector<Plan> random_plans(std::size_t sites, int count, Precision integer, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<Plan> plans;
  for (int k = 0; k < count; ++k) {
    const double share = 0.2 + 0.6 * k / std::max(1, count - 1);
    Plan plan = Plan::uniform(sites, k16);
    for (std::size_t i = 0; i < sites; ++i)
      if (static_cast<double>(generator() >> 11) * 0x1p-53 < share) plan[i] = integer;
    plans.push_back(std::move(plan));
  }
  return plans;
}

/// Networks in memory at one time, from what weights take in the engine and on the way there.
std::size_t group_size(const Model& model) {
  constexpr double kMemory = 2e9;
  double bytes = 1e6;
  for (const at::Tensor& tensor : model.tensors)
    if (tensor.defined()) bytes += static_cast<double>(tensor.nbytes());
  return std::clamp<std::size_t>(static_cast<std::size_t>(kMemory / (3 * bytes)), 2, 12);
}

/// Milliseconds of every plan: the fastest pass. Plans share a group with as many others as memory allows.
class Timer {
 public:
  Timer(const Engine& engine, const Model& model, const Calibration& calibration, const MeasureLatencyOptions& options,
        const Monitor& monitor)
      : engine_(engine), model_(model), calibration_(calibration), options_(options), monitor_(monitor) {}

  /// Lowers `times` to the fastest passes of one more round of measuring; false when stopped.
  bool time(const std::vector<Plan>& plans, std::vector<double>& times) {
    const std::size_t group = group_size(model_);
    for (std::size_t begin = 0; begin < plans.size(); begin += group) {
      const std::size_t end = std::min(begin + group, plans.size());
      std::vector<Variant> variants;
      for (std::size_t i = begin; i < end; ++i)
        variants.push_back({message("plan ", i), plans[i], options_.float_type});
      monitor_.report({"latency", static_cast<std::int64_t>(begin), std::ssize(plans), message("round ", round_)});
      const Measurement measured = measure_group(variants);
      if (measured.timings.empty() || monitor_.stopped()) return false;
      for (std::size_t i = begin; i < end; ++i) times[i] = std::min(times[i], measured.timings[i - begin].minimum);
    }
    ++round_;
    return true;
  }

  [[nodiscard]] double highest_load() const { return load_; }

 private:
  Measurement measure_group(const std::vector<Variant>& variants) {
    constexpr int kTurns = 15;
    constexpr double kMostSecondsEach = 0.6;
    const Monitor quiet{.on_progress = {}, .should_stop = monitor_.should_stop};
    Measurement measured = benchmark(
        engine_, model_, calibration_, variants,
        {.batch = options_.batch,
         .threads = options_.threads,
         .measure = {.max_seconds = kMostSecondsEach * static_cast<double>(variants.size()), .min_rounds = kTurns}},
        quiet);
    load_ = std::max({load_, measured.load_before, measured.load_after});
    return measured;
  }

  const Engine& engine_;
  const Model& model_;
  const Calibration& calibration_;
  const MeasureLatencyOptions& options_;
  const Monitor& monitor_;
  double load_ = 0;
  int round_ = 1;
};

/// What an earlier run measured; nothing where there is none, a damaged one, of which `notes` are told, or a poor one,
/// which a busy machine leaves behind.
std::optional<MeasuredLatency> read_cache(const fs::path& path, const std::string& fingerprint,
                                          std::span<const Site> sites, std::vector<std::string>* notes) {
  constexpr std::size_t kMostBytes = 16u << 20;
  std::error_code ignored;
  if (path.empty() || !fs::exists(path, ignored)) return std::nullopt;
  try {
    LatencyMeasurements measured = parse_latency_measurements(read_text(path, kMostBytes), "the file");
    if (measured.fingerprint != fingerprint) throw Error(Errc::BadFile, "it is of something else");
    MeasuredLatency latency(std::move(measured), sites);
    return latency.fits_poorly() ? std::nullopt : std::optional(std::move(latency));
  } catch (const Error& error) {
    if (notes != nullptr)
      notes->push_back(message("Latency was measured anew, as ", path.string(), " could not be used: ", error.what()));
    return std::nullopt;
  }
}

}  // namespace

std::vector<std::string> validate(const MeasureLatencyOptions& options) {
  std::vector<std::string> violations;
  if (options.batch < 1) violations.push_back(message("batch is ", options.batch, ": at least 1 is needed"));
  if (options.threads < 1) violations.push_back(message("threads is ", options.threads, ": at least 1 is needed"));
  if (options.plans < 0) violations.push_back(message("plans is ", options.plans, ": at least 0 is needed"));
  return violations;
}

void require_measurable(const Engine& engine, std::span<const Precision> precisions,
                        const MeasureLatencyOptions& options) {
  require_valid("latency measuring", validate(options));
  (void)representative(precisions);
  if (!options.cache.empty()) require_writable(options.cache);
  engine.require(options.float_type);
  engine.require_integers();
}

std::optional<MeasuredLatency> measure_latency(const Engine& engine, const Model& model, const Calibration& calibration,
                                               std::span<const Precision> precisions,
                                               const MeasureLatencyOptions& options, const Monitor& monitor,
                                               std::vector<std::string>* notes) {
  require_measurable(engine, precisions, options);
  const std::size_t sites = model.sites.size();
  const Precision integer = representative(precisions);
  const std::string key = fingerprint(engine, model, integer, options);
  const fs::path path = options.cache.empty() ? fs::path() : options.cache / (key + ".json");
  std::optional<MeasuredLatency> latency = read_cache(path, key, model.sites, notes);
  const bool is_new = !latency;
  LatencyMeasurements measured;
  if (latency) measured = latency->measurements();
  std::vector<Plan> plans{Plan::uniform(sites, k16)};
  if (is_new) {
    plans.push_back(Plan::uniform(sites, integer));
    const int count = options.plans > 0 ? options.plans : static_cast<int>(sites / 2 + 8);
    for (Plan& plan : random_plans(sites, count, integer, options.seed)) plans.push_back(std::move(plan));
  }
  const std::size_t samples = is_new ? plans.size() : 0;
  std::vector<Precision> others;
  for (const Precision p : precisions)
    if (p != k16 && p != integer && !measured.uniform.contains(p)) others.push_back(p);
  for (const Precision p : others) plans.push_back(Plan::uniform(sites, p));
  if (plans.size() == 1) return latency;

  Timer timer(engine, model, calibration, options, monitor);
  if (is_new) {
    measured = {.fingerprint = key,
                .engine = engine.name() + ' ' + engine.version(),
                .machine = internal::cpu_name(),
                .batch = options.batch,
                .threads = options.threads,
                .integer = integer,
                .edges = find_edges(model.graph, model.sites)};
    for (const Site& site : model.sites) measured.sites.push_back(site.name);
  }
  // On a quiet machine one round will do. What disturbs it for a while makes some networks look slow: then measured
  // again, as the fastest pass is what counts. Nothing tells how well a precision is known that is measured later.
  constexpr int kMostRounds = 4;
  constexpr double kGoodError = 0.02;  // another round can hardly improve it
  const auto goes_on = [&](int round) {
    if (!is_new) return round < 2;
    return round == 0 || (round < kMostRounds && latency->error() > kGoodError);
  };
  std::vector<double> times(plans.size(), std::numeric_limits<double>::infinity());
  for (int round = 0; goes_on(round); ++round) {
    if (!timer.time(plans, times)) return std::nullopt;
    if (is_new) measured.samples.clear();
    for (std::size_t i = 0; i < samples; ++i) measured.samples.push_back({plans[i], times[i]});
    // Against the all-16 time of the samples, where that was measured earlier.
    const double scale = measured.samples.front().milliseconds / times.front();
    for (std::size_t i = 0; i < others.size(); ++i)
      measured.uniform[others[i]] = times[plans.size() - others.size() + i] * scale;
    measured.load = std::max(measured.load, timer.highest_load());
    latency.emplace(measured, model.sites);
  }
  if (!path.empty()) write_atomically(path, nlohmann::json(measured).dump());
  return latency;
}

}  // namespace halftone
