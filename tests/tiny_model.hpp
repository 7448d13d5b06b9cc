#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "halftone/data/dataset.hpp"
#include "halftone/graph/model.hpp"

/// Models of a few operators, built by hand: tests of the stages behind capture need no torch::nn.
namespace tiny {

/// Values in [-1, 1) drawn by `seed`, the same everywhere.
inline at::Tensor random(std::vector<std::int64_t> shape, std::uint32_t seed) {
  const at::Tensor tensor = at::empty(shape, at::kFloat);
  std::mt19937 generator(seed);
  auto* const values = tensor.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    values[i] = static_cast<float>(generator() >> 8) / static_cast<float>(1 << 23) - 1;
  return tensor;
}

class Builder {
 public:
  using Id = halftone::ValueId;
  using Ints = std::vector<halftone::SymInt>;

  Id input(const std::string& name, std::vector<std::int64_t> sample_shape) {
    const Id id = value(halftone::ValueKind::Input, name, batched(sample_shape));
    model_.graph.inputs.push_back(id);
    return id;
  }

  Id parameter(const std::string& name, at::Tensor tensor) {
    halftone::Shape shape;
    for (const auto size : tensor.sizes()) shape.push_back({size, 0});
    const Id id = value(halftone::ValueKind::Parameter, name, shape);
    model_.tensors.back() = std::move(tensor);
    return id;
  }

  /// Stride 1, padding that keeps height and width, no bias.
  Id convolution(Id x, Id weight) {
    const halftone::Shape kernel = shape_of(weight);
    halftone::Shape shape = shape_of(x);
    shape[1] = kernel[0];
    const Ints padding{{kernel[2].offset / 2, 0}, {kernel[3].offset / 2, 0}};
    const Ints ones{{1, 0}, {1, 0}};
    return node("aten::convolution", "", shape,
                {ref(x), ref(weight), halftone::None{}, ones, padding, ones, false, Ints{{0, 0}, {0, 0}}, number(1)});
  }

  Id linear(Id x, Id weight) {
    halftone::Shape shape = shape_of(x);
    shape.back() = shape_of(weight)[0];
    return node("aten::linear", "", shape, {ref(x), ref(weight), halftone::None{}});
  }

  Id relu(Id x) { return node("aten::relu", "", shape_of(x), {ref(x)}); }
  Id add(Id x, Id y) { return node("aten::add", "Tensor", shape_of(x), {ref(x), ref(y), number(1)}); }

  Id flatten(Id x) {
    std::int64_t elements = 1;
    for (const auto size : shape_of(x)) elements *= size.at({1});
    return node("aten::flatten", "using_ints", batched({elements}), {ref(x), number(1), number(-1)});
  }

  halftone::Model finish(Id output) {
    model_.graph.outputs = {output};
    model_.sites = halftone::find_sites(model_.graph);
    return std::move(model_);
  }

  /// Any operator.
  Id node(std::string op, std::string overload, halftone::Shape shape, std::vector<halftone::Argument> arguments) {
    const Id id = value(halftone::ValueKind::Computed, "", std::move(shape));
    model_.graph.nodes.push_back({std::move(op), std::move(overload), std::move(arguments), {{false, {id}}}});
    return id;
  }

  static halftone::ValueRef ref(Id id) { return {id}; }
  static halftone::SymInt number(std::int64_t n) { return {n, 0}; }
  [[nodiscard]] halftone::Shape shape_of(Id id) const {
    return model_.graph.values[static_cast<std::size_t>(id)].shape;
  }

 private:
  static halftone::Shape batched(const std::vector<std::int64_t>& sample_shape) {
    halftone::Shape shape{{0, 1}};
    for (const auto size : sample_shape) shape.push_back({size, 0});
    return shape;
  }

  Id value(halftone::ValueKind kind, std::string name, halftone::Shape shape) {
    model_.graph.values.push_back({kind, std::move(name), std::move(shape), halftone::DType::Float32});
    model_.tensors.emplace_back();
    return static_cast<Id>(model_.graph.values.size() - 1);
  }

  halftone::Model model_;
};

/// Five sites. x [B, 2, 6, 6] -> "stem" -> relu, read by "left" (3x3) and "right" (1x1), whose sum goes through relu,
/// "tail" (3x3) and "head" to 5 outputs.
inline halftone::Model residual_net() {
  Builder build;
  const auto x = build.input("input", {2, 6, 6});
  const auto stem = build.convolution(x, build.parameter("stem.weight", random({4, 2, 3, 3}, 1)));
  const auto shared = build.relu(stem);
  const auto left = build.convolution(shared, build.parameter("left.weight", random({4, 4, 3, 3}, 2)));
  const auto right = build.convolution(shared, build.parameter("right.weight", random({4, 4, 1, 1}, 3)));
  const auto sum = build.relu(build.add(left, right));
  const auto tail = build.convolution(sum, build.parameter("tail.weight", random({3, 4, 3, 3}, 4)));
  return build.finish(build.linear(build.flatten(tail), build.parameter("head.weight", random({5, 108}, 5) * 0.1)));
}

/// One site, "fc": outputs = x weight^T.
inline halftone::Model linear_net(const at::Tensor& weight) {
  Builder build;
  const auto x = build.input("input", {weight.size(1)});
  return build.finish(build.linear(x, build.parameter("fc.weight", weight)));
}

/// Inputs for `residual_net`, labelled with every class in turn.
inline std::unique_ptr<halftone::Dataset> images(std::int64_t count, std::uint32_t seed = 100) {
  return halftone::make_tensor_dataset("tiny", {random({count, 2, 6, 6}, seed)}, at::arange(count, at::kLong) % 5);
}

/// A set without samples, which no file gives.
class NoSamples final : public halftone::Dataset {
 public:
  [[nodiscard]] std::int64_t size() const override { return 0; }
  [[nodiscard]] halftone::Batch get(std::span<const std::int64_t>) const override { return {}; }
  [[nodiscard]] at::Tensor targets() const override { return at::empty({0}, at::kLong); }
  [[nodiscard]] std::string name() const override { return "nothing"; }
};

}  // namespace tiny
