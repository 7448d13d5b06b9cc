// What choosing the weight method and adjusting ranges bring: damage and correct answers of uniform plans on validation
// data, with seconds.
//   adjusted_ranges [OPTION VALUE …] MODEL CALIBRATION VALIDATION [MODEL CALIBRATION VALIDATION …]
//   --precisions 8,w4a8,4   --weights max,mse,auto   --adjust yes|no   --threads 2   --seed 0   --task top1
//   --steps, --rate, --samples, --check, --held-out, --operands both|inputs|weights: of AdjustOptions
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "halftone/adjust/adjust_ranges.hpp"
#include "halftone/adjust/weight_method.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/core/error.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/registry.hpp"

namespace {

using namespace halftone;

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words{""};
  for (const char letter : list)
    if (letter == ',')
      words.emplace_back();
    else
      words.back() += letter;
  return words;
}

struct Options {
  std::vector<Precision> precisions;
  std::vector<std::string> weights;
  bool adjusts = true;
  AdjustOptions adjust;
  std::string task;
};

Options read_options(std::vector<std::string>& words) {
  std::map<std::string, std::string> given{{"--precisions", "8,w4a8,4"},
                                           {"--weights", "max,mse,auto"},
                                           {"--adjust", "yes"},
                                           {"--threads", "2"},
                                           {"--seed", "0"},
                                           {"--task", "top1"},
                                           {"--steps", ""},
                                           {"--rate", ""},
                                           {"--samples", ""},
                                           {"--check", ""},
                                           {"--held-out", ""},
                                           {"--operands", "both"}};
  while (words.size() >= 2 && words[0].starts_with("--")) {
    if (!given.contains(words[0])) throw Error(Errc::InvalidArgument, message(words[0], " is no option"));
    given[words[0]] = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  Options options;
  for (const auto& word : words_of(given["--precisions"])) options.precisions.push_back(parse_precision(word));
  options.weights = words_of(given["--weights"]);
  options.adjusts = given["--adjust"] == "yes";
  options.task = given["--task"];
  AdjustOptions& adjust = options.adjust;
  adjust.threads = std::stoi(given["--threads"]);
  adjust.seed = std::stoull(given["--seed"]);
  if (!given["--steps"].empty()) adjust.steps = std::stoi(given["--steps"]);
  if (!given["--rate"].empty()) adjust.learning_rate = std::stod(given["--rate"]);
  if (!given["--samples"].empty()) adjust.step_samples = std::stoll(given["--samples"]);
  if (!given["--check"].empty()) adjust.steps_per_check = std::stoi(given["--check"]);
  if (!given["--held-out"].empty()) adjust.held_out = std::stod(given["--held-out"]);
  adjust.inputs = given["--operands"] != "weights";
  adjust.weights = given["--operands"] != "inputs";
  return options;
}

/// One network on its data.
class Comparison {
 public:
  Comparison(const std::string& model, const std::string& calibration, const std::string& validation,
             const Options& options)
      : options_(options),
        loaded_(load_model(model)),
        none_{std::vector<SiteRanges>(loaded_.model.sites.size())},
        calibration_data_(open_dataset(calibration, loaded_.data)),
        validation_data_(open_dataset(validation, loaded_.data)),
        task_(default_registry().task(options.task)),
        reference_(simulate(loaded_.model, none_), *validation_data_, *task_,
                   {.batch_size = 16, .threads = options.adjust.threads}) {
    const Evaluation baseline = *reference_.measure_baseline(Plan::uniform(loaded_.model.sites.size(), k16));
    std::printf("%s, %lld calibration samples, validated on %s\n", model.c_str(),
                static_cast<long long>(calibration_data_->size()), validation.c_str());
    std::printf("  float %.6g, 16 bits %.6g correct of %lld\n", reference_.float_score().score_count,
                baseline.score_count, static_cast<long long>(baseline.samples));
  }

  void run() {
    const auto& model = loaded_.model;
    const Calibration start = calibrate(model, *calibration_data_, options_.precisions,
                                        {.batch_size = 16, .threads = options_.adjust.threads});
    for (const auto& weights : options_.weights) {
      const Calibration calibration = choose(start, weights);
      for (const Precision precision : options_.precisions) {
        print(message("weights ", weights, ", ", in_words(precision)), calibration, precision);
        if (options_.adjusts) adjust(message("weights ", weights, ", ", in_words(precision)), calibration, precision);
      }
    }
  }

 private:
  Calibration choose(const Calibration& start, const std::string& weights) {
    const auto& model = loaded_.model;
    const RangeMethod method = parse_range_method(weights);
    if (method != RangeMethod::Automatic) return with_weight_ranges(model, start, {.method = method});
    const auto begin = std::chrono::steady_clock::now();
    auto chosen = *choose_weight_method(model, start, *calibration_data_, *task_, options_.precisions,
                                        {.threads = options_.adjust.threads, .seed = options_.adjust.seed});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    std::printf("  auto, %.1f s:", seconds.count());
    for (const auto& choice : chosen.choices) {
      std::printf(" %d bits %s", choice.bits, to_string(choice.chosen));
      for (const auto& trial : choice.trials) std::printf(" %s=%.4g", to_string(trial.method), trial.damage);
    }
    std::printf("\n");
    return std::move(chosen.calibration);
  }

  void print(const std::string& name, const Calibration& calibration, Precision precision) {
    PlanEvaluator evaluator(simulate(loaded_.model, calibration), reference_);
    const Evaluation evaluation = *evaluator.evaluate(Plan::uniform(loaded_.model.sites.size(), precision));
    std::printf("  %-40s damage %.5f, correct %.6g, kept %.2f to %.2f %%\n", name.c_str(), evaluation.damage,
                evaluation.score_count, 100 * evaluation.interval.low, 100 * evaluation.interval.high);
    std::fflush(stdout);
  }

  void adjust(const std::string& name, const Calibration& calibration, Precision precision) {
    const auto adjusted = adjust_ranges(loaded_.model, calibration, *calibration_data_, *task_,
                                        Plan::uniform(loaded_.model.sites.size(), precision), options_.adjust);
    const RangeAdjustment& record = adjusted.record;
    std::printf("    adjusted in %.1f s: held-out damage %.5f -> %.5f at step %d of %d, %zu bounds\n", record.seconds,
                record.damage_before, record.damage_after, record.step_kept, record.steps, record.bounds);
    std::printf("    step: damage in training, held out:");
    for (const auto& check : record.checks) std::printf(" %d: %.4g %.4g;", check.step, check.training, check.held_out);
    std::printf("\n");
    print(name + ", adjusted", adjusted.calibration, precision);
  }

  const Options& options_;
  LoadedModel loaded_;
  Calibration none_;  ///< of no width: 16 bits need none
  std::shared_ptr<const Dataset> calibration_data_;
  std::shared_ptr<const Dataset> validation_data_;
  std::shared_ptr<const Task> task_;
  PlanEvaluator reference_;
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  try {
    const Options options = read_options(words);
    for (std::size_t i = 0; i + 2 < words.size(); i += 3)
      Comparison(words[i], words[i + 1], words[i + 2], options).run();
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
