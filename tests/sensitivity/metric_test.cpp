#include "halftone/sensitivity/metric.hpp"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

struct Fixture {
  Model model = tiny::residual_net();
  std::unique_ptr<Dataset> data = tiny::images(4);
  std::unique_ptr<Task> task = make_top_k(1);
  std::vector<Precision> precisions{k8, k4, kW4A8};
  Calibration calibration = calibrate(model, *data, precisions);

  [[nodiscard]] SensitivityInput input() const {
    return {.model = model, .calibration = calibration, .data = *data, .task = *task, .precisions = precisions};
  }
};

/// A metric as a user writes it: gives what it was told to.
class Fixed final : public SensitivityMetric {
 public:
  explicit Fixed(std::vector<std::map<Precision, double>> scores) : scores_(std::move(scores)) {}
  [[nodiscard]] std::string name() const override { return "fixed"; }

 private:
  [[nodiscard]] SensitivityTable do_measure(const SensitivityInput&) const override {
    return {.metric = "wrong name", .scores = scores_, .forward_passes = 3};
  }
  std::vector<std::map<Precision, double>> scores_;
};

std::vector<std::map<Precision, double>> all_scores() {
  return std::vector<std::map<Precision, double>>(5, {{k8, 1.0}, {k4, 2.0}, {kW4A8, 1.5}});
}

}  // namespace

TEST_CASE("a function of one site becomes a metric and sees that site at that precision") {
  const Fixture f;
  std::vector<std::string> seen;
  const auto metric = make_metric("mine", [&](const SiteView& view) {
    seen.push_back(view.site.name + ' ' + to_string(view.precision));
    CHECK(view.ranges == f.calibration.sites[(seen.size() - 1) / 3]);
    CHECK(view.weight.sizes() == at::IntArrayRef(view.site.weight_shape));
    CHECK(at::equal(view.quantized_weight,
                    quantize_weight(view.site, view.ranges, view.precision.weight_bits, view.weight)));
    return static_cast<double>(seen.size());
  });
  const SensitivityTable table = metric->measure(f.input());
  CHECK(table.metric == "mine");
  CHECK(table.forward_passes == 0);
  CHECK(table.backward_passes == 0);
  CHECK(table.seconds >= 0);
  REQUIRE(table.scores.size() == 5);
  CHECK(table.scores[0] == std::map<Precision, double>{{k8, 1}, {k4, 2}, {kW4A8, 3}});
  CHECK(table.scores[4].at(k8) == 13);
  REQUIRE(seen.size() == 15);
  CHECK(seen[0] == "stem 8");
  CHECK(seen[14] == "head w4a8");
}

TEST_CASE("a metric's name and time are filled in, its counts kept") {
  const Fixture f;
  const SensitivityTable table = Fixed(all_scores()).measure(f.input());
  CHECK(table.metric == "fixed");
  CHECK(table.forward_passes == 3);
}

TEST_CASE("a metric that leaves out a site or a precision is reported as defective") {
  const Fixture f;
  auto scores = all_scores();
  scores[3].erase(k4);
  const auto precision = failure([&] { (void)Fixed(scores).measure(f.input()); });
  CHECK(precision.code == Errc::Internal);
  CHECK(precision.text == "metric fixed gave no score for site \"tail\" at precision 4");
  scores.pop_back();
  CHECK(failure([&] { (void)Fixed(scores).measure(f.input()); }).text ==
        "metric fixed scored 4 sites of 5: it must score all");
}

TEST_CASE("scores that are negative or no finite numbers are clamped and listed") {
  const Fixture f;
  auto scores = all_scores();
  scores[1][kW4A8] = -0.5;
  scores[2][k8] = std::nan("");
  scores[3][k8] = 7;
  scores[4][k8] = -std::numeric_limits<double>::infinity();
  const SensitivityTable table = Fixed(scores).measure(f.input());
  CHECK(table.scores[1].at(kW4A8) == 0);
  CHECK(table.scores[2].at(k8) == 7);
  CHECK(table.scores[4].at(k8) == 7);
  CHECK(table.scores[0] == scores[0]);
  REQUIRE(table.clamped.size() == 3);
  CHECK(table.clamped[0].site == 2);
  CHECK(std::isnan(table.clamped[0].given));
  CHECK(table.clamped[1].precision == k8);
  CHECK(table.clamped[2].given == -0.5);
  CHECK(table.clamped[2].precision == kW4A8);
}

TEST_CASE("a metric without one finite score at a precision is refused") {
  const Fixture f;
  auto scores = all_scores();
  for (auto& site : scores) site[k4] = std::nan("");
  const auto failed = failure([&] { (void)Fixed(scores).measure(f.input()); });
  CHECK(failed.code == Errc::NonFinite);
  CHECK(failed.text.starts_with("metric fixed gave no site a finite score at precision 4"));
}

TEST_CASE("a metric by site may share work, reports progress and heeds a stop") {
  class Position final : public SiteMetric {
   public:
    [[nodiscard]] std::string name() const override { return "position"; }

   private:
    [[nodiscard]] ScoreFn prepare(const SensitivityInput& input) const override {
      return [first = input.data.size()](std::size_t site, Precision precision) {
        return static_cast<double>(first) + static_cast<double>(site) + precision.weight_bits / 100.0;
      };
    }
  };
  Fixture f;
  SensitivityInput input = f.input();
  std::vector<std::int64_t> done;
  input.monitor.on_progress = [&](const Progress& progress) { done.push_back(progress.done); };
  CHECK(Position().measure(input).scores[3].at(k8) == 4 + 3 + 0.08);
  CHECK(done == std::vector<std::int64_t>{1, 2, 3, 4, 5});
  input.monitor.should_stop = [&] { return done.size() > 6; };
  CHECK_THROWS_AS(Position().measure(input), Stopped);
}

TEST_CASE("input that no metric can use is refused") {
  Fixture f;
  const Fixed metric(all_scores());
  const auto text = [&] { return failure([&] { (void)metric.measure(f.input()); }).text; };
  f.precisions = {k8, {8, 5}};
  CHECK(text() == "site \"stem\" has no input range at 5 bits: calibrate with this width among the precisions");
  f.precisions = {k16, k8};
  CHECK(text().starts_with("metric fixed: precision 16 is the baseline"));
  f.precisions = {};
  CHECK(text().starts_with("metric fixed: no precisions to score"));
  f.precisions = {k8};
  f.model.sites.clear();
  CHECK(text().starts_with("metric fixed: the model has no sites"));
}

TEST_CASE("standard errors that are missing or no errors are a defect, but for scores that are clamped") {
  const Fixture f;
  class Sampled final : public SensitivityMetric {
   public:
    SensitivityTable table{.metric = "sampled", .scores = all_scores(), .standard_errors = all_scores()};
    [[nodiscard]] std::string name() const override { return "sampled"; }

   private:
    [[nodiscard]] SensitivityTable do_measure(const SensitivityInput&) const override { return table; }
  } metric;
  metric.table.scores[3][k4] = metric.table.standard_errors[3][k4] = std::nan("");
  const SensitivityTable clamped = metric.measure(f.input());
  CHECK(clamped.standard_errors[3].at(k4) == 0);
  CHECK(clamped.standard_errors[2].at(k4) == 2);
  CHECK(nlohmann::json::parse(nlohmann::json(clamped).dump()).get<SensitivityTable>().standard_errors ==
        clamped.standard_errors);
  metric.table.scores[3][k4] = 1;
  const auto failed = failure([&] { (void)metric.measure(f.input()); });
  CHECK(failed.code == Errc::Internal);
  CHECK(failed.text ==
        "metric sampled gave a table that is not whole: its standard error of site 3 at precision 4 is nan: a finite "
        "number of at least 0 is needed");
  metric.table.standard_errors[3].erase(k4);
  CHECK(failure([&] { (void)metric.measure(f.input()); }).text ==
        "metric sampled gave a table that is not whole: it has no standard error of site 3 at precision 4");
}
