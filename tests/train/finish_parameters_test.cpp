// Gradients as the optimizer gets them, in float64, against finite differences of the function they are those of.
#include "train/finish_parameters.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "adjust/clean_batches.hpp"
#include "catch.hpp"
#include "squared_error.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using internal::CleanBatches;
using internal::DamageGradient;
using internal::FinishParameters;
using internal::RangeParameters;

namespace {

Model in_float64(Model model) {
  for (Value& value : model.graph.values) value.dtype = DType::Float64;
  return model;
}

/// x -> linear with bias -> relu -> linear with bias, all float64.
Model two_layers() {
  tiny::Builder build;
  const auto layer = [&](tiny::Builder::Id x, const std::string& name, std::int64_t out, std::int64_t in,
                         std::uint32_t seed) {
    const auto weight = build.parameter(name + ".weight", tiny::random({out, in}, seed).to(at::kDouble) * 0.6);
    const auto bias = build.parameter(name + ".bias", tiny::random({out}, seed + 1).to(at::kDouble) * 0.1);
    Shape shape = build.shape_of(x);
    shape.back() = {out, 0};
    return build.node("aten::linear", "", shape,
                      {tiny::Builder::ref(x), tiny::Builder::ref(weight), tiny::Builder::ref(bias)});
  };
  const auto x = build.input("input", {5});
  return in_float64(build.finish(layer(build.relu(layer(x, "first", 4, 5, 20)), "second", 3, 4, 22)));
}

/// A quantizer as gradients see it: what rounding adds is held, in steps inside of the range and as it is outside.
struct Straight {
  at::Tensor inside;
  at::Tensor above;
  at::Tensor below;
  at::Tensor residual;
  int steps;

  Straight(const at::Tensor& x, const at::Tensor& low, const at::Tensor& high, int levels)
      : inside(x.ge(low).logical_and(x.le(high)).to(at::kDouble)),
        above(x.gt(high).to(at::kDouble)),
        below(x.lt(low).to(at::kDouble)),
        steps(levels) {
    const at::Tensor scale = (high - low) / steps;
    const at::Tensor least = -at::round(-low / scale);
    const at::Tensor quantized = at::round(x / scale).maximum(least).minimum(least + steps) * scale;
    residual = inside * (quantized - x) / scale + above * (quantized - high) + below * (quantized - low);
  }
  [[nodiscard]] at::Tensor at(const at::Tensor& x, const at::Tensor& low, const at::Tensor& high) const {
    return inside * (x + residual * (high - low) / steps) + above * (high + residual) + below * (low + residual);
  }
};

/// All that moves: bounds of inputs (-low, high each), bounds of weights, and tensors.
struct Point {
  std::vector<double> bounds;
  std::vector<at::Tensor> tensors;  ///< weight and bias of the first layer, then of the second
};

struct Fixture {
  Model model = two_layers();
  at::Tensor x = tiny::random({9, 5}, 30).to(at::kDouble);
  std::unique_ptr<Dataset> data = make_tensor_dataset("x", {x}, {});
  Calibration calibration{
      {{.input = {{4, {.low = -0.83, .high = 0.77}}}, .weight = {{4, {.bounds = {0.5, 0.41, 0.55, 0.37}}}}},
       {.input = {{4, {.low = 0, .high = 0.61}}}, .weight = {{4, {.bounds = {0.44, 0.52, 0.39}}}}}}};
  Plan plan = Plan::uniform(2, k4);
  SquaredError task;
  RangeParameters ranges{model, calibration, plan, true, true};
  FinishParameters parameters{model, internal::trained_tensors(model, plan, false), ranges};
  std::vector<Straight> frozen{};  ///< input and weight of each layer, as at the start
  at::Tensor clean = forward(start(), false);

  [[nodiscard]] Point start() const {
    Point point{.bounds = ranges.start(), .tensors = {}};
    for (const ValueId id : parameters.ids())
      point.tensors.push_back(model.tensors[static_cast<std::size_t>(id)].clone());
    return point;
  }

  /// With `quantized`, through quantizers that the first such call freezes.
  at::Tensor forward(const Point& point, bool quantized) {
    std::size_t next = 0;
    const auto pass = [&](const at::Tensor& value, const at::Tensor& low, const at::Tensor& high, int levels) {
      if (!quantized) return value;
      if (frozen.size() == next) frozen.emplace_back(value, low, high, levels);
      return frozen[next++].at(value, low, high);
    };
    const auto number = [&](std::size_t at) { return at::scalar_tensor(point.bounds[at], at::kDouble); };
    at::Tensor h = x;
    std::size_t weight_bounds = 4;
    for (std::size_t layer = 0; layer < 2; ++layer) {
      const at::Tensor& weight = point.tensors[2 * layer];
      const auto rows = static_cast<std::size_t>(weight.size(0));
      const at::Tensor bound =
          at::tensor(at::ArrayRef<double>(point.bounds.data() + weight_bounds, rows), at::kDouble).unsqueeze(1);
      weight_bounds += rows;
      h = pass(h, -number(2 * layer), number(2 * layer + 1), 15);
      h = at::matmul(h, pass(weight, -bound, bound, 14).t()) + point.tensors[2 * layer + 1];
      if (layer == 0) h = at::relu(h);
    }
    return h;
  }
  double loss(const Point& point) { return (forward(point, true) - clean).square().sum().item<double>() / 9; }

  /// Slope of the loss along what `move` changes by its argument.
  double slope(const std::function<void(Point&, double)>& move) {
    constexpr double kStep = 1e-6;
    Point more = start();
    Point less = start();
    move(more, kStep);
    move(less, -kStep);
    return (loss(more) - loss(less)) / (2 * kStep);
  }
};

}  // namespace

TEST_CASE("gradients in weights, biases and logarithms of bounds are those of finite differences") {
  Fixture f;
  REQUIRE(f.parameters.ids().size() == 4);
  Model network = f.model;
  f.parameters.put_into(network);
  for (std::size_t id = 0; id < network.tensors.size(); ++id)
    if (network.tensors[id].defined()) REQUIRE(at::equal(network.tensors[id].detach(), f.model.tensors[id]));

  const Interpreter before(f.model);
  const Interpreter now(network);
  std::vector<std::int64_t> all(9);
  std::iota(all.begin(), all.end(), 0);
  CleanBatches batches(*f.data, all, 4);
  REQUIRE(batches.record({f.model, before, f.task}));
  const internal::Workplace place{network, now, f.task, 2};
  const DamageGradient gradient(place, f.calibration, f.plan, f.ranges, f.parameters.ids());
  const auto result = gradient.at(f.parameters.bounds(), batches, std::vector<std::size_t>{0, 1, 2});
  REQUIRE(result);
  CHECK(result->damage == Approx(f.loss(f.start())).epsilon(1e-9));
  constexpr double kFactor = 2;
  f.parameters.set_gradients(*result, kFactor);

  int moving = 0;
  for (std::size_t k = 0; k < 4; ++k) {
    const at::Tensor& parameter = f.parameters.tensors()[k];
    REQUIRE(parameter.grad().defined());
    const at::Tensor flat = parameter.grad().flatten();
    const double unit = (f.start().tensors[k] / parameter.detach()).flatten()[0].item<double>();
    for (std::int64_t i = 0; i < flat.numel(); ++i) {
      CAPTURE(k, i);
      const double expected = f.slope([&](Point& point, double step) { point.tensors[k].view(-1)[i] += step; });
      CHECK(flat[i].item<double>() == Approx(kFactor * unit * expected).epsilon(1e-6).margin(1e-9));
      moving += std::fabs(expected) > 1e-6 ? 1 : 0;
    }
  }
  CHECK(moving > 20);
  const at::Tensor logs = f.parameters.logs().grad();
  REQUIRE(logs.numel() == 3 + 7);  // one of the inputs begins at 0
  std::int64_t k = 0;
  for (std::size_t i = 0; i < f.ranges.start().size(); ++i) {
    if (f.ranges.start()[i] == 0) continue;
    CAPTURE(i);
    const double expected = f.slope([&](Point& point, double step) { point.bounds[i] *= std::exp(step); });
    CHECK(logs[k++].item<double>() == Approx(kFactor * expected).epsilon(1e-6).margin(1e-9));
  }
}

TEST_CASE("bounds begin where they were, exactly, and stay within a factor of it") {
  Fixture f;
  CHECK(f.parameters.bounds() == f.ranges.start());
  f.parameters.logs().detach().add_(at::tensor({50.0, -50.0}, at::kDouble).repeat({5}));
  f.parameters.clamp();
  const auto bounds = f.parameters.bounds();
  std::size_t moved = 0;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const double start = f.ranges.start()[i];
    if (start == 0)
      CHECK(bounds[i] == 0);
    else
      CHECK(bounds[i] == Approx(moved++ % 2 == 0 ? start * 16 : start / 16));
  }
}

TEST_CASE("a weight that two sites read is trained once, and its gradient is the sum of both") {
  tiny::Builder build;
  const auto x = build.input("input", {4});
  const auto weight = build.parameter("tied.weight", tiny::random({4, 4}, 40).to(at::kDouble));
  const Model model = in_float64(build.finish(build.linear(build.linear(x, weight), weight)));
  REQUIRE(model.sites.size() == 2);
  const auto data = make_tensor_dataset("x", {tiny::random({6, 4}, 41).to(at::kDouble)}, {});
  Calibration calibration;
  for (int site = 0; site < 2; ++site)
    calibration.sites.push_back({.input = {{8, {.low = -4, .high = 4}}}, .weight = {{8, {.bounds = {1, 1, 1, 1}}}}});
  const Plan plan = Plan::uniform(2, k8);
  const auto ids = internal::trained_tensors(model, plan, false);
  CHECK(ids.size() == 1);

  // Without quantization between, as the gradient goes straight through it all: that of the same two matrices.
  const RangeParameters ranges(model, calibration, plan, false, false);
  const FinishParameters parameters(model, ids, ranges);
  Model network = model;
  parameters.put_into(network);
  const Interpreter before(model);
  const Interpreter now(network);
  const SquaredError task;
  CleanBatches batches(*data, {0, 1, 2, 3, 4, 5}, 6);
  REQUIRE(batches.record({model, before, task}));
  const auto result =
      DamageGradient({network, now, task}, calibration, plan, ranges, ids).at({}, batches, std::vector<std::size_t>{0});
  const auto quantize = [&](const at::Tensor& t, double step) { return at::round(t / step).mul(step); };
  const auto rounded = [](double value) { return static_cast<double>(static_cast<float>(value)); };
  const at::Tensor w = quantize(model.tensors[static_cast<std::size_t>(ids[0])], rounded(1.0 / 127));
  const at::Tensor in = quantize(data->range(0, 6).inputs[0], rounded(8.0 / 255));
  const at::Tensor h = quantize(at::matmul(in, w.t()), rounded(8.0 / 255));
  const at::Tensor error = (at::matmul(h, w.t()) - batches.clean(0)[0]) * 2 / 6;
  const at::Tensor expected = at::matmul(error.t(), h) + at::matmul(at::matmul(error, w).t(), in);
  CHECK(at::allclose(result->trained[0], expected, 1e-6, 1e-9));
}
