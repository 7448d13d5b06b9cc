#include <ATen/ATen.h>

#include "export/battery.hpp"

namespace battery {
namespace {

/// The site that every network needs.
at::Tensor site(const at::Tensor& x, const Weights& w) {
  return at::linear(x, w("fc.weight", {6, x.size(-1)}), w("fc.bias", {6}));
}

}  // namespace

std::vector<Network> shapes() {
  std::vector<Network> list;
  list.push_back(network("parts", {{4, 5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = site(x[0], w);
    const auto thirds = y.chunk(4, 2);  // of 2, 2, 2
    const auto uneven = y.split(4, 2);
    const auto sized = y.split_with_sizes({1, 3}, 1);
    const auto rows = y.unbind(1);
    return {at::cat({thirds[2], uneven[0], x[0]}, -1),
            at::stack({rows[0], rows[3], rows[1]}, 1),
            at::stack({rows[2], rows[1]}, -1),
            sized[1],
            y.slice(2, 1, 5, 2),
            y.slice(1, -3, -1),
            y.narrow(1, -3, 2),
            y.select(1, -1),
            y.select(2, 0),
            rows[2] * 2};
  }));
  list.push_back(network("views", {{4, 5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = site(x[0], w);
    const std::int64_t n = y.size(0);
    const auto flat = y.view({n * 4, 6});
    return {flat,
            at::tanh(flat).reshape({n, 2, 12}),
            y.view({n, -1}),
            y.flatten(1).unflatten(1, {3, 8}),
            y.permute({0, 2, 1}),
            y.permute({-1, 0, 1}),
            y.transpose(0, 1).reshape({4, n * 6}),
            y.transpose(-2, -1).contiguous().view({n, 3, 2, 4}),
            y.unsqueeze(1).squeeze(1),
            y.unsqueeze(-1).squeeze(),
            y.view({n, 1, 4, 6}).expand({-1, 3, -1, 6}),
            y.select(1, 0).unsqueeze(1).expand_as(y),
            flat.t()};
  }));
  list.push_back(network("paddings", {{3, 5, 5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = site(x[0], w);
    return {at::constant_pad_nd(y, {1, 2, 0, 1}, -2),   at::constant_pad_nd(y, {-1, 2}),
            at::pad(y, {2, 1}, "constant", 0.5),        at::pad(y, {2, 1, 1, 0}, "reflect"),
            at::pad(y, {2, 1, 1, 3}, "replicate"),      at::reflection_pad2d(y, {1, 2, 0, 1}),
            at::replication_pad1d(y.flatten(2), {3, 1})};
  }));
  list.push_back(network("outputs", {{4}, {2}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = site(x[0], w);
    return {y, x[0], y, y.view({-1, 3, 2}), w("kept", {2, 3}), at::relu(y)};
  }));
  list.push_back(network("constants", {{4}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = site(x[0], w);
    return {y + at::ones({6}) + at::full({6}, 0.5), at::where(y > 0, at::zeros({6}), y)};
  }));
  list.push_back(network("constants_of_batch", {{4}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = site(x[0], w);
    return {y + at::ones_like(y), at::cat({w("token", {1, 3}).expand({y.size(0), -1}), y}, 1),
            at::full({y.size(0), 2}, 3) * x[0].slice(1, 0, 2), y.new_zeros({y.size(0), 2})};
  }));
  list.back().fixed_batch_only = true;
  return list;
}

}  // namespace battery
