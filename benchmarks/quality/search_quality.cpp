// What searches find and what they cost, with repair and without, on a network, over several seeded draws of
// calibration and validation samples: latency over all-16, evaluations, share of the samples scored in one, of those
// that failed too, and processor seconds of the evaluations.
//   search_quality MODEL CALIBRATION VALIDATION [--keeps 99%,99.9%] [--budgets 0.1,0.25] [--latency linear|measured] …
// Budgets are shares of the way from all-16's damage to that of the last precision. Sensitivities are inter-layer's,
// the order nested. A plan that several searches score is scored once, and counts for each.
#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "../processor_seconds.hpp"
#include "figures.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/search/bisection.hpp"
#include "halftone/search/frontier.hpp"
#include "halftone/search/greedy.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "study.hpp"

namespace {

using namespace halftone;
using namespace halftone::benchmarks;

struct Arguments {
  std::string model;
  std::string calibration;
  std::string validation;
  std::string task = "top1";
  std::string precisions = "4,8,16";
  std::string latency = "linear";
  std::string cache;
  std::vector<std::string> keeps{"99%", "99.9%"};
  std::vector<double> budgets{0.1, 0.25};
  std::int64_t samples = 256;
  std::int64_t scored = 2000;
  int seeds = 5;
  int threads = 1;
};

/// Scores a plan once, and knows what each took.
class Remembering final : public Evaluator {
 public:
  explicit Remembering(PlanEvaluator& inner) : inner_(inner) {}
  std::optional<Evaluation> evaluate(const Plan& plan) override {
    const auto [entry, is_new] = known_.try_emplace(to_string(plan));
    if (is_new) {
      const double before = processor_seconds();
      entry->second.first = *inner_.evaluate(plan);
      entry->second.second = processor_seconds() - before;
    }
    seconds += entry->second.second;
    return entry->second.first;
  }
  double seconds = 0;  ///< of the processor, since it was last set

 private:
  PlanEvaluator& inner_;
  std::map<std::string, std::pair<Evaluation, double>> known_;
};

double share_scored(const std::vector<SearchStep>& steps, bool failing_alone) {
  double scored = 0;
  double all = 0;
  for (const SearchStep& step : steps) {
    if (failing_alone && step.evaluation.passed) continue;
    scored += static_cast<double>(step.evaluation.samples - step.evaluation.unscored);
    all += static_cast<double>(step.evaluation.samples);
  }
  return all > 0 ? scored / all : 0;
}

class Study {
 public:
  explicit Study(Arguments arguments)
      : arguments_(std::move(arguments)),
        loaded_(load_model(arguments_.model)),
        task_(default_registry().task(arguments_.task)),
        precisions_(ordered_precisions(parse_precisions(arguments_.precisions))),
        calibration_(open_dataset(arguments_.calibration, loaded_.data)),
        validation_(open_dataset(arguments_.validation, loaded_.data)) {
    searches_.emplace_back("bisection", std::make_shared<Bisection>());
    searches_.emplace_back("bisection, 2 probes", std::make_shared<Bisection>(2));
    searches_.emplace_back("frontier", std::make_shared<Frontier>());
    searches_.emplace_back("greedy", std::make_shared<Greedy>());
  }

  void run() {
    for (int seed = 0; seed < arguments_.seeds; ++seed) run(seed);
    for (const auto& [gate, table] : tables_) {
      print(message("Searches at ", gate, ", latency ", arguments_.latency), table);
      print_ratios("the same over greedy", table, [](const std::string&) { return std::string("greedy"); });
    }
    print("Before the search, processor seconds", before_);
  }

 private:
  void run(int seed) {
    std::fprintf(stderr, "seed %d\n", seed);
    const Model& model = loaded_.model;
    const auto data = draw(calibration_, arguments_.samples, seed);
    const auto scored = draw(validation_, arguments_.scored, 1000 + seed);
    const std::span<const Precision> lowered = std::span(precisions_).subspan(1);
    double start = processor_seconds();
    const Calibration ranges = calibrate(model, *data, lowered, {.threads = arguments_.threads});
    row(before_, "calibrate").add("seconds", processor_seconds() - start);
    start = processor_seconds();
    const SensitivityTable table = make_interlayer()->measure({.model = model,
                                                               .calibration = ranges,
                                                               .data = *data,
                                                               .task = *task_,
                                                               .precisions = lowered,
                                                               .seed = static_cast<std::uint64_t>(seed),
                                                               .threads = arguments_.threads});
    row(before_, "inter-layer").add("seconds", processor_seconds() - start);
    if (!latency_) latency_ = study_latency(arguments_.latency, model, ranges, precisions_, arguments_.cache);

    SimulatedEvaluator evaluator(model, ranges, *scored, *task_, {.threads = arguments_.threads, .early_stop = true});
    start = processor_seconds();
    (void)evaluator.measure_baseline(Plan::uniform(model.sites.size(), k16));
    row(before_, "float and baseline").add("seconds", processor_seconds() - start);
    for (const auto& [name, gate] : gates(evaluator)) {
      evaluator.set_gate(gate);
      Remembering remembering(evaluator);
      for (const auto& [search, strategy] : searches_)
        for (const int repairs : {0, 8}) {
          const std::string what = repairs == 0 ? search : search + " + repair";
          add(row(tables_[name], what), *strategy, repairs, table, remembering);
        }
    }
  }

  std::vector<std::pair<std::string, Gate>> gates(PlanEvaluator& evaluator) const {
    std::vector<std::pair<std::string, Gate>> list;
    for (const auto& keep : arguments_.keeps) list.emplace_back("keep " + keep, Gate{.keep = parse_keep(keep)});
    if (arguments_.budgets.empty()) return list;
    const double least = evaluator.baseline().damage;
    const Plan lowest = Plan::uniform(loaded_.model.sites.size(), precisions_.back());
    const double most = evaluator.evaluate_fully(lowest)->damage;
    for (const double share : arguments_.budgets)
      list.emplace_back(message("damage ", share),
                        Gate{.kind = GateKind::Damage, .budget = least + share * (most - least)});
    return list;
  }

  void add(Row& figures, const SearchStrategy& strategy, int repairs, const SensitivityTable& table,
           Remembering& evaluator) {
    const auto& sites = loaded_.model.sites;
    const PredictedDamage predicted(table);
    const OrderFn order = nested_order().make(table, sites, *latency_);
    evaluator.seconds = 0;
    const SearchResult found = strategy.search({.sites = sites,
                                                .precisions = precisions_,
                                                .order = order,
                                                .latency = *latency_,
                                                .predict = [&]() -> const PredictedDamage& { return predicted; },
                                                .limits = {.repairs = repairs}},
                                               evaluator);
    figures.add("latency", found.best_latency / latency_->estimate(sites, Plan::uniform(sites.size(), k16)));
    figures.add("evaluations", static_cast<double>(found.steps.size()));
    figures.add("scored", share_scored(found.steps, false));
    figures.add("of failing", share_scored(found.steps, true));
    figures.add("CPU seconds", evaluator.seconds);
  }

  Arguments arguments_;
  LoadedModel loaded_;
  std::shared_ptr<const Task> task_;
  std::vector<Precision> precisions_;
  std::shared_ptr<const Dataset> calibration_;
  std::shared_ptr<const Dataset> validation_;
  std::vector<std::pair<std::string, std::shared_ptr<const SearchStrategy>>> searches_;
  std::shared_ptr<const LatencyModel> latency_;
  std::map<std::string, Table> tables_;
  Table before_;
};

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("what searches find and cost");
  app.add_option("model", arguments.model)->required();
  app.add_option("calibration", arguments.calibration)->required();
  app.add_option("validation", arguments.validation)->required();
  app.add_option("--task", arguments.task, "what is scored");
  app.add_option("--precisions", arguments.precisions);
  app.add_option("--latency", arguments.latency, "linear (MACs x bits / 16), measured, size, roofline:…");
  app.add_option("--cache", arguments.cache, "folder of latencies measured before");
  app.add_option("--keeps", arguments.keeps)->delimiter(',');
  app.add_option("--budgets", arguments.budgets)->delimiter(',');
  app.add_option("--samples", arguments.samples, "for ranges and sensitivities");
  app.add_option("--scored", arguments.scored, "that decide");
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
