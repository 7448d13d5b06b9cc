#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <thread>

#include "engine/libtorch/program.hpp"
#include "engine/libtorch_networks.hpp"
#include "export/battery.hpp"
#include "failure.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/engine/engine.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/models/architecture.hpp"

using namespace halftone;

namespace {

const std::vector<Precision> kPrecisions{k16, k8, k4};
constexpr CompileOptions kFloat32{.batch = 8, .float_type = FloatType::Float32};

/// The simulation, but for operands of 16 bits, which are floats here.
class Simulation final : public SiteVisitor {
 public:
  Simulation(const Model& model, const Calibration& calibration, const Plan& plan)
      : plan_(plan), inner_(model, calibration, plan) {}
  at::Tensor input(std::size_t i, const at::Tensor& x) override {
    const at::Tensor quantized = inner_.input(i, x);
    return plan_[i].activation_bits == 16 ? x : quantized;
  }
  at::Tensor weight(std::size_t i, const at::Tensor& w) override {
    return plan_[i].weight_bits == 16 ? w : inner_.weight(i, w);
  }

 private:
  Plan plan_;
  QuantizedVisitor inner_;
};

struct Fixture {
  Model model;
  std::unique_ptr<Dataset> data = tiny::samples(model, 8);
  Calibration calibration = calibrate(model, *data, kPrecisions);
  std::vector<at::Tensor> inputs = data->range(0, 8).inputs;

  explicit Fixture(Model network) : model(std::move(network)) {}

  [[nodiscard]] std::unique_ptr<CompiledNetwork> compile(const Plan& plan, const CompileOptions& options) const {
    return make_libtorch_engine()->compile(model, plan, calibration, options);
  }
  [[nodiscard]] at::Tensor simulate(const Plan& plan) const {
    Simulation visitor(model, calibration, plan);
    return Interpreter(model).run(inputs, &visitor)[0];
  }
};

/// Distance as a share of the expected length.
double error(const at::Tensor& actual, const at::Tensor& expected) {
  REQUIRE(actual.sizes() == expected.sizes());
  REQUIRE(actual.scalar_type() == expected.scalar_type());
  return ((actual - expected).norm() / expected.norm()).item<double>();
}

/// Types in which sites run, in order of execution.
std::vector<std::string> site_types(CompiledNetwork& network) {
  std::vector<std::string> types;
  for (const auto& node : network.profile())
    if (!node.sites.empty()) types.push_back(node.sites[0] + ' ' + node.type);
  return types;
}

}  // namespace

TEST_CASE("networks compute what the simulation does") {
  const auto check = [](const Fixture& f, const std::vector<Plan>& plans) {
    for (const Plan& plan : plans) {
      INFO(to_string(plan));
      CHECK(error(f.compile(plan, kFloat32)->run(f.inputs)[0], f.simulate(plan)) < 1e-5);
    }
  };
  const auto plans = [](std::size_t sites) {
    Plan mixed = Plan::uniform(sites, kW4A8);
    for (std::size_t i = 0; i < sites; ++i)
      if (i % 3 != 1) mixed[i] = i % 3 == 0 ? k4 : k16;
    return std::vector<Plan>{Plan::uniform(sites, k16), Plan::uniform(sites, k8), Plan::uniform(sites, k4), mixed};
  };
  SECTION("residual") { check(Fixture(tiny::residual_net()), plans(5)); }
  SECTION("rank 3, signed") { check(Fixture(tiny::token_net()), plans(3)); }
  SECTION("relu6, depthwise") { check(Fixture(tiny::depthwise_net()), plans(3)); }
  SECTION("max pooling") { check(Fixture(tiny::pooled_net()), plans(3)); }
  SECTION("max pooling of large planes") { check(Fixture(tiny::pooled_net_of(12)), plans(3)); }
  SECTION("one linear") { check(Fixture(tiny::linear_net(tiny::random({5, 7}, 3))), plans(1)); }
  SECTION("one width narrow, one wide") { check(Fixture(tiny::residual_net()), {Plan::uniform(5, {4, 16})}); }
}

TEST_CASE("convolutions of any rank run; those without integer kernels say that they are emulated") {
  const Fixture f(tiny::odd_convolutions());
  const Plan plan = Plan::uniform(3, k8);
  Simulation visitor(f.model, f.calibration, plan);
  const auto expected = Interpreter(f.model).run(f.inputs, &visitor);
  for (const Plan& run : {plan, Plan::uniform(3, k16)}) {
    const auto network = f.compile(run, kFloat32);
    const auto outputs = network->run(f.inputs);
    for (std::size_t i = 0; i < 3; ++i) CHECK(error(outputs[i], expected[i]) < (run == plan ? 1e-5 : 0.02));
  }
  CHECK(site_types(*f.compile(plan, kFloat32)) == std::vector<std::string>{"line u8", "up f32 emulated", "solid u8"});
  const auto narrow = f.compile(plan, {.batch = 8})->run(f.inputs);
  for (std::size_t i = 0; i < 3; ++i) CHECK(error(narrow[i], expected[i]) < 0.01);
}

TEST_CASE("bfloat16 stays near float32 and says what runs in it") {
  for (Model (*make)() : {tiny::residual_net, tiny::token_net, tiny::depthwise_net, tiny::pooled_net}) {
    const Fixture f(make());
    for (const Precision precision : {k16, k8}) {
      const Plan plan = Plan::uniform(f.model.sites.size(), precision);
      const auto network = f.compile(plan, {.batch = 8});
      CHECK(error(network->run(f.inputs)[0], f.simulate(plan)) < 0.02);
      for (const std::string& type : site_types(*network)) CHECK(type.ends_with(precision == k16 ? " bf16" : " u8"));
    }
  }
}

TEST_CASE("what is fused and kept in integers changes nothing but rounding") {
  for (Model (*make)() : {tiny::residual_net, tiny::token_net, tiny::depthwise_net, tiny::pooled_net}) {
    const Fixture f(make());
    for (const Precision precision : {k16, k8, k4}) {
      const Plan plan = Plan::uniform(f.model.sites.size(), precision);
      const auto outputs = [&](const internal::ScheduleOptions& options) {
        const auto schedule = make_schedule(f.model.graph, f.model.sites, plan, f.calibration, options);
        const internal::Program program({f.model, plan, f.calibration, 8, at::kFloat}, schedule);
        return program.outputs(program.run(f.inputs))[0];
      };
      CHECK(error(outputs({}), outputs({.fuse = false, .keep_u8 = false})) < 1e-5);
    }
  }
}

TEST_CASE("a batch that is not full gives the results of its samples; repeating changes nothing") {
  const Fixture f(tiny::residual_net());
  const Plan plan{{k8, k4, k16, kW4A8, k8}};
  const auto network = f.compile(plan, kFloat32);
  const at::Tensor full = network->run(f.inputs)[0];
  const at::Tensor before = f.inputs[0].clone();
  const std::vector<at::Tensor> part{f.inputs[0].slice(0, 0, 3)};
  CHECK(at::equal(network->run(part)[0], full.slice(0, 0, 3)));
  (void)network->run(f.inputs);
  for (int i = 0; i < 3; ++i) network->repeat();
  CHECK(at::equal(network->run(f.inputs)[0], full));
  CHECK(at::equal(f.inputs[0], before));
}

TEST_CASE("parallel passes give what serial ones do") {
  const Fixture f(tiny::residual_net());
  const auto network =
      f.compile(Plan{{k8, k8, k4, k16, k8}}, {.batch = 4, .parallel = 4, .float_type = FloatType::BFloat16});
  const auto run = [&](std::int64_t worker) {
    const std::vector<at::Tensor> inputs{tiny::random({4, 2, 6, 6}, static_cast<std::uint32_t>(worker))};
    return network->run(inputs)[0];
  };
  std::vector<at::Tensor> serial;
  for (int i = 0; i < 4; ++i) serial.push_back(run(i));
  std::vector<int> same(4);
  {
    std::vector<std::jthread> threads;
    for (int worker = 0; worker < 4; ++worker)
      threads.emplace_back([&, worker] {
        const auto w = static_cast<std::size_t>(worker);
        for (int i = 0; i < 20; ++i) same[w] += at::equal(run(worker), serial[w]) ? 1 : 0;
      });
  }
  CHECK(same == std::vector<int>(4, 20));
}

TEST_CASE("the caller's number of threads is as before") {
  const int before = at::get_num_threads();
  const Fixture f(tiny::residual_net());
  CompileOptions options = kFloat32;
  options.threads = before + 1;
  CHECK(error(f.compile(Plan::uniform(5, k8), options)->run(f.inputs)[0], f.simulate(Plan::uniform(5, k8))) < 1e-5);
  CHECK(at::get_num_threads() == before);
}

TEST_CASE("operators that write in place are refused: what they would write to depends on memory's layout") {
  const auto refusal = [](const battery::Forward& forward) {
    const auto network = battery::network("written", {{2, 6, 6}}, forward);
    return failure([&] { (void)make_libtorch_engine()->compile(network.model, Plan::uniform(1, k16), {{{}}}); });
  };
  const auto convolution = [](const battery::Tensors& x, const battery::Weights& w) {
    return at::conv2d(x[0], w("conv.weight", {4, 2, 3, 3}));
  };
  const auto through_view = refusal([&](const battery::Tensors& x, const battery::Weights& w) -> battery::Tensors {
    const at::Tensor y = convolution(x, w);
    y.flatten(1).slice(1, 0, 4).zero_();
    return {y};
  });
  CHECK(through_view.code == Errc::Unsupported);
  CHECK_THAT(through_view.text, Catch::StartsWith("LibTorch cannot run aten::zero_, operator 4, after \"conv\": ") &&
                                    Catch::Contains("use the operator that gives a new tensor"));
  const auto copied = refusal([&](const battery::Tensors& x, const battery::Weights& w) -> battery::Tensors {
    const at::Tensor y = convolution(x, w);
    const at::Tensor z = y.permute({0, 2, 3, 1}).contiguous();
    z.select(3, 0).zero_();
    return {y, z};
  });
  CHECK(copied.code == Errc::Unsupported);
}

TEST_CASE("operands of additions stay float: they are refused below 16 bits by name") {
  Fixture f(tiny::residual_net());
  f.model.sites = find_sites(f.model.graph, {.additions = true});
  f.calibration = calibrate(f.model, *f.data, kPrecisions);
  Plan plan = Plan::uniform(7, k8);
  plan[3] = plan[4] = k16;
  const at::Tensor expected = f.simulate(plan);
  CHECK(error(f.compile(plan, kFloat32)->run(f.inputs)[0], expected) < 1e-5);
  plan[4] = k8;
  const auto refused = failure([&] { (void)f.compile(plan, kFloat32); });
  CHECK(refused.code == Errc::Unsupported);
  CHECK_THAT(refused.text, Catch::Contains("site \"right/add.1\" is at 8 bits: leave out --additions"));
}

TEST_CASE("fewer samples are refused where a computed output has no dimension for them") {
  const auto network =
      battery::network("summed", {{4}}, [](const battery::Tensors& x, const battery::Weights& w) -> battery::Tensors {
        const at::Tensor y = at::linear(x[0], w("fc.weight", {3, 4}));
        return {y, y.sum()};
      });
  const auto compiled = make_libtorch_engine()->compile(network.model, Plan::uniform(1, k16), network.calibration,
                                                        {.batch = battery::kBatch, .float_type = FloatType::Float32});
  CHECK(error(compiled->run(network.inputs)[1], Interpreter(network.model).run(network.inputs)[1]) < 1e-5);
  const battery::Tensors part{network.inputs[0].slice(0, 0, 2)};
  const auto refused = failure([&] { (void)compiled->run(part); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text,
             Catch::Contains("got 2 samples") && Catch::Contains("output 1 ") && Catch::Contains("fill the batch"));
}

TEST_CASE("a parameter that is joined to integers is quantized like them") {
  const auto network =
      battery::network("joined", {{6}}, [](const battery::Tensors& x, const battery::Weights& w) -> battery::Tensors {
        const at::Tensor y = at::linear(x[0], w("a.weight", {4, 6}));
        return {at::linear(at::cat({y, w("more", {2, 4})}, 0), w("b.weight", {3, 4}))};
      });
  const Plan plan = Plan::uniform(2, k8);
  const auto actual = make_libtorch_engine()
                          ->compile(network.model, plan, network.calibration,
                                    {.batch = battery::kBatch, .float_type = FloatType::Float32})
                          ->run(network.inputs);
  CHECK(error(actual[0], battery::reference(network, plan)[0]) < 1e-5);
}

TEST_CASE("an output that is a parameter needs no dimension for the samples") {
  Fixture f(tiny::linear_net(tiny::random({5, 7}, 3)));
  f.model.graph.outputs.push_back(1);
  const std::vector<at::Tensor> part{f.inputs[0].slice(0, 0, 3)};
  CHECK(at::equal(f.compile(Plan::uniform(1, k16), kFloat32)->run(part)[1], f.model.tensors[1]));
}

TEST_CASE("operators without a bfloat16 kernel compute in float32") {
  tiny::Builder build;
  const auto x = tiny::linear(build, build.input("input", {3, 3}), "fc", 3, 10);
  const Fixture f(build.finish(build.node("aten::inverse", "", build.shape_of(x), {tiny::Builder::ref(x)})));
  const auto network = f.compile(Plan::uniform(1, k16), {.batch = 8});
  CHECK(network->run(f.inputs)[0].isfinite().all().item<bool>());
  CHECK(network->profile().back().type == "f32");
  CHECK(network->profile().back().kind == "aten::inverse");
}

TEST_CASE("operators that cannot run are refused by name and place") {
  const auto refusal = [](const char* op) {
    tiny::Builder build;
    const auto x = tiny::linear(build, build.input("input", {3, 4}), "fc", 4, 10);
    Model model = build.finish(build.relu(x));
    const Calibration calibration = calibrate(model, *tiny::samples(model, 4), kPrecisions);
    model.graph.nodes[1].op = op;
    return failure(
        [&] { (void)make_libtorch_engine()->compile(model, Plan::uniform(1, k16), calibration, {.batch = 4}); });
  };
  const auto unknown = refusal("aten::no_such_operator");
  CHECK(unknown.code == Errc::Unsupported);
  CHECK(unknown.text.starts_with("LibTorch cannot run aten::no_such_operator, operator 2, after \"fc\": "));
  CHECK(refusal("aten::inverse").text.starts_with("LibTorch cannot run aten::inverse, operator 2, after \"fc\": "));
}

TEST_CASE("every step is timed where a profile is asked for") {
  const Fixture f(tiny::residual_net());
  CompileOptions options = kFloat32;
  options.profile = true;
  const auto network = f.compile(Plan::uniform(5, k8), options);
  (void)network->run(f.inputs);
  const auto nodes = network->profile();
  REQUIRE(nodes.size() == 8);
  CHECK(nodes[1].name == "stem");
  CHECK(nodes[1].kind == "aten::convolution + aten::relu");
  CHECK(nodes[1].type == "u8");
  CHECK(std::all_of(nodes.begin(), nodes.end(), [](const EngineNode& node) { return node.microseconds > 0; }));
}

TEST_CASE("ResNet-20 at 8 bits classifies as its simulation does") {
  const std::string assets = HALFTONE_ASSETS;
  const auto loaded = load_model("cifar_resnet20:" + assets + "/cifar_resnet20.safetensors", shipped_architectures());
  const Model& model = loaded.model;
  const auto open = [&](const char* file) {
    return open_dataset("cifar10:" + assets + "/cifar10/" + file, loaded.data);
  };
  const Calibration calibration = calibrate(model, *open("calibration.bin[0:64]"), kPrecisions);
  const Plan plan = Plan::uniform(model.sites.size(), k8);
  const auto data = open("validation.bin[0:200]");
  const auto network = make_libtorch_engine()->compile(model, plan, calibration, {.batch = 50});
  QuantizedVisitor visitor(model, calibration, plan);
  std::int64_t deployed = 0;
  std::int64_t simulated = 0;
  for (std::int64_t begin = 0; begin < 200; begin += 50) {
    const Batch batch = data->range(begin, begin + 50);
    const auto correct = [&](const at::Tensor& output) {
      return output.argmax(1).eq(data->targets().slice(0, begin, begin + 50)).sum().item<std::int64_t>();
    };
    deployed += correct(network->run(batch.inputs)[0]);
    simulated += correct(Interpreter(model).run(batch.inputs, &visitor)[0].detach());
  }
  CHECK(std::abs(deployed - simulated) <= 1);
  CHECK(deployed > 170);
}
