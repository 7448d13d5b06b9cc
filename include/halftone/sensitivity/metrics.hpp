#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "halftone/sensitivity/metric.hpp"

/// The metrics that ship. Formulas, costs and what each is good for: docs/methods.md, section 3. L sites at P
/// precisions are M = L P changes. A pass goes over all samples; a change runs only what lies downstream of its site,
/// half a pass or so on average.

namespace halftone {

/// "error", quantization error: sqrt(e_w^2 + e_a^2) with e_x = sqrt(mean((Q(x) - x)^2)) / max|x| for the weight and for
/// the input activation; an operand left at 16 bits, as in the baseline, counts as exact. Free: reads only what
/// calibration kept.
std::unique_ptr<SensitivityMetric> make_quantization_error();

/// "damage": the damage of quantizing one site alone, measured, with its standard error over samples. 1 + M/2 passes.
std::unique_ptr<SensitivityMetric> make_damage();

struct NoiseOptions {
  int draws = 4;                ///< at least, for each site and precision
  int most_draws = 16;          ///< at most
  double standard_error = 0.1;  ///< draws end where the standard error falls below this share of the mean
};

std::vector<std::string> validate(const NoiseOptions& options);

/// "noise": mean damage when one site's weight and input get uniform noise as wide as a quantization step, so of equal
/// variance s^2 / 12, drawn from the seed alike for all sites. 1 + M/2 passes for every draw.
std::unique_ptr<SensitivityMetric> make_noise(const NoiseOptions& options = {});

struct InterLayerOptions {
  double temperature = 4;  ///< that softens the clean probabilities; 1: the Hessian of damage itself
};

std::vector<std::string> validate(const InterLayerOptions& options);

/// "interlayer": the pair matrix G[i, j] = mean over samples of r_i . r_j, r_i the response (see `Task::response`) of
/// the output to quantizing site i alone; no gradients, positive semi-definite. Scores are half its diagonal. The
/// matrix's scale makes the sum of the scores that of the sites' true damages, which the same passes give. 1 + M/2
/// passes; memory M^2 numbers beside the recordings.
std::unique_ptr<SensitivityMetric> make_interlayer(const InterLayerOptions& options = {});

/// "interlayer-pairs": the pair matrix from measured damages, G[i, i] = 2 D_i and G[i, j] = D_ij - D_i - D_j: small
/// differences of large numbers, not positive semi-definite. 1 + M (M + 1) / 4 passes or so.
std::unique_ptr<SensitivityMetric> make_measured_pairs();

}  // namespace halftone
