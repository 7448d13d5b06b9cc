#include "halftone/graph/site_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <numeric>
#include <regex>
#include <utility>

#include "core/json_field.hpp"
#include "core/quoted.hpp"
#include "graph/read_site_rule.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"

namespace halftone {
namespace {

using internal::JsonField;
using nlohmann::json;

constexpr std::size_t kLongestPattern = 500;
constexpr std::size_t kLongestName = 1000;
constexpr std::size_t kMostRules = 1000;
constexpr int kVersion = 1;

// Breadth first: no pattern takes exponential time. Other libraries than GNU's have no such flag.
#ifdef __GLIBCXX__
constexpr auto kSyntax = std::regex::ECMAScript | std::regex_constants::__polynomial;
#else
constexpr auto kSyntax = std::regex::ECMAScript;
#endif

[[noreturn]] void refuse(const SiteRule& rule, const std::string& why) {
  throw Error(Errc::InvalidArgument, message("rule ", to_string(rule), ": ", why));
}

/// Counted repetitions multiply what a short pattern expands to.
bool has_count(const std::string& pattern) {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '{') return true;
    if (pattern[i] == '\\') ++i;
  }
  return false;
}

std::regex compile(const SiteRule& rule) {
  const std::string& pattern = rule.pattern;
  if (pattern.empty() || pattern.size() > kLongestPattern)
    refuse(rule, message("a pattern has 1 to ", kLongestPattern, " characters, not ", pattern.size()));
  if (has_count(pattern))
    refuse(rule, "counted repetitions such as x{3} are not taken: write them out, or \\{ for the character");
  try {
    return std::regex(pattern, kSyntax);
  } catch (const std::regex_error&) {
    refuse(rule, "the pattern is no regular expression of ECMAScript without back references");
  }
}

/// How many single changes lead from one text to the other. Source: Levenshtein 1966.
std::size_t distance(const std::string& from, const std::string& to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t changed = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

/// Up to three names that look most like the pattern.
std::string nearest(const std::string& pattern, std::span<const Site> sites) {
  constexpr std::size_t kShown = 3;
  std::string plain;
  for (const char c : pattern)
    if (std::string_view("\\^$()[]?*+|").find(c) == std::string_view::npos) plain += c;
  std::vector<std::pair<std::size_t, std::size_t>> ranks;
  for (std::size_t i = 0; i < sites.size(); ++i) ranks.emplace_back(distance(plain, sites[i].name), i);
  std::sort(ranks.begin(), ranks.end());
  std::string names;
  for (std::size_t k = 0; k < std::min(kShown, ranks.size()); ++k)
    names += (k > 0 ? ", " : "") + internal::quoted(sites[ranks[k].second].name);
  return names;
}

}  // namespace

SiteRule internal::read_site_rule(const JsonField& field) {
  SiteRule rule;
  if (field.find("keep")) {
    field.expect_keys({"keep", "at_least"});
    rule = {RuleKind::AtLeast, field["keep"].text(), field["at_least"].precision()};
  } else if (field.find("out")) {
    field.expect_keys({"out"});
    rule = {RuleKind::Out, field["out"].text()};
  } else {
    field.expect_keys({"together"});
    rule = {RuleKind::Together, field["together"].text()};
  }
  return rule;
}

std::string to_string(const SiteRule& rule) {
  const std::string pattern = internal::quoted(rule.pattern);
  switch (rule.kind) {
    case RuleKind::Together:
      return "together " + pattern;
    case RuleKind::AtLeast:
      return message("at least ", in_words(rule.precision), ' ', pattern);
    case RuleKind::Out:
      return "left out " + pattern;
  }
  return "unknown";
}

SiteRule parse_at_least(const std::string& text) {
  const auto equals = text.rfind('=');
  if (equals == std::string::npos) return {RuleKind::AtLeast, text};
  return {RuleKind::AtLeast, text.substr(0, equals), parse_precision(text.substr(equals + 1))};
}

AppliedRule apply_rule(const SiteRule& rule, std::span<const Site> sites) {
  const std::regex expression = compile(rule);
  const bool by_capture = rule.kind == RuleKind::Together && expression.mark_count() > 0;
  std::map<std::string, std::vector<std::size_t>> matches;  // by first capture
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const std::string& name = sites[i].name;
    if (name.size() > kLongestName)
      refuse(rule, message("site ", internal::quoted(name), " has a name of ", name.size(), " bytes, and ",
                           kLongestName, " are the most that rules take"));
    std::smatch match;
    if (std::regex_match(name, match, expression)) matches[by_capture ? match[1].str() : ""].push_back(i);
  }
  if (matches.empty())
    refuse(rule, message("it matches none of the ", sites.size(), " sites; the nearest are ",
                         nearest(rule.pattern, sites), ". A pattern matches whole names"));
  AppliedRule applied{rule, {}};
  for (auto& [captured, group] : matches)
    if (rule.kind != RuleKind::Together || group.size() > 1) applied.groups.push_back(std::move(group));
  if (applied.groups.empty())
    refuse(rule, message("no two sites are together by it: ", matches.size() == 1 ? "one matches" : "each that matches",
                         by_capture ? " has a first capture of its own" : ""));
  std::sort(applied.groups.begin(), applied.groups.end());
  return applied;
}

void to_json(json& json, const SiteRule& rule) {
  switch (rule.kind) {
    case RuleKind::Together:
      json = {{"together", rule.pattern}};
      return;
    case RuleKind::AtLeast:
      json = {{"keep", rule.pattern}, {"at_least", to_string(rule.precision)}};
      return;
    case RuleKind::Out:
      json = {{"out", rule.pattern}};
      return;
  }
}

void from_json(const json& json, SiteRule& rule) { rule = internal::read_site_rule(JsonField(json, "rule")); }

std::vector<SiteRule> parse_site_rules(const std::string& text, const std::string& place) {
  const json object = internal::parse_json(text, place);
  const JsonField field(object, place);
  field.expect_keys({"version", "rules"});
  if (field["version"].integer(1) != kVersion) field["version"].fail(message("this program reads version ", kVersion));
  std::vector<SiteRule> rules;
  field["rules"].each_element([&](const JsonField& entry) {
    if (rules.size() == kMostRules)
      throw Error(Errc::BadFile, message(place, ": at most ", kMostRules, " rules are possible"));
    rules.push_back(internal::read_site_rule(entry));
  });
  return rules;
}

std::vector<SiteRule> read_site_rules(const std::filesystem::path& path) {
  constexpr std::size_t kMostBytes = 1u << 20;
  return parse_site_rules(read_text(path, kMostBytes), message("rules ", path));
}

std::string to_text(std::span<const SiteRule> rules) {
  json list = json::array();
  for (const SiteRule& rule : rules) list.push_back(rule);
  return json({{"version", kVersion}, {"rules", std::move(list)}}).dump(2) + "\n";
}

}  // namespace halftone
