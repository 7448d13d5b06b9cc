#include "halftone/quant/fake_quantize.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <vector>

#include "failure.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

/// All halves of grid steps, so that rounding meets ties everywhere, then values far outside.
at::Tensor ties(float scale) { return at::arange(-600, 600, at::kFloat) * (scale / 2); }

at::Tensor quantized_one_by_one(const at::Tensor& x, const QuantParams& params) {
  at::Tensor result = at::empty_like(x);
  const auto* const from = x.const_data_ptr<float>();
  for (std::int64_t i = 0; i < x.numel(); ++i) result.mutable_data_ptr<float>()[i] = fake_quantize(from[i], params);
  return result;
}

at::Tensor leaf(const at::Tensor& tensor) { return tensor.detach().clone().requires_grad_(true); }

at::Tensor number(double value) { return at::scalar_tensor(value, at::kDouble); }

/// Gradient of sum(weights * f()) with respect to `parameter`.
template <class Function>
at::Tensor gradient(const at::Tensor& parameter, const at::Tensor& weights, Function f) {
  (f() * weights).sum().backward();
  return parameter.grad();
}

}  // namespace

TEST_CASE("fake quantization equals its scalar form bit for bit, ties included") {
  for (const int bits : {2, 4, 8})
    for (const double low : {0.0, -0.3, -1.7, -5.0})
      for (const double high : {0.1, 1.0, 3.3}) {
        const QuantParams params = activation_params(low, high, bits);
        const at::Tensor x = at::cat({ties(params.scale), tiny::random({1000}, 7) * 4});
        CHECK(at::equal(fake_quantize(x, params), quantized_one_by_one(x, params)));
      }
  const QuantParams weight = weight_params(0.7, 4);
  CHECK(at::equal(fake_quantize(ties(weight.scale), weight), quantized_one_by_one(ties(weight.scale), weight)));
}

TEST_CASE("ties round to the even integer") {
  const at::Tensor x = at::tensor({-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5}, at::kFloat);
  const at::Tensor expected = at::tensor({-2, -2, 0, 0, 2, 2, 4}, at::kFloat);
  CHECK(at::equal(fake_quantize(x, {.scale = 1, .zero_point = 0, .qmin = -7, .qmax = 7}), expected));
}

TEST_CASE("NaN and infinities go through fake quantization as through its scalar form") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const at::Tensor x = at::tensor({kInfinity, -kInfinity, std::nanf("")}, at::kFloat);
  const at::Tensor y = fake_quantize(x, activation_params(-1, 1, 8));
  CHECK(y[0].item<float>() == fake_quantize(kInfinity, activation_params(-1, 1, 8)));
  CHECK(y[1].item<float>() == fake_quantize(-kInfinity, activation_params(-1, 1, 8)));
  CHECK(std::isnan(y[2].item<float>()));
}

TEST_CASE("bfloat16 and float16 are quantized in float32, float64 in float64") {
  const at::Tensor x = tiny::random({500}, 8) * 3;
  const QuantParams params = activation_params(-2, 2, 8);
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    const at::Tensor narrow = x.to(type);
    CHECK(at::equal(fake_quantize(narrow, params), fake_quantize(narrow.to(at::kFloat), params).to(type)));
  }
  const at::Tensor wide = fake_quantize(x.to(at::kDouble), params);
  CHECK(wide.scalar_type() == at::kDouble);
  CHECK(at::allclose(wide, fake_quantize(x, params).to(at::kDouble)));
}

TEST_CASE("fake quantization leaves its argument as it is and takes any layout") {
  const at::Tensor x = tiny::random({2, 3, 4, 5}, 9);
  const at::Tensor copy = x.clone();
  const at::Tensor turned = x.transpose(1, 3);
  const QuantParams params = activation_params(-0.5, 0.5, 4);
  CHECK(at::equal(fake_quantize(turned, params), fake_quantize(x, params).transpose(1, 3)));
  CHECK(at::equal(x, copy));
}

TEST_CASE("fake quantization by channel equals fake quantization of every channel") {
  const at::Tensor x = tiny::random({3, 4, 5}, 10);
  for (int axis = 0; axis < 3; ++axis) {
    std::vector<float> scales;
    for (std::int64_t c = 0; c < x.size(axis); ++c) scales.push_back(0.03F * static_cast<float>(c + 1));
    const at::Tensor y = fake_quantize_channels(x, at::tensor(at::ArrayRef<float>(scales)), 7, axis);
    for (std::int64_t c = 0; c < x.size(axis); ++c) {
      const QuantParams params{.scale = scales[static_cast<std::size_t>(c)], .zero_point = 0, .qmin = -7, .qmax = 7};
      CHECK(at::equal(y.select(axis, c), quantized_one_by_one(x.select(axis, c).contiguous(), params)));
    }
  }
}

TEST_CASE("fake quantization by channel refuses scales that do not fit") {
  const at::Tensor x = tiny::random({3, 4}, 11);
  const auto wrong = failure([&] { (void)fake_quantize_channels(x, at::ones({4}), 7, 0); });
  CHECK(wrong.code == Errc::InvalidArgument);
  CHECK(wrong.text == "fake quantization along dimension 0 of a tensor [3, 4] needs one value a channel, got [4]");
  CHECK(failure([&] { (void)fake_quantize_channels(x, at::ones({4}), 7, 2); }).code == Errc::InvalidArgument);
  CHECK(failure([&] { (void)fake_quantize(at::ones({2}, at::kLong), QuantParams{}); }).code == Errc::InvalidArgument);
}

TEST_CASE("the gradient is 1 where no clipping happened and 0 elsewhere") {
  const QuantParams params = activation_params(-1, 1, 4);
  const float lowest = static_cast<float>(params.qmin - params.zero_point) * params.scale;
  const float highest = static_cast<float>(params.qmax - params.zero_point) * params.scale;
  const at::Tensor x = leaf(at::linspace(-3, 3, 999));
  const at::Tensor weights = tiny::random({999}, 12);
  const at::Tensor got = gradient(x, weights, [&] { return fake_quantize(x, params); });
  const float half = params.scale / 2;
  CHECK(at::equal(got, weights * (x.gt(lowest - half) * x.lt(highest + half))));

  const at::Tensor w = leaf(at::linspace(-3, 3, 999).view({3, 333}));
  const at::Tensor scale = at::tensor({0.1F, 0.2F, 0.3F});
  const at::Tensor by_channel =
      gradient(w, weights.view({3, 333}), [&] { return fake_quantize_channels(w, scale, 7, 0); });
  CHECK(at::equal(by_channel, weights.view({3, 333}) * w.abs().lt(scale.unsqueeze(1) * 7.5)));
}

TEST_CASE("a narrow type passes its gradient too") {
  const at::Tensor x = leaf(at::tensor({-9.0F, 0.25F, 9.0F}).to(at::kBFloat16));
  fake_quantize(x, activation_params(-1, 1, 8)).sum().backward();
  CHECK(at::equal(x.grad(), at::tensor({0.0F, 1.0F, 0.0F}).to(at::kBFloat16)));
}

TEST_CASE("bfloat16 rounding passes the gradient unchanged") {
  const at::Tensor x = leaf(tiny::random({100}, 13));
  const at::Tensor weights = tiny::random({100}, 14);
  CHECK(at::equal(fake_bfloat16(x), x.detach().to(at::kBFloat16).to(at::kFloat)));
  CHECK(at::equal(gradient(x, weights, [&] { return fake_bfloat16(x); }), weights));
  const at::Tensor already = x.detach().to(at::kBFloat16);
  CHECK(fake_bfloat16(already).is_same(already));
}

TEST_CASE("no gradient is recorded without need") {
  const at::Tensor x = tiny::random({10}, 15);
  CHECK_FALSE(fake_quantize(x, QuantParams{}).requires_grad());
  const at::Tensor tracked = leaf(x);
  CHECK(fake_quantize(tracked, QuantParams{}).requires_grad());
  const at::NoGradGuard no_gradient;
  CHECK_FALSE(fake_quantize(tracked, QuantParams{}).requires_grad());
  CHECK_FALSE(fake_bfloat16(tracked).requires_grad());
  CHECK_FALSE(fake_quantize_symmetric(tracked, at::scalar_tensor(1.0F), 7).requires_grad());
}

TEST_CASE("with a range as tensors the values are those of its parameters") {
  const at::Tensor x = tiny::random({4, 50}, 16) * 2;
  const at::Tensor bound = at::tensor({0.5F, 0.9F, 1.3F, 1.7F});
  at::Tensor scale = at::empty({4});
  for (std::int64_t c = 0; c < 4; ++c) scale[c].fill_(weight_params(bound[c].item<float>(), 4).scale);
  CHECK(at::equal(fake_quantize_symmetric(x, bound, 7, 0), fake_quantize_channels(x, scale, 7, 0)));
  for (const float low : {0.0F, -0.4F, -1.9F})
    for (const int bits : {4, 8}) {
      const at::Tensor y = fake_quantize_affine(x, at::scalar_tensor(low), at::scalar_tensor(1.1F), bits);
      CHECK(at::equal(y, fake_quantize(x, activation_params(low, 1.1F, bits))));
    }
}

TEST_CASE("an empty range quantizes with scale 1 and gives finite gradients") {
  const at::Tensor x = leaf(at::tensor({0.0F, 0.0F}));
  const at::Tensor bound = leaf(at::scalar_tensor(0.0F));
  const at::Tensor y = fake_quantize_symmetric(x, bound, 7);
  y.sum().backward();
  CHECK(at::equal(y.detach(), at::zeros({2})));
  CHECK(bound.grad().isfinite().item<bool>());
}

TEST_CASE("the gradients of a symmetric range are those of the formula") {
  constexpr int kMost = 7;
  const at::Tensor x = leaf(tiny::random({3, 200}, 17).to(at::kDouble) * 2);
  const at::Tensor bound = leaf(at::tensor({0.5, 1.0, 1.5}, at::kDouble));
  const at::Tensor weights = tiny::random({3, 200}, 18).to(at::kDouble);
  (fake_quantize_symmetric(x, bound, kMost, 0) * weights).sum().backward();
  for (std::int64_t c = 0; c < 3; ++c) {
    double expected = 0;
    const double b = bound[c].item<double>();
    for (std::int64_t i = 0; i < 200; ++i) {
      const double value = x[c][i].item<double>();
      const double steps = value / (b / kMost);
      const double slope = value > b ? 1 : value < -b ? -1 : (std::nearbyint(steps) - steps) / kMost;
      expected += slope * weights[c][i].item<double>();
      CHECK(x.grad()[c][i].item<double>() == (std::abs(value) <= b ? weights[c][i].item<double>() : 0));
    }
    CHECK(bound.grad()[c].item<double>() == Approx(expected).epsilon(1e-9));
  }
}

TEST_CASE("the gradients of an affine range are those of the formula") {
  constexpr int kBits = 4;
  const double low = -0.6;
  const double high = 1.3;
  const at::Tensor x = leaf(tiny::random({300}, 19).to(at::kDouble) * 2);
  const at::Tensor low_leaf = leaf(number(low));
  const at::Tensor high_leaf = leaf(number(high));
  const at::Tensor weights = tiny::random({300}, 20).to(at::kDouble);
  (fake_quantize_affine(x, low_leaf, high_leaf, kBits) * weights).sum().backward();
  const double s = (high - low) / 15;
  const double z = std::nearbyint(-low / s);
  double by_low = 0;
  double by_high = 0;
  for (std::int64_t i = 0; i < 300; ++i) {
    const double value = x[i].item<double>();
    const double weight = weights[i].item<double>();
    const double slope = (std::min(std::max(std::nearbyint(value / s + z), 0.0), 15.0) - z - value / s) / 15;
    by_low += weight * (value < low ? 1 : value > high ? 0 : -slope);
    by_high += weight * (value > high ? 1 : value < low ? 0 : slope);
  }
  CHECK(low_leaf.grad().item<double>() == Approx(by_low).epsilon(1e-9));
  CHECK(high_leaf.grad().item<double>() == Approx(by_high).epsilon(1e-9));
}

TEST_CASE("outside the clip the range gradients are those of finite differences") {
  // A step of 1e-7 moves no value over a rounding edge; z = 4 exactly, and stays.
  const at::Tensor outside = at::tensor({-2.0, -1.5, 1.5, 4.0}, at::kDouble);
  const at::Tensor weights = at::tensor({0.3, -0.7, 1.1, 0.4}, at::kDouble);
  const auto loss = [&](double bound) {
    return (fake_quantize_symmetric(outside, number(bound), 7) * weights).sum().item<double>();
  };
  const at::Tensor bound = leaf(number(1.1));
  const at::Tensor got = gradient(bound, weights, [&] { return fake_quantize_symmetric(outside, bound, 7); });
  CHECK(got.item<double>() == Approx((loss(1.1 + 1e-7) - loss(1.1 - 1e-7)) / 2e-7).epsilon(1e-6));
}

TEST_CASE("inside the clip the range gradient is that of finite differences less the straight-through part") {
  // With the rounded integers held, Q = s q and dQ/dbound = q / qmax; the straight-through estimate of the rounding
  // adds d(x / s)/ds s = -x / (s qmax).
  const at::Tensor inside = at::tensor({-0.83, -0.31, 0.11, 0.52, 0.97}, at::kDouble);
  for (std::int64_t i = 0; i < inside.size(0); ++i) {
    const at::Tensor x = inside[i];
    const auto value = [&](double bound) { return fake_quantize_symmetric(x, number(bound), 7).item<double>(); };
    const double held = (value(1.1 + 1e-7) - value(1.1 - 1e-7)) / 2e-7;
    const at::Tensor bound = leaf(number(1.1));
    fake_quantize_symmetric(x, bound, 7).backward();
    CHECK(bound.grad().item<double>() == Approx(held - x.item<double>() / 1.1).epsilon(1e-6).margin(1e-9));
  }
}
