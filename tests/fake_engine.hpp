#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "halftone/core/error.hpp"
#include "halftone/engine/engine.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/graph/interpreter.hpp"

namespace halftone::fakes {

/// Runs networks by simulation. For timing it waits: less for every site in integers.
class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(std::string version = "1.0") : version_(std::move(version)) {}

  [[nodiscard]] std::string name() const override { return "fake"; }
  [[nodiscard]] std::string version() const override { return version_; }
  void require(FloatType type) const override {
    if (type == FloatType::BFloat16 && !has_bfloat16) throw Error(Errc::Unsupported, "fake: there is no bfloat16");
  }
  void require_integers() const override {
    if (!has_integers) throw Error(Errc::Unsupported, "fake: there are no 8-bit dot products");
  }

  mutable std::atomic<int> compiled = 0;
  int most = std::numeric_limits<int>::max();  ///< compilations before it refuses
  bool has_bfloat16 = true;
  bool has_integers = true;
  /// How long a network takes under a plan, in units of 10 us.
  std::function<int(const Plan&)> units = [](const Plan& plan) {
    const auto integers = std::count_if(plan.precisions.begin(), plan.precisions.end(), in_integers);
    return static_cast<int>(2 * std::ssize(plan.precisions) - integers);
  };
  std::function<bool(const Plan&)> spoils{};  ///< whether a network gives zeros under a plan

 private:
  class Network final : public CompiledNetwork {
   public:
    Network(const FakeEngine& engine, const Model& model, Plan plan, Calibration calibration,
            const CompileOptions& options)
        : CompiledNetwork(model, options.batch),
          engine_(engine),
          model_(model),
          plan_(std::move(plan)),
          calibration_(std::move(calibration)),
          is_float_(options.float_type == FloatType::Float32) {}

    void repeat() override {
      constexpr std::chrono::microseconds kUnit(10);
      const auto end = std::chrono::steady_clock::now() + kUnit * engine_.units(plan_);
      while (std::chrono::steady_clock::now() < end) {
      }
    }
    [[nodiscard]] std::vector<EngineNode> profile() override { return {}; }

   private:
    [[nodiscard]] std::vector<at::Tensor> do_run(std::span<const at::Tensor> inputs) override {
      if (is_float_) return Interpreter(model_).run(inputs);
      QuantizedVisitor visitor(model_, calibration_, plan_);
      auto outputs = Interpreter(model_).run(inputs, &visitor);
      if (engine_.spoils && engine_.spoils(plan_))
        for (at::Tensor& output : outputs) output = at::zeros_like(output);
      return outputs;
    }

    const FakeEngine& engine_;
    const Model& model_;
    Plan plan_;
    Calibration calibration_;
    bool is_float_;
  };

  [[nodiscard]] std::unique_ptr<CompiledNetwork> do_compile(const Model& model, const Plan& plan,
                                                            const Calibration& calibration,
                                                            const CompileOptions& options) const override {
    if (compiled++ >= most) throw Error(Errc::Unsupported, "fake: operator aten::relu is not known");
    return std::make_unique<Network>(*this, model, plan, calibration, options);
  }

  std::string version_;
};

}  // namespace halftone::fakes
