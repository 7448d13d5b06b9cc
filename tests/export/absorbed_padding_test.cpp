#include "export/absorbed_padding.hpp"

#include <functional>

#include "catch.hpp"

using namespace halftone;
using internal::AbsorbedPadding;

namespace {

using Ints = std::vector<SymInt>;
using Padding = std::vector<std::int64_t>;

/// x [B, 3, 8, 8] -> padding -> what a test adds. Value 0 is x, value 1 the padded one, value 2 a weight.
struct Net {
  Graph graph;

  explicit Net(const Ints& pairs, const Argument& value = 0.0, const std::string& op = "aten::constant_pad_nd") {
    const Shape image{{0, 1}, {3}, {8}, {8}};
    graph.values = {{ValueKind::Input, "x", image}, {ValueKind::Computed, "", image}, {ValueKind::Parameter, "w", {}}};
    graph.inputs = {0};
    std::vector<Argument> arguments{ValueRef{0}, pairs, value};
    if (op == "aten::pad") arguments.insert(arguments.begin() + 2, std::string("constant"));
    graph.nodes.push_back({op, "", arguments, {{false, {1}}}});
  }

  Net& convolution(bool transposed = false) {
    const Ints ones{{1}, {1}};
    add("aten::convolution",
        {ValueRef{1}, ValueRef{2}, None{}, ones, ones, ones, transposed, Ints{{0}, {0}}, SymInt{1}});
    return *this;
  }
  Net& relu() {
    add("aten::relu", {ValueRef{1}});
    return *this;
  }

  [[nodiscard]] bool absorbs() const { return AbsorbedPadding(graph).is_absorbed(0); }

 private:
  void add(const std::string& op, std::vector<Argument> arguments) {
    const auto id = static_cast<ValueId>(graph.values.size());
    graph.values.push_back({ValueKind::Computed, "", {}});
    graph.nodes.push_back({op, "", std::move(arguments), {{false, {id}}}});
    graph.outputs = {id};
  }
};

const Ints kAll{{1}, {1}, {1}, {1}};

}  // namespace

TEST_CASE("zero padding before a convolution becomes part of it, each side by its own size") {
  for (const char* op : {"aten::constant_pad_nd", "aten::pad"}) {
    const Net net = Net({{1}, {2}, {3}, {4}}, 0.0, op).convolution();
    const AbsorbedPadding padding(net.graph);
    CHECK(padding.is_absorbed(0));
    CHECK_FALSE(padding.is_absorbed(1));
    // LibTorch lists the last dimension first.
    CHECK(padding.before(1, {0, 0}) == std::pair{ValueId{0}, Padding{3, 1, 4, 2}});
    CHECK(padding.before(1, {10, 20}) == std::pair{ValueId{0}, Padding{13, 21, 14, 22}});
  }
}

TEST_CASE("padding of the last dimension alone leaves the others as the convolution has them") {
  const Net net = Net({{0}, {1}}).convolution();
  CHECK(AbsorbedPadding(net.graph).before(1, {1, 1}) == std::pair{ValueId{0}, Padding{1, 1, 1, 2}});
}

TEST_CASE("a convolution that reads anything else pads as it says, on both sides") {
  const Net net = Net(kAll).convolution();
  CHECK(AbsorbedPadding(net.graph).before(0, {1, 2}) == std::pair{ValueId{0}, Padding{1, 2, 1, 2}});
  CHECK(AbsorbedPadding(net.graph).before(0, {1}) == std::pair{ValueId{0}, Padding{1, 1}});
}

TEST_CASE("padding is absorbed where all that read it are convolutions") {
  CHECK(Net(kAll).convolution().convolution().absorbs());
  CHECK_FALSE(Net(kAll).convolution().relu().absorbs());
  CHECK_FALSE(Net(kAll).relu().absorbs());
  CHECK_FALSE(Net(kAll).convolution(/*transposed=*/true).absorbs());
  Net output = Net(kAll).convolution();
  output.graph.outputs.push_back(1);
  CHECK_FALSE(output.absorbs());
  Net kernel = Net(kAll).convolution();
  kernel.graph.nodes[1].arguments[1] = ValueRef{1};  // as its weight, too
  CHECK_FALSE(kernel.absorbs());
}

TEST_CASE("padding of other values than zero, of channels, by the batch, or that cuts off is kept") {
  CHECK(Net(kAll, SymInt{0}).convolution().absorbs());
  CHECK(Net(kAll, None{}).convolution().absorbs());
  CHECK_FALSE(Net(kAll, 0.5).convolution().absorbs());
  CHECK_FALSE(Net(kAll, SymInt{1}).convolution().absorbs());
  CHECK_FALSE(Net({{0}, {0}, {0}, {0}, {1}, {1}}).convolution().absorbs());
  CHECK_FALSE(Net({{0, 1}, {0}}).convolution().absorbs());
  CHECK_FALSE(Net({{1}, {-1}}).convolution().absorbs());
  Net reflected = Net(kAll, 0.0, "aten::pad").convolution();
  reflected.graph.nodes[0].arguments[2] = std::string("reflect");
  CHECK_FALSE(reflected.absorbs());
}
