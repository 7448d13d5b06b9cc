#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

#include "catch.hpp"
#include "failure.hpp"
#include "halftone/calibrate/calibration.hpp"
#include "halftone/sensitivity/table.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

Calibration example() {
  SiteRanges first{.input_min = -0.1, .input_max = 1e-3, .input_rms = 0.02, .weight_max = 2, .input = {}, .weight = {}};
  first.input[8] = {.low = -0.1, .high = 1.0 / 3, .mean_squared_error = 1e-9};
  first.input[4] = {.low = 0, .high = 0.25, .mean_squared_error = 0};
  first.weight[8] = {.bounds = {1, 0.5, 0}, .mean_squared_error = 2e-5};
  return {.sites = {first, SiteRanges{}}};
}

Failure reading(const json& j) {
  return failure([&j] { return j.get<Calibration>(); });
}

}  // namespace

TEST_CASE("a calibration survives JSON bit for bit") {
  const Calibration calibration = example();
  CHECK(json::parse(json(calibration).dump()).get<Calibration>() == calibration);
  CHECK(json(Calibration{}).get<Calibration>() == Calibration{});
}

TEST_CASE("range methods are named as on the command line") {
  for (const RangeMethod method : {RangeMethod::Max, RangeMethod::Percentile, RangeMethod::MeanSquaredError})
    CHECK(parse_range_method(to_string(method)) == method);
  CHECK(parse_range_method("mse") == RangeMethod::MeanSquaredError);
  const Failure f = failure([] { return parse_range_method("MSE"); });
  CHECK(f.code == Errc::InvalidArgument);
  CHECK_THAT(f.text, Contains("\"MSE\"") && Contains("max, percentile, mse or, for weights, auto"));
}

TEST_CASE("a calibration with anything wrong is refused, naming the field") {
  const json good = example();
  const std::vector<std::tuple<std::string, json, std::string>> cases{
      {"/sites/0/input/8/low", 0.5, "calibration.sites[0].input.8.low is 0.5: the lower clip limit"},
      {"/sites/0/input/8/high", -1, "calibration.sites[0].input.8.high is -1"},
      {"/sites/0/input/4/high", "1", "calibration.sites[0].input.4.high is \"1\": a number is needed"},
      {"/sites/0/input/4/mean_squared_error", -1e-9, "input.4.mean_squared_error is -1e-09: a number of at least 0"},
      {"/sites/0/input/4", 3, "calibration.sites[0].input.4 is 3: an object is needed"},
      {"/sites/0/input/16", json::object(), "calibration.sites[0].input.16: a range belongs to a width of 2 to 8"},
      {"/sites/0/input/08", json::object(), "calibration.sites[0].input.08: a range belongs to a width of 2 to 8"},
      {"/sites/0/weight/8/bounds", json::array(), "weight.8.bounds is an array: one bound for each output channel"},
      {"/sites/0/weight/8/bounds/1", -0.5, "calibration.sites[0].weight.8.bounds[1] is -0.5"},
      {"/sites/0/weight/8/bounds/1", nullptr, "calibration.sites[0].weight.8.bounds[1] is null"},
      {"/sites/0/weight/8/bounds/1", std::numeric_limits<double>::infinity(), "a finite number is needed"},
      {"/sites/0/weight/8/bounds/1", std::nan(""), "a finite number is needed"},
      {"/sites/0/weight/8/bounds", {{"0", 1}}, "weight.8.bounds is an object: an array is needed"},
      {"/sites/1/weight_max", -1, "calibration.sites[1].weight_max is -1"},
      {"/sites/1/input_max", -1, "calibration.sites[1].input_max is -1: it must not be below input_min"},
      {"/sites/1/colour", 1, "calibration.sites[1] has an unknown key \"colour\""},
      {"/sites", 1, "calibration.sites is 1: an array is needed"},
      {"/sites/1", std::string(500, 'x'), "calibration.sites[1] is \"xxx"},
      {"", json::array(), "calibration is an array: an object is needed"},
      {"", json::object(), "calibration has no \"sites\""},
  };
  for (const auto& [where, what, expected] : cases) {
    CAPTURE(where, expected);
    json bad = good;
    bad[json::json_pointer(where)] = what;
    const Failure f = reading(bad);
    CHECK(f.code == Errc::BadFile);
    CHECK_THAT(f.text, Contains(expected));
    CHECK(f.text.size() < 250);
  }
}

TEST_CASE("a calibration that cannot be read leaves the old value alone") {
  Calibration calibration = example();
  json bad = calibration;
  bad["sites"][1].erase("input");
  CHECK_THAT(failure([&] { from_json(bad, calibration); }).text, Contains("sites[1] has no \"input\""));
  CHECK(calibration == example());
}

TEST_CASE("a sensitivity table survives JSON bit for bit") {
  const SensitivityTable table{.metric = "error",
                               .scores = {{{k8, 1.0 / 3}, {kW4A8, -2}}, {{k8, 0}, {kW4A8, 7}}},
                               .standard_errors = {{{k8, 0.1}, {kW4A8, 0}}, {{k8, 2}, {kW4A8, 1e-300}}},
                               .pairs = PairMatrix(2, {k8, kW4A8}, std::vector<double>(16, 1.0 / 7), 3),
                               .clamped = {{.site = 1, .precision = k8, .given = -2},
                                           {.site = 0, .precision = k4, .given = -HUGE_VAL},
                                           {.site = 0, .precision = k4, .given = std::nan("")}},
                               .forward_passes = 3.25,
                               .backward_passes = 1,
                               .seconds = 0.5};
  const auto read = json::parse(json(table).dump()).get<SensitivityTable>();
  CHECK(read.metric == table.metric);
  CHECK(read.scores == table.scores);
  CHECK(read.standard_errors == table.standard_errors);
  REQUIRE(read.pairs);
  CHECK(read.pairs->values() == table.pairs->values());
  REQUIRE(read.clamped.size() == 3);
  CHECK(read.clamped[0].given == -2);
  CHECK(read.clamped[1].given == -HUGE_VAL);
  CHECK(std::isnan(read.clamped[2].given));
  CHECK(read.clamped[2].precision == k4);
  CHECK(read.forward_passes == 3.25);
  CHECK(read.backward_passes == 1);
  CHECK(read.seconds == 0.5);
}

TEST_CASE("a sensitivity table with anything wrong is refused, naming the field") {
  const json good = SensitivityTable{.metric = "error", .scores = {{{k8, 1}}}};
  const std::vector<std::tuple<std::string, json, std::string>> cases{
      {"/metric", "", "sensitivity.metric is \"\": a text is needed"},
      {"/scores/0/8", true, "sensitivity.scores[0].8 is true: a number is needed"},
      {"/scores/0/8", nullptr, "sensitivity.scores[0].8 is null"},
      {"/scores/0/9", 1, "sensitivity.scores[0]: precision \"9\" is not known"},
      {"/scores/0/w8a8", 1, "write precision \"w8a8\" as \"8\""},
      {"/forward_passes", -1, "sensitivity.forward_passes is -1: a number of at least 0"},
      {"/backward_passes", "1", "sensitivity.backward_passes is \"1\": a number is needed"},
      {"/clamped", {{{"site", 1}, {"precision", "8"}, {"given", 0}}}, "sensitivity.clamped[0].site is 1: an integer"},
      {"/clamped", {{{"site", 0}, {"precision", "8"}, {"given", "many"}}}, "sensitivity.clamped[0].given is \"many\""},
      {"/pairs", json(PairMatrix(2, {k8}, {1, 0, 0, 1})), "it has pairs of 2 sites and scores of 1"},
      {"/pairs", json(PairMatrix(1, {k4}, {1})), "it has pairs at other precisions than scores: 8 is missing"},
      {"/standard_errors", {{{"4", 0}}}, "it has no standard error of site 0 at precision 8"},
      {"/standard_errors", {{{"8", nullptr}}}, "sensitivity.standard_errors[0].8 is null"},
      {"/standard_errors", {{{"8", -1}}}, "its standard error of site 0 at precision 8 is -1"},
      {"/seconds", -0.1, "sensitivity.seconds is -0.1"},
      {"/note", "", "unknown key \"note\""},
  };
  for (const auto& [where, what, expected] : cases) {
    CAPTURE(where);
    json bad = good;
    bad[json::json_pointer(where)] = what;
    const Failure f = failure([&bad] { return bad.get<SensitivityTable>(); });
    CHECK(f.code == Errc::BadFile);
    CHECK_THAT(f.text, Contains(expected));
  }
}
