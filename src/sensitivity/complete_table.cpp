#include "sensitivity/complete_table.hpp"

#include <algorithm>
#include <cmath>

#include "halftone/core/error.hpp"

namespace halftone::internal {

namespace {

using ByPrecision = std::vector<std::map<Precision, double>>;

/// The first site and precision without a number in `known`.
std::string missing(const ByPrecision& known, const char* what, std::span<const Precision> precisions) {
  for (std::size_t site = 0; site < known.size(); ++site)
    for (const Precision precision : precisions)
      if (!known[site].contains(precision))
        return message("it has no ", what, " of site ", site, " at precision ", precision);
  return {};
}

std::string wrong_errors(const SensitivityTable& table, std::span<const Precision> precisions) {
  const ByPrecision& errors = table.standard_errors;
  if (errors.empty()) return {};
  if (errors.size() != table.scores.size())
    return message("it has standard errors of ", errors.size(), " sites and scores of ", table.scores.size());
  if (std::string text = missing(errors, "standard error", precisions); !text.empty()) return text;
  for (std::size_t site = 0; site < errors.size(); ++site)
    for (const auto& [precision, error] : errors[site])
      if (!(error >= 0) || !std::isfinite(error))
        return message("its standard error of site ", site, " at precision ", precision, " is ", error,
                       ": a finite number of at least 0 is needed");
  return {};
}

std::string wrong_pairs(const SensitivityTable& table, std::span<const Precision> precisions) {
  if (!table.pairs) return {};
  if (table.pairs->sites() != table.scores.size())
    return message("it has pairs of ", table.pairs->sites(), " sites and scores of ", table.scores.size());
  const auto& known = table.pairs->precisions();
  for (const Precision precision : precisions)
    if (std::find(known.begin(), known.end(), precision) == known.end())
      return message("it has pairs at other precisions than scores: ", precision, " is missing");
  return {};
}

}  // namespace

std::string incompleteness(const SensitivityTable& table, std::size_t sites, std::span<const Precision> precisions) {
  if (table.scores.size() != sites) return message("it has ", table.scores.size(), " sites of ", sites);
  for (std::string text :
       {missing(table.scores, "score", precisions), wrong_errors(table, precisions), wrong_pairs(table, precisions)})
    if (!text.empty()) return text;
  return {};
}

}  // namespace halftone::internal
