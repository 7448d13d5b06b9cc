#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string>
#include <vector>

#include "graph/pt2/term.hpp"

namespace halftone::internal::pt2 {

/// What a node calls, and what it is called in messages.
struct Target {
  std::string text;   ///< "torch.ops.aten.linear.default"
  std::string place;  ///< "node \"linear\" (torch.ops.aten.linear.default)"

  [[noreturn]] void refuse(const std::string& why) const;
};

/// The operator of a target "torch.ops.SPACE.NAME.OVERLOAD" for a node's inputs. Throws `Unsupported` for operators
/// outside `namespaces`, that LibTorch does not have, or that reach outside the network.
c10::OperatorHandle find_operator(const Target& target, const JsonField& inputs,
                                  const std::vector<std::string>& namespaces);

/// One term for each argument of `schema`; those that a file leaves out have their default.
std::vector<Term> read_arguments(const c10::FunctionSchema& schema, const JsonField& inputs, const Scope& scope);

/// The argument of that name among a node's inputs.
std::optional<JsonField> find_input(const JsonField& inputs, const std::string& name);

/// A term without type that is always `value`.
Term constant_term(const c10::IValue& value);

}  // namespace halftone::internal::pt2
