#include "report/rules_json.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <utility>

#include "core/json_field.hpp"
#include "graph/read_site_rule.hpp"

namespace halftone::internal {

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

}  // namespace halftone::internal
