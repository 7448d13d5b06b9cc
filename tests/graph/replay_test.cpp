#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "catch.hpp"
#include "halftone/graph/interpreter.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max() - 1;

/// Doubles what the sites `changed` read and remembers who was seen.
class Doubling final : public SiteVisitor {
 public:
  explicit Doubling(std::set<std::size_t> changed) : changed_(std::move(changed)) {}

  at::Tensor input(std::size_t index, const at::Tensor& activation) override {
    seen.insert(index);
    return changed_.contains(index) ? activation * 2 : activation;
  }
  at::Tensor weight(std::size_t index, const at::Tensor& weight) override {
    return changed_.contains(index) ? weight * 3 : weight;
  }

  std::set<std::size_t> seen;

 private:
  std::set<std::size_t> changed_;
};

void check_replays(const Model& model, std::int64_t most_bytes) {
  const at::NoGradGuard no_gradient;
  const Interpreter interpreter(model);
  const std::vector<at::Tensor> inputs{tiny::random({3, 2, 6, 6}, 9)};
  const CleanPass clean = interpreter.record(inputs, most_bytes);
  CHECK(at::equal(clean.outputs[0], interpreter.run(inputs)[0]));
  const std::vector<std::vector<std::size_t>> changes{{0}, {1}, {2}, {3}, {4}, {1, 2}, {0, 4}, {}};
  for (const auto& changed : changes) {
    const std::set<std::size_t> sites(changed.begin(), changed.end());
    Doubling full(sites);
    Doubling partial(sites);
    const auto expected = interpreter.run(inputs, &full);
    CHECK(at::equal(interpreter.replay(clean, changed, partial)[0], expected[0]));
    CHECK(partial.seen == sites);
  }
}

/// x -> "a" -> tanh, read by "b" and, as it is, by the network's second output.
Model two_outputs() {
  tiny::Builder build;
  const auto x = build.input("input", {4});
  const auto a = build.linear(x, build.parameter("a.weight", tiny::random({4, 4}, 1)));
  const auto middle = build.node("aten::tanh", "", build.shape_of(a), {tiny::Builder::ref(a)});
  const auto b = build.linear(middle, build.parameter("b.weight", tiny::random({3, 4}, 2)));
  Model model = build.finish(b);
  model.graph.outputs.push_back(middle);
  model.graph.outputs.push_back(x);
  return model;
}

}  // namespace

TEST_CASE("a replay gives what a full pass gives, bit for bit, and shows the changed sites alone") {
  check_replays(tiny::residual_net(), kUnlimited);
}

TEST_CASE("where memory is short, replays start from the inputs and give the same") {
  check_replays(tiny::residual_net(), 0);
}

TEST_CASE("a clean pass keeps what replays read, within the bytes it announces") {
  const Model model = tiny::residual_net();
  const Interpreter interpreter(model);
  const CleanPass clean = interpreter.record(std::vector<at::Tensor>{tiny::random({3, 2, 6, 6}, 9)}, kUnlimited);
  REQUIRE(clean.is_whole);
  std::int64_t bytes = 0;
  for (const at::Tensor& value : clean.values)
    if (value.defined()) bytes += static_cast<std::int64_t>(value.nbytes());
  CHECK(bytes == interpreter.recorded_bytes({3}));
  // The input, the shared ReLU, left and right (either may change alone), the ReLU of the sum, what the head reads.
  CHECK(bytes == 3 * 4 * 36 * (2 + 4 + 4 + 4 + 4 + 3));
  CHECK(interpreter.recorded_bytes({6}) == 2 * interpreter.recorded_bytes({3}));
  CHECK_FALSE(interpreter.record(std::vector<at::Tensor>{tiny::random({3, 2, 6, 6}, 9)}, bytes - 1).is_whole);
}

TEST_CASE("a view that a clean pass keeps counts with the memory that it keeps alive") {
  tiny::Builder build;
  using B = tiny::Builder;
  const auto x = build.input("input", {16, 4});
  const auto a = build.linear(x, build.parameter("a.weight", tiny::random({4, 4}, 1)));
  const auto first = build.node("aten::select", "int", {{0, 1}, {4, 0}}, {B::ref(a), B::number(1), B::number(0)});
  const Model model = build.finish(build.linear(first, build.parameter("b.weight", tiny::random({3, 4}, 2))));
  const at::NoGradGuard no_gradient;
  const Interpreter interpreter(model);
  const CleanPass clean = interpreter.record(std::vector<at::Tensor>{tiny::random({2, 16, 4}, 9)}, kUnlimited);
  std::size_t storages = 0;
  for (const at::Tensor& value : clean.values)
    if (value.defined()) storages += value.storage().nbytes();
  CHECK(storages == 2 * 4 * (64 + 64));  // the input, and all of "a" behind the view of its first rows
  CHECK(interpreter.recorded_bytes({2}) >= static_cast<std::int64_t>(storages));
  CHECK(interpreter.recorded_bytes({2}) == 2 * 4 * (64 + 64));
}

TEST_CASE("a replay's share counts the multiply-accumulates downstream of what changed") {
  const Model model = tiny::residual_net();
  const Interpreter interpreter(model);
  const std::vector<at::Tensor> inputs{tiny::random({1, 2, 6, 6}, 9)};
  const CleanPass clean = interpreter.record(inputs, kUnlimited);
  double all = 0;
  for (const Site& site : model.sites) all += static_cast<double>(site.macs);
  const auto share = [&](std::vector<std::size_t> changed) { return interpreter.replayed_share(clean, changed); };
  CHECK(share({0}) == 1);
  CHECK(share({4}) == static_cast<double>(model.sites[4].macs) / all);
  CHECK(share({2}) == static_cast<double>(model.sites[2].macs + model.sites[3].macs + model.sites[4].macs) / all);
  CHECK(interpreter.replayed_share(interpreter.record(inputs, 0), std::vector<std::size_t>{4}) == 1);
}

TEST_CASE("outputs that no changed site reaches are the clean pass's") {
  const Model model = two_outputs();
  const Interpreter interpreter(model);
  const std::vector<at::Tensor> inputs{tiny::random({2, 4}, 5)};
  const CleanPass clean = interpreter.record(inputs, kUnlimited);
  for (const std::size_t site : {0, 1}) {
    Doubling full({site});
    Doubling partial({site});
    const auto expected = interpreter.run(inputs, &full);
    const auto replayed = interpreter.replay(clean, std::vector<std::size_t>{site}, partial);
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(at::equal(replayed[i], expected[i]));
  }
}

TEST_CASE("graphs that write in place are replayed whole, and inputs stay as they are") {
  tiny::Builder build;
  const auto x = build.input("input", {4});
  const auto a = build.linear(x, build.parameter("a.weight", tiny::random({4, 4}, 1)));
  const auto written = build.node("aten::relu_", "", build.shape_of(a), {tiny::Builder::ref(a)});
  Model model = build.finish(build.linear(written, build.parameter("b.weight", tiny::random({3, 4}, 2))));
  model.graph.nodes[1].written = {0};
  const at::NoGradGuard no_gradient;
  const Interpreter interpreter(model);
  const std::vector<at::Tensor> inputs{tiny::random({2, 4}, 5)};
  const CleanPass clean = interpreter.record(inputs, kUnlimited);
  CHECK_FALSE(clean.is_whole);
  for (int round = 0; round < 2; ++round) {
    Doubling full({1});
    Doubling partial({1});
    const auto expected = interpreter.run(inputs, &full);
    CHECK(at::equal(interpreter.replay(clean, std::vector<std::size_t>{1}, partial)[0], expected[0]));
  }
}
