#pragma once

#include "halftone/calibrate/calibrate.hpp"
#include "tiny_model.hpp"

/// Networks that show one thing each that the LibTorch engine does.
namespace tiny {

inline halftone::None none() { return {}; }

/// Convolution with a bias, `groups` groups and padding that keeps height and width.
inline Builder::Id convolution(Builder& build, Builder::Id x, const std::string& name, std::int64_t out,
                               std::int64_t kernel, std::int64_t groups, std::uint32_t seed) {
  halftone::Shape shape = build.shape_of(x);
  const std::int64_t in = shape[1].offset / groups;
  shape[1] = {out};
  const auto weight = build.parameter(name + ".weight", random({out, in, kernel, kernel}, seed));
  const auto bias = build.parameter(name + ".bias", random({out}, seed + 1));
  const Builder::Ints padding(2, {kernel / 2});
  const Builder::Ints ones(2, {1});
  return build.node("aten::convolution", "", shape,
                    {Builder::ref(x), Builder::ref(weight), Builder::ref(bias), ones, padding, ones, false,
                     Builder::Ints(2), Builder::number(groups)});
}

inline Builder::Id linear(Builder& build, Builder::Id x, const std::string& name, std::int64_t out,
                          std::uint32_t seed) {
  halftone::Shape shape = build.shape_of(x);
  const auto weight = build.parameter(name + ".weight", random({out, shape.back().offset}, seed));
  const auto bias = build.parameter(name + ".bias", random({out}, seed + 1));
  shape.back() = {out};
  return build.node("aten::linear", "", shape, {Builder::ref(x), Builder::ref(weight), Builder::ref(bias)});
}

inline Builder::Id relu6(Builder& build, Builder::Id x) {
  return build.node("aten::hardtanh", "", build.shape_of(x), {Builder::ref(x), Builder::number(0), Builder::number(6)});
}

inline Builder::Id max_pool(Builder& build, Builder::Id x) {
  halftone::Shape shape = build.shape_of(x);
  for (std::size_t d : {2U, 3U}) shape[d].offset /= 2;
  const Builder::Ints twos(2, {2});
  return build.node("aten::max_pool2d", "", shape,
                    {Builder::ref(x), twos, twos, Builder::Ints(2), Builder::Ints(2, {1}), false});
}

/// "stem" -> relu -> max pool -> "body" -> relu, flattened -> "head"; of images `side` wide.
inline halftone::Model pooled_net_of(std::int64_t side) {
  Builder build;
  auto x = build.relu(convolution(build, build.input("input", {2, side, side}), "stem", 8, 3, 1, 10));
  x = build.relu(convolution(build, max_pool(build, x), "body", 4, 3, 1, 20));
  return build.finish(linear(build, build.flatten(x), "head", 5, 30));
}
inline halftone::Model pooled_net() { return pooled_net_of(8); }

/// "expand" -> relu6 -> "depthwise" -> relu6 -> "project".
inline halftone::Model depthwise_net() {
  Builder build;
  auto x = relu6(build, convolution(build, build.input("input", {4, 6, 6}), "expand", 16, 1, 1, 10));
  x = relu6(build, convolution(build, x, "depthwise", 16, 3, 16, 20));
  return build.finish(convolution(build, x, "project", 4, 1, 1, 30));
}

/// x [B, 5, 12] -> "first" -> "up" -> gelu -> "down" -> + first: rank 3, signed activations.
inline halftone::Model token_net() {
  Builder build;
  const auto x = linear(build, build.input("input", {5, 12}), "first", 16, 10);
  const auto up = linear(build, x, "up", 32, 20);
  const auto gelu = build.node("aten::gelu", "", build.shape_of(up), {Builder::ref(up), std::string("tanh")});
  return build.finish(build.add(linear(build, gelu, "down", 16, 30), x));
}

/// A 1-d convolution "line", a transposed 2-d one "up" and a 3-d one "solid", each alone on an input of its own.
inline halftone::Model odd_convolutions() {
  Builder build;
  const auto lone = [&](const char* name, std::vector<std::int64_t> sample, std::vector<std::int64_t> weight,
                        bool transposed, const halftone::Shape& shape, std::uint32_t seed) {
    const std::size_t dims = sample.size() - 1;
    const auto x = build.input(std::string(name) + "_input", std::move(sample));
    const auto w = build.parameter(std::string(name) + ".weight", random(std::move(weight), seed));
    const Builder::Ints ones(dims, {1});
    return build.relu(build.node("aten::convolution", "", shape,
                                 {Builder::ref(x), Builder::ref(w), none(), ones, Builder::Ints(dims), ones, transposed,
                                  Builder::Ints(dims), Builder::number(1)}));
  };
  const auto line = lone("line", {4, 9}, {3, 4, 3}, false, {{0, 1}, {3}, {7}}, 10);
  const auto up = lone("up", {4, 5, 5}, {4, 3, 3, 3}, true, {{0, 1}, {3}, {7}, {7}}, 20);
  const auto solid = lone("solid", {4, 5, 5, 5}, {3, 4, 3, 3, 3}, false, {{0, 1}, {3}, {3}, {3}, {3}}, 30);
  halftone::Model model = build.finish(line);
  model.graph.outputs = {line, up, solid};
  return model;
}

/// Samples for `model`.
inline std::unique_ptr<halftone::Dataset> samples(const halftone::Model& model, std::int64_t count,
                                                  std::uint32_t seed = 100) {
  std::vector<at::Tensor> inputs;
  for (const auto id : model.graph.inputs) {
    std::vector<std::int64_t> shape;
    for (const auto size : model.graph.values[static_cast<std::size_t>(id)].shape) shape.push_back(size.at({count}));
    inputs.push_back(random(std::move(shape), seed++));
  }
  return halftone::make_tensor_dataset("tiny", std::move(inputs), at::arange(count, at::kLong) % 5);
}

}  // namespace tiny
