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

/// "damage": the damage of quantizing one site alone, measured, with its standard error over samples, of which there
/// must be two for it. 1 + M/2 passes.
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
/// passes; memory for each batch under way M d numbers a sample, d those of its response, which count in `most_bytes`,
/// and M^2 beside. Throws `InvalidArgument` where not one sample's fit, `Unsupported` where the task's response does
/// not fit its damage.
std::unique_ptr<SensitivityMetric> make_interlayer(const InterLayerOptions& options = {});

/// "interlayer-pairs": the pair matrix from measured damages, G[i, i] = 2 D_i and G[i, j] = D_ij - D_i - D_j: small
/// differences of large numbers, not positive semi-definite. 1 + M (M + 1) / 4 passes or so.
std::unique_ptr<SensitivityMetric> make_measured_pairs();

/// What follows differentiates the network: damage has no gradient at the clean outputs, and H, its Hessian there, is
/// positive semi-definite and needs no labels. An operand left at 16 bits counts as exact. `Unsupported` is thrown,
/// naming what is missing, where an operator or the task has no derivative, where a site reads half precision and, by
/// metrics that use the response, where it does not fit the damage; `InvalidArgument` where one sample does not fit
/// into `most_bytes` or memory runs out. A backward pass costs about as much as a forward pass, or, through the graph
/// of a gradient, three times that. While second derivatives are taken (`HessianProbe::Weights`, "interlayer-hvp"),
/// attention runs by its plain formula in the whole process.

/// Where random signs are put to estimate a trace.
enum class HessianProbe {
  Outputs,  ///< |J_l^T xi|^2 with H = J^T J, J the Jacobian of `Task::response`, xi signs for outputs: a plain backward
            ///< pass, never negative; no site's estimate suffers from the others
  Weights,  ///< v_l . (H v)_l, v signs for all weights: asks nothing of the response, but cross terms with the other
            ///< sites take hundreds of probes more
};

struct HessianOptions {
  HessianProbe probe = HessianProbe::Outputs;
  int probes = 4;                ///< at least, of each batch
  int most_probes = 64;          ///< at most
  double standard_error = 0.05;  ///< probes end where every site's standard error falls below this share of its score
};

std::vector<std::string> validate(const HessianOptions& options);

/// "hessian": the trace of each site's block of H, by Hutchinson's estimator, with its standard error over probes; for
/// operands of additions, which have no weight, the block of their activation. Alike at every precision. K probes: a
/// forward and K backward passes for all sites together; by weights a forward, a backward and K backward passes through
/// the gradient's graph (twice K with additions). The graph is made again for each round of probes. Memory: about twice
/// a batch's activations, by weights four times. Source: docs/methods.md, section 3.4.
std::unique_ptr<SensitivityMetric> make_hessian(const HessianOptions& options = {});

/// "hessian-error": that trace times the mean squared error of the weight (of the activation, for operands of
/// additions): blind to how the inputs of other sites are quantized. Cost as "hessian". Source: docs/methods.md,
/// section 3.4.
std::unique_ptr<SensitivityMetric> make_hessian_error(const HessianOptions& options = {});

struct FisherOptions {
  int draws = 2;                 ///< at least, of each batch
  int most_draws = 32;           ///< at most
  double standard_error = 0.05;  ///< draws end where every standard error falls below this share of the score
};

std::vector<std::string> validate(const FisherOptions& options);

/// "fisher": 1/2 (sum_k F_kk delta_k^2 + sum_k A_kk eps_k^2), the diagonal of H over a site's weight and its own
/// reading of its activation, by first derivatives with random signs; never negative. With standard errors over draws.
/// K draws: a forward and K backward passes for all sites and precisions together; the forward pass is made again
/// for each round of draws. Memory: 2 + P times a batch's activations. Source: docs/methods.md, section 3.5.
std::unique_ptr<SensitivityMetric> make_fisher(const FisherOptions& options = {});

/// "interlayer-hvp": the pair matrix G[i, j] = mean over samples of d_i . H d_j, d_i what quantization adds to the
/// weight and to the input activation of site i; exact, no draws. Scores are half its diagonal. A forward, a backward
/// and, for each of the M changes, a backward pass through the gradient's graph of what lies downstream, half of it on
/// average. Memory: 4 + P times a batch's activations and M^2 numbers a batch. Source: docs/methods.md, section 3.8.
std::unique_ptr<SensitivityMetric> make_hvp_pairs();

}  // namespace halftone
