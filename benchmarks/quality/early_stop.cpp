// How much of the data plans that fail are scored on before that is certain, for several orders of the samples.
//   early_stop MODEL CALIBRATION VALIDATION
// Plans: uniform ones, first and last sites at fewer bits than the others, random mixes.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "evaluate/sample_scores.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/error.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/registry.hpp"

namespace {

using namespace halftone;
using Samples = std::vector<double>;

constexpr std::int64_t kBatch = 16;

/// One network on all samples.
struct Scored {
  Samples margin;  ///< the target's logit minus the largest other
  Samples score;
  Samples damage;
  at::Tensor outputs;
};

/// `clean` null: this is the float network.
Scored score(const NetworkFn& network, const Scored* clean, const Dataset& data, const Task& task) {
  const at::NoGradGuard no_gradient;
  std::vector<at::Tensor> margins;
  std::vector<at::Tensor> scores;
  std::vector<at::Tensor> damages;
  std::vector<at::Tensor> all;
  for (std::int64_t begin = 0; begin < data.size(); begin += kBatch) {
    const Batch batch = data.range(begin, std::min(begin + kBatch, data.size()));
    const auto outputs = network(batch.inputs);
    margins.push_back(-task.fragility(outputs, batch.targets));
    scores.push_back(task.score(outputs, batch.targets));
    const auto compared = clean == nullptr ? outputs[0] : clean->outputs.slice(0, begin, begin + kBatch);
    damages.push_back(task.damage(outputs, {compared}));
    all.push_back(outputs[0]);
  }
  const auto values = [](const std::vector<at::Tensor>& parts) {
    const at::Tensor joined = at::cat(parts);
    return Samples(joined.const_data_ptr<double>(), joined.const_data_ptr<double>() + joined.numel());
  };
  return {values(margins), values(scores), values(damages), at::cat(all)};
}

std::vector<Plan> plans_for(std::size_t sites) {
  std::vector<Plan> plans;
  for (const char* const uniform : {"8", "w4a8", "w4a16", "4"})
    plans.push_back(Plan::uniform(sites, parse_precision(uniform)));
  for (const char* const low : {"4", "w4a16"})
    for (const std::size_t count : {sites / 20 + 1, sites / 5, sites / 2}) {
      Plan first = Plan::uniform(sites, k8);
      Plan last = first;
      std::fill_n(first.precisions.begin(), count, parse_precision(low));
      std::fill_n(last.precisions.rbegin(), count, parse_precision(low));
      plans.insert(plans.end(), {first, last});
    }
  std::mt19937_64 random(0);
  for (const unsigned in : {2U, 4U, 8U, 16U})
    for (const char* const low : {"4", "w4a8"}) {
      plans.push_back(Plan::uniform(sites, k8));
      for (Precision& precision : plans.back().precisions)
        if (random() % in == 0) precision = parse_precision(low);
    }
  return plans;
}

/// Smallest key first.
using KeyFn = std::function<double(std::size_t sample)>;

std::vector<std::size_t> sorted_by(std::size_t samples, const KeyFn& key) {
  std::vector<std::size_t> order(samples);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
  return order;
}

/// Share of the samples after which failing is certain; 1 where it never is.
double share_scored(const Gate& gate, const Scored& plan, const Samples& baseline,
                    const std::vector<std::size_t>& order) {
  internal::SampleScores known(order.size(), ScoreRange{0, 1});
  const Evaluation reference{.score = std::accumulate(baseline.begin(), baseline.end(), 0.0) /
                                      static_cast<double>(baseline.size())};
  for (std::size_t i = 0; i < order.size(); ++i) {
    known.add(order[i], plan.score[order[i]], plan.damage[order[i]]);
    const bool is_whole = (i + 1) % kBatch == 0 || i + 1 == order.size();
    if (is_whole && !gate.passes(known.compare(baseline), reference))
      return static_cast<double>(i + 1) / static_cast<double>(order.size());
  }
  return 1;
}

class Comparison {
 public:
  Comparison(const std::string& model, const std::string& calibration, const std::string& validation)
      : loaded_(load_model(model)),
        data_(open_dataset(validation, loaded_.data)),
        calibration_(calibrate(loaded_.model, *open_dataset(calibration, loaded_.data), std::vector<Precision>{k8, k4},
                               {.batch_size = kBatch, .threads = 2})),
        runner_(simulate(loaded_.model, calibration_)) {}

  void run() {
    const Plan baseline = Plan::uniform(loaded_.model.sites.size(), k16);
    clean_ = score(runner_->prepare(nullptr), nullptr, *data_, *task_);
    baseline_ = score(runner_->prepare(&baseline), &clean_, *data_, *task_).score;
    for (const Plan& plan : plans_for(loaded_.model.sites.size())) {
      plans_.push_back(score(runner_->prepare(&plan), &clean_, *data_, *task_));
      std::printf("%s: %g of %g correct\n", to_string(plan).c_str(), sum(plans_.back().score), sum(baseline_));
      std::fflush(stdout);
    }
    for (const GateKind kind : {GateKind::Point, GateKind::Confidence})
      for (const double keep : {0.98, 0.99, 0.999}) print({.keep = keep, .kind = kind});
    print({.kind = GateKind::Damage});
  }

 private:
  static double sum(const Samples& samples) { return std::accumulate(samples.begin(), samples.end(), 0.0); }

  void print(const Gate& gate) const {
    std::printf("%s\n", gate.kind == GateKind::Damage ? "damage at most half of a plan's" : to_string(gate).c_str());
    const Samples& margin = clean_.margin;
    const auto wrong = [&](std::size_t i) { return margin[i] < 0; };
    print(gate, "as the data lie", [](std::size_t) { return 0; });
    print(gate, "|margin|", [&](std::size_t i) { return std::abs(margin[i]); });
    for (const double size : {1.0, 2.0, 4.0})
      print(gate, message("flip probability exp(-|m| / ", size, ") / 2, wrong ones at 0.2 of it more"),
            [&](std::size_t i) { return -std::exp(-std::abs(margin[i]) / size) / 2 - (wrong(i) ? 0.2 : 0); });
    print(gate, "wrong first, least |margin| first",
          [&](std::size_t i) { return std::abs(margin[i]) - (wrong(i) ? 1e6 : 0); });
    print(gate, "margin", [&](std::size_t i) { return margin[i]; });
    print(gate, "by each plan's own scores (out of reach)", {});
  }

  void print(Gate gate, const std::string& name, const KeyFn& key) const {
    double total = 0;
    double most = 0;
    int failed = 0;
    for (const Scored& plan : plans_) {
      const Evaluation all = complete(plan);
      if (gate.kind == GateKind::Damage) gate.budget = all.damage / 2;
      if (gate.passes(all, {.score = sum(baseline_) / static_cast<double>(baseline_.size())})) continue;
      const KeyFn best = [&](std::size_t i) { return gate.kind == GateKind::Damage ? -plan.damage[i] : plan.score[i]; };
      const double share = share_scored(gate, plan, baseline_, sorted_by(baseline_.size(), key ? key : best));
      total += share;
      most = std::max(most, share);
      ++failed;
    }
    std::printf("  %-70s %5.1f %% of the samples, at most %5.1f, of %d plans that fail\n", name.c_str(),
                100 * total / failed, 100 * most, failed);
  }

  [[nodiscard]] Evaluation complete(const Scored& plan) const {
    internal::SampleScores known(baseline_.size(), ScoreRange{0, 1});
    for (std::size_t i = 0; i < baseline_.size(); ++i) known.add(i, plan.score[i], plan.damage[i]);
    return known.compare(baseline_);
  }

  LoadedModel loaded_;
  std::unique_ptr<Dataset> data_;
  Calibration calibration_;
  std::unique_ptr<PlanRunner> runner_;
  std::unique_ptr<Task> task_ = make_top_k(1);
  Scored clean_;
  Samples baseline_;
  std::vector<Scored> plans_;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 4) throw Error(Errc::InvalidArgument, "usage: early_stop MODEL CALIBRATION VALIDATION");
    Comparison(argv[1], argv[2], argv[3]).run();
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
