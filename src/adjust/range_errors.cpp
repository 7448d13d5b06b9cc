#include "adjust/range_errors.hpp"

#include <ATen/ATen.h>

#include "data/batches.hpp"
#include "graph/device.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone::internal {

namespace {

/// Of one range over one batch.
struct ErrorSum {
  double squares = 0;
  std::int64_t values = 0;
};

/// Compares what sites read in a clean pass with what they would read.
class ErrorVisitor final : public SiteVisitor {
 public:
  ErrorVisitor(const Model& model, const Calibration& calibration, const RangeParameters& parameters,
               std::vector<ErrorSum>& sums)
      : model_(model), calibration_(calibration), parameters_(parameters), sums_(sums) {}

  at::Tensor input(std::size_t index, const at::Tensor& activation) override {
    for (std::size_t k = 0; k < parameters_.inputs().size(); ++k) {
      const auto& range = parameters_.inputs()[k];
      if (range.site != index) continue;
      at::Tensor error = quantize_input(model_.sites[index], calibration_.sites[index], range.bits, activation);
      sums_[k].squares += error.sub_(activation).square_().sum(at::kDouble).item<double>();
      sums_[k].values += activation.numel();
    }
    return activation;
  }

 private:
  const Model& model_;
  const Calibration& calibration_;
  const RangeParameters& parameters_;
  std::vector<ErrorSum>& sums_;
};

double weight_error(const Model& model, const Calibration& calibration, const RangeParameters::Weight& weight) {
  const Site& site = model.sites[weight.site];
  const at::Tensor values = model.tensors[static_cast<std::size_t>(site.weight)].detach();
  at::Tensor error = quantize_weight(site, calibration.sites[weight.site], weight.bits, values);
  return error.sub_(values).square_().mean(at::kDouble).item<double>();
}

}  // namespace

bool measure_errors(const Workplace& place, const Dataset& data, const RangeParameters& parameters,
                    std::int64_t batch_size, Calibration& calibration) {
  for (const auto& weight : parameters.weights())
    calibration.sites[weight.site].weight.at(weight.bits).mean_squared_error =
        weight_error(place.model, calibration, weight);
  if (parameters.inputs().empty()) return true;

  const BatchLoop loop{data.size(), batch_size, place.threads, "adjust"};
  std::vector<std::vector<ErrorSum>> sums(static_cast<std::size_t>(loop.batches()));
  const bool completed = for_each_batch(loop, place.monitor, [&](const BatchRange& batch, std::size_t) {
    auto& of_batch = sums[static_cast<std::size_t>(batch.index)];
    of_batch.resize(parameters.inputs().size());
    ErrorVisitor visitor(place.model, calibration, parameters, of_batch);
    (void)place.interpreter.run(move_to(device_of(place.model), data.range(batch.begin, batch.end).inputs), &visitor);
  });
  if (!completed) return false;
  for (std::size_t k = 0; k < parameters.inputs().size(); ++k) {
    const auto& input = parameters.inputs()[k];
    ErrorSum total;
    for (const auto& of_batch : sums) {
      total.squares += of_batch[k].squares;
      total.values += of_batch[k].values;
    }
    const double error = total.values > 0 ? total.squares / static_cast<double>(total.values) : 0;
    for (std::size_t i = 0; i < place.model.sites.size(); ++i) {
      if (place.model.sites[i].input != place.model.sites[input.site].input) continue;
      const auto range = calibration.sites[i].input.find(input.bits);
      if (range != calibration.sites[i].input.end()) range->second.mean_squared_error = error;
    }
  }
  return true;
}

}  // namespace halftone::internal
