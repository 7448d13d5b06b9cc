#include "halftone/data/weight_names.hpp"

#include <map>
#include <regex>
#include <utility>

#include "core/json_field.hpp"
#include "core/quoted.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"

namespace halftone {
namespace {

constexpr std::size_t kLongestName = 1000;  // std::regex takes a stack frame for each byte that it matches

void require_unique(const std::vector<std::string>& before, const std::vector<std::string>& after) {
  std::map<std::string, std::size_t> first;
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (after[i].empty()) continue;
    const auto [known, is_new] = first.emplace(after[i], i);
    if (!is_new)
      throw Error(Errc::InvalidArgument,
                  message("tensors ", internal::quoted(before[known->second]), " and ", internal::quoted(before[i]),
                          " would both be called ", internal::quoted(after[i]),
                          ": make the rules that rename them more exact, e.g. by ^ and $"));
  }
}

}  // namespace

void WeightNames::add(const std::string& from, const std::string& to) {
  try {
    static_cast<void>(std::regex(from));
  } catch (const std::regex_error&) {
    throw Error(Errc::InvalidArgument, message("rule ", internal::quoted(from), " -> ", internal::quoted(to), ": ",
                                               internal::quoted(from), " is no regular expression of ECMAScript"));
  }
  rules_.push_back({from, to});
}

void WeightNames::add(const std::string& rule) {
  const auto equals = rule.rfind('=');
  if (equals == std::string::npos && rule.ends_with(".json")) return add_file(rule);
  if (equals == std::string::npos || equals == 0)
    throw Error(Errc::InvalidArgument, message("rule ", internal::quoted(rule),
                                               " renames nothing: FROM=TO is needed, e.g. \"^backbone\\.=\", or a file "
                                               "x.json with [[\"FROM\", \"TO\"], …]"));
  add(rule.substr(0, equals), rule.substr(equals + 1));
}

void WeightNames::add_file(const std::filesystem::path& path) {
  const std::string place = message("rules ", path);
  const nlohmann::json rules = internal::parse_json(read_text(path, 1u << 20), place);
  const auto is_text = [](const nlohmann::json& value) { return value.is_string(); };
  if (!rules.is_array()) throw Error(Errc::BadFile, place + ": a list of [\"FROM\", \"TO\"] is needed");
  for (const auto& rule : rules) {
    if (!rule.is_array() || rule.size() != 2 || !is_text(rule[0]) || !is_text(rule[1]))
      throw Error(Errc::BadFile, message(place, ": ", internal::shortened(rule.dump()),
                                         " is no rule: [\"FROM\", \"TO\"] is needed, two texts"));
    add(rule[0].get<std::string>(), rule[1].get<std::string>());
  }
}

std::vector<std::string> WeightNames::map(std::vector<std::string> names) const {
  if (empty()) return names;
  std::vector<std::string> renamed = names;
  for (const Rule& rule : rules_) {
    const std::regex expression(rule.from);
    bool matched = false;
    for (auto& name : renamed) {
      if (name.size() > kLongestName)
        throw Error(Errc::InvalidArgument, message("tensor ", internal::quoted(name), " has a name of ", name.size(),
                                                   " bytes: ", kLongestName, " at most can be renamed"));
      matched = matched || std::regex_search(name, expression);
      name = std::regex_replace(name, expression, rule.to);
    }
    if (!matched && !names.empty())
      throw Error(Errc::InvalidArgument,
                  message("rule ", internal::quoted(rule.from), " -> ", internal::quoted(rule.to),
                          " matches no tensor: the first is called ", internal::quoted(renamed.front())));
  }
  require_unique(names, renamed);
  return renamed;
}

}  // namespace halftone
