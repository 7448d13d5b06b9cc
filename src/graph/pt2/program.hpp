#pragma once

#include <ATen/core/stack.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "graph/pt2/archive.hpp"
#include "graph/pt2/term.hpp"
#include "halftone/graph/pt2.hpp"

namespace halftone::internal::pt2 {

/// What one return of a step gives: a value, a list of values, or (no slots, not a list) nothing that is read.
struct Returned {
  bool is_list = false;
  std::vector<std::size_t> slots;
};

/// One node: arguments go onto the stack, results come from it.
struct Step {
  std::string place;  ///< for messages: node and operator
  std::function<void(torch::jit::Stack&)> call;
  std::vector<Term> arguments;
  std::vector<Returned> results;
  std::vector<std::size_t> last_uses;  ///< what nothing reads after this step
};

struct Program {
  std::vector<NamedTensor> tensors;
  std::vector<std::size_t> tensor_slots;
  std::vector<ProgramInput> inputs;
  std::vector<std::size_t> input_slots;
  std::vector<std::string> output_names;
  std::vector<std::size_t> outputs;  ///< slots
  std::vector<Step> steps;
  std::size_t slots = 0;
};

/// Reads a program and looks its operators up. Throws `BadFile`, or `Unsupported` for what cannot run.
Program read_program(const Archive& archive, const LoadOptions& options);

}  // namespace halftone::internal::pt2
