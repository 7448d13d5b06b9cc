#include "graph/fold_constants.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "catch.hpp"
#include "halftone/graph/capture.hpp"
#include "halftone/graph/interpreter.hpp"

using namespace halftone;

namespace {

std::size_t count(const Model& model, const std::string& op) {
  const auto& nodes = model.graph.nodes;
  return static_cast<std::size_t>(
      std::count_if(nodes.begin(), nodes.end(), [&](const Node& node) { return node.op == op; }));
}

}  // namespace

TEST_CASE("what every pass computes alike is computed once") {
  const at::Tensor table = at::linspace(0, 1, 3);
  const ForwardFn forward = [&](const std::vector<at::Tensor>& x) {
    const at::Tensor steps = at::arange(3, at::kFloat).mul(2);                  // the same in every pass
    const at::Tensor rows = at::arange(x[0].size(0), at::kFloat).unsqueeze(1);  // grows with the batch
    return std::vector<at::Tensor>{x[0] + steps + rows + table.exp()};          // a parameter may change
  };
  const Model model = capture(forward, {{"table", table}}, {at::rand({2, 3})});
  const Model folded = internal::fold_constants(model);
  CHECK(count(model, "aten::arange") == 2);
  CHECK(count(folded, "aten::arange") == 1);
  CHECK(count(folded, "aten::mul") == 0);
  CHECK(count(folded, "aten::exp") == 1);
  for (const std::int64_t batch : {1, 4}) {
    const at::Tensor x = at::rand({batch, 3});
    CHECK(at::equal(Interpreter(folded).run({{x}})[0], forward({x})[0]));
  }
}

TEST_CASE("graphs that write in place are not folded") {
  const ForwardFn forward = [](const std::vector<at::Tensor>& x) {
    at::Tensor y = at::zeros({3}) + x[0];
    y.select(1, 0).copy_(at::ones({1}).expand({y.size(0)}));
    return std::vector<at::Tensor>{y};
  };
  const Model model = capture(forward, {}, {at::rand({2, 3})});
  CHECK(internal::fold_constants(model).graph.nodes.size() == model.graph.nodes.size());
}
