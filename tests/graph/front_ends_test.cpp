// One network as a torch::nn module, traced and scripted TorchScript, and an exported program: the same sites, numbers
// and plans. The files come from tests/pt2/export_front_ends.py.
#include <torch/torch.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "data/entry_tensor.hpp"
#include "halftone/data/safetensors.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/passes.hpp"
#include "halftone/graph/pt2.hpp"
#include "halftone/quantize.hpp"
#include "models/cifar_resnet.hpp"
#include "models/weights.hpp"
#include "squared_error.hpp"

using namespace halftone;
namespace nn = torch::nn;

namespace {

using Tensors = std::vector<at::Tensor>;

constexpr double kBudget = 2e-4;  ///< squared error: some sites fit at 4 bits, others not

std::string file(const std::string& name) { return HALFTONE_PT2_CASES "/" + name; }

struct Mobile : nn::Module {
  nn::Conv2d stem = register_module("stem", nn::Conv2d(nn::Conv2dOptions(3, 8, 3).stride(2).padding(1).bias(false)));
  nn::BatchNorm2d stem_bn = register_module("stem_bn", nn::BatchNorm2d(8));
  nn::Conv2d depthwise =
      register_module("depthwise", nn::Conv2d(nn::Conv2dOptions(8, 8, 3).padding(1).groups(8).bias(false)));
  nn::BatchNorm2d depthwise_bn = register_module("depthwise_bn", nn::BatchNorm2d(8));
  nn::Conv2d squeeze = register_module("squeeze", nn::Conv2d(nn::Conv2dOptions(8, 4, 1)));
  nn::Conv2d excite = register_module("excite", nn::Conv2d(nn::Conv2dOptions(4, 8, 1)));
  nn::Conv2d project = register_module("project", nn::Conv2d(nn::Conv2dOptions(8, 8, 1)));
  nn::Linear fc = register_module("fc", nn::Linear(8, 5));

  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor x = at::hardtanh(stem_bn(stem(input)), 0, 6);
    const at::Tensor y = at::hardswish(depthwise_bn(depthwise(x)));
    const at::Tensor gate = at::hardsigmoid(excite(at::relu(squeeze(y.mean({2, 3}, /*keepdim=*/true)))));
    return fc(at::silu(x + project(y * gate)).mean({2, 3}));
  }
};

struct Encoder : nn::Module {
  nn::Embedding words = register_module("words", nn::Embedding(20, 16));
  nn::Embedding positions = register_module("positions", nn::Embedding(32, 16));
  nn::Linear query = register_module("query", nn::Linear(16, 16));
  nn::Linear key = register_module("key", nn::Linear(16, 16));
  nn::Linear value = register_module("value", nn::Linear(16, 16));
  nn::Linear proj = register_module("proj", nn::Linear(16, 16));
  nn::LayerNorm norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({16})));
  nn::Linear fc1 = register_module("fc1", nn::Linear(16, 32));
  nn::Linear fc2 = register_module("fc2", nn::Linear(32, 16));

  at::Tensor forward(const at::Tensor& ids, const at::Tensor& attended) {
    const auto heads = [](const at::Tensor& x) { return x.view({x.size(0), x.size(1), 4, 4}).transpose(1, 2); };
    at::Tensor x = words(ids) + positions(at::arange(ids.size(1)));
    const at::Tensor mask = attended.to(at::kBool).unsqueeze(1).unsqueeze(2);
    const at::Tensor q = heads(query(x));
    const at::Tensor k = heads(key(x));
    const at::Tensor v = heads(value(x));
    const at::Tensor y = at::scaled_dot_product_attention(q, k, v, mask);
    x = norm(x + proj(y.transpose(1, 2).flatten(2)));
    x = x + fc2(at::gelu(fc1(x)));
    const at::Tensor weight = attended.to(at::kFloat).unsqueeze(2);
    return (x * weight).sum(1) / weight.sum(1);
  }
};

struct Multihead : nn::Module {
  nn::MultiheadAttention attention = register_module("attention", nn::MultiheadAttention(16, 4));
  nn::Linear fc = register_module("fc", nn::Linear(16, 6));

  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor x = input.transpose(0, 1);
    const at::Tensor y = std::get<0>(attention->forward(x, x, x, /*key_padding_mask=*/{}, /*need_weights=*/false));
    return fc((x + y).transpose(0, 1));
  }
};

/// The state dict of a network, its inputs and the outputs that Python computed from them.
struct Reference {
  std::string name;
  SafetensorsFile content{file(name + ".safetensors")};

  [[nodiscard]] at::Tensor tensor(const std::string& key) const {
    const auto* entry = content.find(key);
    return entry == nullptr ? at::Tensor() : internal::to_tensor(*entry).clone();
  }
  [[nodiscard]] Tensors inputs() const {
    Tensors tensors;
    for (int i = 0; tensor(message("input.", i)).defined(); ++i) tensors.push_back(tensor(message("input.", i)));
    return tensors;
  }
};

template <class Network>
Model from_module(Network&& network, const Reference& reference, const CaptureOptions& options) {
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor, is_buffer] : named_tensors(network)) {
    INFO(name);
    REQUIRE(reference.tensor(name).defined());
    tensor.copy_(reference.tensor(name));
  }
  network.eval();
  const at::AutoGradMode with_gradients(true);
  return capture(network, reference.inputs(), options);
}

struct Form {
  std::string name;
  Model model;  ///< prepared
};

/// Every form of one network; the torch::nn module first.
template <class Network>
std::vector<Form> forms(Network&& network, const Reference& reference, std::optional<std::int64_t> length = {}) {
  CaptureOptions options;
  options.length_dimension = length;
  std::vector<Form> list{{"module", prepare(from_module(network, reference, options))}};
  for (const char* form : {".traced.pt", ".scripted.pt"})
    if (const auto path = file(reference.name + form); std::filesystem::exists(path))
      list.push_back({form, prepare(capture_torchscript(path, reference.inputs(), options))});
  list.push_back({".pt2", prepare(capture_pt2(file(reference.name + ".pt2")))});
  return list;
}

void check_same_sites(const std::vector<Site>& sites, const std::vector<Site>& expected) {
  REQUIRE(sites.size() == expected.size());
  for (std::size_t i = 0; i < sites.size(); ++i) {
    CHECK(sites[i].name == expected[i].name);
    CHECK(sites[i].kind == expected[i].kind);
    CHECK(sites[i].macs == expected[i].macs);
    CHECK(sites[i].weight_shape == expected[i].weight_shape);
    CHECK(sites[i].input_elements == expected[i].input_elements);
    CHECK(sites[i].output_elements == expected[i].output_elements);
  }
}

RunResult quantized(const Model& model, const Tensors& inputs) {
  const auto data = make_tensor_dataset("inputs", inputs, at::zeros({inputs[0].size(0)}, at::kLong));
  QuantizeOptions options;
  options.gates = {{.kind = GateKind::Damage, .budget = kBudget}};
  options.batch_size = inputs[0].size(0);
  options.threads = 1;
  QuantizeParts parts;
  parts.task = std::make_shared<SquaredError>();
  return quantize(model, {*data, *data}, options, parts);
}

void check_forms(const std::vector<Form>& forms, const Reference& reference) {
  const Tensors inputs = reference.inputs();
  std::optional<RunResult> first;
  for (const auto& [name, model] : forms) {
    INFO(reference.name << " as " << name);
    CHECK(at::allclose(Interpreter(model).run(inputs)[0], reference.tensor("output"), 1e-5, 1e-5));
    check_same_sites(model.sites, forms[0].model.sites);
    CHECK(model.graph.length == forms[0].model.graph.length);
    const RunResult result = quantized(model, inputs);
    if (!first) first = result;
    CHECK(result.plan == first->plan);
    CHECK(result.steps.size() == first->steps.size());
  }
  CHECK(first->plan != Plan::uniform(first->plan.size(), k16));
  CHECK(first->plan != Plan::uniform(first->plan.size(), k4));
}

}  // namespace

TEST_CASE("a residual network is the same in every form") {
  const Reference reference{"cifar_resnet8"};
  const auto list = forms(internal::CifarResNet(1), reference);
  REQUIRE(list.size() == 4);
  CHECK(list[0].model.sites.size() == 8);
  check_forms(list, reference);
}

TEST_CASE("a mobile network is the same in every form") {
  const Reference reference{"mobile"};
  check_forms(forms(Mobile(), reference), reference);
}

TEST_CASE("an encoder of token ids is the same in every form, at every length") {
  const Reference reference{"encoder"};
  const auto list = forms(Encoder(), reference, 1);
  REQUIRE(list.size() == 4);
  CHECK(list[0].model.graph.length == 7);
  check_forms(list, reference);
  const Tensors longer{at::arange(26).remainder(20).view({2, 13}), at::ones({2, 13}, at::kLong)};
  const at::Tensor expected = Interpreter(list[0].model).run(longer)[0];
  for (const auto& [name, model] : list) {
    INFO(name);
    CHECK(at::allclose(Interpreter(model).run(longer)[0], expected, 1e-5, 1e-5));
    CHECK(with_sites(model, {.products = true}).sites.size() == model.sites.size() + 4);
  }
}

TEST_CASE("multi-head attention is the same in every form") {
  const Reference reference{"multihead"};
  const auto list = forms(Multihead(), reference);
  REQUIRE(list.size() == 3);
  CHECK(list[0].model.sites.size() == 3);
  check_forms(list, reference);
}
