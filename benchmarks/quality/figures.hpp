// Figures by row and column, over seeds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace halftone::benchmarks {

/// Figures of one row, over seeds, in the order of the first seed's columns.
class Row {
 public:
  void add(const std::string& column, double value) {
    const auto found = std::find_if(columns_.begin(), columns_.end(), [&](const auto& c) { return c.first == column; });
    if (found == columns_.end())
      columns_.emplace_back(column, std::vector<double>{value});
    else
      found->second.push_back(value);
  }
  [[nodiscard]] const std::vector<std::pair<std::string, std::vector<double>>>& columns() const { return columns_; }

 private:
  std::vector<std::pair<std::string, std::vector<double>>> columns_;
};

using Table = std::vector<std::pair<std::string, Row>>;

inline Row& row(Table& table, const std::string& name) {
  for (auto& [known, values] : table)
    if (known == name) return values;
  return table.emplace_back(name, Row()).second;
}

inline std::pair<double, double> mean_and_deviation(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, n > 1 ? std::sqrt(squares / (n - 1)) : 0.0};
}

inline void print(const std::string& title, const Table& table) {
  if (table.empty()) return;
  std::printf("\n%s; mean over seeds (standard deviation)\n%-26s", title.c_str(), "");
  for (const auto& [column, values] : table.front().second.columns()) std::printf("%18s", column.c_str());
  std::printf("\n");
  for (const auto& [name, row] : table) {
    std::printf("%-26s", name.c_str());
    for (const auto& [column, values] : row.columns()) {
      const auto [mean, deviation] = mean_and_deviation(values);
      std::printf("%10.4g (%5.2g)", mean, deviation);
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

/// Every row over the row of `base_of(name)`, seed by seed: mean ratio, and at how many seeds it is lower. Rows without
/// a base are left out, and so are seeds whose base is 0.
template <class BaseOf>
void print_ratios(const std::string& title, const Table& table, const BaseOf& base_of) {
  std::printf("\n%s: mean ratio (standard deviation) lower at / of seeds\n", title.c_str());
  for (const auto& [name, row] : table) {
    const auto base = std::find_if(table.begin(), table.end(),
                                   [&, wanted = base_of(name)](const auto& entry) { return entry.first == wanted; });
    if (base == table.end() || base->first == name) continue;
    std::printf("%-26s", name.c_str());
    for (std::size_t i = 0; i < row.columns().size(); ++i) {
      const auto& values = row.columns()[i].second;
      const auto& others = base->second.columns()[i].second;
      std::vector<double> ratios;
      int lower = 0;
      for (std::size_t seed = 0; seed < std::min(values.size(), others.size()); ++seed) {
        if (others[seed] == 0) continue;
        ratios.push_back(values[seed] / others[seed]);
        lower += ratios.back() < 1 - 1e-9 ? 1 : 0;
      }
      if (ratios.empty()) {
        std::printf("%19s none", "");
        continue;
      }
      const auto [mean, deviation] = mean_and_deviation(ratios);
      std::printf("%10.4f (%6.4f) %d/%zu", mean, deviation, lower, ratios.size());
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

}  // namespace halftone::benchmarks
