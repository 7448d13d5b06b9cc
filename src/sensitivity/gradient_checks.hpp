#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "halftone/core/error.hpp"
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

/// Whether an error of LibTorch says that memory ran out; on the processor its type does not tell.
bool is_out_of_memory(const c10::Error& error);

/// Calls `action`; what LibTorch cannot differentiate becomes an Error.
template <class Action>
auto differentiate(const std::string& metric, const Action& action) {
  try {
    return action();
  } catch (const c10::Error& error) {
    if (is_out_of_memory(error)) throw;
    refuse(metric, message("LibTorch cannot differentiate this network: ", error.what_without_backtrace()));
  }
}

/// The first output that changes where something else is put in the place of what `site` reads; none: nothing reaches
/// any, and no gradient either.
std::optional<std::size_t> affected_output(const Model& model, const Interpreter& interpreter,
                                           const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& clean,
                                           std::size_t site);

/// That damage has a second derivative that is not 0 where outputs equal the clean ones; tried at random outputs of the
/// shapes of `clean`, for a network that is sure of itself may have none in floating point.
void require_curved_damage(const std::string& metric, const Task& task, const std::vector<at::Tensor>& clean,
                           std::uint64_t seed);

}  // namespace halftone::internal
