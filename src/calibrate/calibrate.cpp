#include "halftone/calibrate/calibrate.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "calibrate/observer.hpp"
#include "calibrate/token_ids.hpp"
#include "calibrate/weight_range.hpp"
#include "core/byte_reader.hpp"
#include "data/shared_batches.hpp"
#include "graph/device.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"

namespace halftone {

namespace {

using internal::BatchLoop;
using internal::BatchRange;

struct Widths {
  std::set<int> input;
  std::set<int> weight;
};

Widths integer_widths(std::span<const Precision> precisions) {
  Widths widths;
  for (const Precision precision : precisions) {
    for (const int bits : {precision.activation_bits, precision.weight_bits})
      if (!is_valid_width(bits))
        throw Error(Errc::InvalidArgument,
                    message("calibrate: ", bits, " bits are no width: use 2 to 8 bits, or 16 for bfloat16"));
    if (precision.activation_bits < 16) widths.input.insert(precision.activation_bits);
    if (precision.weight_bits < 16) widths.weight.insert(precision.weight_bits);
  }
  return widths;
}

void require_work(const Model& model, const Dataset& data) {
  if (model.sites.empty())
    throw Error(Errc::InvalidArgument,
                "calibrate: the model has no sites: call prepare(model) first; where it was, the network has no "
                "convolution or linear layer");
  if (data.size() == 0)
    throw Error(Errc::InvalidArgument, message("calibrate: ", data.name(),
                                               " holds no samples: ranges come from what "
                                               "the network computes on samples, 256 to 500 of them as a rule"));
}

std::string pack(const std::vector<Histogram>& histograms) {
  std::string bytes;
  for (const Histogram& histogram : histograms) {
    internal::put(bytes, histogram.limit);
    internal::put(bytes, histogram.min);
    internal::put(bytes, histogram.max);
    internal::put(bytes, histogram.zeros);
    internal::put(bytes, histogram.total);
    for (const std::int64_t count : histogram.counts) internal::put(bytes, count);
  }
  return bytes;
}

Histogram take_histogram(internal::ByteReader& reader) {
  Histogram histogram;
  histogram.limit = reader.number<double>();
  histogram.min = reader.number<double>();
  histogram.max = reader.number<double>();
  histogram.zeros = reader.number<std::int64_t>();
  histogram.total = reader.number<std::int64_t>();
  for (std::int64_t& count : histogram.counts) count = reader.number<std::int64_t>();
  return histogram;
}

/// What all ranks saw together; the order of merging does not matter.
std::vector<Histogram> merge_ranks(Team& team, const std::vector<Histogram>& own) {
  std::vector<Histogram> merged(own.size());
  for (const std::string& bytes : team.exchange("merging histograms", pack(own))) {
    internal::ByteReader reader(bytes);
    for (Histogram& histogram : merged) {
      Histogram other = take_histogram(reader);
      internal::merge(histogram, other);
    }
  }
  return merged;
}

/// Histograms of every slot over all samples; empty where stopped.
std::vector<Histogram> observe(const Model& model, const Dataset& data, const internal::InputSlots& slots,
                               const CalibrateOptions& options, const Monitor& monitor) {
  const BatchLoop loop{data.size(), options.batch_size, options.threads, "calibrate", "activations"};
  const Interpreter interpreter(model);
  const at::Device device = internal::device_of(model);
  std::vector<internal::Observer> observers(loop.workers(), internal::Observer(model, slots));
  const std::vector<std::int64_t> order = shortest_first(data);
  const auto make = [&](const BatchRange& batch, std::size_t worker) -> std::optional<internal::BatchResult> {
    const std::span<const std::int64_t> samples(order.begin() + batch.begin, order.begin() + batch.end);
    observers[worker].set_context(message(data.lengths().empty() ? "samples " : "samples of these, shortest first: ",
                                          batch.begin, " to ", batch.end - 1, " of ", data.name()));
    const auto inputs = internal::move_to(device, data.get(samples).inputs);
    (void)interpreter.run(inputs, &observers[worker]);
    return internal::BatchResult{};  // what was seen stays in the observers
  };
  const auto take = [](const BatchRange&, const internal::BatchResult&) {};
  if (!internal::share_batches(options.team, "calibrating", loop, monitor, make, take)) return {};
  std::vector<Histogram> histograms = std::move(observers.front().histograms());
  for (std::size_t worker = 1; worker < observers.size(); ++worker)
    for (std::size_t slot = 0; slot < histograms.size(); ++slot)
      internal::merge(histograms[slot], observers[worker].histograms()[slot]);
  return options.team == nullptr ? histograms : merge_ranks(*options.team, histograms);
}

/// `method` is of one tensor's values alone.
void require_chosen(const char* operand, RangeMethod method, std::vector<std::string>& violations) {
  if (method == RangeMethod::Automatic)
    violations.push_back(message(operand,
                                 ": auto is a choice between other methods by damage, which this stage does "
                                 "not know: use max, percentile or mse"));
}

SiteRanges weight_ranges(const Model& model, const Site& site, const std::set<int>& widths,
                         const RangeOptions& options) {
  SiteRanges ranges;
  if (!site.has_weight()) return ranges;
  const at::Tensor& weight = model.tensors[static_cast<std::size_t>(site.weight)];
  ranges.weight_max = weight.abs().max().item<double>();
  if (!std::isfinite(ranges.weight_max))
    throw Error(Errc::NonFinite, message("calibrate: the weight of site \"", site.name, "\" holds values that are ",
                                         std::isnan(ranges.weight_max) ? "NaN" : "infinite",
                                         ": load a checkpoint whose weights are finite"));
  for (const int bits : widths)
    ranges.weight[bits] = internal::choose_weight_range(weight, site.weight_channel_axis, bits, options);
  return ranges;
}

}  // namespace

std::vector<std::string> validate(const CalibrateOptions& options) {
  std::vector<std::string> violations;
  for (const auto& violation : validate(options.input)) violations.push_back("input: " + violation);
  for (const auto& violation : validate(options.weight)) violations.push_back("weight: " + violation);
  require_chosen("input", options.input.method, violations);
  require_chosen("weight", options.weight.method, violations);
  if (options.batch_size < 1)
    violations.push_back(message("batch_size is ", options.batch_size, ": at least 1 is needed"));
  if (options.threads < 1) violations.push_back(message("threads is ", options.threads, ": at least 1 is needed"));
  return violations;
}

Calibration calibrate(const Model& model, const Dataset& data, std::span<const Precision> precisions,
                      const CalibrateOptions& options, const Monitor& monitor) {
  require_valid("calibrate options", validate(options));
  require_work(model, data);
  internal::require_known_ids(model.graph, data);
  const Widths widths = integer_widths(precisions);
  const internal::InputSlots slots(model);

  // Weights first: NaN in one explains NaN in the activations behind it.
  std::vector<SiteRanges> sites(model.sites.size());
  const BatchLoop over_sites{std::ssize(sites), 1, options.threads, "calibrate", "weights"};
  const auto one_weight = [&](const BatchRange& item, std::size_t) {
    const auto site = static_cast<std::size_t>(item.index);
    sites[site] = weight_ranges(model, model.sites[site], widths.weight, options.weight);
  };
  if (!internal::for_each_batch(over_sites, monitor, one_weight)) return {};

  const std::vector<Histogram> histograms = observe(model, data, slots, options, monitor);
  if (histograms.empty()) return {};
  std::vector<std::map<int, InputRange>> inputs(histograms.size());
  const BatchLoop over_slots{std::ssize(inputs), 1, options.threads, "calibrate", "ranges"};
  const auto one_input = [&](const BatchRange& item, std::size_t) {
    const auto slot = static_cast<std::size_t>(item.index);
    for (const int bits : widths.input) inputs[slot][bits] = choose_range(histograms[slot], bits, options.input);
  };
  if (!internal::for_each_batch(over_slots, monitor, one_input)) return {};
  for (std::size_t site = 0; site < sites.size(); ++site) {
    const std::size_t slot = slots.of_site[site];
    sites[site].input_min = histograms[slot].min;
    sites[site].input_max = histograms[slot].max;
    sites[site].input_rms = root_mean_square(histograms[slot]);
    sites[site].input = inputs[slot];
  }
  return {std::move(sites)};
}

Calibration with_weight_ranges(const Model& model, Calibration calibration, const RangeOptions& options, int threads,
                               const Monitor& monitor) {
  std::vector<std::string> violations = validate(options);
  require_chosen("weight", options.method, violations);
  require_valid("range options", violations);
  if (calibration.sites.size() != model.sites.size())
    throw Error(Errc::InvalidArgument, message("the calibration has ", calibration.sites.size(), " sites, the model ",
                                               model.sites.size(), ": calibrate this model"));
  const BatchLoop over_sites{std::ssize(model.sites), 1, threads, "calibrate", "weights"};
  const auto one_weight = [&](const BatchRange& item, std::size_t) {
    const auto site = static_cast<std::size_t>(item.index);
    std::set<int> widths;
    for (const auto& [bits, range] : calibration.sites[site].weight) widths.insert(bits);
    calibration.sites[site].weight = weight_ranges(model, model.sites[site], widths, options).weight;
  };
  if (!internal::for_each_batch(over_sites, monitor, one_weight)) return {};
  return calibration;
}

}  // namespace halftone
