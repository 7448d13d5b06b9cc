#include "halftone/engine/deployed_evaluator.hpp"

#include <map>
#include <mutex>

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
    networks_.clear();  // of one plan in memory at a time
    CompileOptions options = options_;
    if (plan == nullptr) options.float_type = FloatType::Float32;
    const Plan whole = plan == nullptr ? Plan::uniform(model_.sites.size(), k16) : *plan;
    if (model_.graph.length == 0) (void)compiled(whole, options);  // a plan that does not compile is refused at once
    return [this, whole, options](std::span<const at::Tensor> inputs) {
      CompileOptions of_inputs = options;
      if (model_.graph.length > 0) {
        std::vector<std::vector<std::int64_t>> shapes;
        for (const at::Tensor& input : inputs) shapes.push_back(input.sizes().vec());
        of_inputs.length = find_sizes(model_.graph, shapes).length;
      }
      return compiled(whole, of_inputs).run(inputs);
    };
  }

 private:
  /// Where the length is open, engines compile for one at a time: one network for each that is met.
  CompiledNetwork& compiled(const Plan& plan, const CompileOptions& options) {
    const std::lock_guard lock(mutex_);
    auto& network = networks_[options.length];
    if (!network) network = engine_->compile(model_, plan, calibration_, options);
    return *network;
  }

  const Model& model_;
  const Calibration& calibration_;
  std::shared_ptr<const Engine> engine_;
  CompileOptions options_;
  std::mutex mutex_;                                                   ///< guards what follows
  std::map<std::int64_t, std::unique_ptr<CompiledNetwork>> networks_;  ///< by length
};

}  // namespace

std::unique_ptr<PlanRunner> deploy(const Model& model, const Calibration& calibration,
                                   std::shared_ptr<const Engine> engine, const EvaluatorOptions& options,
                                   FloatType float_type) {
  require_valid("evaluator options", validate(options));
  return std::make_unique<Deployment>(model, calibration, std::move(engine), options, float_type);
}

}  // namespace halftone
