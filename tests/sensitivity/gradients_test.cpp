// What all metrics by gradients share: errors, threads, seeds, memory and stopping.
#include "sensitivity/gradients.hpp"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>

#include <functional>
#include <optional>

#include "dense.hpp"
#include "failure.hpp"

using namespace halftone;
using dense::Fixture;

namespace {

std::vector<std::unique_ptr<SensitivityMetric>> all_metrics() {
  std::vector<std::unique_ptr<SensitivityMetric>> metrics;
  metrics.push_back(make_hessian({.most_probes = 8}));
  metrics.push_back(make_hessian({.probe = HessianProbe::Weights, .most_probes = 8}));
  metrics.push_back(make_hessian_error({.most_probes = 8}));
  metrics.push_back(make_fisher({.most_draws = 8}));
  metrics.push_back(make_hvp_pairs());
  return metrics;
}

/// A task whose damage is what the test says.
class Custom final : public Task {
 public:
  using DamageFn = std::function<at::Tensor(const at::Tensor& output, const at::Tensor& clean)>;
  explicit Custom(DamageFn damage) : damage_(std::move(damage)) {}
  [[nodiscard]] std::string name() const override { return "custom"; }

 private:
  void do_check(const std::vector<at::Tensor>&, const Dataset&) const override {}
  [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>& outputs, const at::Tensor&) const override {
    return outputs[0].sum(1);
  }
  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                     const std::vector<at::Tensor>& clean) const override {
    return damage_(outputs[0], clean[0]);
  }
  [[nodiscard]] at::Tensor do_response(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean,
                                       double) const override {
    return damage_(outputs[0], clean[0]).unsqueeze(1);
  }
  DamageFn damage_;
};

Failure failure_of(const SensitivityMetric& metric, const Fixture& f) {
  return failure([&] { (void)metric.measure(f.input()); });
}

/// `small_net` with one more operator between the sum and the head.
void insert(Fixture& f, const std::string& op, std::size_t operands = 1) {
  auto& graph = f.model.graph;
  const auto head = graph.nodes.size() - 1;
  const auto read = std::get<ValueRef>(graph.nodes[head].arguments[0]).id;
  const auto fresh = static_cast<ValueId>(graph.values.size());
  graph.values.push_back(graph.values[static_cast<std::size_t>(read)]);
  f.model.tensors.emplace_back();
  graph.nodes.insert(graph.nodes.begin() + static_cast<std::ptrdiff_t>(head),
                     Node{op, "", std::vector<Argument>(operands, ValueRef{read}), {{false, {fresh}}}});
  graph.nodes[head + 1].arguments[0] = ValueRef{fresh};
  f.model.sites = find_sites(graph);
}

}  // namespace

TEST_CASE("metrics by gradients give the same bits for any number of threads and for one seed") {
  Fixture f({.additions = true});
  f.batch_size = 1;
  for (const auto& metric : all_metrics()) {
    CAPTURE(metric->name());
    f.seed = 7;
    f.threads = 1;
    const SensitivityTable one = metric->measure(f.input());
    f.threads = 3;
    const SensitivityTable three = metric->measure(f.input());
    CHECK(one.scores == three.scores);
    CHECK(one.standard_errors == three.standard_errors);
    CHECK(one.backward_passes == three.backward_passes);
    CHECK(one.pairs.has_value() == three.pairs.has_value());
    if (one.pairs) CHECK(one.pairs->values() == three.pairs->values());
    f.seed = 8;
    CHECK((metric->measure(f.input()).scores == one.scores) == one.pairs.has_value());
  }
}

TEST_CASE("metrics by gradients work where the caller has gradients off, and leave everything as it was") {
  const Fixture f;
  for (const auto& metric : all_metrics()) {
    const auto scores = metric->measure(f.input()).scores;
    const at::NoGradGuard no_gradient;
    CHECK(metric->measure(f.input()).scores == scores);
    CHECK_FALSE(at::GradMode::is_enabled());
  }
  CHECK(at::globalContext().userEnabledFlashSDP());
  for (const auto& tensor : f.model.tensors)
    if (tensor.defined()) CHECK_FALSE(tensor.requires_grad());
}

TEST_CASE("by little memory batches hold fewer samples, and less than one sample is refused") {
  const Fixture f;
  SensitivityInput input = f.input();
  input.batch_size = 3;
  const auto batches = [&] { return internal::GradientLoop(input, "test", {.copies = 2}).batches(); };
  CHECK(batches() == 1);
  constexpr std::int64_t kSample = 2352;
  input.most_bytes = 2 * kSample;
  CHECK(batches() == 2);
  input.threads = 8;
  CHECK(batches() == 2);
  input.most_bytes = kSample;
  CHECK(batches() == 3);
  input.most_bytes = kSample - 1;
  const Failure failed = failure([&] { (void)batches(); });
  CHECK(failed.code == Errc::InvalidArgument);
  CHECK(failed.text ==
        "metric test needs about 2352 bytes for the activations and gradients of one sample, most_bytes is 2351: raise "
        "it, or take metric damage or error");
}

TEST_CASE("where memory runs out, the error says what to lower and what works instead") {
  constexpr std::int64_t kTooMany = std::int64_t{1} << 50;
  Fixture f;
  const auto check = [&](const Custom::DamageFn& damage) {
    f.task = std::make_unique<Custom>(damage);
    const Failure failed = failure_of(*make_hvp_pairs(), f);
    CHECK(failed.code == Errc::InvalidArgument);
    CHECK(failed.text ==
          "metric interlayer-hvp: memory ran out at a batch of 2 samples of about 7056 bytes each: lower batch_size or "
          "most_bytes, or take metric damage or error");
  };
  check([](const auto& x, const auto& y) { return (x - y).square().sum(1) + at::empty({kTooMany}).sum(); });
  check([](const auto& x, const auto& y) {  // on the way back
    const at::Tensor difference = x - y;
    if (difference.requires_grad())
      difference.register_hook([](const at::Tensor& gradient) { return gradient + at::empty({kTooMany}).sum(); });
    return difference.square().sum(1);
  });
}

TEST_CASE("a network that is flat on the first batch is tried on others before it is refused") {
  // What "stem" reads of the first two samples makes every unit behind it negative; changing its weight would not.
  Fixture f;
  at::Tensor& weight = f.model.tensors[static_cast<std::size_t>(f.model.sites[0].weight)];
  weight = -weight.abs() - 0.1;
  const auto with_images = [&](const at::Tensor& images) {
    f.images = images;
    f.data = make_tensor_dataset("set", {images}, {});
    return make_fisher()->measure(f.input());
  };
  const at::Tensor positive = f.images.abs() + 0.1;
  const SensitivityTable table = with_images(at::cat({positive.narrow(0, 0, 2), -positive.narrow(0, 2, 1)}));
  CHECK(table.scores[0].at(k4) > 0);
  const Failure failed = failure([&] { (void)with_images(positive); });
  CHECK(failed.code == Errc::Unsupported);
  CHECK(failed.text ==
        "metric fisher needs gradients: none reaches site \"stem\", which output 0 depends on: an operator behind it "
        "has a derivative of 0 on all samples, as where it rounds, or where it is saturated. Metrics interlayer and "
        "damage work without gradients");
}

TEST_CASE("attention is plain while any metric that needs it is under way, and as before once none is") {
  const auto enabled = [] {
    const at::Context& context = at::globalContext();
    return std::vector<bool>{context.userEnabledFlashSDP(), context.userEnabledMemEfficientSDP(),
                             context.userEnabledCuDNNSDP()};
  };
  at::globalContext().setSDPUseMemEfficient(false);
  const auto before = enabled();
  auto first = std::make_optional<internal::PlainAttention>();
  auto second = std::make_optional<internal::PlainAttention>();
  CHECK(enabled() == std::vector<bool>{false, false, false});
  first.reset();
  CHECK(enabled() == std::vector<bool>{false, false, false});
  second.reset();
  CHECK(enabled() == before);
  at::globalContext().setSDPUseMemEfficient(true);
}

TEST_CASE("a stop request ends a metric by gradients within a step, and progress reaches the end") {
  const Fixture f;
  for (const auto& metric : all_metrics()) {
    SensitivityInput input = f.input();
    Progress last;
    input.monitor.on_progress = [&](const Progress& progress) { last = progress; };
    (void)metric->measure(input);
    CHECK(last.done == last.total);
    CHECK(last.stage == "sense");
    for (int calls = 0; calls < 4; ++calls) {
      input.monitor.should_stop = [left = calls]() mutable { return left-- == 0; };
      CHECK_THROWS_AS(metric->measure(input), Stopped);
    }
  }
}

TEST_CASE("attention has second derivatives") {
  tiny::Builder build;
  const auto x = build.input("input", {1, 2, 4});
  const auto project = [&](const std::string& name, std::uint32_t seed) {
    return build.linear(x, build.parameter(name + ".weight", tiny::random({4, 4}, seed)));
  };
  const auto q = project("q", 1), k = project("k", 2), v = project("v", 3);
  using B = tiny::Builder;
  const auto attention = build.node("aten::scaled_dot_product_attention", "", build.shape_of(q),
                                    {B::ref(q), B::ref(k), B::ref(v), None{}, 0.0, false, None{}, false});
  Fixture f;
  f.model =
      build.finish(build.linear(build.flatten(attention), build.parameter("head.weight", tiny::random({3, 8}, 4))));
  f.data = make_tensor_dataset("set", {tiny::random({3, 1, 2, 4}, 5)}, {});
  f.calibration = calibrate(f.model, *f.data, f.precisions);
  for (const auto& metric : all_metrics()) {
    const SensitivityTable table = metric->measure(f.input());
    for (std::size_t i = 0; i < 4; ++i) CHECK(table.scores[i].at(k4) > 0);
  }
  f.precisions = {k8};  // small errors
  const PairMatrix products = *make_hvp_pairs()->measure(f.input()).pairs;
  const PairMatrix responses = *make_interlayer({.temperature = 1})->measure(f.input()).pairs;
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(products.at(i, k8, i, k8) == Approx(responses.at(i, k8, i, k8)).epsilon(0.05));
}

TEST_CASE("an operator without a derivative is named, and what works instead") {
  Fixture f;
  insert(f, "aten::heaviside", /*operands=*/2);
  for (const auto& metric : all_metrics()) {
    const Failure failed = failure_of(*metric, f);
    CHECK(failed.code == Errc::Unsupported);
    CHECK(failed.text ==
          "metric " + metric->name() +
              " needs gradients: LibTorch cannot differentiate this network: derivative for "
              "aten::heaviside is not implemented. Metrics interlayer and damage work without gradients");
  }
  Fixture once;
  insert(once, "aten::hardsigmoid");
  CHECK(make_fisher()->measure(once.input()).scores[0].at(k4) > 0);
  for (const auto& metric : {make_hessian({.probe = HessianProbe::Weights}), make_hvp_pairs()})
    CHECK(failure_of(*metric, once).text.find("derivative for aten::hardsigmoid_backward is not implemented") !=
          std::string::npos);
}

TEST_CASE("a gradient that is lost between a site and the outputs is an error, not a score of 0") {
  Fixture f;
  insert(f, "aten::detach");
  CHECK(failure_of(*make_fisher(), f).text ==
        "metric fisher needs gradients: none reaches site \"stem\", which output 0 depends on: an operator behind it "
        "has no derivative. Metrics interlayer and damage work without gradients");
  Fixture rounded;
  insert(rounded, "aten::round");
  CHECK(failure_of(*make_hessian(), rounded).text.find("none reaches site \"stem\"") != std::string::npos);
}

TEST_CASE("damage without a second derivative is an error") {
  Fixture f;
  const std::string end = ". Metrics interlayer and damage work without gradients";
  const auto fails = [&](const Custom::DamageFn& damage, const std::string& reason) {
    f.task = std::make_unique<Custom>(damage);
    const HessianOptions options{.probe = HessianProbe::Weights};
    for (const auto& metric : {make_hessian(options), make_hessian_error(options), make_hvp_pairs()}) {
      const Failure failed = failure_of(*metric, f);
      CHECK(failed.code == Errc::Unsupported);
      CHECK(failed.text == "metric " + metric->name() + " needs gradients: the damage of task custom has no " + reason +
                               " where outputs equal the clean ones" + end);
    }
  };
  fails([](const auto& x, const auto& y) { return (x - y).detach().square().sum(1); }, "gradient");
  fails([](const auto& x, const auto& y) { return (x - y).sum(1); }, "second derivative");
  fails([](const auto& x, const auto& y) { return (x - y).square().sum(1).clamp_min(1); }, "second derivative");
  f.task = std::make_unique<Custom>([](const auto& x, const auto& y) { return (x - y).detach().sum(1); });
  for (const auto& metric : {make_fisher(), make_hessian()})
    CHECK(failure_of(*metric, f).text ==
          "metric " + metric->name() + " needs gradients: the response of task custom has none" + end);
}

TEST_CASE("sites in half precision and sets without samples are refused") {
  Fixture f;
  f.model.graph.values[static_cast<std::size_t>(f.model.sites[1].input)].dtype = DType::BFloat16;
  for (const auto& metric : all_metrics())
    CHECK(failure_of(*metric, f).text ==
          "metric " + metric->name() +
              " needs gradients: site \"left\" reads bfloat16, float32 or float64 is needed. Metrics interlayer and "
              "damage work without gradients");
  f.data = std::make_unique<tiny::NoSamples>();
  for (const auto& metric : all_metrics()) CHECK(failure_of(*metric, f).code == Errc::InvalidArgument);
}
