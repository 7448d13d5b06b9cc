#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/openmp_threads.hpp"
#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "squared_error.hpp"
#include "sweeping_metrics.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;

namespace {

struct Fixture {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = tiny::images(7);
  std::unique_ptr<Task> task = make_top_k(1);
  std::vector<Precision> precisions{k8, k4, kW4A8};
  Calibration calibration = calibrate(model, *data, precisions);
  SensitivityInput input{.model = model,
                         .calibration = calibration,
                         .data = *data,
                         .task = *task,
                         .precisions = precisions,
                         .batch_size = 3};

  void score_only(std::vector<Precision> wanted) {
    precisions = std::move(wanted);
    input.precisions = precisions;
  }
};

/// The references sum over samples in another order than the metrics do.
constexpr double kRounding = 1e-7;

/// Quantizes the sites of one plan and leaves those at 16 bits as trained: written apart from the library's sweep.
class Few final : public SiteVisitor {
 public:
  Few(const Fixture& fixture, Plan plan) : f_(fixture), plan_(std::move(plan)) {}

  at::Tensor input(std::size_t i, const at::Tensor& x) override {
    return plan_[i] == k16 ? x
                           : quantize_input(f_.model.sites[i], f_.calibration.sites[i], plan_[i].activation_bits, x);
  }
  at::Tensor weight(std::size_t i, const at::Tensor& w) override {
    return plan_[i] == k16 ? w : quantize_weight(f_.model.sites[i], f_.calibration.sites[i], plan_[i].weight_bits, w);
  }

 private:
  const Fixture& f_;
  Plan plan_;
};

/// Logits [samples, classes], float64. LibTorch's kernels round otherwise in other batches and on other numbers of
/// threads: both are as the metrics have them.
at::Tensor logits(const Fixture& f, const Plan& plan) {
  const at::NoGradGuard no_gradient;
  const internal::OpenMpThreads one_thread(1);
  Few visitor(f, plan);
  std::vector<at::Tensor> batches;
  for (std::int64_t begin = 0; begin < f.data->size(); begin += f.input.batch_size) {
    const std::int64_t end = std::min(begin + f.input.batch_size, f.data->size());
    batches.push_back(Interpreter(f.model).run(f.data->range(begin, end).inputs, &visitor)[0].to(at::kDouble));
  }
  return at::cat(batches);
}

Plan clean_plan(const Fixture& f) { return Plan::uniform(f.model.sites.size(), k16); }

Plan with(Plan plan, std::size_t site, Precision precision) {
  plan[site] = precision;
  return plan;
}

double damage(const Fixture& f, const Plan& plan) {
  return f.task->damage({logits(f, plan)}, {logits(f, clean_plan(f))}).mean().item<double>();
}

bool same_bytes(const SensitivityTable& a, const SensitivityTable& b) {
  return a.scores == b.scores && a.standard_errors == b.standard_errors && a.pairs.has_value() == b.pairs.has_value() &&
         (!a.pairs || a.pairs->values() == b.pairs->values());
}

}  // namespace

TEST_CASE("damage is each site's alone, with the error of its mean over samples") {
  const Fixture f;
  const SensitivityTable table = make_damage()->measure(f.input);
  for (std::size_t site = 0; site < 5; ++site)
    for (const Precision precision : f.precisions) {
      const at::Tensor by_sample =
          f.task->damage({logits(f, with(clean_plan(f), site, precision))}, {logits(f, clean_plan(f))});
      CHECK_THAT(table.scores[site].at(precision), WithinAbs(by_sample.mean().item<double>(), kRounding));
      CHECK_THAT(table.standard_errors[site].at(precision),
                 WithinAbs(by_sample.std().item<double>() / std::sqrt(7.0), kRounding));
    }
}

TEST_CASE("the pair matrix is the mean inner product of the logit differences under softened probabilities") {
  const Fixture f;
  for (const double temperature : {1.0, 4.0}) {
    const SensitivityTable table = make_interlayer({.temperature = temperature})->measure(f.input);
    REQUIRE(table.pairs);
    const PairMatrix& pairs = *table.pairs;
    const at::Tensor clean = logits(f, clean_plan(f));
    const at::Tensor p = (clean / temperature).softmax(1);
    const at::Tensor s = at::diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1);  // S(p_n), [samples, classes, classes]
    const auto u = [&](std::size_t site, Precision precision) {
      return (logits(f, with(clean_plan(f), site, precision)) - clean).unsqueeze(2);
    };
    double trace = 0;
    double damages = 0;
    for (std::size_t i = 0; i < 5; ++i)
      for (const Precision a : f.precisions) {
        for (std::size_t j = 0; j < 5; ++j)
          for (const Precision b : f.precisions) {
            const double expected = at::matmul(u(i, a).transpose(1, 2), at::matmul(s, u(j, b))).mean().item<double>();
            CHECK_THAT(pairs.at(i, a, j, b), WithinAbs(expected, kRounding));
          }
        trace += pairs.at(i, a, i, a) / 2;
        damages += damage(f, with(clean_plan(f), i, a));
        CHECK_THAT(table.scores[i].at(a), WithinRel(pairs.scale() * pairs.at(i, a, i, a) / 2, 1e-12));
      }
    CHECK_THAT(pairs.scale(), WithinRel(damages / trace, 1e-6));
  }
}

TEST_CASE("the pair matrix is positive semi-definite") {
  const Fixture f;
  const SensitivityTable table = make_interlayer()->measure(f.input);
  const auto rows = static_cast<std::int64_t>(table.pairs->rows());
  const at::Tensor matrix = at::tensor(at::ArrayRef<double>(table.pairs->values()), at::kDouble).view({rows, rows});
  CHECK(at::equal(matrix, matrix.t()));
  const at::Tensor eigenvalues = std::get<0>(at::linalg_eigh(matrix));
  CHECK(eigenvalues.min().item<double>() > -1e-12 * eigenvalues.max().item<double>());
}

TEST_CASE("measured pairs give the damage of any plan of two sites, and of single ones") {
  const Fixture f;
  const SensitivityTable table = make_measured_pairs()->measure(f.input);
  REQUIRE(table.pairs);
  const Plan one = with(clean_plan(f), 3, k4);
  CHECK_THAT(table.pairs->damage(one), WithinAbs(damage(f, one), kRounding));
  CHECK_THAT(table.scores[3].at(k4), WithinAbs(damage(f, one), kRounding));
  const Plan two = with(one, 1, k8);
  CHECK_THAT(table.pairs->damage(two), WithinAbs(damage(f, two), kRounding));
  CHECK(table.pairs->at(1, k8, 3, k4) == table.pairs->at(3, k4, 1, k8));
}

TEST_CASE("at temperature 1 the pair matrix predicts small damages") {
  Fixture f;
  f.score_only({k8});
  const SensitivityTable table = make_interlayer({.temperature = 1})->measure(f.input);
  CHECK_THAT(table.pairs->scale(), WithinAbs(1, 0.05));
  const Plan all = Plan::uniform(5, k8);
  CHECK_THAT(table.pairs->damage(all), WithinRel(damage(f, all), 0.2));
}

TEST_CASE("noise on a linear layer does the damage that its variance says") {
  // Outputs x W^T; damage by squared error of the logits, which noise of variance s^2 / 12 on W and x raises by
  // sum_k (s_w^2 x_k^2 + s_x^2 w_ck^2 + s_w^2 s_x^2 / 12) / 12 for class c.
  const at::Tensor weight = tiny::random({3, 40}, 1);
  const Model model = tiny::linear_net(weight);
  const at::Tensor x = tiny::random({200, 40}, 2);
  const auto data = make_tensor_dataset("x", {x}, at::zeros({200}, at::kLong));
  const SquaredError task;
  const std::vector<Precision> precisions{k4, {8, 16}, {16, 8}};
  const Calibration calibration = calibrate(model, *data, precisions);
  const SensitivityTable table =
      make_noise({.draws = 8, .most_draws = 400, .standard_error = 0.02})
          ->measure(
              {.model = model, .calibration = calibration, .data = *data, .task = task, .precisions = precisions});
  for (const Precision precision : precisions) {
    const SiteRanges& ranges = calibration.sites[0];
    const int a = precision.activation_bits;
    const double s_x = a == 16 ? 0 : params(ranges.input.at(a), a).scale;
    double expected = 0;
    for (std::int64_t c = 0; c < 3; ++c) {
      const int b = precision.weight_bits;
      const double s_w = b == 16 ? 0 : weight_params(ranges.weight.at(b).bounds[static_cast<std::size_t>(c)], b).scale;
      expected += s_w * s_w * x.square().sum(1).mean().item<double>() / 12;
      expected += s_x * s_x * weight[c].square().sum().item<double>() / 12 + 40 * s_w * s_w * s_x * s_x / 144;
    }
    CHECK_THAT(table.scores[0].at(precision), WithinRel(expected, 0.06));
    CHECK(table.standard_errors[0].at(precision) <= 0.02 * table.scores[0].at(precision));
  }
}

TEST_CASE("noise draws more where the error is large, and no more than allowed") {
  const Fixture f;
  const auto passes = [&](const NoiseOptions& options) { return make_noise(options)->measure(f.input).forward_passes; };
  const double least = passes({.draws = 2, .most_draws = 2});
  CHECK(passes({.draws = 2, .most_draws = 8, .standard_error = 1e9}) == least);
  const double most = passes({.draws = 2, .most_draws = 8, .standard_error = 1e-9});
  CHECK_THAT(most, WithinRel(4 * least, 1e-9));
  CHECK(failure([] { (void)make_noise({.draws = 1}); }).text.find("draws is 1: at least 2") != std::string::npos);
}

TEST_CASE("sweeping metrics give the same bytes for one seed, any number of threads and any memory") {
  for (const auto& metric : sweeping_metrics()) {
    Fixture f;
    const SensitivityTable table = metric->measure(f.input);
    CHECK(same_bytes(table, metric->measure(f.input)));
    f.input.threads = 3;
    CHECK(same_bytes(table, metric->measure(f.input)));
    f.input.threads = 1;
    f.input.most_bytes = 1000;  // too little for the clean values of one sample
    f.input.batch_size = 1;
    const SensitivityTable slow = metric->measure(f.input);
    for (std::size_t site = 0; site < 5; ++site)
      for (const Precision precision : f.precisions)
        CHECK_THAT(slow.scores[site].at(precision), WithinAbs(table.scores[site].at(precision), 1e-6));
    CHECK(slow.forward_passes > 1.3 * table.forward_passes);
  }
}

TEST_CASE("noise depends on the seed") {
  Fixture f;
  const SensitivityTable table = make_noise()->measure(f.input);
  f.input.seed = 1;
  CHECK(make_noise()->measure(f.input).scores != table.scores);
}

TEST_CASE("passes are counted by the share of the network that ran") {
  Fixture f;
  f.score_only({k8});
  double expected = 1;
  double all = 0;
  for (const Site& site : f.model.sites) all += static_cast<double>(site.macs);
  const std::vector<std::vector<std::size_t>> reached{{0, 1, 2, 3, 4}, {1, 3, 4}, {2, 3, 4}, {3, 4}, {4}};
  for (const auto& sites : reached)
    for (const std::size_t site : sites) expected += static_cast<double>(f.model.sites[site].macs) / all;
  CHECK_THAT(make_interlayer()->measure(f.input).forward_passes, WithinRel(expected, 1e-12));
}

TEST_CASE("a stop ends a sweep within a batch, and progress reaches its total") {
  for (const auto& metric : sweeping_metrics()) {
    Fixture f;
    std::int64_t calls = 0;
    f.input.monitor.should_stop = [&] { return ++calls > 4; };
    CHECK_THROWS_AS(metric->measure(f.input), Stopped);
    CHECK(calls < 8);
    Progress last{};
    f.input.monitor = {.on_progress = [&](const Progress& progress) { last = progress; }, .should_stop = {}};
    (void)metric->measure(f.input);
    CHECK(last.done == last.total);
    CHECK(last.stage == "sense");
  }
}

TEST_CASE("no samples, and a temperature that is no number above 0, are refused") {
  const Fixture f;
  const tiny::NoSamples nothing;
  const SensitivityInput input{
      .model = f.model, .calibration = f.calibration, .data = nothing, .task = *f.task, .precisions = f.precisions};
  CHECK(failure([&] { (void)make_damage()->measure(input); }).text ==
        "metric damage: nothing holds no samples: 128 to 500 are needed");
  CHECK(failure([] { (void)make_interlayer({.temperature = 0}); }).text.find("temperature is 0") != std::string::npos);
}
