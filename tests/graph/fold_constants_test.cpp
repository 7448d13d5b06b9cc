#include "graph/fold_constants.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "catch.hpp"
#include "halftone/graph/capture.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/passes.hpp"

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
    return std::vector<at::Tensor>{x[0] + steps + rows + table.exp()};          // nothing but a parameter
  };
  const Model model = capture(forward, {{"table", table}}, {at::rand({2, 3})});
  const Model folded = internal::fold_constants(model);
  CHECK(count(model, "aten::arange") == 2);
  CHECK(count(folded, "aten::arange") == 1);
  CHECK(count(folded, "aten::mul") == 0);
  CHECK(count(folded, "aten::exp") == 0);
  for (const std::int64_t batch : {1, 4}) {
    const at::Tensor x = at::rand({batch, 3});
    CHECK(at::equal(Interpreter(folded).run({{x}})[0], forward({x})[0]));
  }
}

TEST_CASE("weights that are computed from parameters become parameters, and their products sites") {
  const at::Tensor packed = at::rand({12, 4});
  const at::Tensor direction = at::rand({3, 4});
  const at::Tensor length = at::rand({3, 1});
  const ForwardFn forward = [&](const std::vector<at::Tensor>& x) {
    const auto thirds = packed.chunk(3);
    at::Tensor y = at::linear(x[0], thirds[0]);
    y = y * at::matmul(x[0], thirds[2].t());
    return std::vector<at::Tensor>{at::linear(y, at::_weight_norm(direction, length, 0))};
  };
  const std::vector<NamedTensor> parameters{{"in.packed", packed}, {"out.weight", direction}, {"out.length", length}};
  const Model model = capture(forward, parameters, {at::rand({2, 4})});
  const Model prepared = prepare(model);
  REQUIRE(prepared.sites.size() == 3);
  CHECK(prepared.sites[0].name == "in.packed/0");
  CHECK(prepared.sites[1].name == "in.packed/2");
  CHECK(prepared.sites[2].name == "out");
  const at::Tensor x = at::rand({4, 4});
  CHECK(at::allclose(Interpreter(prepared).run({{x}})[0], forward({x})[0], 1e-5, 1e-6));
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
