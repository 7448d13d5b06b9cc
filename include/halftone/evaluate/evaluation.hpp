#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "halftone/core/plan.hpp"

namespace halftone {

/// A 95 % confidence interval.
struct Interval {
  double low = 0;
  double high = 0;
};

/// What the score of one sample can be.
struct ScoreRange {
  double low = 0;
  double high = 1;
};

/// What one plan scored. Where an evaluation ended early, because no sample that was left out could have let the plan
/// pass, figures are what is certain of all samples: `score` and `score_count` at most (infinite where the task knows
/// no limit), `damage` and `score_error` at least, no interval. A gate that such figures do not pass is one that the
/// plan fails.
struct Evaluation {
  std::string plan_digest{};
  double score = 0;        ///< mean over samples, e.g. top-1 accuracy in [0, 1]
  double score_count = 0;  ///< sum over samples, e.g. correct answers
  std::int64_t samples = 0;
  std::int64_t unscored = 0;  ///< of these, left out because the verdict was certain
  double damage = 0;          ///< mean divergence from the clean network's outputs
  Interval interval{};        ///< of score / baseline score, paired on the same samples
  double score_error = 0;     ///< standard error of the mean of the samples' differences to the baseline
  double score_span = 0;  ///< most that one sample's score can differ from the baseline's: by the task's range, else
                          ///< by the scores seen; 0 for the baseline itself
  bool passed = false;    ///< the gate's verdict
  double seconds = 0;

  [[nodiscard]] bool ended_early() const { return unscored > 0; }
};

/// Scores plans; what a search drives.
class Evaluator {
 public:
  virtual ~Evaluator() = default;

  /// Nothing when the user asked to stop before the verdict was known.
  virtual std::optional<Evaluation> evaluate(const Plan& plan) = 0;
};

}  // namespace halftone
