#include "cli/sense_text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/core/error.hpp"
#include "halftone/evaluate/rank_correlation.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

namespace halftone::cli {
namespace {

using namespace internal;
using Align = TextTable::Align;

/// Rank correlations of every two metrics at a precision.
std::vector<std::vector<std::optional<double>>> correlations(const SensitivityFile& file, Precision precision) {
  std::vector<std::vector<double>> scores;
  for (const SensitivityTable& table : file.tables) {
    auto& of_table = scores.emplace_back();
    for (const auto& site : table.scores) of_table.push_back(site.at(precision));
  }
  std::vector<std::vector<std::optional<double>>> rows;
  for (const auto& a : scores) {
    auto& row = rows.emplace_back();
    for (const auto& b : scores) row.push_back(rank_correlation(a, b));
  }
  return rows;
}

/// The sites' scores by some metrics at some precisions.
struct Columns {
  std::vector<Precision> precisions;
  std::size_t metrics = 0;
  bool shows_errors = true;
};

std::string score_text(const SensitivityTable& table, std::size_t site, Precision precision, bool shows_error) {
  std::string text = significant(table.scores[site].at(precision), 3);
  if (is_clamped(table, site, precision)) text += '*';
  if (shows_error && !table.standard_errors.empty())
    text += " +- " + significant(table.standard_errors[site].at(precision), 2);
  return text;
}

std::string score_table(const SensitivityFile& file, const Columns& columns) {
  std::vector<Align> align{Align::Left};
  align.insert(align.end(), columns.metrics * columns.precisions.size(), Align::Right);
  TextTable table(align);
  TextTable::Row head{"site"};
  for (std::size_t m = 0; m < columns.metrics; ++m)
    for (const Precision precision : columns.precisions)
      head.push_back(message(file.tables[m].metric, " at ", precision));
  table.add(head);
  for (std::size_t site = 0; site < file.sites.size(); ++site) {
    TextTable::Row row{file.sites[site]};
    for (std::size_t m = 0; m < columns.metrics; ++m)
      for (const Precision precision : columns.precisions)
        row.push_back(score_text(file.tables[m], site, precision, columns.shows_errors));
    table.add(row);
  }
  return table.text();
}

bool is_too_wide(const std::string& text) {
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != text.npos; begin = end + 1)
    if (internal::columns(std::string_view(text).substr(begin, end - begin)) > kTextWidth) return true;
  return false;
}

/// As much as fits: all, the lowest precision, without standard errors, the first metrics. Says what it leaves out.
std::string sites_text(const SensitivityFile& file) {
  const std::vector<Precision> lowest{file.precisions.back()};
  const bool has_errors = std::any_of(file.tables.begin(), file.tables.end(),
                                      [](const SensitivityTable& table) { return !table.standard_errors.empty(); });
  Columns columns{.precisions = file.precisions, .metrics = file.tables.size()};
  std::string left_out;
  std::string text = score_table(file, columns);
  if (is_too_wide(text) && file.precisions.size() > 1) {
    columns.precisions = lowest;
    left_out += message(" Only the lowest precision, ", lowest.front(), ", fits here.");
    text = score_table(file, columns);
  }
  if (is_too_wide(text) && has_errors) {
    columns.shows_errors = false;
    left_out += " Standard errors are left out.";
    text = score_table(file, columns);
  }
  while (is_too_wide(text) && columns.metrics > 1) {
    --columns.metrics;
    text = score_table(file, columns);
  }
  if (columns.metrics < file.tables.size())
    left_out += message(" Only the first ", columns.metrics, " of ", file.tables.size(), " metrics fit here.");
  if (!left_out.empty()) left_out += " --json and --out have all.";
  std::string legend = "Sites in network order; lower is safer, by one metric's own measure.";
  if (has_errors && columns.shows_errors) legend += " +-: standard error.";
  const bool has_clamped = std::any_of(file.tables.begin(), file.tables.end(),
                                       [](const SensitivityTable& table) { return !table.clamped.empty(); });
  if (has_clamped) legend += std::string(1, ' ') + kClampedLegend;
  return wrapped(legend + left_out) + '\n' + text;
}

std::string cost_text(const SensitivityFile& file) {
  TextTable table({Align::Left, Align::Right, Align::Right, Align::Right});
  table.add({"metric", "forward passes", "backward passes", "seconds"});
  for (const SensitivityTable& one : file.tables)
    table.add({one.metric, significant(one.forward_passes), significant(one.backward_passes), fixed(one.seconds, 1)});
  return table.text();
}

std::string correlation_text(const SensitivityFile& file) {
  std::string text;
  for (const Precision precision : file.precisions) {
    TextTable table(std::vector<Align>(file.tables.size() + 2, Align::Right));
    TextTable::Row head{"", message("at ", in_words(precision))};
    for (std::size_t i = 0; i < file.tables.size(); ++i) head.push_back(std::to_string(i + 1));
    table.add(head);
    const auto rows = correlations(file, precision);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      TextTable::Row row{std::to_string(i + 1), file.tables[i].metric};
      for (const auto& value : rows[i]) row.push_back(value ? fixed(*value, 2) : "-");
      table.add(row);
    }
    text += table.text();
  }
  return text;
}

}  // namespace

void print_text(const SensitivityFile& file, std::ostream& out) {
  out << wrapped(message(file.model, ": sensitivity of ", file.sites.size(), " sites on ", grouped(file.data.samples),
                         file.data.samples == 1 ? " sample of " : " samples of ", file.data.name))
      << "\n\n"
      << sites_text(file) << '\n'
      << cost_text(file);
  if (file.tables.size() > 1) out << "\nRank correlations of the metrics\n" << correlation_text(file);
}

nlohmann::json to_json_with_correlations(const SensitivityFile& file) {
  nlohmann::json json = file;
  for (const Precision precision : file.precisions) {
    nlohmann::json rows = nlohmann::json::array();
    for (const auto& row : correlations(file, precision)) {
      nlohmann::json& values = rows.emplace_back(nlohmann::json::array());
      for (const auto& value : row) values.push_back(value ? nlohmann::json(*value) : nlohmann::json());
    }
    json["rank_correlations"][to_string(precision)] = std::move(rows);
  }
  return json;
}

}  // namespace halftone::cli
