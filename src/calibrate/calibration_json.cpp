#include <nlohmann/json.hpp>

#include <string>
#include <utility>

#include "core/json_field.hpp"
#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/precision.hpp"

namespace halftone {
namespace {

using internal::JsonField;

constexpr std::pair<RangeMethod, const char*> kRangeMethods[] = {{RangeMethod::Max, "max"},
                                                                 {RangeMethod::Percentile, "percentile"},
                                                                 {RangeMethod::MeanSquaredError, "mse"},
                                                                 {RangeMethod::Automatic, "auto"}};

InputRange read_input_range(const JsonField& field) {
  field.expect_keys({"low", "high", "mean_squared_error"});
  const InputRange range{.low = field["low"].number(),
                         .high = field["high"].number(),
                         .mean_squared_error = field["mean_squared_error"].number_not_negative()};
  if (range.low > 0) field["low"].fail("the lower clip limit must not be above 0");
  if (range.high < 0) field["high"].fail("the upper clip limit must not be below 0");
  return range;
}

WeightRange read_weight_range(const JsonField& field) {
  field.expect_keys({"bounds", "mean_squared_error"});
  WeightRange range{.bounds = {}, .mean_squared_error = field["mean_squared_error"].number_not_negative()};
  field["bounds"].each_element([&](const JsonField& bound) { range.bounds.push_back(bound.number_not_negative()); });
  if (range.bounds.empty()) field["bounds"].fail("one bound for each output channel is needed, this has none");
  return range;
}

SiteRanges read_site(const JsonField& field) {
  field.expect_keys({"input_min", "input_max", "input_rms", "weight_max", "input", "weight"});
  SiteRanges site;
  site.input_min = field["input_min"].number();
  site.input_max = field["input_max"].number();
  if (site.input_max < site.input_min)
    field["input_max"].fail(message("it must not be below input_min, ", site.input_min));
  site.input_rms = field["input_rms"].number_not_negative();
  site.weight_max = field["weight_max"].number_not_negative();
  field["input"].each_width(
      [&](int bits, const JsonField& range) { site.input.emplace(bits, read_input_range(range)); });
  field["weight"].each_width(
      [&](int bits, const JsonField& range) { site.weight.emplace(bits, read_weight_range(range)); });
  return site;
}

nlohmann::json to_json(const SiteRanges& site) {
  nlohmann::json input = nlohmann::json::object();
  for (const auto& [bits, range] : site.input)
    input[std::to_string(bits)] = {
        {"low", range.low}, {"high", range.high}, {"mean_squared_error", range.mean_squared_error}};
  nlohmann::json weight = nlohmann::json::object();
  for (const auto& [bits, range] : site.weight)
    weight[std::to_string(bits)] = {{"bounds", range.bounds}, {"mean_squared_error", range.mean_squared_error}};
  return {{"input_min", site.input_min},   {"input_max", site.input_max}, {"input_rms", site.input_rms},
          {"weight_max", site.weight_max}, {"input", std::move(input)},   {"weight", std::move(weight)}};
}

}  // namespace

const char* to_string(RangeMethod method) {
  for (const auto& [known, name] : kRangeMethods)
    if (known == method) return name;
  return "unknown";
}

RangeMethod parse_range_method(const std::string& text) {
  for (const auto& [method, name] : kRangeMethods)
    if (text == name) return method;
  throw Error(Errc::InvalidArgument,
              message("range method \"", text, "\" is not known: use max, percentile, mse or, for weights, auto"));
}

void to_json(nlohmann::json& json, const Calibration& calibration) {
  nlohmann::json sites = nlohmann::json::array();
  for (const SiteRanges& site : calibration.sites) sites.push_back(to_json(site));
  json = {{"sites", std::move(sites)}};
}

void from_json(const nlohmann::json& json, Calibration& calibration) {
  const JsonField field(json, "calibration");
  field.expect_keys({"sites"});
  Calibration read;
  field["sites"].each_element([&](const JsonField& site) { read.sites.push_back(read_site(site)); });
  calibration = std::move(read);
}

}  // namespace halftone
