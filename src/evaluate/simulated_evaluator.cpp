#include "halftone/evaluate/simulated_evaluator.hpp"

#include "graph/device.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"

namespace halftone {
namespace {

class Simulation final : public PlanRunner {
 public:
  Simulation(const Model& model, const Calibration& calibration)
      : model_(model),
        calibration_(calibration),
        interpreter_(model),
        weights_(model, calibration),
        device_(internal::device_of(model)) {}

  [[nodiscard]] std::string name() const override { return "simulated in LibTorch"; }

  NetworkFn prepare(const Plan* plan) override {
    if (plan == nullptr)
      return [this](std::span<const at::Tensor> inputs) { return interpreter_.run(on_device(inputs)); };
    require_ranges(model_, calibration_, *plan);
    weights_.prepare(*plan);
    return [this, plan = *plan](std::span<const at::Tensor> inputs) {
      QuantizedVisitor visitor(model_, calibration_, plan, &weights_);
      return interpreter_.run(on_device(inputs), &visitor);
    };
  }

 private:
  [[nodiscard]] std::vector<at::Tensor> on_device(std::span<const at::Tensor> inputs) const {
    return internal::move_to(device_, {inputs.begin(), inputs.end()});
  }

  const Model& model_;
  const Calibration& calibration_;
  Interpreter interpreter_;
  QuantizedWeights weights_;
  at::Device device_;
};

}  // namespace

std::unique_ptr<PlanRunner> simulate(const Model& model, const Calibration& calibration) {
  return std::make_unique<Simulation>(model, calibration);
}

}  // namespace halftone
