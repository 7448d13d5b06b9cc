#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "core/openmp_threads.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "tiny_model.hpp"

/// Networks small enough to write down every derivative, in float64.
namespace dense {

using namespace halftone;

/// x [B, 2, 3, 3] -> "stem" -> relu, read by "left" (3x3) and "right" (1x1), whose sum goes through relu and "head" to
/// 3 outputs.
inline Model small_net() {
  tiny::Builder build;
  const auto x = build.input("input", {2, 3, 3});
  const auto weight = [&](const std::string& name, std::vector<std::int64_t> shape, std::uint32_t seed) {
    return build.parameter(name + ".weight", tiny::random(std::move(shape), seed));
  };
  const auto shared = build.relu(build.convolution(x, weight("stem", {2, 2, 3, 3}, 1)));
  const auto left = build.convolution(shared, weight("left", {2, 2, 3, 3}, 2));
  const auto right = build.convolution(shared, weight("right", {2, 2, 1, 1}, 3));
  const auto sum = build.relu(build.add(left, right));
  return build.finish(build.linear(build.flatten(sum), weight("head", {3, 18}, 4)));
}

struct Fixture {
  Model model = small_net();
  at::Tensor images = tiny::random({3, 2, 3, 3}, 40);
  std::vector<Precision> precisions{k8, k4};
  Calibration calibration;
  std::unique_ptr<Dataset> data;
  std::unique_ptr<Task> task = make_top_k(1);
  std::int64_t batch_size = 2;
  int threads = 1;
  std::uint64_t seed = 7;

  explicit Fixture(const SiteOptions& sites = {}) {
    model.sites = find_sites(model.graph, sites);
    calibration = calibrate(model, *make_tensor_dataset("set", {images}, {}), precisions);
    for (auto& value : model.graph.values) value.dtype = DType::Float64;
    for (auto& tensor : model.tensors)
      if (tensor.defined()) tensor = tensor.to(at::kDouble);
    images = images.to(at::kDouble);
    data = make_tensor_dataset("set", {images}, {});
  }

  [[nodiscard]] SensitivityInput input() const {
    return {.model = model,
            .calibration = calibration,
            .data = *data,
            .task = *task,
            .precisions = precisions,
            .seed = seed,
            .batch_size = batch_size,
            .threads = threads};
  }
};

/// Where a variable lies among all of them, per sample: weights, then inputs, site by site.
struct Slice {
  std::int64_t begin = 0;
  std::int64_t length = 0;

  [[nodiscard]] at::Tensor of(const at::Tensor& vector) const { return vector.narrow(-1, begin, length); }
  /// Diagonal block.
  [[nodiscard]] at::Tensor block(const at::Tensor& matrix) const { return of(of(matrix).transpose(-1, -2)); }
};

/// Adds `offsets` to weights and inputs, and keeps the inputs as they came.
class Offsets final : public SiteVisitor {
 public:
  Offsets(const at::Tensor& offsets, const std::vector<Slice>& weights, const std::vector<Slice>& inputs)
      : offsets_(offsets), weights_(weights), inputs_(inputs), seen(inputs.size()) {}

  at::Tensor input(std::size_t index, const at::Tensor& x) override {
    seen[index] = x;
    return x + inputs_[index].of(offsets_).view(x.sizes().slice(1));
  }
  at::Tensor weight(std::size_t index, const at::Tensor& weight) override {
    return weight + weights_[index].of(offsets_).view(weight.sizes());
  }

 private:
  at::Tensor offsets_;
  const std::vector<Slice>& weights_;
  const std::vector<Slice>& inputs_;

 public:
  std::vector<at::Tensor> seen;
};

/// Derivatives by central differences of the network's outputs alone: no autograd, no damage.
struct Derivatives {
  std::vector<Slice> weights;
  std::vector<Slice> inputs;
  at::Tensor responses;                 ///< [n, 3, D], Jacobian of Task::response at temperature 1
  at::Tensor hessians;                  ///< [n, D, D], J^T (diag(p) - p p^T) J
  std::vector<at::Tensor> activations;  ///< by site, [n, …]

  explicit Derivatives(const Fixture& f) {
    const internal::OpenMpThreads one_thread(1);  // two wait for each other on a busy machine
    std::int64_t size = 0;
    for (const Site& site : f.model.sites) {
      weights.push_back({size, site.weight_elements});
      inputs.push_back({size + site.weight_elements, site.input_elements});
      size += site.weight_elements + site.input_elements;
    }
    const Interpreter interpreter(f.model);
    const auto run = [&](const at::Tensor& offsets) {
      Offsets visitor(offsets, weights, inputs);
      const at::Tensor outputs = interpreter.run(std::vector{f.images}, &visitor)[0];
      activations = visitor.seen;
      return outputs;
    };
    constexpr double kStep = 1e-6;
    std::vector<at::Tensor> columns;
    for (std::int64_t k = 0; k < size; ++k) {
      const at::Tensor offsets = at::zeros({size}, at::kDouble);
      offsets[k] = kStep;
      columns.push_back((run(offsets) - run(-offsets)) / (2 * kStep));
    }
    const at::Tensor p = run(at::zeros({size}, at::kDouble)).softmax(1).unsqueeze(2);
    const at::Tensor jacobian = at::stack(columns, 2);
    responses = p.sqrt() * (jacobian - (p * jacobian).sum(1, /*keepdim=*/true));
    const at::Tensor curvature = at::diag_embed(p.squeeze(2)) - p.matmul(p.transpose(1, 2));
    hessians = jacobian.transpose(1, 2).matmul(curvature).matmul(jacobian);
  }

  /// d_i of one site at a precision, for every sample: [n, D].
  [[nodiscard]] at::Tensor errors(const Fixture& f, std::size_t index, Precision precision) const {
    const Site& site = f.model.sites[index];
    const SiteRanges& ranges = f.calibration.sites[index];
    const at::Tensor result = at::zeros({hessians.size(0), hessians.size(1)}, at::kDouble);
    const at::Tensor& a = activations[index];
    if (precision.activation_bits != 16)
      inputs[index].of(result).copy_((quantize_input(site, ranges, precision.activation_bits, a) - a).flatten(1));
    if (site.has_weight() && precision.weight_bits != 16) {
      const at::Tensor& w = f.model.tensors[static_cast<std::size_t>(site.weight)];
      weights[index].of(result).copy_((quantize_weight(site, ranges, precision.weight_bits, w) - w).flatten());
    }
    return result;
  }
};

/// Of a fixture as it is made, computed once a program.
inline const Derivatives& derivatives(bool additions = false) {
  if (additions) {
    static const Derivatives result{Fixture({.additions = true})};
    return result;
  }
  static const Derivatives result{Fixture()};
  return result;
}

inline double trace(const at::Tensor& matrix) { return matrix.trace().item<double>(); }

}  // namespace dense
