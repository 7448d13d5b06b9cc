#include "report/rules.hpp"

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

/// "12 groups of 36 sites", "2 sites".
std::string extent(const AppliedRule& applied) {
  std::size_t sites = 0;
  for (const auto& group : applied.groups) sites += group.size();
  const std::string counted = message(sites, sites == 1 ? " site" : " sites");
  if (applied.rule.kind != RuleKind::Together) return counted;
  return message(applied.groups.size(), applied.groups.size() == 1 ? " group of " : " groups of ", counted);
}

}  // namespace

void add_rules(const RunResult& run, Document& document) {
  if (run.rules.empty()) return;
  using Align = TextTable::Align;
  TextTable table({Align::Right, Align::Left});
  for (const AppliedRule& applied : run.rules) table.add({extent(applied), to_string(applied.rule)});
  document.table("Rules, which every plan obeys; a group counts as one site in the search", table);
}

}  // namespace halftone::internal
