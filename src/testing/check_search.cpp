#include "halftone/testing/check_search.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>

#include "testing/violations.hpp"

namespace halftone::testing {

namespace {

using internal::Violations;

/// A number in [0, 1) that depends on `text` alone, the same everywhere (FNV-1a).
double chance(const std::string& text) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  hash ^= hash >> 32U;
  hash *= 0xD6E8FEB86659FD93U;
  return static_cast<double>(hash >> 11U) / 9007199254740992.0;
}

/// Sites in a chain: each gains something of its own, neighbours at unequal precisions cost `conversion`.
class Chain final : public LatencyModel {
 public:
  explicit Chain(double conversion) : conversion_(conversion) {}
  [[nodiscard]] std::string name() const override { return "chain"; }
  [[nodiscard]] std::string origin() const override { return "made up"; }
  [[nodiscard]] std::string unit() const override { return "units"; }

 private:
  [[nodiscard]] double do_estimate(std::span<const Site> sites, const Plan& plan) const override {
    double time = 1;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      time += static_cast<double>(sites[i].macs) * (plan[i].weight_bits + plan[i].activation_bits) / 32;
      if (i > 0 && plan[i] != plan[i - 1]) time += conversion_;
    }
    return time;
  }
  double conversion_;
};

/// What a plan is scored by.
struct Rule {
  const char* name;
  std::function<bool(const Plan&)> passes;
};

/// Site i at `precision`, in [0, 1): lower widths lose more.
double damage(std::size_t site, Precision precision) {
  const int bits = precision.weight_bits + precision.activation_bits;
  return chance(message("site ", site)) * (32 - bits) / 32.0;
}

double damage(const Plan& plan) {
  double sum = 0;
  for (std::size_t i = 0; i < plan.size(); ++i) sum += damage(i, plan[i]);
  return sum;
}

/// Scores by a rule, and keeps account.
class Account final : public Evaluator {
 public:
  explicit Account(const Rule& rule) : rule_(rule) {}

  std::optional<Evaluation> evaluate(const Plan& plan) override {
    if (plans.size() == stop_after) {
      ++asked_to_stop;
      return std::nullopt;
    }
    if (plans.size() == throw_after) throw std::runtime_error(kBreakdown);
    plans.push_back(plan);
    Evaluation evaluation;
    evaluation.passed = rule_.passes(plan);
    evaluation.damage = damage(plan);
    evaluation.score = 1 - evaluation.damage / 100;
    evaluation.samples = 1;
    return evaluation;
  }

  static constexpr const char* kBreakdown = "the evaluator broke down";
  static constexpr std::size_t kNever = ~std::size_t{0};
  std::size_t stop_after = kNever;
  std::size_t throw_after = kNever;
  std::vector<Plan> plans;
  int asked_to_stop = 0;

 private:
  const Rule& rule_;
};

struct Setting {
  std::vector<Site> sites;
  std::vector<Precision> precisions;
  Chain latency;
  Rule rule;

  [[nodiscard]] Plan baseline() const { return Plan::uniform(sites.size(), precisions.front()); }
  [[nodiscard]] double time(const Plan& plan) const { return latency.estimate(sites, plan); }
};

std::vector<Site> make_sites(std::size_t count) {
  std::vector<Site> sites(count);
  for (std::size_t i = 0; i < count; ++i) {
    sites[i].name = message("site", i);
    sites[i].macs = 1 + static_cast<std::int64_t>(10 * chance(message("macs ", i)));
  }
  return sites;
}

std::vector<Setting> settings() {
  const auto budget = [](double share) {
    return [share](const Plan& plan) { return damage(plan) <= share * static_cast<double>(plan.size()) / 4; };
  };
  const std::vector<Rule> rules{{"all pass", [](const Plan&) { return true; }},
                                {"none passes", [](const Plan&) { return false; }},
                                {"a tight budget", budget(0.3)},
                                {"a wide budget", budget(0.8)},
                                {"by chance", [](const Plan& plan) { return chance(to_string(plan)) < 0.5; }}};
  std::vector<Setting> list;
  for (const std::size_t count : {1, 2, 5, 12})
    for (const std::vector<Precision>& precisions : {std::vector{k16, k8}, {k16, k8, k4}, {k8, kW4A8, k4}})
      for (const double conversion : {0.0, 3.0})
        for (const Rule& rule : rules) list.push_back({make_sites(count), precisions, Chain(conversion), rule});
  return list;
}

/// Right about how plans compare: sites do not act on each other.
PredictedDamage predict(const Setting& setting) {
  SensitivityTable table;
  for (std::size_t i = 0; i < setting.sites.size(); ++i) {
    auto& scores = table.scores.emplace_back();
    for (const Precision precision : setting.precisions) scores[precision] = damage(i, precision);
  }
  return PredictedDamage(table);
}

/// One search, watched.
struct Watched {
  Account account;
  SearchResult result{};
  std::vector<std::string> misuse{};  ///< of the ordering
};

Watched watch(const SearchStrategy& strategy, const Setting& setting, std::size_t stop_after = Account::kNever) {
  Watched watched{Account(setting.rule)};
  watched.account.stop_after = stop_after;
  const OrderFn order = [&](const Plan& plan, Precision target, std::vector<std::size_t> asked) {
    const std::set<std::size_t> distinct(asked.begin(), asked.end());
    const bool known =
        std::find(setting.precisions.begin(), setting.precisions.end(), target) != setting.precisions.end();
    if (plan.size() != setting.sites.size() || !known || distinct.size() != asked.size() ||
        (!asked.empty() && *distinct.rbegin() >= plan.size()))
      watched.misuse.push_back(message("it asks for an ordering of ", asked.size(), " sites of a plan of ", plan.size(),
                                       " at precision ", target,
                                       ": different sites of the problem, and one of its precisions, are needed"));
    std::sort(asked.begin(), asked.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(damage(a, target), a) < std::pair(damage(b, target), b);
    });
    return asked;
  };
  const PredictedDamage predicted = predict(setting);
  watched.result = strategy.search({.sites = setting.sites,
                                    .precisions = setting.precisions,
                                    .order = order,
                                    .latency = setting.latency,
                                    .predict = [&]() -> const PredictedDamage& { return predicted; }},
                                   watched.account);
  return watched;
}

void check_plans(const Setting& setting, const Watched& watched, Violations& violations) {
  std::set<std::string> seen;
  for (const Plan& plan : watched.account.plans) {
    const std::string text = to_string(plan);
    if (plan.size() != setting.sites.size())
      return violations.add("it scores a plan of ", plan.size(), " sites where there are ", setting.sites.size());
    for (const Precision precision : plan.precisions)
      if (std::find(setting.precisions.begin(), setting.precisions.end(), precision) == setting.precisions.end())
        return violations.add("it scores plan \"", text, "\", with a precision that is not among the problem's");
    if (plan == setting.baseline()) return violations.add("it scores the baseline, which is known to pass");
    if (!seen.insert(text).second) return violations.add("it scores plan \"", text, "\" twice");
  }
}

void check_result(const Setting& setting, const Watched& watched, Violations& violations) {
  const SearchResult& result = watched.result;
  const auto& plans = watched.account.plans;
  const bool is_baseline = result.best == setting.baseline();
  if (!is_baseline &&
      (std::find(plans.begin(), plans.end(), result.best) == plans.end() || !setting.rule.passes(result.best)))
    return violations.add("it returns plan \"", to_string(result.best), "\", which did not pass");
  if (is_baseline == result.best_evaluation.has_value())
    violations.add("its best plan comes ", is_baseline ? "with" : "without", " an evaluation");
  if (result.best_latency != setting.time(result.best) || result.best_latency > setting.time(setting.baseline()))
    violations.add("its best plan's latency is ", result.best_latency, ", it takes ", setting.time(result.best),
                   " and the baseline ", setting.time(setting.baseline()));
  for (const std::string& misuse : watched.misuse) violations.add(misuse);
}

bool same(const SearchResult& a, const SearchResult& b) {
  const auto same_step = [](const SearchStep& x, const SearchStep& y) {
    return x.plan == y.plan && x.decision == y.decision;
  };
  return a.best == b.best && std::equal(a.steps.begin(), a.steps.end(), b.steps.begin(), b.steps.end(), same_step);
}

/// A search that is stopped on evaluation `limit` + 1 gives what it had by then.
void check_stop(const SearchStrategy& strategy, const Setting& setting, const Watched& whole, std::size_t limit,
                Violations& violations) {
  const Watched stopped = watch(strategy, setting, limit);
  if (stopped.result.status != SearchStatus::Stopped)
    violations.add("it is not \"stopped\" where the evaluator was asked to stop after ", limit, " plans");
  if (stopped.account.asked_to_stop != 1)
    violations.add("it goes on scoring after a stop request: ", stopped.account.asked_to_stop, " times");
  if (!std::equal(stopped.account.plans.begin(), stopped.account.plans.end(), whole.account.plans.begin()))
    violations.add("stopped after ", limit, " plans, it had scored others than when it was not stopped");
  check_result(setting, stopped, violations);
}

void check_breakdown(const SearchStrategy& strategy, const Setting& setting, Violations& violations) {
  Account broken(setting.rule);
  broken.throw_after = 0;
  const OrderFn order = [](const Plan&, Precision, const std::vector<std::size_t>& asked) { return asked; };
  const PredictedDamage predicted = predict(setting);
  try {
    (void)strategy.search({.sites = setting.sites,
                           .precisions = setting.precisions,
                           .order = order,
                           .latency = setting.latency,
                           .predict = [&]() -> const PredictedDamage& { return predicted; }},
                          broken);
    violations.add("it keeps an exception of the evaluator to itself");
  } catch (const std::exception& error) {
    if (std::string(error.what()) != Account::kBreakdown)
      violations.add("where the evaluator throws, it throws something else: ", error.what());
  }
}

void check_setting(const SearchStrategy& strategy, const Setting& setting, const CheckSearchOptions& options,
                   Violations& violations) {
  const Watched whole = watch(strategy, setting);
  if (whole.result.status != SearchStatus::Finished)
    violations.add("it is \"", to_string(whole.result.status), "\", and nobody asked it to stop");
  check_plans(setting, whole, violations);
  check_result(setting, whole, violations);
  const std::size_t scored = whole.account.plans.size();
  const double most =
      options.most_evaluations * static_cast<double>(setting.sites.size() * (setting.precisions.size() - 1)) + 10;
  if (static_cast<double>(scored) > most)
    violations.add("it scores ", scored, " plans, at most ", most, " are allowed");
  if (!same(whole.result, watch(strategy, setting).result))
    violations.add("it is not deterministic: a second search differs");
  for (std::size_t limit = 0; limit < scored; limit += std::max<std::size_t>(1, scored / 4))
    check_stop(strategy, setting, whole, limit, violations);
  if (scored > 0) check_breakdown(strategy, setting, violations);
}

}  // namespace

std::vector<std::string> check_search(const SearchStrategy& strategy, const CheckSearchOptions& options) {
  std::vector<std::string> found;
  if (strategy.name().empty()) found.push_back("search: it has no name");
  for (const Setting& setting : settings()) {
    Violations violations(message("search ", strategy.name(), ", ", setting.sites.size(), " sites at ",
                                  setting.precisions.size(), " precisions, ", setting.rule.name));
    violations.guard("searching", [&] { check_setting(strategy, setting, options, violations); });
    found.insert(found.end(), violations.list().begin(), violations.list().end());
  }
  return found;
}

}  // namespace halftone::testing
