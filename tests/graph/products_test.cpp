// Operands of products of two activations as sites.
#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/graph/capture.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/passes.hpp"
#include "halftone/quant/fake_quantize.hpp"
#include "tiny_model.hpp"

namespace {

using namespace halftone;

constexpr std::int64_t kHeads = 2;
constexpr std::int64_t kTokens = 5;
constexpr std::int64_t kWidth = 8;

struct Weights {
  at::Tensor qkv = tiny::random({3 * kWidth, kWidth}, 1);
  at::Tensor out = tiny::random({kWidth, kWidth}, 2);

  [[nodiscard]] std::vector<NamedTensor> all() const { return {{"qkv.weight", qkv}, {"out.weight", out}}; }
};

/// What attention is asked for beside queries, keys and values.
struct Form {
  std::optional<at::Tensor> mask{};
  bool causal = false;
  std::optional<double> scale{};
};

std::vector<at::Tensor> attend(const at::Tensor& x, const Weights& weights, const Form& form) {
  std::vector<at::Tensor> parts = at::linear(x, weights.qkv).chunk(3, -1);
  for (at::Tensor& part : parts) part = part.view({x.size(0), x.size(1), kHeads, kWidth / kHeads}).transpose(1, 2);
  const at::Tensor mixed =
      at::scaled_dot_product_attention(parts[0], parts[1], parts[2], form.mask, 0.0, form.causal, form.scale);
  return {at::linear(mixed.transpose(1, 2).flatten(2), weights.out)};
}

Model attention(const Form& form = {}) {
  const Weights weights;
  return prepare(capture([&](const std::vector<at::Tensor>& x) { return attend(x[0], weights, form); }, weights.all(),
                         {tiny::random({2, kTokens, kWidth}, 3)}));
}

}  // namespace

TEST_CASE("fused attention becomes two products whose operands are sites, where that is asked for") {
  const Model fused = attention();
  CHECK(fused.sites.size() == 2);
  const Model split = with_sites(fused, {.products = true});
  REQUIRE(split.sites.size() == 6);
  const std::vector<std::string> names{"qkv", "qkv/product.0", "qkv/product.1", "qkv/product.0#2", "qkv/product.1#2",
                                       "out"};
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(split.sites[i].name == names[i]);
  const std::int64_t macs = kTokens * kTokens * kWidth;  // of either product
  CHECK(split.sites[1].macs + split.sites[2].macs == macs);
  CHECK(split.sites[3].macs + split.sites[4].macs == macs);
  CHECK(split.sites[1].output_elements == kHeads * kTokens * kTokens);
  CHECK(split.sites[2].output_elements == 0);
  CHECK(split.sites[3].input_elements == kHeads * kTokens * kTokens);
  for (const std::size_t i : {1U, 2U, 3U, 4U}) {
    CHECK(split.sites[i].kind == SiteKind::Product);
    CHECK(split.sites[i].argument == (i - 1) % 2);
    CHECK_FALSE(split.sites[i].has_weight());
  }
}

TEST_CASE("split attention computes what fused attention does, whatever its mask and scale") {
  at::Tensor hidden = tiny::random({kTokens, kTokens}, 4) > 0;
  hidden[2].fill_(false);  // attends to nothing
  for (const Form& form :
       {Form{}, Form{.mask = tiny::random({1, 1, kTokens, kTokens}, 5)}, Form{.mask = hidden}, Form{.scale = 0.3}}) {
    const Model fused = attention(form);
    const Model split = with_sites(fused, {.products = true});
    CHECK(split.sites.size() == 6);
    for (const std::int64_t batch : {1, 3}) {
      const at::Tensor x = tiny::random({batch, kTokens, kWidth}, 6);
      const at::Tensor expected = Interpreter(fused).run({{x}})[0];
      CHECK(at::allclose(Interpreter(split).run({{x}})[0], expected, 1e-5, 1e-6));
      CHECK(at::allclose(expected, attend(x, {}, form)[0], 1e-5, 1e-6));
    }
  }
}

TEST_CASE("attention of any length is split for any length") {
  const Weights weights;
  CaptureOptions options;
  options.length_dimension = 1;
  const Model split =
      with_sites(prepare(capture([&](const std::vector<at::Tensor>& x) { return attend(x[0], weights, {}); },
                                 weights.all(), {tiny::random({2, kTokens, kWidth}, 3)}, options)),
                 {.products = true});
  CHECK(split.sites.size() == 6);
  for (const std::int64_t length : {2, 9}) {
    const at::Tensor x = tiny::random({2, length, kWidth}, 6);
    CHECK(at::allclose(Interpreter(split).run({{x}})[0], attend(x, weights, {})[0], 1e-5, 1e-6));
  }
}

TEST_CASE("causal attention stays fused") {
  const Model model = with_sites(attention({.causal = true}), {.products = true});
  CHECK(model.sites.size() == 2);
  CHECK(std::any_of(model.graph.nodes.begin(), model.graph.nodes.end(),
                    [](const Node& node) { return node.op == "aten::scaled_dot_product_attention"; }));
}

TEST_CASE("operands of products are quantized where a plan says so, and nowhere else") {
  const Model model = with_sites(attention(), {.products = true});
  const at::Tensor x = tiny::random({4, kTokens, kWidth}, 7);
  const Precision eight[] = {k8};
  const auto data = make_tensor_dataset("tokens", {x}, at::zeros({4}, at::kLong));
  const Calibration calibration = calibrate(model, *data, eight, {.batch_size = 4});
  Plan plan = Plan::uniform(model.sites.size(), k16);
  plan[3] = k8;  // probabilities
  Model cut = model;
  const Node& product = model.graph.nodes[model.sites[3].node];
  const ValueId shares = std::get<ValueRef>(product.arguments[0]).id;
  const ValueId values = std::get<ValueRef>(product.arguments[1]).id;
  cut.graph.outputs = {shares, values, product.outputs[0].ids[0]};
  QuantizedVisitor visitor(cut, calibration, plan);
  const auto outputs = Interpreter(cut).run({{x}}, &visitor);
  const auto p = params(calibration.sites[3].input.at(8), 8);
  const at::Tensor grid = ((outputs[0] / p.scale).round() + p.zero_point).clamp(0, p.qmax) - p.zero_point;
  const at::Tensor narrowed = outputs[1].to(at::kBFloat16).to(at::kFloat);  // 16 bits are bfloat16 here
  CHECK(at::allclose(outputs[2], at::matmul(grid * p.scale, narrowed), 1e-5, 1e-6));
}
