#include "halftone/testing/check_metric.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <atomic>
#include <limits>
#include <random>

#include "catch.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/registry.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using halftone::testing::check_metric;

namespace {

struct Fixture {
  explicit Fixture(const SiteOptions& options = {}) {
    model.sites = find_sites(model.graph, options);
    calibration = calibrate(model, *data, precisions);
  }
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = tiny::images(7);
  std::unique_ptr<Task> task = make_top_k(1);
  std::vector<Precision> precisions{k8, k4};
  Calibration calibration;

  [[nodiscard]] SensitivityInput input() const {
    return {.model = model,
            .calibration = calibration,
            .data = *data,
            .task = *task,
            .precisions = precisions,
            .seed = 3,
            .batch_size = 3};
  }
};

/// Scores as a function of site and input; everything else as it should be, unless `spoil` says otherwise.
struct Made final : SensitivityMetric {
  std::function<double(const SensitivityInput&, std::size_t site, Precision)> score =
      [](const auto& input, std::size_t site, Precision p) {
        return static_cast<double>(input.model.sites[site].macs) / p.weight_bits;
      };
  std::function<void(const SensitivityInput&, SensitivityTable&)> spoil{};
  bool asks = true;   ///< whether to stop
  bool heeds = true;  ///< the answer
  bool pairs = false;
  std::string called = "made";

  [[nodiscard]] std::string name() const override { return called; }
  [[nodiscard]] bool gives_pairs() const override { return pairs; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput& input) const override {
    SensitivityTable table{.forward_passes = 1};
    for (std::size_t site = 0; site < input.model.sites.size(); ++site) {
      if (asks && input.monitor.stopped() && heeds) throw Stopped();
      auto& scores = table.scores.emplace_back();
      for (const Precision p : input.precisions) scores[p] = score(input, site, p);
    }
    if (spoil) spoil(input, table);
    return table;
  }
};

/// The violations that `metric` is reported for, one line each.
std::string found(const SensitivityMetric& metric) {
  const Fixture f;
  std::string text;
  for (const std::string& violation : check_metric(metric, f.input())) text += violation + '\n';
  return text;
}

std::string found_score(decltype(Made::score) score) {
  Made metric;
  metric.score = std::move(score);
  return found(metric);
}

std::string found_spoilt(decltype(Made::spoil) spoil) {
  Made metric;
  metric.spoil = std::move(spoil);
  return found(metric);
}

/// The same for a metric with pairs: scores on the diagonal, at a scale of 1/2, and what `spoil` makes of that.
std::string found_pairs(const std::function<void(const SensitivityInput&, std::vector<double>&)>& spoil) {
  Made metric;
  metric.pairs = true;
  metric.spoil = [&](const SensitivityInput& input, SensitivityTable& table) {
    const std::size_t rows = input.model.sites.size() * input.precisions.size();
    std::vector<double> values(rows * rows);
    for (std::size_t i = 0; i < rows; ++i)
      values[i * rows + i] =
          4 * table.scores[i / input.precisions.size()].at(input.precisions[i % input.precisions.size()]);
    spoil(input, values);
    table.pairs = PairMatrix(input.model.sites.size(), {input.precisions.begin(), input.precisions.end()}, values, 0.5);
  };
  return found(metric);
}

}  // namespace

TEST_CASE("every metric that ships keeps the rules") {
  const Fixture plain;
  const Fixture with_additions({.additions = true});
  REQUIRE(with_additions.model.sites.size() == 7);
  for (const auto& [name, make] : default_registry().metrics)
    for (const Fixture* f : {&plain, &with_additions}) {
      CAPTURE(name, f->model.sites.size());
      CHECK(make()->name() == name);
      CHECK(check_metric(*make(), f->input()) == std::vector<std::string>{});
    }
}

TEST_CASE("a metric without fault is reported for nothing") { CHECK(found(Made()).empty()); }

TEST_CASE("a metric that gives something else every time is found") {
  int calls = 0;
  CHECK(found_score([&](const auto&, std::size_t site, Precision) {
          return static_cast<double>(site) + 1e-9 * calls++;
        }).starts_with("metric made: it is not deterministic"));
}

TEST_CASE("a metric that depends on threads, site order or batch size is found, and by what") {
  const auto of_threads = found_score([](const SensitivityInput& input, auto, auto) { return input.threads; });
  CHECK(of_threads == "metric made: its table depends on the number of threads\n");
  const auto of_order = found_score([](const auto&, std::size_t site, auto) { return static_cast<double>(site); });
  CHECK_THAT(of_order, Catch::StartsWith("metric made: its scores depend on the order of the sites: site \""));
  const auto of_batch =
      found_score([](const SensitivityInput& input, auto, auto) { return static_cast<double>(input.batch_size); });
  CHECK(
      of_batch ==
      "metric made: its scores depend on the batch size (3, 1): site \"stem\" at precision 8 is scored 3 and then 1\n");
}

TEST_CASE("pairs that depend on site order or batch size are found, and by what") {
  const auto of_order = found_pairs([](const auto&, std::vector<double>& values) { values[2] = values[20] = 1; });
  CHECK_THAT(of_order, Catch::StartsWith("metric made: its pairs depend on the order of the sites: half of \""));
  const auto of_batch = found_pairs([](const SensitivityInput& input, std::vector<double>& values) {
    const std::size_t rows = input.model.sites.size() * input.precisions.size();
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < rows; ++j)
        if (i / 2 != j / 2) values[i * rows + j] = 100 * static_cast<double>(input.batch_size);
  });
  CHECK(of_batch ==
        "metric made: its pairs depend on the batch size (3, 1): half of \"left\" at precision 8 with \"stem\" at 8 is "
        "75 and then 25\n");
}

TEST_CASE("a score that is no number, a missing one, and one that throws are found") {
  CHECK(found_score([](const auto&, std::size_t site, Precision p) {
          return site == 1 && p == k4 ? std::numeric_limits<double>::infinity() : 1;
        }) == "metric made: its score of site \"left\" at precision 4 is inf\n");
  CHECK(found_score([](const SensitivityInput& input, std::size_t site, auto) {
          return input.model.sites[site].name == "tail" ? -1.0 : 1.0;  // clamped
        }).empty());
  CHECK(found_spoilt([](const auto&, SensitivityTable& table) { table.scores[2].erase(k8); }) ==
        "metric made: measuring throws: metric made gave no score for site \"right\" at precision 8\n");
  CHECK(found_score([](const auto&, auto, auto) -> double { throw std::runtime_error("broken"); }) ==
        "metric made: measuring throws: broken\n");
}

TEST_CASE("a metric that changes what it was lent is found") {
  const auto write = [](const SensitivityInput& input) {
    for (const at::Tensor& tensor : input.model.tensors)
      if (tensor.defined()) return tensor.mul_(1);  // the same values: no fault yet
    return at::Tensor();
  };
  CHECK(found_spoilt([&](const SensitivityInput& input, auto&) { write(input); }).empty());
  CHECK_THAT(found_spoilt([&](const SensitivityInput& input, auto&) { write(input).add_(1); }),
             Catch::Contains("it changes the model's tensors or graph"));
  CHECK_THAT(found_spoilt([&](const SensitivityInput& input, auto&) { write(input).requires_grad_(); }),
             Catch::Contains("it leaves gradients, or the wish for them"));
  CHECK_THAT(found_spoilt([](const SensitivityInput& input, auto&) {
               const_cast<Calibration&>(input.calibration).sites[0].input_max += 1;
             }),
             Catch::Contains("it changes the calibration"));
  Fixture f;
  const at::Tensor images = tiny::random({7, 2, 6, 6}, 100);
  f.data = make_tensor_dataset("mine", {images}, at::arange(7, at::kLong) % 5);
  Made metric;
  metric.spoil = [&](const auto&, auto&) { images.add_(1); };
  CHECK(check_metric(metric, f.input()) == std::vector<std::string>{"metric made: it changes the data"});
  CHECK_THAT(found_spoilt([](const auto&, auto&) { at::GradMode::set_enabled(false); }),
             Catch::Contains("it leaves gradients switched on or off"));
  at::GradMode::set_enabled(true);
}

TEST_CASE("a metric whose counts are wrong is found") {
  CHECK(found_spoilt([](const auto&, SensitivityTable& table) { table.forward_passes = -1; }) ==
        "metric made: it counts -1 forward passes\n");
  CHECK(found_spoilt([](const auto&, SensitivityTable& table) {
          table.backward_passes = std::numeric_limits<double>::quiet_NaN();
        }) == "metric made: it counts nan backward passes\n");
}

TEST_CASE("standard errors and pairs that do not fit are found") {
  CHECK(found_spoilt([](const auto&, SensitivityTable& table) {
          table.standard_errors = {{{k8, 1}}};
        }) ==
        "metric made: measuring throws: metric made gave a table that is not whole: it has standard errors of 1 sites "
        "and "
        "scores of 5\n");
  const auto missing = found_spoilt([](const auto&, SensitivityTable& table) {
    table.standard_errors.assign(5, {{k8, 0.5}, {k4, 0.5}});
    table.standard_errors[4].erase(k4);
  });
  CHECK_THAT(missing, Catch::Contains("it has no standard error of site 4 at precision 4"));
  const auto negative = found_spoilt([](const auto&, SensitivityTable& table) {
    table.standard_errors.assign(5, {{k8, 0.5}, {k4, 0.5}});
    table.standard_errors[3][k8] = -1;
  });
  CHECK_THAT(negative, Catch::Contains("its standard error of site 3 at precision 8 is -1"));
  CHECK(found_pairs([](const auto&, auto&) {}).empty());
  CHECK_THAT(found_pairs([](const auto&, std::vector<double>& values) { values[1] += 1; }),
             Catch::StartsWith("metric made: its pair matrix is not symmetric: entries 1, 0\n"));
  CHECK_THAT(found_pairs([](const auto&, std::vector<double>& values) { values[0] *= 1.001; }),
             Catch::StartsWith("metric made: its scores are not half the diagonal of its pair matrix times its scale: "
                               "site \"stem\" at precision 8 is scored 324, not 324.324"));
  Made few;
  few.pairs = true;
  few.spoil = [](const auto&, SensitivityTable& table) { table.pairs = PairMatrix(5, {k8}, std::vector<double>(25)); };
  CHECK_THAT(found(few), Catch::Contains("it has pairs at other precisions than scores: 4 is missing"));
  Made lying;
  lying.pairs = true;
  CHECK_THAT(found(lying), Catch::Contains("says that it gives pairs, and gave none"));
}

TEST_CASE("a metric that does not heed a stop request is found") {
  Made deaf;
  deaf.heeds = false;
  CHECK(found(deaf) == "metric made: it goes on where it is asked to stop half way: throw Stopped\n");
  Made busy;
  busy.asks = false;
  CHECK(found(busy) == "metric made: it runs passes over the data and never asks whether to stop: Monitor::stopped\n");
  CHECK_THAT(found_score([](const auto&, auto, auto) -> double { throw Stopped(); }),
             Catch::Contains("measuring throws: stopped on request"));
}

TEST_CASE("a metric without a name is found") {
  Made nameless;
  nameless.called = "";
  CHECK(found(nameless) == "metric : it has no name\n");
}
