#include "sensitivity/change_tables.hpp"

#include <algorithm>
#include <cmath>

namespace halftone::internal {

std::vector<Change> single_changes(const SensitivityInput& input) {
  std::vector<Change> changes;
  for (std::size_t site = 0; site < input.model.sites.size(); ++site)
    for (const Precision precision : input.precisions) changes.push_back({{site, precision}});
  return changes;
}

SensitivityTable scored_table(const SensitivityInput& input, const std::vector<Change>& rows, const RowFn& score,
                              const RowFn& error) {
  SensitivityTable table;
  table.scores.resize(input.model.sites.size());
  if (error) table.standard_errors.resize(input.model.sites.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto [site, precision] = rows[i].front();
    table.scores[site][precision] = score(i);
    if (error) table.standard_errors[site][precision] = error(i);
  }
  return table;
}

SensitivityTable pair_table(const SensitivityInput& input, const RowFn& score, std::vector<double> values,
                            double scale) {
  const std::vector<Change> changes = single_changes(input);
  const std::size_t rows = changes.size();
  for (std::size_t i = 0; i < rows; ++i)
    if (!std::isfinite(score(i)))
      for (std::size_t j = 0; j < rows; ++j) values[i * rows + j] = values[j * rows + i] = 0;
  double largest = 0;  // that two changes add to each other
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (std::isfinite(values[i * rows + j])) largest = std::max(largest, values[i * rows + j]);
  for (double& value : values)
    if (!std::isfinite(value)) value = largest;
  SensitivityTable table = scored_table(input, changes, score);
  table.pairs = PairMatrix(input.model.sites.size(), {input.precisions.begin(), input.precisions.end()},
                           std::move(values), scale);
  return table;
}

}  // namespace halftone::internal
