#include "catch.hpp"
#include "graph/networks.hpp"
#include "halftone/graph/capture.hpp"
#include "halftone/graph/interpreter.hpp"
#include "temp_dir.hpp"

using namespace halftone;

namespace {

at::Tensor twice(const at::Tensor& x) { return x * 2; }

/// A linear layer and then whatever `after` does.
struct Then : torch::nn::Module {
  explicit Then(std::function<at::Tensor(const at::Tensor&)> action) : after(std::move(action)) {}
  torch::nn::Linear linear = register_module("linear", torch::nn::Linear(4, 4));
  std::function<at::Tensor(const at::Tensor&)> after;
  torch::Tensor forward(const torch::Tensor& x) { return after(linear(x)); }
};

std::string refusal(std::function<at::Tensor(const at::Tensor&)> after, const CaptureOptions& options = {}) {
  Then network(std::move(after));
  network.eval();
  return error_message([&] { capture(network, {torch::randn({2, 4})}, options); });
}

}  // namespace

TORCH_LIBRARY(halftone_test, library) { library.def("twice(Tensor x) -> Tensor", &twice); }

TEST_CASE("training mode is refused, naming the module or the operator") {
  ConcatNet network;
  const auto x = torch::randn({2, 3, 16, 16});
  CHECK_THAT(error_message([&] { capture(network, {x}); }),
             Catch::Contains("training mode") && Catch::Contains("eval()"));
  network.eval();
  network.norm->train();
  CHECK_THAT(error_message([&] { capture(network, {x}); }), Catch::Contains("\"norm\""));
  CHECK_THAT(
      refusal([](const at::Tensor& y) { return at::dropout(y, 0.5, true); }),
      Catch::Contains("aten::dropout") && Catch::Contains("after \"linear\"") && Catch::Contains("training mode"));
}

TEST_CASE("control flow that depends on data is refused, naming the operator and the place") {
  const auto branch = [](const at::Tensor& y) { return y.sum().item<float>() > 0 ? y : -y; };
  CHECK_THAT(refusal(branch), Catch::Contains("aten::item") && Catch::Contains("after \"linear\"") &&
                                  Catch::Contains("depends on the data"));
  CHECK_THAT(refusal([](const at::Tensor& y) { return at::equal(y, y * 2) ? y : -y; }), Catch::Contains("aten::equal"));
  CHECK_THAT(refusal([](const at::Tensor& y) { return y.masked_select(y > 0); }),
             Catch::Contains("aten::masked_select") && Catch::Contains("shape"));
}

TEST_CASE("control flow on data in TorchScript is refused") {
  const TempDir dir;
  const std::string path = (dir.path() / "net.pt").string();
  torch::jit::Module module("net");
  module.define("def forward(self, x):\n    if bool(x.sum() > 0):\n        return x * 2\n    return x\n");
  module.eval();
  module.save(path);
  CHECK_THAT(error_message([&] {
               capture_torchscript(path, {torch::ones({1, 3})});
             }),
             Catch::Contains("depends on the data"));
}

TEST_CASE("an operator that Halftone does not know is refused, unless its namespace is vouched for") {
  const auto custom = [](const at::Tensor& y) {
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("halftone_test::twice", "")
                               .typed<at::Tensor(const at::Tensor&)>();
    return op.call(y);
  };
  CHECK_THAT(refusal(custom), Catch::Contains("halftone_test::twice") && Catch::Contains("namespaces"));
  Then network(custom);
  network.eval();
  const Model model = capture(network, {torch::randn({2, 4})}, {.namespaces = {"aten", "halftone_test"}});
  const std::vector<at::Tensor> x{torch::randn({3, 4})};
  CHECK(torch::equal(Interpreter(model).run(x)[0], network.forward(x[0])));
}

TEST_CASE("what differs from run to run is refused") {
  CHECK_THAT(refusal([](const at::Tensor& y) { return y + at::rand_like(y); }),
             Catch::Contains("aten::rand_like") && Catch::Contains("random"));
  int calls = 0;
  CHECK_THAT(refusal([&](const at::Tensor& y) { return y * ++calls; }),
             Catch::Contains("does not reproduce") || Catch::Contains("batch"));
}

TEST_CASE("content that is read outside operators shows, whatever the example holds") {
  const auto peek = [](const at::Tensor& y) { return y * static_cast<double>(y.data_ptr<float>()[0]); };
  CHECK_THAT(refusal(peek), Catch::Contains("does not reproduce"));
  const TempDir dir;
  const std::string path = (dir.path() / "net.pt").string();
  torch::jit::Module module("net");
  module.define("def forward(self, x):\n    v: List[float] = x.flatten().tolist()\n    return x * v[0]\n");
  module.eval();
  module.save(path);
  CHECK_THAT(error_message([&] {
               capture_torchscript(path, {torch::zeros({1, 3})});
             }),
             Catch::Contains("does not reproduce"));
}

TEST_CASE("sizes that do not grow linearly with the batch are refused, naming the batch") {
  CHECK_THAT(refusal([](const at::Tensor& y) { return at::matmul(y, y.t()).reshape({y.size(0) * y.size(0)}); }),
             Catch::Contains("for inputs of shape") && Catch::Contains("not linear"));
}

TEST_CASE("writes that a graph cannot hold are refused") {
  CHECK_THAT(refusal([](const at::Tensor& y) {
               std::vector<at::Tensor> list{y};
               at::_foreach_mul_(list, 2);
               return y;
             }),
             Catch::Contains("aten::_foreach_mul_") && Catch::Contains("returns none"));
  struct WritesInput : torch::nn::Module {
    torch::Tensor forward(torch::Tensor x) {
      x.unsqueeze(1).select(1, 0).zero_();
      return x * 2;
    }
  } network;
  network.eval();
  CHECK_THAT(error_message([&] {
               capture(network, {torch::ones({2, 4})});
             }),
             Catch::Contains("aten::zero_") && Catch::Contains("the network's input"));
}

TEST_CASE("a network that changes with the batch size is refused, and captured when its size is fixed") {
  const auto changes = [](const at::Tensor& y) { return y.size(0) > 2 ? at::relu(y) : at::tanh(y); };
  CHECK_THAT(refusal(changes),
             Catch::Contains("aten::tanh") && Catch::Contains("aten::relu") && Catch::Contains("dynamic_batch"));
  Then network(changes);
  network.eval();
  const Model model = capture(network, {torch::randn({2, 4})}, {.dynamic_batch = false});
  const std::vector<at::Tensor> x{torch::randn({2, 4})};
  CHECK(torch::equal(Interpreter(model).run(x)[0], network.forward(x[0])));
}

TEST_CASE("a network that writes to its parameters is refused") {
  const at::Tensor counter = torch::zeros({1});
  CHECK_THAT(refusal([&](const at::Tensor& y) { return y + counter.add_(1); }),
             Catch::Contains("aten::add_") && Catch::Contains("in place"));
}

TEST_CASE("TorchScript that fails on a shape says so in one line, with the shape") {
  const TempDir dir;
  const std::string path = (dir.path() / "net.pt").string();
  torch::jit::Module module("net");
  module.register_parameter("weight", torch::ones({4, 3}), false);
  module.define("def forward(self, x):\n    return torch.matmul(x, self.weight)\n");
  module.eval();
  module.save(path);
  const std::string text = error_message([&] { capture_torchscript(path, {torch::ones({1, 5})}); });
  CHECK_THAT(text, Catch::Contains("for inputs of shape [2, 5]") && Catch::Contains("cannot be multiplied") &&
                       Catch::Contains("--input"));
  CHECK_THAT(text, !Catch::Contains("\n") && !Catch::Contains("Traceback"));
}

TEST_CASE("files and inputs that cannot be captured are errors") {
  CHECK_THAT(error_message([] { capture_torchscript("no/such.pt", {torch::ones({1})}); }),
             Catch::Contains("no file \"no/such.pt\""));
  const TempDir dir;
  const auto path = (dir.path() / "bad.pt").string();
  std::ofstream(path) << "not a zip";
  CHECK_THAT(error_message([&] { capture_torchscript(path, {torch::ones({1})}); }),
             Catch::Contains("not a TorchScript"));
  torch::nn::LinearImpl network(4, 3);
  network.eval();
  CHECK_THAT(error_message([&] { capture(network, {}); }), Catch::Contains("at least one example input"));
  CHECK_THAT(error_message([&] { capture(network, {torch::ones({0, 4})}); }), Catch::Contains("batch"));
  CHECK_THAT(error_message([&] { capture(network, {torch::ones({2, 5})}); }), Catch::Contains("forward pass failed"));
}
