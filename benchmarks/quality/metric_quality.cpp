// How well metrics, orderings and searches do on a network, on samples that no metric saw, over several seeded draws:
//  - rank correlation of each metric with the true damage of single sites;
//  - for each of --steps (say 16:4) damage along the prefixes of each ordering, and cost where it reaches a gate;
//  - on networks of up to 12 sites that damage over the best subset of as many sites, by enumeration;
//  - for each of --searches and --latency what the plan found costs at equal damage and at equal accuracy.
//   metric_quality MODEL CALIBRATION VALIDATION [--metrics error,noise,…] [--steps 16:8,16:4,8:4,16:w4a16] …
// Damage is the task's (of top1 KL to the float network), simulated; gates are shares of the damage at the last
// precision.
#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "../processor_seconds.hpp"
#include "figures.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/error.hpp"
#include "halftone/evaluate/rank_correlation.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/order/ordering.hpp"
#include "halftone/registry.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "study.hpp"

namespace {

using namespace halftone;
using namespace halftone::benchmarks;

constexpr std::size_t kFewSites = 12;

struct Arguments {
  std::string model;
  std::string calibration;
  std::string validation;
  std::string task = "top1";
  std::vector<std::string> metrics{"random",        "error",  "noise",  "hessian",
                                   "hessian-error", "fisher", "damage", "interlayer"};
  std::vector<std::string> steps{"16:8", "8:4", "16:4"};
  std::size_t prefixes = 0;
  std::vector<std::string> searches;
  std::vector<std::string> latencies{"linear"};
  std::vector<double> gates{0.1, 0.25, 0.5};
  std::vector<std::string> keeps{"99.9%", "99%"};
  std::string cache;
  std::int64_t samples = 256;
  std::int64_t scored = 512;
  int seeds = 5;
  int threads = 2;
};

/// One lowering of all sites from one precision to another.
struct Step {
  Precision from;
  Precision to;
};

Step parse_step(const std::string& text) {
  const auto colon = text.find(':');
  if (colon == std::string::npos)
    throw Error(Errc::InvalidArgument, message("step \"", text, "\": write two precisions, e.g. 16:8"));
  return {parse_precision(text.substr(0, colon)), parse_precision(text.substr(colon + 1))};
}

/// True score and damage of plans, each scored once.
class Truth {
 public:
  Truth(const Model& model, const Calibration& calibration, const Dataset& data, const Task& task, int threads)
      : evaluator_(model, calibration, data, task, {.threads = threads}) {
    (void)evaluator_.measure_baseline(Plan::uniform(model.sites.size(), k16));
  }

  const Evaluation& score(const Plan& plan) {
    const auto [entry, is_new] = known_.try_emplace(to_string(plan));
    if (is_new) entry->second = *evaluator_.evaluate(plan);
    return entry->second;
  }
  double damage(const Plan& plan) { return score(plan).damage; }
  [[nodiscard]] double baseline() const { return evaluator_.baseline().score; }

 private:
  SimulatedEvaluator evaluator_;
  std::map<std::string, Evaluation> known_;
};

/// What a search asks, by damage or by score.
class GatedTruth final : public Evaluator {
 public:
  using Rule = std::function<bool(const Evaluation&)>;
  GatedTruth(Truth& truth, Rule rule) : truth_(truth), rule_(std::move(rule)) {}
  std::optional<Evaluation> evaluate(const Plan& plan) override {
    Evaluation evaluation = truth_.score(plan);
    evaluation.passed = rule_(evaluation);
    return evaluation;
  }

 private:
  Truth& truth_;
  Rule rule_;
};

struct Variant {
  std::string name;
  OrderFn order;
};

/// By damage per gain.
std::vector<Variant> variants(const std::vector<SensitivityTable>& tables, std::span<const Site> sites,
                              const LatencyModel& cost) {
  std::vector<Variant> all;
  for (const auto& table : tables) {
    if (!table.pairs) {
      all.push_back({table.metric + "/gain", order_by_score_per_gain(table, sites, cost)});
      continue;
    }
    for (const double share : {1.0, 0.5, 0.0})
      all.push_back(
          {message(table.metric, "/nested ", share), order_nested(table, sites, cost, {.off_diagonal = share})});
  }
  return all;
}

/// By damage alone.
std::vector<Variant> plain_variants(const std::vector<SensitivityTable>& tables, std::span<const Site> sites,
                                    const LatencyModel& cost) {
  std::vector<Variant> all;
  for (const auto& table : tables) {
    if (!table.pairs) {
      all.push_back({table.metric + "/score", order_by_score(table)});
      continue;
    }
    for (const double share : {1.0, 0.5, 0.0})
      all.push_back({message(table.metric, "/nested ", share),
                     order_nested(table, sites, cost, {.off_diagonal = share, .per_gain = false})});
  }
  return all;
}

/// "x/nested 0" for "x/nested 1" and the like: the same order without what sites do to each other.
std::string diagonal_of(const std::string& variant) {
  const auto found = variant.find("/nested ");
  return found == std::string::npos ? "" : variant.substr(0, found) + "/nested 0";
}

class Study {
 public:
  explicit Study(Arguments arguments)
      : arguments_(std::move(arguments)),
        loaded_(load_model(arguments_.model)),
        task_(default_registry().task(arguments_.task)) {
    calibration_ = open_dataset(arguments_.calibration, loaded_.data);
    validation_ = open_dataset(arguments_.validation, loaded_.data);
    for (const auto& text : arguments_.steps) steps_.push_back(parse_step(text));
    for (const Step& step : steps_)
      for (const Precision precision : {step.from, step.to}) add(precision);
    if (!arguments_.searches.empty())
      for (const Precision precision : {k8, k4}) add(precision);
  }

  void run() {
    for (int seed = 0; seed < arguments_.seeds; ++seed) run(seed);
    print("Cost of the metrics", costs_);
    for (const auto& [precision, table] : correlations_)
      print(message("Rank correlation with the true damage of single sites at ", precision), table);
    for (const auto& [step, table] : prefixes_) {
      print(message("Prefixes ", step, ": mean damage over prefixes, and cost at damage gates (shares of the way)"),
            table);
      print_ratios("the same over the diagonal", table, diagonal_of);
    }
    for (const auto& [step, table] : subsets_)
      print(message("Prefixes ", step, " by damage alone: damage over that of the best subset of as many sites"),
            table);
    for (const auto& [name, table] : found_) {
      print(message("Plans found, ", name, ": latency over all-16, true evaluations"), table);
      print_ratios("the same over the diagonal", table, diagonal_of);
    }
  }

 private:
  void add(Precision precision) {
    if (precision != k16 && std::find(precisions_.begin(), precisions_.end(), precision) == precisions_.end())
      precisions_.push_back(precision);
  }

  void run(int seed) {
    std::fprintf(stderr, "seed %d\n", seed);
    const auto calibration_data = draw(calibration_, arguments_.samples, seed);
    const auto scored = draw(validation_, arguments_.scored, 1000 + seed);
    const Model& model = loaded_.model;
    const Calibration ranges = calibrate(model, *calibration_data, precisions_, {.threads = arguments_.threads});
    const auto input = [&](const Dataset& data) {
      return SensitivityInput{.model = model,
                              .calibration = ranges,
                              .data = data,
                              .task = *task_,
                              .precisions = precisions_,
                              .seed = static_cast<std::uint64_t>(seed),
                              .threads = arguments_.threads};
    };
    const SensitivityTable truth = make_damage()->measure(input(*scored));
    const std::vector<SensitivityTable> tables = measure(input(*calibration_data), truth);

    Truth damages(model, ranges, *scored, *task_, arguments_.threads);
    for (const Step& step : steps_) {
      follow(step, tables, damages);
      if (model.sites.size() <= kFewSites) enumerate(step, tables, damages);
    }
    for (const auto& latency : arguments_.latencies)
      if (!arguments_.searches.empty()) search(*make_latency(latency, ranges), tables, damages);
  }

  std::vector<SensitivityTable> measure(const SensitivityInput& input, const SensitivityTable& truth) {
    Registry registry = default_registry();
    registry.metrics["random"] = [generator = std::mt19937_64(input.seed)]() mutable {
      return make_metric("random", [&generator](const SiteView&) { return static_cast<double>(generator() >> 11U); });
    };
    std::vector<SensitivityTable> tables;
    for (const auto& name : arguments_.metrics) {
      const double before = processor_seconds();
      tables.push_back(make(registry, name)->measure(input));
      tables.back().metric = name;
      const SensitivityTable& table = tables.back();
      row(costs_, name).add("CPU seconds", processor_seconds() - before);
      row(costs_, name).add("forward", table.forward_passes);
      row(costs_, name).add("backward", table.backward_passes);
      for (const Precision precision : precisions_)
        row(correlations_[to_string(precision)], name)
            .add("Spearman", rank_correlation(scores(table, precision), scores(truth, precision)).value_or(0));
    }
    std::vector<double> from_the_end;
    for (std::size_t site = input.model.sites.size(); site > 0; --site)
      from_the_end.push_back(static_cast<double>(site));
    for (const Precision precision : precisions_)
      row(correlations_[to_string(precision)], "position from the end")
          .add("Spearman", rank_correlation(from_the_end, scores(truth, precision)).value_or(0));
    return tables;
  }

  /// By name; "interlayer:T" is inter-layer at temperature T.
  static std::shared_ptr<const SensitivityMetric> make(const Registry& registry, const std::string& name) {
    const std::string_view inter_layer = "interlayer:";
    if (!name.starts_with(inter_layer)) return registry.metric(name);
    return make_interlayer({.temperature = std::stod(name.substr(inter_layer.size()))});
  }

  static std::vector<double> scores(const SensitivityTable& table, Precision precision) {
    std::vector<double> result;
    for (const auto& site : table.scores) result.push_back(site.at(precision));
    return result;
  }

  [[nodiscard]] std::vector<std::size_t> all_sites() const {
    std::vector<std::size_t> all(loaded_.model.sites.size());
    std::iota(all.begin(), all.end(), 0);
    return all;
  }

  /// Whether the prefix of `length` sites is scored: all, or about so many as were asked for, and the last.
  [[nodiscard]] bool is_scored(std::size_t length, std::size_t sites) const {
    if (arguments_.prefixes == 0 || arguments_.prefixes >= sites) return true;
    return length * arguments_.prefixes / sites != (length - 1) * arguments_.prefixes / sites;
  }

  void follow(const Step& step, const std::vector<SensitivityTable>& tables, Truth& damages) {
    const auto& sites = loaded_.model.sites;
    const Plan base = Plan::uniform(sites.size(), step.from);
    const std::string name = message(step.from, " to ", step.to);
    const double start = damages.damage(base);
    const double end = damages.damage(Plan::uniform(sites.size(), step.to));
    for (const Variant& variant : variants(tables, sites, *linear_)) {
      const Ordering order = variant.order(base, step.to, all_sites());
      Plan plan = base;
      double sum = 0;
      int count = 0;
      std::vector<double> best(arguments_.gates.size(), linear_->estimate(sites, base));
      for (std::size_t length = 1; length <= order.size(); ++length) {
        plan[order[length - 1]] = step.to;
        if (!is_scored(length, order.size())) continue;
        const double damage = damages.damage(plan);
        sum += damage;
        ++count;
        for (std::size_t g = 0; g < best.size(); ++g)
          if (damage <= start + arguments_.gates[g] * (end - start))
            best[g] = std::min(best[g], linear_->estimate(sites, plan));
      }
      Row& figures = row(prefixes_[name], variant.name);
      figures.add("mean damage", sum / count);
      for (std::size_t g = 0; g < best.size(); ++g) figures.add(message("cost at ", arguments_.gates[g]), best[g]);
    }
  }

  /// Part (b): every subset of the sites is scored.
  void enumerate(const Step& step, const std::vector<SensitivityTable>& tables, Truth& damages) {
    const auto& sites = loaded_.model.sites;
    const Plan base = Plan::uniform(sites.size(), step.from);
    std::vector<double> best(sites.size() + 1, HUGE_VAL);
    for (unsigned subset = 0; subset < 1U << sites.size(); ++subset) {
      Plan plan = base;
      for (std::size_t site = 0; site < sites.size(); ++site)
        if ((subset >> site & 1U) != 0) plan[site] = step.to;
      double& least = best[static_cast<std::size_t>(__builtin_popcount(subset))];
      least = std::min(least, damages.damage(plan));
    }
    for (const Variant& variant : plain_variants(tables, sites, *linear_)) {
      Plan plan = base;
      double sum = 0;
      int count = 0;
      double worst = 0;
      double damage = 0;
      double least = 0;
      const Ordering order = variant.order(base, step.to, all_sites());
      for (std::size_t length = 1; length < order.size(); ++length) {
        plan[order[length - 1]] = step.to;
        damage += damages.damage(plan);
        least += best[length];
        if (!(best[length] > 0)) continue;
        const double ratio = damages.damage(plan) / best[length];
        sum += ratio;
        ++count;
        worst = std::max(worst, ratio);
      }
      if (count == 0) continue;  // one site, or no subset does damage: there is no ratio
      Row& figures = row(subsets_[message(step.from, " to ", step.to)], variant.name);
      figures.add("mean ratio", sum / count);
      figures.add("largest", worst);
      figures.add("of sums", damage / least);
    }
  }

  std::shared_ptr<const LatencyModel> make_latency(const std::string& spec, const Calibration& ranges) {
    if (spec == "linear") return linear_;
    const Precision precisions[] = {k16, k8};
    if (spec != "measured") return study_latency(spec, loaded_.model, ranges, precisions, arguments_.cache);
    if (!measured_) measured_ = study_latency(spec, loaded_.model, ranges, precisions, arguments_.cache);
    return measured_;
  }

  /// Part (c). What is measured knows 16 and 8 bits; all others 4 bits too.
  void search(const LatencyModel& latency, const std::vector<SensitivityTable>& tables, Truth& truth) {
    const auto& sites = loaded_.model.sites;
    std::vector<Precision> precisions{k16, k8};
    if (!measured_ || &latency != measured_.get()) precisions.push_back(k4);
    const Plan base = Plan::uniform(sites.size(), k16);
    const double start = truth.damage(base);
    const double end = truth.damage(Plan::uniform(sites.size(), precisions.back()));
    std::vector<std::pair<std::string, GatedTruth::Rule>> rules;
    for (const double gate : arguments_.gates)
      rules.emplace_back(message("damage ", gate), [=](const Evaluation& evaluation) {
        return evaluation.damage <= start + gate * (end - start);
      });
    for (const auto& keep : arguments_.keeps)
      rules.emplace_back(message("keep ", keep), [gate = Gate{parse_keep(keep)}, &truth](const Evaluation& evaluation) {
        return gate.passes(evaluation, {.score = truth.baseline()});
      });
    const Registry registry = default_registry();
    for (const auto& name : arguments_.searches)
      for (const Variant& variant : variants(tables, sites, latency)) {
        Row& figures = row(found_[message(name, ", ", latency.name())], variant.name);
        std::size_t plans = 0;
        for (const auto& [rule_name, rule] : rules) {
          GatedTruth evaluator(truth, rule);
          const SearchResult result =
              registry.search(name)->search({sites, precisions, variant.order, latency}, evaluator);
          figures.add(rule_name, result.best_latency / latency.estimate(sites, base));
          plans += result.steps.size();
        }
        figures.add("plans a search", static_cast<double>(plans) / static_cast<double>(rules.size()));
      }
  }

  Arguments arguments_;
  LoadedModel loaded_;
  std::shared_ptr<const Task> task_;
  std::shared_ptr<const Dataset> calibration_;
  std::shared_ptr<const Dataset> validation_;
  std::vector<Step> steps_;
  std::vector<Precision> precisions_;
  std::shared_ptr<const LatencyModel> linear_ = linear_cost();
  std::shared_ptr<const LatencyModel> measured_;
  Table costs_;
  std::map<std::string, Table> correlations_;
  std::map<std::string, Table> prefixes_;
  std::map<std::string, Table> subsets_;
  std::map<std::string, Table> found_;
};

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("quality of metrics, orderings and searches");
  app.add_option("model", arguments.model)->required();
  app.add_option("calibration", arguments.calibration)->required();
  app.add_option("validation", arguments.validation)->required();
  app.add_option("--metrics", arguments.metrics)->delimiter(',');
  app.add_option("--steps", arguments.steps, "for the study of prefixes")->delimiter(',');
  app.add_flag_callback("--no-steps", [&] { arguments.steps.clear(); });
  app.add_option("--task", arguments.task, "what is scored");
  app.add_option("--prefixes", arguments.prefixes, "scored of each ordering; 0: all");
  app.add_option("--searches", arguments.searches)->delimiter(',');
  app.add_option("--latency", arguments.latencies, "linear (MACs x bits / 16), measured, size, roofline:…")
      ->delimiter(',');
  app.add_option("--gates", arguments.gates)->delimiter(',');
  app.add_option("--keeps", arguments.keeps, "gates by score, of searches")->delimiter(',');
  app.add_option("--cache", arguments.cache, "folder of latencies measured before");
  app.add_option("--samples", arguments.samples, "for the metrics");
  app.add_option("--scored", arguments.scored, "for the truth");
  app.add_option("--seeds", arguments.seeds);
  app.add_option("--threads", arguments.threads);
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(1);
  keep_freed_memory();
  try {
    Study(arguments).run();
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
