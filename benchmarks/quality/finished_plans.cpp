// What fine-tuning brings: damage and correct answers of uniform plans on validation data before and after, with
// seconds.
//   finished_plans [OPTION VALUE …] MODEL CALIBRATION TRAINING VALIDATION
//   --precisions w4a8,4   --threads 1   --seed 0   --ranges yes|no
//   --steps, --rate, --bound-rate, --samples, --check, --held-out, --labels: of FinishOptions
#include <cstdio>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/error.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/train/finish.hpp"

namespace {

using namespace halftone;

struct Options {
  std::vector<Precision> precisions;
  FinishOptions finish;
};

Options read_options(std::vector<std::string>& words) {
  std::map<std::string, std::string> given{{"--precisions", "w4a8,4"}, {"--threads", "1"}, {"--seed", "0"},
                                           {"--ranges", "yes"},        {"--steps", ""},    {"--rate", ""},
                                           {"--bound-rate", ""},       {"--samples", ""},  {"--check", ""},
                                           {"--held-out", ""},         {"--labels", ""}};
  while (words.size() >= 2 && words[0].starts_with("--")) {
    if (!given.contains(words[0])) throw Error(Errc::InvalidArgument, message(words[0], " is no option"));
    given[words[0]] = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  Options options;
  std::istringstream list(given["--precisions"]);
  for (std::string word; std::getline(list, word, ',');) options.precisions.push_back(parse_precision(word));
  FinishOptions& finish = options.finish;
  finish.threads = std::stoi(given["--threads"]);
  finish.seed = std::stoull(given["--seed"]);
  finish.ranges = given["--ranges"] == "yes";
  const auto set = [&](const char* name, auto& member) {
    if (!given[name].empty()) std::istringstream(given[name]) >> member;
  };
  set("--steps", finish.steps);
  set("--rate", finish.weight_rate);
  set("--bound-rate", finish.bound_rate);
  set("--samples", finish.step_samples);
  set("--check", finish.steps_per_check);
  set("--held-out", finish.held_out);
  set("--labels", finish.label_share);
  return options;
}

void print(const char* name, const Evaluation& evaluation) {
  std::printf("  %-10s damage %.5f, correct %.6g, kept %.2f to %.2f %%\n", name, evaluation.damage,
              evaluation.score_count, 100 * evaluation.interval.low, 100 * evaluation.interval.high);
  std::fflush(stdout);
}

void run(const std::vector<std::string>& words, const Options& options) {
  const LoadedModel loaded = load_model(words[0]);
  const Model& model = loaded.model;
  const auto calibration_data = open_dataset(words[1], loaded.data);
  const auto training = open_dataset(words[2], loaded.data);
  const auto validation = open_dataset(words[3], loaded.data);
  const auto task = make_top_k(1);
  const Calibration calibration =
      calibrate(model, *calibration_data, options.precisions, {.threads = options.finish.threads});
  PlanEvaluator reference(simulate(model, calibration), *validation, *task, {.threads = options.finish.threads});
  print("16 bits", *reference.measure_baseline(Plan::uniform(model.sites.size(), k16)));
  for (const Precision precision : options.precisions) {
    const Plan plan = Plan::uniform(model.sites.size(), precision);
    std::printf("all at %s\n", to_string(precision).c_str());
    print("before", *reference.evaluate(plan));
    const FinishedNetwork finished =
        finish({.model = model, .plan = plan, .calibration = calibration, .training = *training, .task = *task},
               options.finish);
    const RangeAdjustment& record = finished.record.descent;
    std::printf("  %.1f s: held-out damage %.5f -> %.5f at step %d of %d; step: damage in training, held out:",
                record.seconds, record.damage_before, record.damage_after, record.step_kept, record.steps);
    for (const auto& check : record.checks) std::printf(" %d: %.4g %.4g;", check.step, check.training, check.held_out);
    std::printf("\n");
    PlanEvaluator after(simulate(finished.model, finished.calibration), reference);
    print("after", *after.evaluate(plan));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::vector<std::string> words(argv + 1, argv + argc);
    const Options options = read_options(words);
    if (words.size() != 4) throw Error(Errc::InvalidArgument, "MODEL CALIBRATION TRAINING VALIDATION are needed");
    run(words, options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "finished_plans: %s\n", error.what());
    return 2;
  }
}
