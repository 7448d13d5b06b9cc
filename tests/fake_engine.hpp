#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "engine/cpu_features.hpp"
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
  void require(FloatType) const override {}

  mutable std::atomic<int> compiled = 0;
  int most = std::numeric_limits<int>::max();  ///< compilations before it refuses

 private:
  class Network final : public CompiledNetwork {
   public:
    Network(const Model& model, Plan plan, Calibration calibration, const CompileOptions& options)
        : CompiledNetwork(model, options.batch),
          model_(model),
          plan_(std::move(plan)),
          calibration_(std::move(calibration)),
          is_float_(options.float_type == FloatType::Float32) {}

    void repeat() override {
      constexpr std::chrono::microseconds kSite(10);
      const auto integers = std::count_if(plan_.precisions.begin(), plan_.precisions.end(), in_integers);
      const auto end = std::chrono::steady_clock::now() + kSite * (2 * std::ssize(plan_.precisions) - integers);
      while (std::chrono::steady_clock::now() < end) {
      }
    }
    [[nodiscard]] std::vector<EngineNode> profile() override { return {}; }

   private:
    [[nodiscard]] std::vector<at::Tensor> do_run(std::span<const at::Tensor> inputs) override {
      if (is_float_) return Interpreter(model_).run(inputs);
      QuantizedVisitor visitor(model_, calibration_, plan_);
      return Interpreter(model_).run(inputs, &visitor);
    }

    const Model& model_;
    Plan plan_;
    Calibration calibration_;
    bool is_float_;
  };

  [[nodiscard]] std::unique_ptr<CompiledNetwork> do_compile(const Model& model, const Plan& plan,
                                                            const Calibration& calibration,
                                                            const CompileOptions& options) const override {
    if (compiled++ >= most) throw Error(Errc::Unsupported, "fake: operator aten::relu is not known");
    return std::make_unique<Network>(model, plan, calibration, options);
  }

  std::string version_;
};

/// Whether the engines for CPUs take networks in integers on this machine; says so where not.
inline bool integers_run_here() {
  try {
    internal::require_int8_dot_products();
    return true;
  } catch (const Error& error) {
    WARN("not tested: " << error.what());
    return false;
  }
}

}  // namespace halftone::fakes
