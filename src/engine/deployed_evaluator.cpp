#include "halftone/engine/deployed_evaluator.hpp"

#include "halftone/core/options.hpp"

namespace halftone {
namespace {

class Deployment final : public PlanRunner {
 public:
  Deployment(const Model& model, const Calibration& calibration, std::shared_ptr<const Engine> engine,
             const EvaluatorOptions& options, FloatType float_type)
      : model_(model),
        calibration_(calibration),
        engine_(std::move(engine)),
        options_{.batch = options.batch_size, .threads = 1, .parallel = options.threads, .float_type = float_type} {}

  [[nodiscard]] std::string name() const override { return engine_->name(); }

  NetworkFn prepare(const Plan* plan) override {
    CompileOptions options = options_;
    if (plan == nullptr) options.float_type = FloatType::Float32;
    compiled_.reset();  // one network in memory at a time
    compiled_ = engine_->compile(model_, plan == nullptr ? Plan::uniform(model_.sites.size(), k16) : *plan,
                                 calibration_, options);
    return [network = compiled_.get()](std::span<const at::Tensor> inputs) { return network->run(inputs); };
  }

 private:
  const Model& model_;
  const Calibration& calibration_;
  std::shared_ptr<const Engine> engine_;
  CompileOptions options_;
  std::unique_ptr<CompiledNetwork> compiled_;
};

}  // namespace

std::unique_ptr<PlanRunner> deploy(const Model& model, const Calibration& calibration,
                                   std::shared_ptr<const Engine> engine, const EvaluatorOptions& options,
                                   FloatType float_type) {
  require_valid("evaluator options", validate(options));
  return std::make_unique<Deployment>(model, calibration, std::move(engine), options, float_type);
}

}  // namespace halftone
