#include "sensitivity/kept_table.hpp"

#include <nlohmann/json.hpp>

#include <optional>

#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "sensitivity/complete_table.hpp"
#include "sensitivity/input_digest.hpp"

namespace halftone::internal {

namespace {

/// Nothing where the record is no table of this metric and these sites.
std::optional<SensitivityTable> parse(const std::string& bytes, const std::string& metric,
                                      const SensitivityInput& input) {
  try {
    auto table = nlohmann::json::parse(bytes).get<SensitivityTable>();
    if (table.metric != metric || !incompleteness(table, input.model.sites.size(), input.precisions).empty())
      return std::nullopt;
    return table;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

SensitivityTable find_or_measure(const SensitivityMetric& metric, const SensitivityInput& input) {
  if (input.journal == nullptr) return metric.measure(input);
  SensitivityInput known_input = input;
  known_input.digest = input_digest(input);
  // Batches, and with them the last bits, depend on batch_size and most_bytes.
  Digest key;
  key.add(known_input.digest).add(metric.identity()).add(input.batch_size).add(input.most_bytes);
  const std::string name = "table " + key.hex();
  if (const auto bytes = input.journal->find(name))
    if (auto table = parse(*bytes, metric.name(), input)) return *std::move(table);
  SensitivityTable table = metric.measure(known_input);
  input.journal->append(name, nlohmann::json(table).dump());
  return table;
}

}  // namespace halftone::internal
