#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "halftone/graph/interpreter.hpp"
#include "halftone/sensitivity/metric.hpp"

/// What metrics by gradients need of data, network and task. Each throws an Error that names the metric and what works
/// instead.
namespace halftone::internal {

/// Throws `Unsupported`.
[[noreturn]] void refuse(const std::string& metric, const std::string& reason);

/// Throws `InvalidArgument` without samples.
void require_samples(const std::string& metric, const SensitivityInput& input);

/// Operands in float32 or float64.
void require_float_sites(const std::string& metric, const Model& model);

/// For a site that no gradient reaches: that changing what it reads changes no output either.
void require_no_effect(const std::string& metric, const Model& model, const Interpreter& interpreter,
                       const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& clean, std::size_t site);

/// That damage has a second derivative that is not 0 where outputs equal the clean ones; tried at random outputs of the
/// shapes of `clean`, for a network that is sure of itself may have none in floating point.
void require_curved_damage(const std::string& metric, const Task& task, const std::vector<at::Tensor>& clean,
                           std::uint64_t seed);

}  // namespace halftone::internal
