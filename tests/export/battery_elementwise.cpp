#include <ATen/ATen.h>

#include "export/battery.hpp"

namespace battery {
namespace {

/// The site that every network needs.
at::Tensor site(const at::Tensor& x, const Weights& w) {
  return at::linear(x, w("fc.weight", {6, x.size(-1)}), w("fc.bias", {6}));
}

Network whole_numbers() {
  const auto numbers = at::arange(4 * kCalibrated).view({kCalibrated, 4}).remainder(9) - 4;
  return network_on("whole_numbers", {numbers}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto& n = x[0];
    const auto other = w("other", {4}, 3).to(at::kLong) * 2 + 1;
    return {site(n.to(at::kFloat), w),
            n * 2 - other,
            n / 3,
            at::div(n, 3, "floor"),
            at::div(n, other, "trunc"),
            at::floor_divide(n, 2),
            n + 0.5,
            at::clamp(n, -1.5, 2),
            at::sigmoid(n),
            at::abs(n),
            at::round(n),
            n > 0.5,
            n == other,
            n.ne(1),
            at::logical_and(n, other > 0),
            n.to(at::kInt).add(n, 3),
            at::where(n > 0, n, 0.25),
            at::cat({n, n * 0.5}, 1)};
  });
}

/// Quotients that are near whole numbers.
Network floor_division() {
  Network made = network("floor_division", {{5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = at::round(x[0] * 10);
    return {site(x[0], w),
            at::div(y, 0.1, "floor"),
            at::div(y, -0.3, "floor"),
            at::floor_divide(y, 0.7),
            at::div(y, w("divisors", {5}), "floor"),
            at::div(y, 0.1, "trunc")};
  });
  made.in_doubles = true;
  return made;
}

}  // namespace

std::vector<Network> elementwise() {
  std::vector<Network> list;
  list.push_back(network("activations", {{5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = site(x[0], w) * 3;
    return {at::relu(y),
            at::relu6(y * 3),
            at::hardtanh(y),
            at::hardtanh(y, -2, 0.5),
            at::silu(y),
            at::hardswish(y),
            at::hardsigmoid(y),
            at::gelu(y),
            at::gelu(y, "tanh"),
            at::leaky_relu(y),
            at::leaky_relu(y, 0.2),
            at::elu(y),
            at::elu(y, 0.7),
            at::selu(y),
            at::softplus(y),
            at::sigmoid(y),
            at::tanh(y),
            at::mish(y),
            at::prelu(y, w("slope", {1})),
            at::prelu(y.view({-1, 6, 1, 1}), w("slopes", {6})),
            at::clamp(y, std::nullopt, 1),
            at::clamp_min(y, 0.1),
            at::clamp_max(y, 0.3)};
  }));
  list.push_back(network("functions", {{5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = site(x[0], w);
    const auto positive = y.abs() + 0.1;
    return {at::exp(y),    at::log(positive),   at::sqrt(positive), at::rsqrt(positive), at::erf(y),
            at::sin(y),    at::cos(y),          at::neg(y),         at::square(y),       at::reciprocal(positive),
            at::sign(y),   at::floor(y * 3),    at::ceil(y * 3),    at::round(y * 3),    at::pow(y, 2),
            at::pow(2, y), at::pow(positive, y)};
  }));
  list.push_back(network("arithmetic", {{5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = site(x[0], w);
    const auto z = w("z", {6}) + 1.5;
    return {y + 1,
            at::add(y, z, 2),
            at::sub(y, z, 0.5),
            at::sub(y, 3, 2),
            at::rsub(y, 2, 3),
            at::rsub(y, z, 0.5),
            1 - y,
            y * z,
            y / 4,
            at::div(y * 7, z, "floor"),
            at::div(y * 7, z, "trunc"),
            at::maximum(y, z),
            at::minimum(y, z)};
  }));
  list.push_back(network("choices", {{5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = site(x[0], w);
    const auto z = w("z", {6});
    const auto mask = y > z;
    return {at::where(mask, y, z),
            at::where(y < 0, y, 0.0),
            at::where(mask.logical_not(), 1.0, y),
            at::masked_fill(y, mask, -3),
            at::masked_fill(y, at::bitwise_not(mask), w("filling", {})),
            at::logical_or(mask, y),
            at::bitwise_and(mask, y <= 0.5),
            at::bitwise_or(mask, y >= 0.5),
            y.eq(y),
            mask.to(at::kFloat),
            y.to(at::kLong),
            y.to(at::kDouble) * 2,
            at::dropout(y, 0.5, false)};
  }));
  list.push_back(whole_numbers());
  list.push_back(floor_division());
  return list;
}

}  // namespace battery
