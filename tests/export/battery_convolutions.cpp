#include <ATen/ATen.h>

#include "export/battery.hpp"

namespace battery {

namespace {

Network residual(const std::string& name, const halftone::SiteOptions& sites) {
  const auto forward = [](const Tensors& x, const Weights& w) -> Tensors {
    const auto shared = at::relu(at::conv2d(x[0], w("stem.weight", {4, 3, 3, 3}), w("stem.bias", {4}), 1, 1));
    const auto left = at::conv2d(shared, w("left.weight", {4, 4, 3, 3}), w("left.bias", {4}), 1, 1);
    const auto right = at::conv2d(shared, w("right.weight", {4, 4, 1, 1}));
    const auto tail = at::conv2d(at::relu(left + right), w("tail.weight", {3, 4, 3, 3}), {}, 2, 1);
    return {at::linear(tail.flatten(1), w("head.weight", {5, 27}), w("head.bias", {5})), tail};
  };
  return network(name, {{3, 6, 6}}, forward, sites);
}

/// Convolutions whose results are clipped, joined or added in ways of their own before the next one reads them.
std::vector<Network> between_convolutions() {
  std::vector<Network> list;
  list.push_back(network("residual_of_a_product", {{10}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto shared = at::relu(at::linear(x[0], w("fc.weight", {144, 10})).view({-1, 4, 6, 6}));
    const auto y = at::relu(at::conv2d(shared, w("a.weight", {4, 4, 3, 3}), {}, 1, 1));
    return {at::conv2d(y, w("b.weight", {4, 4, 3, 3}), {}, 1, 1) + shared};
  }));
  list.push_back(network("clipped", {{3, 6, 6}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = at::hardtanh(at::conv2d(x[0], w("a.weight", {4, 3, 3, 3})), -2, 0.5);
    const auto z = at::clamp(at::conv2d(y, w("b.weight", {4, 4, 1, 1}, 3)), 2);
    return {at::conv2d(z, w("c.weight", {2, 4, 3, 3}))};
  }));
  list.push_back(network("joined_signed", {{3, 6, 6}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto left = at::relu(at::conv2d(x[0], w("a.weight", {4, 3, 3, 3})));
    const auto right = at::conv2d(x[0], w("b.weight", {2, 3, 3, 3}));
    return {at::conv2d(at::cat({left, right}, 1), w("c.weight", {2, 6, 3, 3}))};
  }));
  list.push_back(network("joined_signed_1d", {{3, 9}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto left = at::relu(at::conv1d(x[0], w("a.weight", {4, 3, 3})));
    const auto right = at::conv1d(x[0], w("b.weight", {2, 3, 3}));
    return {at::conv1d(at::cat({left, right}, 1), w("c.weight", {2, 6, 3}))};
  }));
  list.push_back(network("joined_with_float", {{3, 6, 6}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto left = at::conv2d(x[0], w("a.weight", {4, 3, 3, 3}), {}, 1, 1);
    return {at::conv2d(at::cat({left, at::sigmoid(x[0])}, 1), w("b.weight", {2, 7, 3, 3}))};
  }));
  return list;
}

}  // namespace

std::vector<Network> additions() { return {residual("residual_additions", {.additions = true})}; }

std::vector<Network> convolutions() {
  std::vector<Network> list = between_convolutions();
  list.push_back(network("conv1d_dilated_grouped", {{4, 12}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = at::relu(at::conv1d(x[0], w("a.weight", {6, 4, 3}), w("a.bias", {6}), {2}, {2}, {2}));
    return {at::conv1d(y, w("b.weight", {4, 3, 3}), {}, {1}, {1}, {1}, 2)};
  }));
  list.push_back(network("conv2d_depthwise", {{3, 8, 8}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto stem = at::conv2d(x[0], w("stem.weight", {6, 3, 3, 3}), w("stem.bias", {6}), {2, 1}, {1, 0});
    const auto deep = at::conv2d(at::relu(stem), w("deep.weight", {6, 1, 3, 3}), w("deep.bias", {6}), 1, 1, 1, 6);
    return {at::conv2d(at::relu6(deep), w("point.weight", {4, 6, 1, 1}))};
  }));
  list.push_back(network("conv2d_grouped_dilated", {{4, 9, 9}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = at::conv2d(x[0], w("a.weight", {8, 2, 3, 3}), w("a.bias", {8}), 1, 2, 2, 2);
    return {at::conv2d(at::silu(y), w("b.weight", {2, 8, 1, 3}), {}, {1, 2}, at::IntArrayRef{0, 1})};
  }));
  list.push_back(network("conv3d", {{2, 4, 5, 6}}, [](const Tensors& x, const Weights& w) -> Tensors {
    return {at::conv3d(x[0], w("conv.weight", {3, 2, 2, 3, 3}), w("conv.bias", {3}), 1, {0, 1, 1})};
  }));
  list.push_back(network("conv_transposed", {{4, 5, 4}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = at::conv_transpose2d(x[0], w("a.weight", {4, 3, 3, 3}), w("a.bias", {6}), {2, 1}, 1, {1, 0}, 2);
    return {at::conv_transpose2d(at::relu(y), w("b.weight", {6, 2, 2, 2}), {}, 1, 0, 0, 1, {2, 1})};
  }));
  list.push_back(network("conv_transposed1d", {{3, 7}}, [](const Tensors& x, const Weights& w) -> Tensors {
    return {at::conv_transpose1d(x[0], w("conv.weight", {3, 4, 4}), w("conv.bias", {4}), {2}, {1})};
  }));
  list.push_back(network("padding_absorbed", {{3, 8, 8}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = at::conv2d(at::constant_pad_nd(x[0], {0, 1, 2, 0}), w("a.weight", {4, 3, 3, 3}), {}, 2);
    const auto padded = at::pad(at::relu(y), {1, 0}, "constant");  // for two readers
    const auto left = at::conv2d(padded, w("b.weight", {4, 4, 1, 2}), {}, 1, {1, 0});
    const auto right = at::conv2d(padded, w("c.weight", {4, 4, 3, 2}), {}, 1, {2, 0});
    return {left + right};
  }));
  list.push_back(network("padding_kept", {{3, 6, 6}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = at::conv2d(at::constant_pad_nd(x[0], {1, 1, 1, 1}, 0.5), w("a.weight", {4, 3, 3, 3}));
    const auto padded = at::constant_pad_nd(y, {1, 0});  // read by others too
    return {at::conv2d(padded, w("b.weight", {2, 4, 1, 2})), at::tanh(padded)};
  }));
  list.push_back(residual("residual", {}));
  list.push_back(network("channels_padded_shortcut", {{4, 6, 6}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = at::conv2d(x[0], w("conv.weight", {8, 4, 3, 3}), {}, 2, 1);
    const auto thin = x[0].slice(2, 0, 6, 2).slice(3, 0, INT64_MAX, 2);
    return {at::conv2d(at::relu(y + at::constant_pad_nd(thin, {0, 0, 0, 0, 2, 2})), w("last.weight", {2, 8, 1, 1}))};
  }));
  list.push_back(network("batch_norm_kept", {{3, 5, 5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto norm = [&](const at::Tensor& y, const std::string& name, std::int64_t channels, bool affine) {
      const auto mean = w(name + ".running_mean", {channels});
      const auto variance = w(name + ".running_var", {channels}).abs() + 0.5;
      const auto factor = affine ? w(name + ".weight", {channels}) : at::Tensor();
      const auto shift = affine ? w(name + ".bias", {channels}) : at::Tensor();
      return at::batch_norm(y, factor, shift, mean, variance, false, 0.1, 1e-3, false);
    };
    const auto y = at::conv2d(norm(x[0], "first", 3, true), w("conv.weight", {4, 3, 3, 3}));
    const auto z = norm(at::relu(y), "second", 4, false);
    return {norm(at::linear(z.flatten(1), w("fc.weight", {3, 36})).relu(), "third", 3, true)};
  }));
  list.push_back(network("weights_shared_and_computed", {{3, 5, 5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto kernel = w("conv.weight", {3, 3, 3, 3});
    const auto y = at::conv2d(at::relu(at::conv2d(x[0], kernel, {}, 1, 1)), kernel, w("bias", {3}), 1, 1);
    return {y + at::conv2d(x[0], at::mul(kernel, w("factor", {3, 1, 1, 1})), {}, 1, 1)};
  }));
  return list;
}

}  // namespace battery
