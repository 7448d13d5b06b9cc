#include "halftone/graph/site_units.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

bool is_at_least(Precision precision, Precision lowest) {
  return precision.weight_bits >= lowest.weight_bits && precision.activation_bits >= lowest.activation_bits;
}

Precision strictest(Precision a, Precision b) {
  return {std::max(a.weight_bits, b.weight_bits), std::max(a.activation_bits, b.activation_bits)};
}

/// Sets of sites that merge.
class Groups {
 public:
  explicit Groups(std::size_t sites) : parent_(sites) { std::iota(parent_.begin(), parent_.end(), std::size_t{0}); }

  /// The first site of the group.
  [[nodiscard]] std::size_t first(std::size_t site) const {
    while (parent_[site] != site) site = parent_[site];
    return site;
  }
  void merge(std::size_t a, std::size_t b) {
    const auto [low, high] = std::minmax({first(a), first(b)});
    parent_[high] = low;
  }

 private:
  std::vector<std::size_t> parent_;
};

/// How much of both texts is equal, up to and without the last dot.
std::size_t common_prefix(const std::string& a, const std::string& b, std::size_t most) {
  std::size_t dot = 0;
  for (std::size_t i = 0; i < std::min({a.size(), b.size(), most + 1}) && a[i] == b[i]; ++i)
    if (a[i] == '.') dot = i;
  return dot;
}

/// "layer.0.attention (query, key, value)"; of more than four sites the first two and how many there are.
std::string group_name(std::span<const Site> sites, const std::vector<std::size_t>& members) {
  constexpr std::size_t kMostNamed = 4;
  const std::string& first = sites[members.front()].name;
  if (members.size() == 1) return first;
  std::size_t prefix = first.size();
  for (const std::size_t member : members) prefix = common_prefix(first, sites[member].name, prefix);
  const std::size_t named = members.size() > kMostNamed ? 2 : members.size();
  std::string list;
  for (std::size_t k = 0; k < named; ++k)
    list += (k > 0 ? ", " : "") + sites[members[k]].name.substr(prefix > 0 ? prefix + 1 : 0);
  if (named < members.size()) list += message(", … ", members.size(), " sites");
  return prefix > 0 ? message(first.substr(0, prefix), " (", list, ')') : message('(', list, ')');
}

std::string list_of(std::span<const Precision> precisions) {
  std::string text;
  for (const Precision precision : precisions) text += (text.empty() ? "" : ", ") + to_string(precision);
  return text;
}

}  // namespace

SiteUnits::SiteUnits(std::span<const Site> sites, std::span<const SiteRule> rules,
                     std::span<const Precision> precisions)
    : precisions_(ordered_precisions({precisions.begin(), precisions.end()})), sites_(sites.size()) {
  for (const SiteRule& rule : rules) {
    if (rule.kind == RuleKind::AtLeast && !is_at_least(precisions_.front(), rule.precision))
      throw Error(Errc::InvalidArgument,
                  message("rule ", to_string(rule), ": the precisions to choose from are ", list_of(precisions_),
                          ", none of them as high: add ", to_string(rule.precision), ", or ask for less"));
    rules_.push_back(apply_rule(rule, sites));
  }
  build(sites);
  if (units_.empty() && !sites.empty())
    throw Error(Errc::InvalidArgument, message("the rules leave none of the ", sites.size(),
                                               " sites to lower: keep fewer at the highest precision"));
}

void SiteUnits::build(std::span<const Site> sites) {
  Groups groups(sites.size());
  std::vector<Precision> lowest(sites.size(), Precision{0, 0});
  for (const auto& [rule, matches] : rules_)
    for (const auto& match : matches)
      for (const std::size_t site : match) {
        if (rule.kind == RuleKind::Together) groups.merge(match.front(), site);
        if (rule.kind == RuleKind::AtLeast) lowest[site] = strictest(lowest[site], rule.precision);
        if (rule.kind == RuleKind::Out) lowest[site] = precisions_.front();
      }
  std::vector<SiteUnit> units(sites.size());
  for (std::size_t site = 0; site < sites.size(); ++site) {
    SiteUnit& unit = units[groups.first(site)];
    unit.sites.push_back(site);
    unit.lowest = strictest(unit.lowest, lowest[site]);
  }
  for (SiteUnit& unit : units) {
    if (unit.sites.empty()) continue;
    if (allowed(unit, precisions_.back()) == precisions_.front()) {
      fixed_.insert(fixed_.end(), unit.sites.begin(), unit.sites.end());
      continue;
    }
    unit.name = group_name(sites, unit.sites);
    units_.push_back(std::move(unit));
  }
  std::sort(fixed_.begin(), fixed_.end());
}

Precision SiteUnits::allowed(const SiteUnit& unit, Precision precision) const {
  if (is_at_least(precision, unit.lowest)) return precision;
  Precision found = precisions_.front();
  for (const Precision candidate : precisions_)
    if (is_at_least(candidate, unit.lowest)) found = candidate;
  return found;
}

Plan SiteUnits::expand(const Plan& units) const {
  Plan plan = Plan::uniform(sites_, precisions_.front());
  for (std::size_t u = 0; u < units_.size(); ++u)
    for (const std::size_t site : units_[u].sites) plan[site] = allowed(units_[u], units[u]);
  return plan;
}

Plan SiteUnits::contract(const Plan& sites) const {
  Plan plan;
  for (const SiteUnit& unit : units_) plan.precisions.push_back(sites[unit.sites.front()]);
  return plan;
}

Plan SiteUnits::constrain(const Plan& sites) const {
  Plan plan = sites;
  for (const SiteUnit& unit : units_) {
    Precision highest{0, 0};
    for (const std::size_t site : unit.sites) highest = strictest(highest, sites[site]);
    for (const std::size_t site : unit.sites) plan[site] = allowed(unit, highest);
  }
  for (const std::size_t site : fixed_)
    if (!is_at_least(sites[site], precisions_.front())) plan[site] = precisions_.front();
  return plan;
}

}  // namespace halftone
