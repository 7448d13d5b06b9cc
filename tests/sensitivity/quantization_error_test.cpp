#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

/// e_x of methods.md, one value after another.
double relative_error(const at::Tensor& x, const at::Tensor& quantized) {
  const at::Tensor flat = x.flatten();
  const at::Tensor other = quantized.flatten();
  double sum = 0;
  double largest = 0;
  for (std::int64_t i = 0; i < flat.numel(); ++i) {
    sum += std::pow(other[i].item<double>() - flat[i].item<double>(), 2);
    largest = std::max(largest, std::abs(flat[i].item<double>()));
  }
  return std::sqrt(sum / static_cast<double>(flat.numel())) / largest;
}

at::Tensor quantized(const at::Tensor& x, const QuantParams& params) {
  at::Tensor y = x.clone().contiguous();
  auto* const values = y.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < y.numel(); ++i) values[i] = fake_quantize(values[i], params);
  return y;
}

struct Fixture {
  at::Tensor weight = tiny::random({3, 20}, 70);
  at::Tensor inputs = tiny::random({6, 20}, 71) * 4 - 1;
  Model model = tiny::linear_net(weight);
  std::unique_ptr<Dataset> data = make_tensor_dataset("set", {inputs}, {});
  std::unique_ptr<Task> task = make_top_k(1);
  std::vector<Precision> precisions{k8, k4, {4, 16}, {16, 4}};
  Calibration calibration = calibrate(model, *data, precisions);

  [[nodiscard]] SensitivityTable measure() const {
    return make_quantization_error()->measure(
        {.model = model, .calibration = calibration, .data = *data, .task = *task, .precisions = precisions});
  }
};

}  // namespace

TEST_CASE("quantization error is that of weight and input, relative to their largest values") {
  const Fixture f;
  const SensitivityTable table = f.measure();
  CHECK(table.metric == "error");
  CHECK(table.forward_passes == 0);
  const SiteRanges& ranges = f.calibration.sites[0];
  for (const int bits : {4, 8}) {
    std::vector<at::Tensor> channels;
    for (std::int64_t c = 0; c < 3; ++c)
      channels.push_back(
          quantized(f.weight[c], weight_params(ranges.weight.at(bits).bounds[static_cast<std::size_t>(c)], bits)));
    const double of_weight = relative_error(f.weight, at::stack(channels));
    const double of_input = relative_error(f.inputs, quantized(f.inputs, params(ranges.input.at(bits), bits)));
    // The input's error comes from a histogram.
    CHECK(table.scores[0].at({bits, bits}) == Approx(std::hypot(of_weight, of_input)).epsilon(0.02));
    if (bits == 4) CHECK(table.scores[0].at({4, 16}) == Approx(of_weight));
    if (bits == 4) CHECK(table.scores[0].at({16, 4}) == Approx(of_input).epsilon(0.02));
  }
  CHECK(table.scores[0].at(k4) > table.scores[0].at(k8));
}

TEST_CASE("a weight of zeros has no quantization error") {
  Fixture f;
  f.calibration.sites[0].weight_max = 0;
  f.calibration.sites[0].weight[4].mean_squared_error = 0;
  CHECK(f.measure().scores[0].at({4, 16}) == 0);
}
