#include "export/battery.hpp"

#include <ATen/ATen.h>

#include <iterator>

#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/passes.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace battery {
namespace {

/// Operands of 16 bits stay float32, as in an exported file.
class IntegersOnly final : public SiteVisitor {
 public:
  IntegersOnly(const Network& network, const Plan& plan)
      : plan_(plan), quantized_(network.model, network.calibration, plan) {}

  at::Tensor input(std::size_t i, const at::Tensor& x) override {
    return plan_[i].activation_bits == 16 ? x : quantized_.input(i, x);
  }
  at::Tensor weight(std::size_t i, const at::Tensor& w) override {
    return plan_[i].weight_bits == 16 ? w : quantized_.weight(i, w);
  }

 private:
  const Plan& plan_;
  QuantizedVisitor quantized_;
};

}  // namespace

at::Tensor Weights::operator()(const std::string& name, std::vector<std::int64_t> shape, double factor) const {
  at::Tensor& tensor = (*tensors_)[name];
  if (!tensor.defined()) tensor = tiny::random(std::move(shape), static_cast<std::uint32_t>(tensors_->size())) * factor;
  return tensor;
}

std::vector<NamedTensor> Weights::all() const {
  std::vector<NamedTensor> list;
  for (const auto& [name, tensor] : *tensors_)
    list.push_back({name, tensor, /*is_buffer=*/name.find(".running_") != std::string::npos});
  return list;
}

Network network_on(const std::string& name, const Tensors& inputs, const Forward& forward, const SiteOptions& sites) {
  const Weights weights;
  (void)forward(inputs, weights);  // draws the weights
  Model model = prepare(capture([&](const Tensors& x) { return forward(x, weights); }, weights.all(), inputs), sites);
  const Precision precisions[] = {k8, k4};
  Calibration calibration = calibrate(model, *make_tensor_dataset(name, inputs, at::zeros({kCalibrated}, at::kLong)),
                                      precisions, {.batch_size = kCalibrated});
  Tensors first;
  for (const auto& input : inputs) first.push_back(input.slice(0, 0, kBatch).clone());
  return {name, std::move(model), std::move(first), std::move(calibration)};
}

Network network(const std::string& name, const std::vector<std::vector<std::int64_t>>& sample_shapes,
                const Forward& forward, const SiteOptions& sites) {
  Tensors inputs;
  for (auto shape : sample_shapes) {
    shape.insert(shape.begin(), kCalibrated);
    inputs.push_back(2 * tiny::random(shape, static_cast<std::uint32_t>(100 + inputs.size())));
  }
  return network_on(name, inputs, forward, sites);
}

std::vector<Network> operands() {
  std::vector<Network> list = additions();
  for (auto& network : products()) list.push_back(std::move(network));
  return list;
}

std::vector<Network> all() {
  std::vector<Network> list;
  for (auto part : {convolutions, layers, elementwise, shapes}) {
    auto networks = part();
    std::move(networks.begin(), networks.end(), std::back_inserter(list));
  }
  return list;
}

Plan mixed_plan(std::size_t sites) {
  const Precision kinds[] = {kW4A8, k16, k8, {8, 16}, k4, {16, 8}};
  Plan plan;
  for (std::size_t i = 0; i < sites; ++i) plan.precisions.push_back(kinds[i % std::size(kinds)]);
  return plan;
}

Tensors reference(const Network& network, const Plan& plan) {
  IntegersOnly visitor(network, plan);
  return Interpreter(network.model).run(network.inputs, &visitor);
}

}  // namespace battery
