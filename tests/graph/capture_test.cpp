#include "halftone/graph/capture.hpp"

#include "catch.hpp"
#include "failure.hpp"
#include "graph/networks.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/passes.hpp"
#include "models/cifar_resnet.hpp"
#include "temp_dir.hpp"

using namespace halftone;

namespace {

void require_same(const Model& model, const torch::Tensor& x, const torch::Tensor& expected) {
  const std::vector<at::Tensor> inputs{x};
  const auto actual = Interpreter(model).run(inputs);
  REQUIRE(actual.size() == 1);
  CHECK(torch::equal(actual[0], expected));
}

/// Captures at batch 1 and replays at others: bit for bit the module's own output.
template <class Network>
void check_module(Network& network, const std::vector<std::int64_t>& sample) {
  network.eval();
  auto sizes = sample;
  sizes.insert(sizes.begin(), 1);
  const Model model = capture(network, {torch::randn(sizes)});
  for (const std::int64_t batch : {1, 4, 7}) {
    sizes[0] = batch;
    const auto x = torch::randn(sizes);
    require_same(model, x, network.forward(x));
  }
}

/// The same network as a TorchScript file.
void check_script(const torch::nn::Module& network, const std::string& source,
                  const std::vector<std::int64_t>& sample) {
  const TempDir dir;
  const std::string path = (dir.path() / "net.pt").string();
  to_script(network, source).save(path);
  auto sizes = sample;
  sizes.insert(sizes.begin(), 1);
  const Model model = capture_torchscript(path, {torch::randn(sizes)});
  const torch::jit::GraphOptimizerEnabledGuard no_optimizer(false);
  auto module = torch::jit::load(path);
  for (const std::int64_t batch : {1, 4, 7}) {
    sizes[0] = batch;
    const auto x = torch::randn(sizes);
    require_same(model, x, module.forward({x}).toTensor());
  }
}

}  // namespace

TEST_CASE("a captured CIFAR ResNet replays bit for bit at any batch size") {
  torch::manual_seed(1);
  internal::CifarResNet network(1);
  randomize_batch_norm(network);
  check_module(network, {3, 32, 32});
  check_script(network, cifar_resnet_script(1), {3, 32, 32});
}

TEST_CASE("a captured net with concatenation and pooling replays bit for bit at any batch size") {
  torch::manual_seed(2);
  ConcatNet network;
  randomize_batch_norm(network);
  network.eval();
  check_module(network, {3, 16, 16});
  check_script(network, ConcatNet::script(), {3, 16, 16});
}

TEST_CASE("a captured transformer block replays bit for bit at any batch size") {
  torch::manual_seed(3);
  const bool fused = GENERATE(false, true);
  TransformerBlock network(fused);
  check_module(network, {6, 16});
  check_script(network, TransformerBlock::script(fused), {6, 16});
}

TEST_CASE("nn::MultiheadAttention is captured as single operators, not as one opaque one") {
  torch::manual_seed(4);
  struct Attention : torch::nn::Module {
    torch::nn::MultiheadAttention attention =
        register_module("attention", torch::nn::MultiheadAttention(torch::nn::MultiheadAttentionOptions(16, 4)));
    torch::Tensor forward(const torch::Tensor& x) {
      const auto y = x.transpose(0, 1);
      return std::get<0>(attention(y, y, y)).transpose(0, 1);
    }
  } network;
  check_module(network, {6, 16});
  CHECK(to_string(capture(network, {torch::randn({1, 6, 16})}).graph).find("_native_multi_head") == std::string::npos);
}

TEST_CASE("module and TorchScript give the same sites") {
  internal::CifarResNet network(3);
  network.eval();
  const TempDir dir;
  const std::string path = (dir.path() / "net.pt").string();
  to_script(network, cifar_resnet_script(3)).save(path);
  const Model from_module = prepare(capture(network, {torch::zeros({1, 3, 32, 32})}));
  const Model from_script = prepare(capture_torchscript(path, {torch::zeros({1, 3, 32, 32})}));
  REQUIRE(from_module.sites.size() == 20);
  REQUIRE(from_script.sites.size() == 20);
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK(from_module.sites[i].name == from_script.sites[i].name);
    CHECK(from_module.sites[i].macs == from_script.sites[i].macs);
  }
  CHECK(from_module.sites[0].name == "conv1");
  CHECK(from_module.sites[8].name == "layer2.0.conv2");
  CHECK(from_module.sites[19].name == "linear");
}

TEST_CASE("a network with two inputs and two outputs is captured") {
  struct Pair : torch::nn::Module {
    torch::nn::Linear linear = register_module("linear", torch::nn::Linear(4, 3));
    std::tuple<at::Tensor, at::Tensor> forward(const torch::Tensor& a, const torch::Tensor& b) {
      return {linear(a) + b, linear(a * 2)};
    }
  } network;
  network.eval();
  const Model model = capture(network, {torch::randn({2, 4}), torch::randn({2, 3})});
  const std::vector<at::Tensor> x{torch::randn({5, 4}), torch::randn({5, 3})};
  const auto [first, second] = network.forward(x[0], x[1]);
  const auto y = Interpreter(model).run(x);
  REQUIRE(y.size() == 2);
  CHECK(torch::equal(y[0], first));
  CHECK(torch::equal(y[1], second));
}

TEST_CASE("in-place operators become functional where nothing else sees the memory, and stay where something does") {
  struct InPlace : torch::nn::Module {
    torch::nn::Linear linear = register_module("linear", torch::nn::Linear(4, 4));
    torch::Tensor forward(const torch::Tensor& x) {
      auto y = linear(x).relu_().mul_(2);  // functional: nobody reads the value before
      auto z = y.clone();
      z.select(1, 0).zero_();  // stays: writes through a view that z is read behind
      return z + y;
    }
  } network;
  network.eval();
  const auto example = torch::randn({2, 4});
  const Model model = capture(network, {example});
  const std::string graph = to_string(model.graph);
  CHECK(graph.find("aten::relu(") != std::string::npos);
  CHECK(graph.find("aten::mul_") == std::string::npos);
  CHECK(graph.find("aten::zero_(") != std::string::npos);
  const auto x = torch::randn({6, 4});
  require_same(model, x, network.forward(x));
}

TEST_CASE("one value has one content: what is read after a write through a view has a name of its own") {
  struct WritesBetween : torch::nn::Module {
    torch::nn::Linear first = register_module("first", torch::nn::Linear(4, 4));
    torch::nn::Linear second = register_module("second", torch::nn::Linear(4, 4));
    torch::Tensor forward(const torch::Tensor& x) {
      const auto z = torch::relu(x);
      const auto a = first(z);
      z.select(1, 0).zero_();
      return a + second(z);
    }
  } network;
  network.eval();
  const Model model = capture(network, {torch::randn({2, 4})});
  const auto x = torch::randn({3, 4});
  require_same(model, x, network.forward(x));
  const Model prepared = prepare(model);
  REQUIRE(prepared.sites.size() == 2);
  CHECK(prepared.sites[0].input != prepared.sites[1].input);
}

TEST_CASE("indexing with positions, and copying into a buffer, are captured with their gradients") {
  struct Indexes : torch::nn::Module {
    torch::nn::Linear linear = register_module("linear", torch::nn::Linear(4, 4));
    torch::Tensor order = register_buffer("order", torch::tensor({3, 1, 0, 2}));
    torch::Tensor forward(const torch::Tensor& x) {
      const auto y = torch::zeros({x.size(0), 4});
      y.copy_(linear(x));
      return y.index({torch::indexing::Slice(), order});
    }
  } network;
  network.eval();
  const Model model = capture(network, {torch::randn({2, 4})});
  const auto x = torch::randn({3, 4}).requires_grad_(true);
  require_same(model, x, network.forward(x));
  const auto mine = torch::autograd::grad({Interpreter(model).run(std::vector<at::Tensor>{x})[0].square().sum()}, {x});
  const auto theirs = torch::autograd::grad({network.forward(x).square().sum()}, {x});
  CHECK(torch::equal(mine[0], theirs[0]));
}

TEST_CASE("an in-place operator on the input leaves the caller's tensor alone") {
  struct WritesInput : torch::nn::Module {
    torch::nn::Linear linear = register_module("linear", torch::nn::Linear(4, 4));
    torch::Tensor forward(torch::Tensor x) { return linear(x.mul_(2)); }
  } network;
  network.eval();
  const auto example = torch::ones({2, 4});
  const Model model = capture(network, {example});
  CHECK(torch::equal(example, torch::ones({2, 4})));
  const auto x = torch::randn({3, 4});
  const auto kept = x.clone();
  require_same(model, x, network.linear(kept * 2));
  CHECK(torch::equal(x, kept));
}

TEST_CASE("numbers that depend on the batch size are replaced, others are kept") {
  struct Reshaper : torch::nn::Module {
    torch::Tensor forward(const torch::Tensor& x) {
      const auto n = x.size(0);
      return x.reshape({n * 2, 3}).reshape({n, 6}) + torch::arange(6 * n).view({n, 6});
    }
  } network;
  network.eval();
  const Model model = capture(network, {torch::randn({1, 6})});
  const auto x = torch::randn({9, 6});
  require_same(model, x, network.forward(x));
}

TEST_CASE("the interpreter says what is wrong with an input") {
  torch::nn::LinearImpl network(4, 3);
  network.eval();
  const Model model = capture(network, {torch::randn({1, 4})});
  const Interpreter interpreter(model);
  const auto run = [&](const std::vector<at::Tensor>& inputs) {
    return [&, inputs] { (void)interpreter.run(inputs); };
  };
  CHECK_THAT(error_message(run({})), Catch::Contains("takes 1 inputs, got 0"));
  CHECK_THAT(error_message(run({torch::randn({2, 5})})),
             Catch::Contains("\"input\" is Float [2, 5]") && Catch::Contains("float32 [2, 4]"));
  CHECK_THAT(error_message(run({torch::ones({2, 4}, torch::kLong)})), Catch::Contains("Long"));
}

namespace {

/// Embeds tokens, adds positions and runs a transformer block: [n, tokens] to [n, tokens, 16].
struct TokenNet : torch::nn::Module {
  torch::nn::Embedding words = register_module("words", torch::nn::Embedding(11, 16));
  torch::nn::Embedding positions = register_module("positions", torch::nn::Embedding(40, 16));
  std::shared_ptr<TransformerBlock> block = register_module("block", std::make_shared<TransformerBlock>(true));
  torch::nn::Linear last = register_module("last", torch::nn::Linear(16, 3));

  torch::Tensor forward(const torch::Tensor& ids) {
    const auto x = words(ids) + positions->weight.slice(0, 0, ids.size(1));
    const auto tokens = block->forward(x).reshape({ids.size(0) * ids.size(1), 16});  // a size of B*L
    return last(tokens).view({ids.size(0), ids.size(1), 3});
  }
};

CaptureOptions with_lengths() {
  CaptureOptions options;
  options.length_dimension = 1;
  return options;
}

}  // namespace

TEST_CASE("with a length dimension the graph replays bit for bit at any batch size and length") {
  torch::manual_seed(5);
  TokenNet network;
  network.eval();
  const Model model = capture(network, {torch::arange(16).remainder(11).view({2, 8})}, with_lengths());
  CHECK(model.graph.length == 8);
  CHECK_THAT(to_string(model.graph), Catch::Contains("[B, L]") && Catch::Contains("B*L"));
  const Interpreter interpreter(model);
  for (const std::int64_t batch : {1, 4})
    for (const std::int64_t length : {1, 2, 8, 23}) {
      const std::vector<at::Tensor> ids{torch::randint(11, {batch, length}, torch::kLong)};
      CHECK(at::equal(interpreter.run(ids)[0], network.forward(ids[0])));
    }
}

TEST_CASE("a model of one length has no other, and the same numbers") {
  torch::manual_seed(6);
  TokenNet network;
  network.eval();
  const Model captured = capture(network, {torch::arange(16).remainder(11).view({2, 8})}, with_lengths());
  const Model open = prepare(captured);
  const Model fixed = prepare(capture(network, {torch::arange(16).remainder(11).view({2, 8})}));
  REQUIRE(open.sites.size() == fixed.sites.size());
  for (std::size_t i = 0; i < open.sites.size(); ++i) {
    CHECK(open.sites[i].name == fixed.sites[i].name);
    CHECK(open.sites[i].macs == fixed.sites[i].macs);
    CHECK((open.sites[i].input_shape == fixed.sites[i].input_shape));
  }
  CHECK(to_string(prepare(with_length(captured, 0)).graph) == to_string(fixed.graph));
  const Model five = with_length(open, 5);
  const std::vector<at::Tensor> ids{torch::randint(11, {3, 5}, torch::kLong)};
  CHECK(at::equal(Interpreter(five).run(ids)[0], Interpreter(open).run(ids)[0]));
  const std::vector<at::Tensor> longer{torch::randint(11, {3, 6}, torch::kLong)};
  CHECK_THAT(failure([&] { (void)Interpreter(five).run(longer); }).text,
             Catch::Contains("takes int64 [3, 5] at batch 3"));
  CHECK_THAT(failure([&] { (void)with_length(fixed, 5); }).text,
             Catch::Contains("no size of this network depends on one"));
}

TEST_CASE("what no graph of any length can hold is refused") {
  const auto halved = [](const std::vector<at::Tensor>& x) {
    return std::vector<at::Tensor>{x[0].slice(1, 0, x[0].size(1) / 2)};
  };
  const Failure refused = failure([&] { (void)capture(halved, {}, {torch::zeros({2, 8})}, with_lengths()); });
  CHECK(refused.code == Errc::Unsupported);
  CHECK_THAT(refused.text, Catch::Contains("inputs of shape [5, 4]"));
  const Failure uneven = failure([&] {
    (void)capture(halved, {}, {torch::zeros({2, 8}), torch::zeros({2, 7})}, with_lengths());
  });
  CHECK_THAT(uneven.text, Catch::Contains("[2, 8], [2, 7]: they must be equally long"));
  const Failure short_one = failure([&] { (void)capture(halved, {}, {torch::zeros({2, 2})}, with_lengths()); });
  CHECK_THAT(short_one.text, Catch::Contains("at least 3 long, is needed"));
}
