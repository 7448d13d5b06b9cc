#include <ATen/ATen.h>

#include <algorithm>
#include <thread>

#include "export/battery.hpp"
#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/engine/engine.hpp"
#include "halftone/graph/passes.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using battery::Tensors;
using Catch::Contains;

namespace {

/// The largest difference as a share of the largest magnitude.
double relative_difference(const at::Tensor& actual, const at::Tensor& wanted) {
  const at::Tensor w = wanted.to(at::kDouble);
  const double magnitude = std::max(1e-3, w.abs().max().item<double>());
  return (actual.to(at::kDouble) - w).abs().max().item<double>() / magnitude;
}

/// The share of the values of all outputs that differ by more than 1e-4 of the largest magnitude of theirs.
double share_of_differing(const Tensors& actual, const Tensors& wanted) {
  double differing = 0;
  double total = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const at::Tensor w = wanted[i].to(at::kDouble);
    const double limit = 1e-4 * std::max(1e-3, w.abs().max().item<double>());
    differing += ((actual[i].to(at::kDouble) - w).abs() > limit).sum().item<double>();
    total += static_cast<double>(w.numel());
  }
  return differing / total;
}

Tensors run(const battery::Network& network, const Plan& plan, FloatType type) {
  return make_openvino_engine()
      ->compile(network.model, plan, network.calibration, {.batch = battery::kBatch, .float_type = type})
      ->run(network.inputs);
}

/// residual_net at 8 bits but for "right" and "head".
struct Residual {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = tiny::images(16);
  Calibration calibration = [this] {
    const Precision eight[] = {k8};
    return calibrate(model, *data, eight);
  }();
  Plan plan{{k8, k8, k16, k8, k16}};

  [[nodiscard]] std::unique_ptr<CompiledNetwork> compile(const CompileOptions& options) const {
    return make_openvino_engine()->compile(model, plan, calibration, options);
  }
  [[nodiscard]] Tensors samples(std::int64_t begin, std::int64_t end) const { return data->range(begin, end).inputs; }
};

}  // namespace

TEST_CASE("OpenVINO computes what the simulation does, network by network") {
  // Rounding at a boundary may flip single steps of 8-bit activations: most values agree all the same, and none is off
  // by more than four steps over the output's largest magnitude.
  auto networks = battery::all();
  for (auto& network : battery::operands()) networks.push_back(std::move(network));
  for (const auto& network : networks) {
    if (network.in_doubles) continue;  // it computes these in float32
    CAPTURE(network.name);
    const std::size_t sites = network.model.sites.size();
    const Plan plain = Plan::uniform(sites, k16);
    const Plan eight = Plan::uniform(sites, k8);
    const auto wanted = battery::reference(network, plain);
    const auto wanted_eight = battery::reference(network, eight);
    const auto in_float = run(network, plain, FloatType::Float32);
    const auto in_eight = run(network, eight, FloatType::Float32);
    REQUIRE(in_float.size() == wanted.size());
    REQUIRE(in_eight.size() == wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      CAPTURE(i);
      REQUIRE(in_float[i].sizes() == wanted[i].sizes());
      CHECK(in_float[i].scalar_type() == wanted[i].scalar_type());
      CHECK(relative_difference(in_float[i], wanted[i]) < 1e-4);
      CHECK(relative_difference(in_eight[i], wanted_eight[i]) < 4.0 / 255);
    }
    const auto is_addition = [](const Site& site) { return !site.has_weight(); };
    const auto& all_sites = network.model.sites;
    if (std::none_of(all_sites.begin(), all_sites.end(), is_addition))  // kept in integers, it rounds at other places
      CHECK(share_of_differing(in_eight, wanted_eight) <= 0.5);
  }
}

TEST_CASE("in bfloat16 OpenVINO stays within what 8 bits of mantissa allow") {
  const auto engine = make_openvino_engine();
  try {
    engine->require(FloatType::BFloat16);
  } catch (const Error& error) {
    WARN(error.what());
    return;
  }
  for (const auto& network : battery::convolutions()) {
    CAPTURE(network.name);
    const Plan plain = Plan::uniform(network.model.sites.size(), k16);
    const auto wanted = battery::reference(network, plain);
    const auto actual = run(network, plain, FloatType::BFloat16);
    for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(relative_difference(actual[i], wanted[i]) < 0.03);
  }
}

TEST_CASE("sites of 8 bits run in 8-bit kernels, those of 16 bits in bfloat16") {
  const Residual f;
  const auto network = f.compile({.batch = 4, .profile = true});
  (void)network->run(f.samples(0, 4));
  const auto nodes = network->profile();
  for (std::size_t i = 0; i < 5; ++i) {
    const std::string& site = f.model.sites[i].name;
    CAPTURE(site);
    const auto runs_site = [&](const EngineNode& node) {
      return (node.kind == "Convolution" || node.kind == "FullyConnected") &&
             std::find(node.sites.begin(), node.sites.end(), site) != node.sites.end();
    };
    REQUIRE(std::count_if(nodes.begin(), nodes.end(), runs_site) == 1);
    const EngineNode& node = *std::find_if(nodes.begin(), nodes.end(), runs_site);
    CHECK(node.sites.size() == 1);
    if (f.plan[i] == k8)
      CHECK((node.type == "u8" || node.type == "i8"));
    else
      CHECK(node.type == "bf16");
  }
}

TEST_CASE("fewer samples than the network is compiled for give what a full batch gives for them") {
  const Residual f;
  const auto network = f.compile({.batch = 8});
  const at::Tensor full = network->run(f.samples(0, 8))[0];
  for (const std::int64_t count : {1, 5, 7}) {
    const at::Tensor part = network->run(f.samples(0, count))[0];
    CHECK(at::equal(part, full.slice(0, 0, count)));
    CHECK(part.is_contiguous());
  }
}

TEST_CASE("calls at one time give what calls in turn give, and two compilations the same bytes") {
  const Residual f;
  const auto network = f.compile({.batch = 4, .parallel = 2});
  std::vector<at::Tensor> serial;
  for (std::int64_t i = 0; i < 4; ++i) serial.push_back(network->run(f.samples(4 * i, 4 * i + 4))[0]);
  std::vector<at::Tensor> parallel(2 * serial.size());
  const auto work = [&](std::size_t first) {
    for (std::size_t i = first; i < parallel.size(); i += 2) {
      const auto part = static_cast<std::int64_t>(i / 2);
      parallel[i] = network->run(f.samples(4 * part, 4 * part + 4))[0];
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  for (std::size_t i = 0; i < parallel.size(); ++i) CHECK(at::equal(parallel[i], serial[i / 2]));
  CHECK(at::equal(f.compile({.batch = 4, .parallel = 2})->run(f.samples(0, 4))[0], serial[0]));
}

TEST_CASE("repeating a pass leaves the next one alone") {
  const Residual f;
  const auto network = f.compile({.batch = 4});
  const at::Tensor before = network->run(f.samples(0, 4))[0];
  network->repeat();
  network->repeat();
  CHECK(at::equal(network->run(f.samples(0, 4))[0], before));
}

TEST_CASE("wrong inputs are refused by name") {
  const Residual f;
  const auto network = f.compile({.batch = 2});
  const auto refused = [&](const Tensors& inputs) {
    const auto thrown = failure([&] { (void)network->run(inputs); });
    CHECK(thrown.code == Errc::InvalidArgument);
    return thrown.text;
  };
  CHECK_THAT(refused({}), Contains("takes 1 inputs, got 0"));
  CHECK_THAT(refused(f.samples(0, 3)), Contains("got 3 samples, the network is compiled for 1 to 2"));
  CHECK_THAT(refused({at::zeros({0, 2, 6, 6})}), Contains("got 0 samples"));
  CHECK_THAT(refused({at::zeros({2, 2, 6, 5})}),
             Contains("input \"input\" is Float [2, 2, 6, 5]") && Contains("float32 [2, 2, 6, 6]"));
  CHECK_THAT(refused({at::zeros({2, 2, 6, 6}, at::kLong)}), Contains("is Long"));
}

TEST_CASE("inputs are told apart where their names are those of outputs, or nothing reads them") {
  const at::Tensor weight = tiny::random({3, 4}, 1);
  const auto forward = [&](const Tensors& x) { return Tensors{at::linear(x[0], weight) + x[2], x[2] * 2}; };
  const Tensors inputs{tiny::random({2, 4}, 2), tiny::random({2, 5}, 3), tiny::random({2, 3}, 4)};
  const Model model =
      prepare(capture(forward, {{"fc.weight", weight}}, inputs, {.input_names = {"output1", "output0", "output0_2"}}));
  const auto outputs =
      make_openvino_engine()
          ->compile(model, Plan::uniform(1, k16), {{{}}}, {.batch = 2, .float_type = FloatType::Float32})
          ->run(inputs);
  const auto wanted = forward(inputs);
  for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(relative_difference(outputs[i], wanted[i]) < 1e-4);
}

TEST_CASE("fewer samples are refused where an output has several values of each along one dimension") {
  const auto network = battery::network("folded", {{4, 4}}, [](const Tensors& x, const battery::Weights& w) -> Tensors {
    return {at::linear(x[0], w("fc.weight", {3, 4})).view({-1, 3})};
  });
  const auto compiled = make_openvino_engine()->compile(network.model, Plan::uniform(1, k8), network.calibration,
                                                        {.batch = battery::kBatch});
  CHECK(compiled->run(network.inputs)[0].size(0) == 4 * battery::kBatch);
  CHECK_THAT(failure([&] { (void)compiled->run(Tensors{network.inputs[0].slice(0, 0, 2)}); }).text,
             Contains("got 2 samples") && Contains("fill the batch"));
}

TEST_CASE("samples of an output that lists them in its second dimension are told apart too") {
  const auto network = battery::network("second", {{4, 4}}, [](const Tensors& x, const battery::Weights& w) -> Tensors {
    return {at::linear(x[0], w("fc.weight", {3, 4})).transpose(0, 1)};
  });
  const auto compiled = make_openvino_engine()->compile(network.model, Plan::uniform(1, k8), network.calibration,
                                                        {.batch = battery::kBatch});
  const at::Tensor full = compiled->run(network.inputs)[0];
  CHECK(at::equal(compiled->run(Tensors{network.inputs[0].slice(0, 0, 2)})[0], full.slice(1, 0, 2)));
}

TEST_CASE("compiling says what does not fit") {
  CHECK(validate(CompileOptions{}).empty());
  CHECK(validate(CompileOptions{.batch = 0, .threads = -1, .parallel = 0}) ==
        std::vector<std::string>{"batch is 0: at least 1 is needed", "threads is -1: at least 1 is needed",
                                 "parallel is 0: at least 1 is needed"});
  const Residual f;
  CHECK_THAT(failure([&] { (void)f.compile({.threads = 0}); }).text, Contains("threads is 0"));
  const auto engine = make_openvino_engine();
  CHECK_THAT(failure([&] { (void)engine->compile(f.model, Plan::uniform(4, k8), f.calibration); }).text,
             Contains("the plan has 4 precisions"));
  CHECK_THAT(failure([&] { (void)engine->compile(f.model, Plan::uniform(5, k4), f.calibration); }).text,
             Contains("no input range at 4 bits"));
  CHECK(engine->name() == "openvino");
  CHECK_FALSE(engine->version().empty());
}
