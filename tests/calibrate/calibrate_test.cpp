#include "halftone/calibrate/calibrate.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "calibrate/observer.hpp"
#include "failure.hpp"
#include "halftone/graph/interpreter.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

const std::vector<Precision> kPrecisions{k16, k8, k4};

/// What every site read in one pass over all samples at once.
struct Recorder final : SiteVisitor {
  std::vector<at::Tensor> inputs;
  explicit Recorder(const Model& model, const Dataset& data) : inputs(model.sites.size()) {
    const Batch batch = data.range(0, data.size());
    (void)Interpreter(model).run(batch.inputs, this);
  }
  at::Tensor input(std::size_t index, const at::Tensor& activation) override { return inputs[index] = activation; }
};

std::vector<float> values_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

double squared_error(const std::vector<float>& values, const QuantParams& params) {
  double sum = 0;
  for (const float value : values) sum += std::pow(static_cast<double>(fake_quantize(value, params) - value), 2);
  return sum;
}

/// The definition in the header, one value after another.
double best_bound(const std::vector<float>& values, int bits, int candidates) {
  double largest = 0;
  for (const float value : values) largest = std::max(largest, static_cast<double>(std::abs(value)));
  double best = largest;
  for (int k = candidates; k > 0; --k) {
    const double bound = largest * (static_cast<double>(k) / candidates);
    if (squared_error(values, weight_params(bound, bits)) < squared_error(values, weight_params(best, bits)))
      best = bound;
  }
  return best;
}

bool same(const Histogram& a, const Histogram& b) {
  return a.limit == b.limit && a.min == b.min && a.max == b.max && a.zeros == b.zeros && a.total == b.total &&
         a.counts == b.counts;
}

/// A histogram filled through the observer of a one-site model, one tensor a pass.
Histogram observed(const std::vector<at::Tensor>& activations) {
  const Model model = tiny::linear_net(at::ones({1, 1}));
  const internal::InputSlots slots(model);
  internal::Observer observer(model, slots);
  for (const auto& activation : activations) (void)observer.input(0, activation);
  return observer.histograms()[0];
}

}  // namespace

TEST_CASE("max ranges are the extremes of weights and activations") {
  const Model model = tiny::residual_net();
  const auto data = tiny::images(9);
  const Recorder recorder(model, *data);
  CalibrateOptions options;
  options.input.method = RangeMethod::Max;
  options.batch_size = 4;
  const Calibration calibration = calibrate(model, *data, kPrecisions, options);
  REQUIRE(calibration.sites.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    const SiteRanges& site = calibration.sites[i];
    const double min = recorder.inputs[i].min().item<double>();
    const double max = recorder.inputs[i].max().item<double>();
    const double rms = std::sqrt(recorder.inputs[i].to(at::kDouble).square().mean().item<double>());
    // Batches of 4 and of 9 may take different kernels.
    CHECK(site.input_min == Approx(min));
    CHECK(site.input_rms == Approx(rms).epsilon(1e-3));
    CHECK(site.input_max == Approx(max));
    CHECK(site.input.at(8).low == std::min(site.input_min, 0.0));
    CHECK(site.input.at(8).high == site.input_max);
    const at::Tensor& weight = model.tensors[static_cast<std::size_t>(model.sites[i].weight)];
    CHECK(site.weight_max == weight.abs().max().item<double>());
    REQUIRE(site.weight.at(4).bounds.size() == static_cast<std::size_t>(weight.size(0)));
    for (std::int64_t c = 0; c < weight.size(0); ++c)
      CHECK(site.weight.at(4).bounds[static_cast<std::size_t>(c)] == weight[c].abs().max().item<double>());
  }
}

TEST_CASE("only the integer widths asked for have ranges") {
  const Model model = tiny::residual_net();
  const std::vector<Precision> precisions{k16, kW4A8, {16, 6}};
  const Calibration calibration = calibrate(model, *tiny::images(3), precisions);
  for (const auto& site : calibration.sites) {
    CHECK(site.weight.size() == 1);
    CHECK(site.weight.count(4) == 1);
    CHECK(site.input.size() == 2);
    CHECK(site.input.count(6) == 1);
    CHECK(site.input.count(8) == 1);
  }
}

TEST_CASE("the mean squared error of an activation range is that of the values, to the histogram's resolution") {
  const Model model = tiny::residual_net();
  const auto data = tiny::images(16);
  const Recorder recorder(model, *data);
  const Calibration calibration = calibrate(model, *data, kPrecisions);
  for (std::size_t i = 0; i < 5; ++i)
    for (const int bits : {4, 8}) {
      const InputRange& range = calibration.sites[i].input.at(bits);
      const std::vector<float> values = values_of(recorder.inputs[i]);
      const double error = squared_error(values, params(range, bits)) / static_cast<double>(values.size());
      CHECK(range.mean_squared_error == Approx(error).epsilon(0.03));
    }
}

TEST_CASE("weight ranges by mean squared error are the best of the candidates, found one value after another") {
  const Model model = tiny::residual_net();
  CalibrateOptions options;
  options.weight = {.method = RangeMethod::MeanSquaredError, .candidates = 40};
  const Calibration calibration = calibrate(model, *tiny::images(2), kPrecisions, options);
  for (std::size_t i = 0; i < 5; ++i)
    for (const int bits : {4, 8}) {
      const at::Tensor& weight = model.tensors[static_cast<std::size_t>(model.sites[i].weight)];
      const WeightRange& range = calibration.sites[i].weight.at(bits);
      double sum = 0;
      for (std::int64_t c = 0; c < weight.size(0); ++c) {
        const std::vector<float> values = values_of(weight[c]);
        const double bound = range.bounds[static_cast<std::size_t>(c)];
        CHECK(bound == best_bound(values, bits, 40));
        sum += squared_error(values, weight_params(bound, bits));
      }
      CHECK(range.mean_squared_error == Approx(sum / static_cast<double>(weight.numel())));
    }
}

TEST_CASE("the percentile of a weight leaves that share of every channel inside") {
  at::Tensor weight = at::arange(1, 201, at::kFloat).view({2, 100});
  weight[1].mul_(-1);
  CalibrateOptions options;
  options.weight = {.method = RangeMethod::Percentile, .percentile = 99};
  const auto data = make_tensor_dataset("ones", {at::ones({2, 100})}, {});
  const Calibration calibration = calibrate(tiny::linear_net(weight), *data, kPrecisions, options);
  CHECK(calibration.sites[0].weight.at(8).bounds == std::vector<double>{99, 199});
}

TEST_CASE("a channel that is nearly all zeros keeps its largest value as percentile bound") {
  at::Tensor weight = at::zeros({1, 100});
  weight[0][3] = 0.5;
  CalibrateOptions options;
  options.weight = {.method = RangeMethod::Percentile, .percentile = 90};
  const auto data = make_tensor_dataset("ones", {at::ones({2, 100})}, {});
  const Calibration calibration = calibrate(tiny::linear_net(weight), *data, kPrecisions, options);
  CHECK(calibration.sites[0].weight.at(8).bounds == std::vector<double>{0.5});
}

TEST_CASE("channels of a transposed weight lie along its second dimension") {
  Model model = tiny::linear_net(tiny::random({3, 3}, 30));
  model.sites[0].weight_channel_axis = 1;
  const auto data = make_tensor_dataset("ones", {at::ones({2, 3})}, {});
  const Calibration calibration = calibrate(model, *data, kPrecisions);
  const at::Tensor& weight = model.tensors[static_cast<std::size_t>(model.sites[0].weight)];
  for (std::int64_t c = 0; c < 3; ++c)
    CHECK(calibration.sites[0].weight.at(8).bounds[static_cast<std::size_t>(c)] ==
          weight.select(1, c).abs().max().item<double>());
}

TEST_CASE("calibration gives the same bytes for any number of threads") {
  const Model model = tiny::residual_net();
  const auto data = tiny::images(21);
  CalibrateOptions options;
  options.batch_size = 2;
  options.weight.method = RangeMethod::MeanSquaredError;
  const Calibration one = calibrate(model, *data, kPrecisions, options);
  for (const int threads : {2, 3}) {
    options.threads = threads;
    CHECK(calibrate(model, *data, kPrecisions, options) == one);
  }
}

TEST_CASE("sites that read one tensor share its ranges and it is counted once") {
  const Model model = tiny::residual_net();
  const auto data = tiny::images(6);
  const Calibration calibration = calibrate(model, *data, kPrecisions);
  CHECK((calibration.sites[1].input == calibration.sites[2].input));
  CHECK(calibration.sites[1].input_max == calibration.sites[2].input_max);

  const internal::InputSlots slots(model);
  CHECK(slots.of_site == std::vector<std::size_t>{0, 1, 1, 2, 3});
  internal::Observer observer(model, slots);
  const Batch batch = data->range(0, 6);
  (void)Interpreter(model).run(batch.inputs, &observer);
  CHECK(observer.histograms()[1].total == 6 * 4 * 6 * 6);
}

TEST_CASE("a histogram counts every value in the bin that holds it") {
  const at::Tensor x = at::cat({tiny::random({5000}, 31) * 3, at::zeros({70}), at::tensor({-2.9375F, -0.0F})}).relu_();
  for (const at::Tensor& values : {x, x - 1, x * 1e-30F, x * 1e30F}) {
    const Histogram histogram = observed({values});
    std::vector<std::int64_t> counts(Histogram::kBins);
    std::int64_t zeros = 0;
    for (const float value : values_of(values)) {
      if (value == 0) {
        ++zeros;
        continue;
      }
      const double position = std::abs(value) / (histogram.limit / 4096);
      const auto bin = static_cast<std::size_t>(position);
      ++counts[value > 0 ? 4096 + bin : 4095 - bin];
    }
    CHECK(histogram.counts == counts);
    CHECK(histogram.zeros == zeros);
    CHECK(histogram.total == values.numel());
    CHECK(histogram.min == values.min().item<double>());
    CHECK(histogram.max == values.max().item<double>());
  }
}

TEST_CASE("histograms do not depend on the order or the grouping of what they count") {
  const std::vector<at::Tensor> parts{tiny::random({300}, 32), at::zeros({10}), tiny::random({300}, 33) * 0.01,
                                      tiny::random({300}, 34) * 37};
  const Histogram all = observed(parts);
  CHECK(same(all, observed({parts[3], parts[2], parts[1], parts[0]})));
  CHECK(same(all, observed({at::cat(at::TensorList(parts))})));
  Histogram merged;
  for (const auto index : {2U, 0U, 3U, 1U}) {
    Histogram part = observed({parts[index]});
    internal::merge(merged, part);
  }
  CHECK(same(all, merged));
}

TEST_CASE("tensors of other types are counted as float32") {
  const at::Tensor x = tiny::random({100}, 35).to(at::kBFloat16);
  CHECK(same(observed({x}), observed({x.to(at::kFloat)})));
  CHECK(same(observed({x.to(at::kDouble)}), observed({x.to(at::kFloat)})));
}

TEST_CASE("a weight that is not finite is refused by the site's name") {
  Model model = tiny::residual_net();
  model.tensors[static_cast<std::size_t>(model.sites[2].weight)][0][0][0][0] = kNaN;
  const auto nan = failure([&] { (void)calibrate(model, *tiny::images(2), kPrecisions); });
  CHECK(nan.code == Errc::NonFinite);
  CHECK(
      nan.text ==
      "calibrate: the weight of site \"right\" holds values that are NaN: load a checkpoint whose weights are finite");
}

TEST_CASE("an activation that is not finite is refused by site and samples") {
  const Model model = tiny::residual_net();
  at::Tensor inputs = tiny::random({8, 2, 6, 6}, 36);
  inputs[5][1][2][3] = kNaN;
  CalibrateOptions options{.batch_size = 2};
  for (const int threads : {1, 3}) {
    options.threads = threads;
    const auto nan =
        failure([&] { (void)calibrate(model, *make_tensor_dataset("bad", {inputs}, {}), kPrecisions, options); });
    CHECK(nan.code == Errc::NonFinite);
    CHECK(nan.text.starts_with("calibrate: the input of site \"stem\" is NaN for samples 4 to 5 of bad: "));
  }
  const at::Tensor huge = at::full({2, 2, 6, 6}, 3e38);
  const auto infinite = failure([&] { (void)calibrate(model, *make_tensor_dataset("huge", {huge}, {}), kPrecisions); });
  CHECK(infinite.code == Errc::NonFinite);
  CHECK(infinite.text.find("is infinite for samples 0 to 1 of huge") != std::string::npos);
}

TEST_CASE("calibration refuses empty data, models without sites and bad options") {
  const Model model = tiny::residual_net();
  const auto empty = failure([&] { (void)calibrate(model, tiny::NoSamples(), kPrecisions); });
  CHECK(empty.code == Errc::InvalidArgument);
  CHECK(empty.text.starts_with("calibrate: nothing holds no samples: "));

  Model unprepared = tiny::residual_net();
  unprepared.sites.clear();
  const auto none = failure([&] { (void)calibrate(unprepared, *tiny::images(2), kPrecisions); });
  CHECK(none.text.find("call prepare(model) first") != std::string::npos);

  CalibrateOptions options{.batch_size = 0, .threads = 0};
  options.weight.percentile = 0;
  const auto bad = failure([&] { (void)calibrate(model, *tiny::images(2), kPrecisions, options); });
  CHECK(bad.code == Errc::InvalidArgument);
  for (const auto* const word : {"weight: percentile", "batch_size", "threads"})
    CHECK(bad.text.find(word) != std::string::npos);
  CHECK(failure([&] {
          (void)calibrate(model, *tiny::images(2), std::vector<Precision>{{9, 8}});
        }).text.find("9 bits are no width") != std::string::npos);
}

TEST_CASE("a stopped calibration has no sites") {
  const Model model = tiny::residual_net();
  Monitor monitor;
  std::int64_t reports = 0;
  monitor.on_progress = [&](const Progress& progress) { reports += progress.stage == "calibrate"; };
  CHECK(calibrate(model, *tiny::images(40), kPrecisions, {}, monitor).sites.size() == 5);
  const std::int64_t all = reports;
  for (const std::int64_t stop_at : {std::int64_t{1}, all / 2, all - 3}) {
    reports = 0;
    monitor.should_stop = [&] { return reports >= stop_at; };
    CHECK(calibrate(model, *tiny::images(40), kPrecisions, {}, monitor).sites.empty());
  }
}
