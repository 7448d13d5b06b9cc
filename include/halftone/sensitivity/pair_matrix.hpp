#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <vector>

#include "halftone/core/plan.hpp"
#include "halftone/core/precision.hpp"

namespace halftone {

/// How pairs of quantized sites act together: G[(i, p), (j, q)] for site i at precision p and site j at q, symmetric,
/// such that a plan x costs about scale * 1/2 x^T G x of damage, with one entry of x set per site below 16 bits.
/// Source: docs/methods.md, section 3.6.
class PairMatrix {
 public:
  PairMatrix() = default;
  /// `values`: row-major, rows in the order site 0 at each of `precisions`, site 1 at each, … Throws `InvalidArgument`
  /// where the size does not fit, a precision is listed twice or there are more than 100,000 sites, `NonFinite` where a
  /// value is not finite.
  PairMatrix(std::size_t sites, std::vector<Precision> precisions, std::vector<double> values, double scale = 1);

  [[nodiscard]] std::size_t sites() const { return sites_; }
  [[nodiscard]] const std::vector<Precision>& precisions() const { return precisions_; }
  [[nodiscard]] double scale() const { return scale_; }
  [[nodiscard]] std::size_t rows() const { return sites_ * precisions_.size(); }
  [[nodiscard]] const std::vector<double>& values() const { return values_; }

  /// G[(i, p), (j, q)]; 0 where p or q is 16 bits. Throws `InvalidArgument` for precisions that it does not have.
  [[nodiscard]] double at(std::size_t i, Precision p, std::size_t j, Precision q) const;

  /// Predicted damage of `plan`. Cost: sites squared.
  [[nodiscard]] double damage(const Plan& plan) const;

  /// How much `damage(plan)` rises where site `i` goes to `target`. Cost: sites.
  [[nodiscard]] double increase(const Plan& plan, std::size_t i, Precision target) const;

 private:
  [[nodiscard]] std::size_t row(std::size_t site, Precision precision) const;

  std::size_t sites_ = 0;
  std::vector<Precision> precisions_;
  std::vector<double> values_;
  double scale_ = 1;
};

void to_json(nlohmann::json& json, const PairMatrix& matrix);
void from_json(const nlohmann::json& json, PairMatrix& matrix);

}  // namespace halftone
