#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>

#include "catch.hpp"
#include "halftone/graph/interpreter.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

/// Remembers which calls it made.
class Recording final : public Caller {
 public:
  void call(std::size_t index, const c10::OperatorHandle& op, std::vector<c10::IValue>& stack) override {
    nodes.push_back(index);
    op.callBoxed(stack);
  }
  std::vector<std::size_t> nodes;
};

class Doubling final : public SiteVisitor {
 public:
  at::Tensor input(std::size_t, const at::Tensor& activation) override { return activation * 2; }
};

}  // namespace

TEST_CASE("a caller makes the calls of a pass in the order of nodes, on what visitors replaced") {
  const at::NoGradGuard no_gradient;
  const Model model = tiny::residual_net();
  const Interpreter interpreter(model);
  const std::vector<at::Tensor> inputs{tiny::random({3, 2, 6, 6}, 9)};
  Recording caller;
  CHECK(at::equal(interpreter.run(inputs, {3}, caller)[0], interpreter.run(inputs)[0]));
  REQUIRE(caller.nodes.size() == model.graph.nodes.size());
  for (std::size_t i = 0; i < caller.nodes.size(); ++i) CHECK(caller.nodes[i] == i);
  Doubling here;
  Doubling there;
  CHECK(at::equal(interpreter.run(inputs, {3}, caller, &here)[0], interpreter.run(inputs, &there)[0]));
}

TEST_CASE("a caller may compute other things: its results are what later nodes read") {
  class Zeros final : public Caller {
   public:
    void call(std::size_t index, const c10::OperatorHandle& op, std::vector<c10::IValue>& stack) override {
      op.callBoxed(stack);
      if (index == 0) stack[0] = at::zeros_like(stack[0].toTensor());
    }
  };
  const at::NoGradGuard no_gradient;
  const Model model = tiny::residual_net();
  const std::vector<at::Tensor> inputs{tiny::random({1, 2, 6, 6}, 9)};
  Zeros caller;
  CHECK(Interpreter(model).run(inputs, {1}, caller)[0].count_nonzero().item<std::int64_t>() == 0);
}

TEST_CASE("a caller's pass wants as many inputs as the graph has") {
  const Model model = tiny::residual_net();
  Recording caller;
  CHECK_THAT(error_message([&] { (void)Interpreter(model).run({}, {1}, caller); }),
             Catch::Contains("takes 1 inputs, got 0"));
}
