#include "halftone/spatial/spatial_network.hpp"

#include <ATen/ATen.h>

#include "catch.hpp"
#include "distributed/on_ranks.hpp"
#include "failure.hpp"
#include "halftone/latency/roofline.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/spatial/spatial_latency.hpp"
#include "spatial/passes.hpp"

using namespace halftone;
using networks::Pass;
using networks::Tensors;

namespace {

/// The same network in float64.
Model in_doubles(Model model) {
  for (std::size_t id = 0; id < model.tensors.size(); ++id) {
    if (model.graph.values[id].dtype != DType::Float32) continue;
    model.graph.values[id].dtype = DType::Float64;
    if (model.tensors[id].defined()) model.tensors[id] = model.tensors[id].to(at::kDouble);
  }
  return model;
}

void require_near(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  REQUIRE(a.sizes() == b.sizes());
  CHECK((a - b).abs().max().item<double>() <= tolerance * std::max(1.0, b.abs().max().item<double>()));
}

/// Outputs and all gradients of `network` over so many ranks against one pass over the whole.
void check(const Model& network, const at::Tensor& x, const std::vector<int>& sizes,
           const SpatialOptions& options = {}) {
  constexpr double kTolerance = 1e-12;
  const Pass whole = networks::whole_pass(network, x);
  for (const int size : sizes) {
    INFO(x.sizes() << " over " << size << " ranks");
    const auto passes =
        on_ranks(size, [&](Communicator& ranks) { return networks::spatial_pass(network, x, ranks, options); });
    Tensors sums(whole.gradients.size());
    for (const Pass& part : passes) {
      for (std::size_t i = 0; i < whole.outputs.size(); ++i)
        require_near(part.outputs[i], whole.outputs[i], kTolerance);
      for (std::size_t k = 0; k < sums.size(); ++k)
        if (part.gradients[k].defined()) sums[k] = sums[k].defined() ? sums[k] + part.gradients[k] : part.gradients[k];
    }
    for (std::size_t k = 0; k < sums.size(); ++k) {
      REQUIRE(sums[k].defined() == whole.gradients[k].defined());
      if (sums[k].defined()) require_near(sums[k], whole.gradients[k], kTolerance);
    }
  }
}

std::string refusal(const Model& model, const SpatialOptions& options = {}) {
  const auto failed = failure([&] { SpatialNetwork(model, *make_single_communicator(), options); });
  CHECK(failed.code == Errc::Unsupported);
  return failed.text;
}

}  // namespace

TEST_CASE("ResNet-20 over ranks gives what one gives: outputs and all gradients") {
  const Model model =
      in_doubles(load_model(std::string("cifar_resnet20:") + HALFTONE_ASSETS + "/cifar_resnet20.safetensors").model);
  check(model, networks::doubles({2, 3, 32, 32}, 7), {1, 2, 3, 4});
}

TEST_CASE("a ResNet-18 whose last maps have fewer rows than there are ranks gives what one rank gives") {
  for (const std::int64_t rows : {64, 65, 37})
    check(networks::captured({3, rows, 40}, networks::resnet18), networks::doubles({2, 3, rows, 40}, 7), {1, 2, 3, 4});
}

TEST_CASE("a detector's flattened maps are gathered, and its outputs and gradients are those of one rank") {
  for (const std::int64_t rows : {32, 33})
    check(networks::captured({3, rows, 24}, networks::detector), networks::doubles({2, 3, rows, 24}, 7), {1, 2, 3, 4},
          {.gather = true});
}

TEST_CASE("every operator that is split gives what it gives on one rank") {
  for (const std::int64_t rows : {12, 7})
    check(networks::captured({4, rows, 8}, networks::everything), networks::doubles({2, 4, rows, 8}, 7),
          {1, 2, 3, 4, 8});
}

TEST_CASE("what every rank holds as a whole stays whole") {
  const Model model = networks::captured({6}, [](const at::Tensor& x, networks::Weights& w) {
    return Tensors{at::linear(x, w("fc.weight", {3, 6}), w("fc.bias", {3}))};
  });
  check(model, networks::doubles({2, 6}, 7), {1, 3});
}

TEST_CASE("operators that cannot work on rows are refused by name, with the place and the way out") {
  const std::string flattening = refusal(networks::captured({3, 8, 8}, [](const at::Tensor& x, networks::Weights& w) {
    return Tensors{at::linear(networks::conv(x, w, "stem", 2, 3).flatten(1), w("fc.weight", {3, 128}))};
  }));
  CHECK_THAT(flattening,
             Catch::Contains("aten::flatten") || Catch::Contains("aten::view") || Catch::Contains("aten::reshape"));
  CHECK_THAT(flattening, Catch::Contains("after \"stem\"") && Catch::Contains("SpatialOptions::gather"));
  const std::string transposed = refusal(networks::captured({3, 8, 8}, [](const at::Tensor& x, networks::Weights& w) {
    return Tensors{at::conv_transpose2d(x, w("up.weight", {3, 2, 2, 2}), {}, 2)};
  }));
  CHECK_THAT(transposed, Catch::Contains("aten::convolution") && Catch::Contains("transposed convolutions"));
  CHECK_THAT(refusal(networks::captured({3, 8, 8},
                                        [](const at::Tensor& x, networks::Weights& w) {
                                          return Tensors{at::cat({networks::conv(x, w, "stem", 3, 3), x}, 2)};
                                        })),
             Catch::Contains("aten::cat") && Catch::Contains("works along the rows"));
  CHECK_THAT(refusal(networks::captured({3, 8, 8},
                                        [](const at::Tensor& x, networks::Weights& w) {
                                          return Tensors{networks::conv(x, w, "stem", 3, 3).transpose(2, 3)};
                                        })),
             Catch::Contains("aten::transpose") && Catch::Contains("no rule"));
}

TEST_CASE("with gathering, what cannot be split is computed on whole images, and named") {
  const Model model = networks::captured({3, 9, 8}, [](const at::Tensor& x, networks::Weights& w) {
    const at::Tensor y = at::conv_transpose2d(networks::conv(x, w, "stem", 3, 3), w("up.weight", {3, 2, 2, 2}), {}, 2);
    return Tensors{at::linear(y.flatten(1), w("fc.weight", {3, 2 * 18 * 16}))};
  });
  check(model, networks::doubles({2, 3, 9, 8}, 7), {1, 2, 4}, {.gather = true});
  const SpatialNetwork network(model, *make_single_communicator(), {.gather = true});
  REQUIRE(network.gathered().size() == 1);
  CHECK_THAT(network.gathered()[0], Catch::Contains("aten::convolution"));
}

TEST_CASE("images whose rows depend on the length of inputs are refused until the length is fixed") {
  tiny::Builder build;
  const auto x = build.input("image", {2, 6, 6});
  Model model = build.finish(build.relu(x));
  model.graph.length = 6;
  for (auto& value : model.graph.values) value.shape[2] = {0, 0, 1};
  CHECK_THAT(refusal(model), Catch::Contains("input \"image\"") && Catch::Contains("with_length"));
  CHECK_NOTHROW(SpatialNetwork(with_length(model, 6), *make_single_communicator()));
}

TEST_CASE("inputs that are not this rank's part are refused by name") {
  const Model model = tiny::residual_net();
  CHECK_THROWS(SpatialNetwork(model, *make_single_communicator()));  // flattens
  std::vector<std::string> texts(2);
  on_ranks(2, [&](Communicator& ranks) {
    const SpatialNetwork network(model, ranks, {.gather = true});
    try {
      const Tensors whole{at::zeros({3, 2, 6, 6})};
      (void)network.run(whole);
    } catch (const Error& error) {
      texts[static_cast<std::size_t>(ranks.rank())] = error.what();
    }
  });
  for (const auto& text : texts)
    CHECK_THAT(text, Catch::Contains("input \"input\" is Float [3, 2, 6, 6]") && Catch::Contains("[3, 2, 3, 6]") &&
                         Catch::Contains("split_inputs"));
}

TEST_CASE("a visitor sees and replaces what sites read on every rank's rows") {
  class Halving final : public SiteVisitor {
   public:
    at::Tensor input(std::size_t, const at::Tensor& activation) override { return (activation * 4).round() / 4; }
    at::Tensor weight(std::size_t index, const at::Tensor& weight) override { return index == 1 ? weight / 2 : weight; }
  };
  const at::NoGradGuard no_gradient;
  const Model model = tiny::residual_net();
  const Tensors inputs{tiny::random({3, 2, 6, 6}, 9)};
  Halving halving;
  const at::Tensor expected = Interpreter(model).run(inputs, &halving)[0];
  Tensors outputs(3);
  on_ranks(3, [&](Communicator& ranks) {
    const at::NoGradGuard none;
    const SpatialNetwork network(model, ranks, {.gather = true});
    Halving visitor;
    outputs[static_cast<std::size_t>(ranks.rank())] = network.run(network.split_inputs(inputs), &visitor)[0];
  });
  for (const auto& output : outputs) CHECK(at::allclose(output, expected, 1e-5, 1e-5));
}

TEST_CASE("a convolution's exchange is as large as the latency model says") {
  for (const auto& [kernel, stride, rows] :
       {std::tuple<std::int64_t, std::int64_t, std::int64_t>{3, 1, 16}, {5, 2, 17}, {7, 2, 16}, {1, 2, 13}}) {
    const Model model = networks::captured({4, rows, 6}, [&, k = kernel, s = stride](const auto& x, auto& w) {
      return Tensors{networks::conv(x, w, "conv", 3, k, s).mean({2, 3})};
    });
    for (const int size : {2, 3, 4}) {
      std::vector<Traffic> traffic(static_cast<std::size_t>(size));
      on_ranks(size, [&](Communicator& ranks) {
        const SpatialNetwork network(model, ranks);
        const Tensors inputs{networks::doubles({2, 4, rows, 6}, 7)};
        (void)network.run(network.split_inputs(inputs));
        traffic[static_cast<std::size_t>(ranks.rank())] = ranks.traffic();
        const at::Tensor mean = at::zeros({2, 3, 1, 1}, at::kDouble);
        const std::int64_t before = ranks.traffic().bytes;
        ranks.all_reduce(mean);
        traffic[static_cast<std::size_t>(ranks.rank())].bytes -= ranks.traffic().bytes - before;
      });
      std::int64_t most = 0;
      for (const Traffic& sent : traffic) most = std::max(most, sent.bytes);
      const auto device = std::make_shared<RooflineLatency>(roofline_devices()[0], 2);
      const SpatialLatency latency(device, size, link_of("a100"));
      INFO("kernel " << kernel << ", stride " << stride << ", " << rows << " rows over " << size << " ranks");
      CHECK(static_cast<double>(most) <= 4 * latency.exchanged_bytes(model.sites[0], k16));  // doubles: 64 bits
      if (kernel == 3) CHECK(static_cast<double>(most) == 4 * latency.exchanged_bytes(model.sites[0], k16));
    }
  }
}
