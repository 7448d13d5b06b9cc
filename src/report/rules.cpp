#include "report/rules.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <utility>

#include "core/json_field.hpp"
#include "graph/read_site_rule.hpp"
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

nlohmann::json rules_json(const RunResult& run) {
  nlohmann::json rules = nlohmann::json::array();
  for (const auto& [rule, groups] : run.rules) {
    nlohmann::json names = nlohmann::json::array();
    for (const auto& group : groups) {
      auto& list = names.emplace_back(nlohmann::json::array());
      for (const std::size_t site : group) list.push_back(run.sites[site].name);
    }
    rules.push_back({{"rule", rule}, {"groups", std::move(names)}});
  }
  return rules;
}

void read_rules(const JsonField& field, RunResult& run) {
  std::map<std::string, std::size_t> positions;
  for (std::size_t i = 0; i < run.sites.size(); ++i) positions[run.sites[i].name] = i;
  field.each_element([&](const JsonField& entry) {
    AppliedRule& applied = run.rules.emplace_back();
    applied.rule = read_site_rule(entry.need("rule"));
    entry.need("groups").each_element([&](const JsonField& names) {
      auto& group = applied.groups.emplace_back();
      names.each_element([&](const JsonField& name) {
        const auto found = positions.find(name.text());
        if (found == positions.end()) name.fail("there is no such site");
        group.push_back(found->second);
      });
    });
  });
}

void add_rules(const RunResult& run, Document& document) {
  if (run.rules.empty()) return;
  using Align = TextTable::Align;
  TextTable table({Align::Right, Align::Left});
  for (const AppliedRule& applied : run.rules) table.add({extent(applied), to_string(applied.rule)});
  document.table("Rules, which every plan obeys; a group counts as one site in the search", table);
}

}  // namespace halftone::internal
