#pragma once

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "halftone/core/precision.hpp"
#include "halftone/graph/site.hpp"

namespace halftone {

enum class RuleKind {
  Together,  ///< sites share one precision
  AtLeast,   ///< sites are never lower than a precision
  Out,       ///< sites take no part in the search: they stay at the highest precision to choose from
};

/// What must hold of some sites in every plan. Sites of two `Together` rules make one group; the strictest of all other
/// rules holds for a whole group.
struct SiteRule {
  RuleKind kind = RuleKind::Together;
  /// ECMAScript, matches whole names of sites. Where a `Together` pattern has a capture, sites of equal first capture
  /// make a group: "(.*)\.attention\.(query|key|value)" gives one for every layer. Without one all make one group.
  std::string pattern;
  Precision precision = k16;  ///< of `AtLeast`

  bool operator==(const SiteRule&) const = default;
};

/// What a rule means for the sites at hand.
struct AppliedRule {
  SiteRule rule;
  /// By position, in network order: groups of two sites and more for `Together`, else one list of all that match.
  std::vector<std::vector<std::size_t>> groups;

  bool operator==(const AppliedRule&) const = default;
};

/// `together "PATTERN"`, `at least 8 bits "PATTERN"`, `left out "PATTERN"`.
std::string to_string(const SiteRule& rule);

/// Reads "PATTERN" (16 bits) or "PATTERN=PRECISION"; a pattern with "=" in it needs a precision behind it. Throws
/// `InvalidArgument`.
SiteRule parse_at_least(const std::string& text);

/// Throws `InvalidArgument` for a pattern that is no expression of at most 500 characters without counted repetitions
/// and back references, that matches no site, or that puts none together. Cost: polynomial, whatever the pattern.
AppliedRule apply_rule(const SiteRule& rule, std::span<const Site> sites);

/// {"together": P}, {"keep": P, "at_least": "8"} or {"out": P}. Reading throws `BadFile` naming the field.
void to_json(nlohmann::json& json, const SiteRule& rule);
void from_json(const nlohmann::json& json, SiteRule& rule);

/// {"version": 1, "rules": […]}; `place` stands for the file in messages. Throws `BadFile`.
std::vector<SiteRule> parse_site_rules(const std::string& text, const std::string& place);
/// Throws `NotFound` too.
std::vector<SiteRule> read_site_rules(const std::filesystem::path& path);
/// The text that `parse_site_rules` reads.
std::string to_text(std::span<const SiteRule> rules);

}  // namespace halftone
