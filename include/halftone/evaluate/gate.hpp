#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "halftone/evaluate/evaluation.hpp"

namespace halftone {

enum class GateKind {
  Point,       ///< score >= keep x baseline
  Confidence,  ///< the same of the lower end of a one-sided 95 % interval, paired with the baseline; see `score_margin`
  Damage,      ///< damage <= budget
};

const char* to_string(GateKind kind);

/// When a plan is good enough, next to the baseline on the same samples. Source: docs/methods.md, section 6.
struct Gate {
  double keep = 0.999;  ///< share of the baseline's score to keep, in (0, 1]; of no meaning to `Damage`
  GateKind kind = GateKind::Point;
  double budget = 0;  ///< of `Damage`: mean divergence at most, in the task's unit

  /// Equal up to rounding passes. Of an evaluation that ended early: whether it might, by what is certain of it.
  [[nodiscard]] bool passes(const Evaluation& evaluation, const Evaluation& baseline) const;

  /// Whether every evaluation that passes `other` passes this too, whatever it is.
  [[nodiscard]] bool is_looser_than(const Gate& other) const;
};

/// What one-sided 95 % confidence takes off the mean of the samples' differences to the baseline: 1.645 standard
/// errors, corrected for small counts, so that it holds also where few samples differ or none. Source: docs/methods.md,
/// section 6.
double score_margin(const Evaluation& evaluation);

/// What is out of range, under `name`.
std::vector<std::string> validate(const Gate& gate, const std::string& name = "gate");

/// "99.9 %", "99.9 % with confidence", "damage 0.03".
std::string to_string(const Gate& gate);

/// Reads "99.9%" or "0.999". Throws `InvalidArgument` outside (0 %, 100 %].
double parse_keep(std::string_view text);

/// The gates that `keep` ("99%,99.9%") and `gate` ("point", "confidence", "damage:0.03,0.1") ask for, loosest first,
/// none twice. A damage gate takes no `keep`, which must then be empty. Throws `InvalidArgument`.
std::vector<Gate> parse_gates(std::string_view keep, std::string_view gate);

}  // namespace halftone
