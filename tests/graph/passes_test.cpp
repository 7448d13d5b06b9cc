#include "halftone/graph/passes.hpp"

#include "catch.hpp"
#include "graph/networks.hpp"
#include "halftone/graph/capture.hpp"
#include "halftone/graph/interpreter.hpp"
#include "models/cifar_resnet.hpp"
#include "temp_dir.hpp"

using namespace halftone;

namespace {

at::Tensor run(const Model& model, const at::Tensor& x) {
  const std::vector<at::Tensor> inputs{x};
  return Interpreter(model).run(inputs)[0];
}

template <class Network>
Model check_prepare(Network& network, const std::vector<std::int64_t>& sample) {
  network.eval();
  auto sizes = sample;
  sizes.insert(sizes.begin(), 3);
  const auto x = torch::randn(sizes);
  const Model model = prepare(capture(network, {x}));
  CHECK(torch::allclose(run(model, x), network.forward(x), 1e-4, 1e-5));
  return model;
}

bool has(const Model& model, const std::string& op) {
  return to_string(model.graph).find(op + '(') != std::string::npos;
}

}  // namespace

TEST_CASE("preparing keeps the outputs and folds every batch norm of a residual net") {
  torch::manual_seed(1);
  internal::CifarResNet network(2);
  randomize_batch_norm(network);
  const Model model = check_prepare(network, {3, 32, 32});
  CHECK_FALSE(has(model, "aten::batch_norm"));
  CHECK(model.sites.size() == 14);
  CHECK(model.sites[1].macs == 16 * 32 * 32 * 16 * 9);
  CHECK((model.sites[1].weight_shape == std::vector<std::int64_t>{16, 16, 3, 3}));
}

TEST_CASE("every way to write a convolution becomes one operator") {
  struct Net : torch::nn::Module {
    torch::nn::Conv1d a =
        register_module("a", torch::nn::Conv1d(torch::nn::Conv1dOptions(4, 6, 3).padding(torch::kSame)));
    torch::nn::Conv2d b = register_module(
        "b", torch::nn::Conv2d(torch::nn::Conv2dOptions(6, 4, {1, 3}).stride({1, 2}).padding({0, 1}).dilation({1, 2})));
    torch::nn::ConvTranspose2d c = register_module(
        "c", torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(4, 5, 3).stride(2).output_padding(1)));
    torch::nn::BatchNorm2d norm = register_module("norm", torch::nn::BatchNorm2d(5));
    torch::Tensor forward(const torch::Tensor& x) { return norm(c(b(a(x).unsqueeze(2)))); }
  } network;
  randomize_batch_norm(network);
  const Model model = check_prepare(network, {4, 9});
  REQUIRE(model.sites.size() == 3);
  CHECK(model.sites[2].weight_channel_axis == 1);
  CHECK(model.sites[2].macs == 4 * 1 * 4 * 5 * 9);
  CHECK_FALSE(has(model, "aten::batch_norm"));
}

TEST_CASE("the convolution that tracing leaves behind becomes a site like any other") {
  const TempDir dir;
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3).padding(1).bias(false));
  conv->eval();
  const std::string path = (dir.path() / "net.pt").string();
  to_script(*conv,
            "def forward(self, x):\n"
            "    return torch._convolution(x, self.weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1,\n"
            "                              False, False, True, True)\n")
      .save(path);
  const Model model = prepare(capture_torchscript(path, {torch::zeros({1, 3, 5, 5})}));
  REQUIRE(model.sites.size() == 1);
  CHECK(model.sites[0].name == "weight");
  const auto x = torch::randn({2, 3, 5, 5});
  CHECK(torch::allclose(run(model, x), conv->forward(x), 1e-5, 1e-6));
}

TEST_CASE("single numbers of a convolution of any rank stand for all its dimensions") {
  const TempDir dir;
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3).stride(2).padding(1).bias(false));
  conv->eval();
  const std::string path = (dir.path() / "net.pt").string();
  to_script(*conv,
            "def forward(self, x):\n"
            "    return torch.convolution(x, self.weight, None, [2], [1], [1], False, [0], 1)\n")
      .save(path);
  const Model model = prepare(capture_torchscript(path, {torch::zeros({1, 3, 5, 5})}));
  REQUIRE(model.sites.size() == 1);
  const auto& arguments = model.graph.nodes[model.sites[0].node].arguments;
  using Ints = std::vector<SymInt>;
  CHECK((std::get<Ints>(arguments[3]) == Ints{{2}, {2}}));
  CHECK((std::get<Ints>(arguments[4]) == Ints{{1}, {1}}));
  CHECK((std::get<Ints>(arguments[5]) == Ints{{1}, {1}}));
  CHECK((std::get<Ints>(arguments[7]) == Ints{{0}, {0}}));
}

TEST_CASE("every way to write a product with a weight becomes aten::linear") {
  struct Net : torch::nn::Module {
    torch::nn::Linear a = register_module("a", torch::nn::Linear(4, 6));
    torch::nn::Linear b = register_module("b", torch::nn::Linear(torch::nn::LinearOptions(6, 5).bias(false)));
    torch::Tensor raw = register_parameter("raw", torch::randn({5, 3}));
    torch::Tensor bias = register_parameter("bias", torch::randn({3}));
    torch::Tensor forward(const torch::Tensor& x) {
      const auto y = b(a(x.unsqueeze(1))).squeeze(1);  // 3-D: t, matmul, add
      return torch::addmm(bias, y, raw) + torch::matmul(y, raw) + a(x).sum(1, true);
    }
  } network;
  const Model model = check_prepare(network, {4});
  CHECK_FALSE(has(model, "aten::addmm"));
  CHECK_FALSE(has(model, "aten::matmul"));
  REQUIRE(model.sites.size() == 5);
  std::map<std::string, std::vector<std::int64_t>> shapes;  // a sum's operands have no fixed order
  for (const auto& site : model.sites) shapes[site.name] = site.weight_shape;
  CHECK((shapes == std::map<std::string, std::vector<std::int64_t>>{
                       {"a", {6, 4}}, {"a#2", {6, 4}}, {"b", {5, 6}}, {"raw", {3, 5}}, {"raw#2", {3, 5}}}));
}

TEST_CASE("a batch norm is left alone where others read the convolution") {
  struct Net : torch::nn::Module {
    torch::nn::Conv2d conv = register_module("conv", torch::nn::Conv2d(3, 4, 1));
    torch::nn::BatchNorm2d first = register_module("first", torch::nn::BatchNorm2d(4));
    torch::nn::BatchNorm2d second = register_module("second", torch::nn::BatchNorm2d(4));
    bool shared = true;
    torch::Tensor forward(const torch::Tensor& x) {
      const auto y = conv(x);
      if (shared) return first(y) + y;
      const auto z = first(y);  // folds; then the second norm shares what it reads
      return second(z) * torch::relu(z);
    }
  } network;
  torch::manual_seed(2);
  for (auto& item : network.named_buffers())
    if (item.value().is_floating_point()) item.value().uniform_(0.5, 2.0);
  CHECK(has(check_prepare(network, {3, 5, 5}), "aten::batch_norm"));
  network.shared = false;
  CHECK(has(check_prepare(network, {3, 5, 5}), "aten::batch_norm"));
}

TEST_CASE("a batch norm folds where the convolution's bias is computed from parameters, and not where from the input") {
  struct Net : torch::nn::Module {
    torch::Tensor weight = register_parameter("weight", torch::randn({4, 3, 1, 1}));
    torch::Tensor bias = register_parameter("bias", torch::randn({4}));
    torch::nn::BatchNorm2d norm = register_module("norm", torch::nn::BatchNorm2d(4));
    torch::Tensor forward(const torch::Tensor& x) {
      return norm(torch::conv2d(x, weight, from_input ? bias * x.max() : bias * 2));
    }
    bool from_input = false;
  } network;
  CHECK_FALSE(has(check_prepare(network, {3, 5, 5}), "aten::batch_norm"));
  network.from_input = true;
  CHECK(has(check_prepare(network, {3, 5, 5}), "aten::batch_norm"));
}

TEST_CASE("dead code goes, and with it parameters that nothing needs") {
  struct Net : torch::nn::Module {
    torch::nn::Linear used = register_module("used", torch::nn::Linear(4, 2));
    torch::nn::Linear unused = register_module("unused", torch::nn::Linear(4, 2));
    torch::Tensor forward(const torch::Tensor& x) {
      (void)unused(x);
      return used(x);
    }
  } network;
  const Model model = check_prepare(network, {4});
  CHECK(model.sites.size() == 1);
  CHECK(to_string(model.graph).find("unused") == std::string::npos);
}

TEST_CASE("gradients through the interpreter equal central differences in float64") {
  torch::manual_seed(5);
  const int which = GENERATE(0, 1, 2);
  std::shared_ptr<torch::nn::Module> owner;
  Model model;
  at::Tensor x;
  const auto prepare_in_double = [&](auto network, std::vector<std::int64_t> sizes) {
    network->eval();
    randomize_batch_norm(*network);
    network->to(torch::kDouble);
    x = torch::randn(sizes, torch::kDouble);
    model = prepare(capture(*network, {x}));
    owner = network;
  };
  if (which == 0) prepare_in_double(std::make_shared<internal::CifarResNet>(1), {2, 3, 16, 16});
  if (which == 1) prepare_in_double(std::make_shared<ConcatNet>(), {2, 3, 16, 16});
  if (which == 2) prepare_in_double(std::make_shared<TransformerBlock>(false), {2, 6, 16});

  std::vector<at::Tensor> parameters;
  for (std::size_t id = 0; id < model.tensors.size(); ++id)
    if (model.graph.values[id].kind == ValueKind::Parameter && model.tensors[id].is_floating_point())
      parameters.push_back(model.tensors[id] = model.tensors[id].detach().clone().requires_grad_(true));
  const auto direction = torch::randn_like(run(model, x).detach());
  const auto loss = [&] { return (run(model, x) * direction).sum(); };
  const auto gradients = torch::autograd::grad({loss()}, parameters);

  const torch::NoGradGuard no_grad;
  constexpr double kStep = 1e-6;
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    auto flat = parameters[k].view({-1});
    const auto index = torch::randint(flat.numel(), {1}).item<std::int64_t>();
    const double kept = flat[index].item<double>();
    flat[index] = kept + kStep;
    const double above = loss().item<double>();
    flat[index] = kept - kStep;
    const double below = loss().item<double>();
    flat[index] = kept;
    const double expected = (above - below) / (2 * kStep);
    CHECK(gradients[k].view({-1})[index].item<double>() == Approx(expected).epsilon(1e-5).margin(1e-6));
  }
}
