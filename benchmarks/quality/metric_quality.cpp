// How well metrics and orderings do on a network: rank correlation with the true damage of each site, and true damage
// and cost along the prefixes of each ordering, on samples that no metric saw, over several seeded draws of samples.
//   metric_quality MODEL CALIBRATION VALIDATION [--metrics error,noise,…] [--steps 16:8,16:4,8:4,16:w4a16] …
// Cost is MACs x bits / 16, bits the mean of a site's two widths. Damage is KL to the float network, simulated.
#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <sys/resource.h>
#include <vector>

#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/error.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/order/ordering.hpp"
#include "halftone/registry.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "halftone/sensitivity/rank_correlation.hpp"

namespace {

using namespace halftone;

/// Sum of MACs x mean width / 16 over all MACs.
class LinearCost final : public LatencyModel {
 public:
  [[nodiscard]] std::string name() const override { return "linear"; }
  [[nodiscard]] std::string origin() const override { return "MACs x bits / 16"; }
  [[nodiscard]] std::string unit() const override { return "x all-16"; }

 private:
  [[nodiscard]] double do_estimate(std::span<const Site> sites, const Plan& plan) const override {
    double cost = 0;
    double macs = 0;
    for (std::size_t i = 0; i < sites.size(); ++i) {
      cost += static_cast<double>(sites[i].macs) * (plan[i].weight_bits + plan[i].activation_bits) / 32.0;
      macs += static_cast<double>(sites[i].macs);
    }
    return cost / macs;
  }
};

struct Arguments {
  std::string model;
  std::string calibration;
  std::string validation;
  std::vector<std::string> metrics{"error", "noise", "hessian", "hessian-error", "fisher", "damage", "interlayer"};
  std::vector<std::string> steps{"16:8", "8:4", "16:4"};
  std::vector<double> gates{0.1, 0.25, 0.5};
  std::int64_t samples = 256;
  std::int64_t scored = 512;
  int seeds = 3;
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

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::shared_ptr<const Dataset> draw(const std::shared_ptr<const Dataset>& data, std::int64_t count, int seed) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(data->size()));
  std::iota(indices.begin(), indices.end(), 0);
  std::mt19937_64 generator(static_cast<std::uint64_t>(seed));
  std::shuffle(indices.begin(), indices.end(), generator);
  indices.resize(static_cast<std::size_t>(std::min(count, data->size())));
  return make_subset(data, indices, message(data->name(), " drawn by ", seed));
}

/// Figures of one row, over seeds, in the order of the first seed's columns.
class Row {
 public:
  void add(const std::string& column, double value) {
    const auto found = std::find_if(columns_.begin(), columns_.end(), [&](const auto& c) { return c.first == column; });
    if (found == columns_.end())
      columns_.emplace_back(column, std::vector<double>{value});
    else
      found->second.push_back(value);
  }
  [[nodiscard]] const std::vector<std::pair<std::string, std::vector<double>>>& columns() const { return columns_; }

 private:
  std::vector<std::pair<std::string, std::vector<double>>> columns_;
};

using Table = std::vector<std::pair<std::string, Row>>;

Row& row(Table& table, const std::string& name) {
  for (auto& [known, values] : table)
    if (known == name) return values;
  return table.emplace_back(name, Row()).second;
}

void print(const std::string& title, const Table& table) {
  if (table.empty()) return;
  std::printf("\n%s; mean over seeds (standard deviation)\n%-26s", title.c_str(), "");
  for (const auto& [column, values] : table.front().second.columns()) std::printf("%18s", column.c_str());
  std::printf("\n");
  for (const auto& [name, row] : table) {
    std::printf("%-26s", name.c_str());
    for (const auto& [column, values] : row.columns()) {
      const auto n = static_cast<double>(values.size());
      const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
      double squares = 0;
      for (const double value : values) squares += (value - mean) * (value - mean);
      std::printf("%10.4g (%5.2g)", mean, n > 1 ? std::sqrt(squares / (n - 1)) : 0.0);
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

/// True damage of plans, each scored once.
class Truth {
 public:
  Truth(const Model& model, const Calibration& calibration, const Dataset& data, const Task& task, int threads)
      : evaluator_(model, calibration, data, task, {.threads = threads}) {
    (void)evaluator_.measure_baseline(Plan::uniform(model.sites.size(), k16));
  }

  double damage(const Plan& plan) {
    const auto [entry, is_new] = known_.try_emplace(to_string(plan), 0);
    if (is_new) entry->second = evaluator_.evaluate(plan)->damage;
    return entry->second;
  }

 private:
  SimulatedEvaluator evaluator_;
  std::map<std::string, double> known_;
};

struct Variant {
  std::string name;
  OrderFn order;
};

std::vector<Variant> variants(const std::vector<SensitivityTable>& tables, std::span<const Site> sites,
                              const LatencyModel& cost) {
  std::vector<Variant> all;
  for (const auto& table : tables) {
    all.push_back({table.metric + "/gain", order_by_score_per_gain(table, sites, cost)});
    if (!table.pairs) continue;
    for (const double share : {1.0, 0.5, 0.0})
      all.push_back(
          {message(table.metric, "/nested ", share), order_nested(table, sites, cost, {.off_diagonal = share})});
  }
  return all;
}

class Study {
 public:
  explicit Study(Arguments arguments)
      : arguments_(std::move(arguments)), loaded_(load_model(arguments_.model)), task_(make_top_k(1)) {
    calibration_ = open_dataset(arguments_.calibration, loaded_.data);
    validation_ = open_dataset(arguments_.validation, loaded_.data);
    for (const auto& text : arguments_.steps) steps_.push_back(parse_step(text));
    for (const Step& step : steps_)
      for (const Precision precision : {step.from, step.to})
        if (precision != k16 && std::find(precisions_.begin(), precisions_.end(), precision) == precisions_.end())
          precisions_.push_back(precision);
  }

  void run() {
    for (int seed = 0; seed < arguments_.seeds; ++seed) run(seed);
    print("Cost of the metrics", costs_);
    for (const auto& [precision, table] : correlations_)
      print(message("Rank correlation with the true damage of single sites at ", precision), table);
    for (const auto& [step, table] : prefixes_)
      print(message("Prefixes ", step, ": mean damage over prefixes, and cost at damage gates (shares of the way)"),
            table);
  }

 private:
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
    const Registry registry = default_registry();
    std::vector<SensitivityTable> tables;
    for (const auto& name : arguments_.metrics) {
      const double before = cpu_seconds();
      tables.push_back(registry.metric(name)->measure(input(*calibration_data)));
      const SensitivityTable& table = tables.back();
      row(costs_, name).add("CPU seconds", cpu_seconds() - before);
      row(costs_, name).add("forward", table.forward_passes);
      row(costs_, name).add("backward", table.backward_passes);
      for (const Precision precision : precisions_)
        row(correlations_[to_string(precision)], name)
            .add("Spearman", rank_correlation(scores(table, precision), scores(truth, precision)).value_or(0));
    }
    std::vector<double> from_the_end;
    for (std::size_t site = model.sites.size(); site > 0; --site) from_the_end.push_back(static_cast<double>(site));
    for (const Precision precision : precisions_)
      row(correlations_[to_string(precision)], "position from the end")
          .add("Spearman", rank_correlation(from_the_end, scores(truth, precision)).value_or(0));

    Truth damages(model, ranges, *scored, *task_, arguments_.threads);
    for (const Step& step : steps_) follow(step, tables, damages);
  }

  static std::vector<double> scores(const SensitivityTable& table, Precision precision) {
    std::vector<double> result;
    for (const auto& site : table.scores) result.push_back(site.at(precision));
    return result;
  }

  void follow(const Step& step, const std::vector<SensitivityTable>& tables, Truth& damages) {
    const auto& sites = loaded_.model.sites;
    const Plan base = Plan::uniform(sites.size(), step.from);
    std::vector<std::size_t> all(sites.size());
    std::iota(all.begin(), all.end(), 0);
    const std::string name = message(step.from, " to ", step.to);
    const double start = damages.damage(base);
    const double end = damages.damage(Plan::uniform(sites.size(), step.to));
    for (const Variant& variant : variants(tables, sites, cost_)) {
      const Ordering order = variant.order(base, step.to, all);
      Plan plan = base;
      double sum = 0;
      std::vector<double> best(arguments_.gates.size(), cost_.estimate(sites, base));
      for (const std::size_t site : order) {
        plan[site] = step.to;
        const double damage = damages.damage(plan);
        sum += damage;
        for (std::size_t g = 0; g < best.size(); ++g)
          if (damage <= start + arguments_.gates[g] * (end - start))
            best[g] = std::min(best[g], cost_.estimate(sites, plan));
      }
      Row& figures = row(prefixes_[name], variant.name);
      figures.add("mean damage", sum / static_cast<double>(order.size()));
      for (std::size_t g = 0; g < best.size(); ++g) figures.add(message("cost at ", arguments_.gates[g]), best[g]);
    }
  }

  Arguments arguments_;
  LoadedModel loaded_;
  std::unique_ptr<Task> task_;
  std::shared_ptr<const Dataset> calibration_;
  std::shared_ptr<const Dataset> validation_;
  std::vector<Step> steps_;
  std::vector<Precision> precisions_;
  LinearCost cost_;
  Table costs_;
  std::map<std::string, Table> correlations_;
  std::map<std::string, Table> prefixes_;
};

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("quality of metrics and orderings");
  app.add_option("model", arguments.model)->required();
  app.add_option("calibration", arguments.calibration)->required();
  app.add_option("validation", arguments.validation)->required();
  app.add_option("--metrics", arguments.metrics)->delimiter(',');
  app.add_option("--steps", arguments.steps)->delimiter(',');
  app.add_option("--gates", arguments.gates)->delimiter(',');
  app.add_option("--samples", arguments.samples, "for the metrics");
  app.add_option("--scored", arguments.scored, "for the truth");
  app.add_option("--seeds", arguments.seeds);
  app.add_option("--threads", arguments.threads);
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(1);
  try {
    Study(arguments).run();
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
