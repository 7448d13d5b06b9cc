#include "halftone/evaluate/quantized_visitor.hpp"

#include <ATen/ATen.h>

#include <vector>

#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/quant/fake_quantize.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

const std::vector<Precision> kPrecisions{k16, k8, k4};

struct Fixture {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = tiny::images(8);
  Calibration calibration = calibrate(model, *data, kPrecisions);
  Plan plan{{k8, k4, k16, kW4A8, k4}};

  at::Tensor run(SiteVisitor* visitor) const { return Interpreter(model).run(data->range(0, 8).inputs, visitor)[0]; }

  [[nodiscard]] const at::Tensor& weight_of(std::size_t site) const {
    return model.tensors[static_cast<std::size_t>(model.sites[site].weight)];
  }

  /// Site `index`'s weight by the formulas, channel by channel.
  [[nodiscard]] at::Tensor weight(std::size_t index) const {
    const int bits = plan[index].weight_bits;
    at::Tensor weight = weight_of(index).detach();
    if (bits == 16) return weight.to(at::kBFloat16).to(at::kFloat);
    std::vector<at::Tensor> channels;
    for (std::int64_t c = 0; c < weight.size(0); ++c)
      channels.push_back(fake_quantize(
          weight[c],
          weight_params(calibration.sites[index].weight.at(bits).bounds[static_cast<std::size_t>(c)], bits)));
    return at::stack(channels);
  }

  [[nodiscard]] at::Tensor input(std::size_t index, const at::Tensor& x) const {
    const int bits = plan[index].activation_bits;
    if (bits == 16) return x.to(at::kBFloat16).to(at::kFloat);
    return fake_quantize(x, params(calibration.sites[index].input.at(bits), bits));
  }

  /// The residual net written out.
  [[nodiscard]] at::Tensor expected() const {
    const auto conv = [&](std::size_t i, const at::Tensor& x, std::int64_t padding) {
      return at::convolution(input(i, x), weight(i), {}, {1, 1}, {padding, padding}, {1, 1}, false, {0, 0}, 1);
    };
    const at::Tensor shared = conv(0, data->range(0, 8).inputs[0], 1).relu();
    const at::Tensor tail = conv(3, (conv(1, shared, 1) + conv(2, shared, 0)).relu(), 1);
    return at::linear(input(4, tail.flatten(1)), weight(4));
  }
};

}  // namespace

TEST_CASE("a plan's outputs are those of the network written out with fake quantization") {
  const Fixture f;
  QuantizedWeights weights(f.model, f.calibration);
  weights.prepare(f.plan);
  QuantizedVisitor visitor(f.model, f.calibration, f.plan, &weights);
  const at::Tensor expected = f.expected();
  CHECK(at::equal(f.run(&visitor), expected));
  CHECK(at::equal(f.run(&visitor), expected));
  QuantizedVisitor without_cache(f.model, f.calibration, f.plan);
  CHECK(at::equal(f.run(&without_cache), expected));
}

TEST_CASE("an activation is quantized once for the sites that read it at one width, then dropped") {
  const Fixture f;
  const at::Tensor x = tiny::random({2, 4, 6, 6}, 50);
  QuantizedVisitor together(f.model, f.calibration, Plan::uniform(5, k4));
  at::Tensor left = together.input(1, x);
  CHECK(together.input(2, x).is_same(left));
  CHECK(left.use_count() == 1);
  CHECK_FALSE(together.input(1, x).is_same(left));

  QuantizedVisitor apart(f.model, f.calibration, Plan{{k4, k4, k8, k4, k4}});
  left = apart.input(1, x);
  CHECK(left.use_count() == 1);
  CHECK_FALSE(at::equal(apart.input(2, x), left));
}

TEST_CASE("a pass after one that broke off does not see its activations") {
  const Fixture f;
  QuantizedVisitor visitor(f.model, f.calibration, Plan::uniform(5, k4));
  const at::Tensor first = tiny::random({2, 4, 6, 6}, 51);
  const at::Tensor second = tiny::random({2, 4, 6, 6}, 52);
  (void)visitor.input(1, first);
  const at::Tensor left = visitor.input(1, second);
  CHECK(at::equal(left, quantize_input(f.model.sites[1], f.calibration.sites[1], 4, second)));
  CHECK(visitor.input(2, second).is_same(left));
}

TEST_CASE("quantized weights are made once for every width") {
  const Fixture f;
  QuantizedWeights weights(f.model, f.calibration);
  weights.prepare(Plan::uniform(5, k8));
  const at::Tensor eight = weights.get(1, 8);
  const auto missing = failure([&] { (void)weights.get(1, 4); });
  CHECK(missing.code == Errc::Internal);
  CHECK(missing.text == "the weight of site \"left\" was not prepared at 4 bits");
  weights.prepare(Plan{{k8, k8, k4, kW4A8, k16}});
  CHECK(weights.get(1, 8).is_same(eight));
  CHECK(weights.get(3, 4).defined());
  CHECK_FALSE(weights.get(4, 16).requires_grad());
}

TEST_CASE("gradients pass straight through the quantized network to its weights") {
  Fixture f;
  for (const auto& site : f.model.sites) f.model.tensors[static_cast<std::size_t>(site.weight)].requires_grad_(true);
  QuantizedVisitor visitor(f.model, f.calibration, f.plan);
  f.run(&visitor).square().sum().backward();
  for (std::size_t i = 0; i < 5; ++i) {
    REQUIRE(f.weight_of(i).grad().defined());
    CHECK(f.weight_of(i).grad().abs().max().item<float>() > 0);
  }
  // The last site is linear in its weight: the gradient is that of the quantized weight, as no weight is clipped.
  QuantizedVisitor again(f.model, f.calibration, f.plan);
  at::Tensor head = f.weight(4).requires_grad_(true);
  struct Replace final : SiteVisitor {
    QuantizedVisitor& inner;
    const at::Tensor& head;
    Replace(QuantizedVisitor& visitor, const at::Tensor& weight) : inner(visitor), head(weight) {}
    at::Tensor input(std::size_t i, const at::Tensor& x) override { return inner.input(i, x); }
    at::Tensor weight(std::size_t i, const at::Tensor& w) override { return i == 4 ? head : inner.weight(i, w); }
  } replace(again, head);
  f.run(&replace).square().sum().backward();
  CHECK(at::allclose(head.grad(), f.weight_of(4).grad()));
}

TEST_CASE("plans and calibrations that do not fit are refused by site and width") {
  const Fixture f;
  const auto width = failure([&] { QuantizedVisitor(f.model, f.calibration, Plan{{k8, k4, {8, 6}, k8, k8}}); });
  CHECK(width.code == Errc::InvalidArgument);
  CHECK(width.text == "site \"right\" has no input range at 6 bits: calibrate with this width among the precisions");
  QuantizedWeights weights(f.model, f.calibration);
  CHECK(failure([&] {
          weights.prepare(Plan{{k8, k4, k8, {3, 8}, k8}});
        }).text == "site \"tail\" has no weight range at 3 bits: calibrate with this width among the precisions");
  CHECK(failure([&] { require_ranges(f.model, f.calibration, Plan::uniform(4, k8)); }).text ==
        "the plan has 4 precisions, the model 5 sites: they must be as many");
  CHECK(failure([&] { require_ranges(f.model, {}, Plan::uniform(5, k8)); }).text ==
        "the calibration has 0 sites, the model 5: calibrate this model");
}
