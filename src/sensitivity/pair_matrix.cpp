#include "halftone/sensitivity/pair_matrix.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/json_field.hpp"
#include "halftone/core/error.hpp"

namespace halftone {

using internal::JsonField;

namespace {

constexpr std::int64_t kMostSites = 100'000;

}  // namespace

PairMatrix::PairMatrix(std::size_t sites, std::vector<Precision> precisions, std::vector<double> values, double scale)
    : sites_(sites), precisions_(std::move(precisions)), values_(std::move(values)), scale_(scale) {
  for (auto p = precisions_.begin(); p != precisions_.end(); ++p)
    if (std::find(precisions_.begin(), p, *p) != p)
      throw Error(Errc::InvalidArgument, message("pair matrix: precision ", *p, " is listed twice"));
  if (sites_ > kMostSites)
    throw Error(Errc::InvalidArgument,
                message("pair matrix of ", sites_, " sites: at most ", kMostSites, " are possible"));
  if (values_.size() != rows() * rows())
    throw Error(Errc::InvalidArgument,
                message("pair matrix of ", sites_, " sites at ", precisions_.size(), " precisions: ", values_.size(),
                        " values, ", rows() * rows(), " are needed"));
  const auto finite = [](double value) { return std::isfinite(value); };
  if (!finite(scale_) || !std::all_of(values_.begin(), values_.end(), finite))
    throw Error(Errc::NonFinite, "pair matrix: a value is NaN or infinite");
}

std::size_t PairMatrix::row(std::size_t site, Precision precision) const {
  const auto found = std::find(precisions_.begin(), precisions_.end(), precision);
  if (found == precisions_.end() || site >= sites_)
    throw Error(Errc::InvalidArgument,
                message("pair matrix: it has no entry of site ", site, " at precision ", precision));
  return site * precisions_.size() + static_cast<std::size_t>(found - precisions_.begin());
}

double PairMatrix::at(std::size_t i, Precision p, std::size_t j, Precision q) const {
  if (p == k16 || q == k16) return 0;
  return values_[row(i, p) * rows() + row(j, q)];
}

double PairMatrix::damage(const Plan& plan) const {
  double twice = 0;
  for (std::size_t i = 0; i < plan.size(); ++i)
    for (std::size_t j = 0; j < plan.size(); ++j) twice += at(i, plan[i], j, plan[j]);
  return scale_ * twice / 2;
}

double PairMatrix::increase(const Plan& plan, std::size_t i, Precision target) const {
  double pairs = 0;
  for (std::size_t j = 0; j < plan.size(); ++j)
    if (j != i) pairs += at(i, target, j, plan[j]) - at(i, plan[i], j, plan[j]);
  return scale_ * (pairs + (at(i, target, i, target) - at(i, plan[i], i, plan[i])) / 2);
}

void to_json(nlohmann::json& json, const PairMatrix& matrix) {
  std::vector<std::string> precisions;
  for (const Precision precision : matrix.precisions()) precisions.push_back(to_string(precision));
  json = {{"sites", matrix.sites()},
          {"precisions", std::move(precisions)},
          {"scale", matrix.scale()},
          {"values", matrix.values()}};
}

void from_json(const nlohmann::json& json, PairMatrix& matrix) {
  const JsonField field(json, "pairs");
  field.expect_keys({"sites", "precisions", "scale", "values"});
  std::vector<Precision> precisions = field["precisions"].precisions();
  std::vector<double> values;
  field["values"].each_element([&](const JsonField& entry) { values.push_back(entry.number()); });
  const auto sites = static_cast<std::size_t>(field["sites"].integer(0, kMostSites));
  const std::size_t rows = sites * precisions.size();
  if (values.size() != rows * rows) field["values"].fail(message(rows * rows, " numbers are needed"));
  matrix = PairMatrix(sites, std::move(precisions), std::move(values), field["scale"].number());
}

}  // namespace halftone
