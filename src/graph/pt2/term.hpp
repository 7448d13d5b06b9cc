#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/jit_type.h>

#include <map>
#include <string>
#include <vector>

#include "core/json_field.hpp"

namespace halftone::internal::pt2 {

/// What a pass computes: values by slot, and where the network's tensors are.
struct Frame {
  std::vector<c10::IValue> values;
  at::Device device = at::kCPU;
};

/// Names of values in one graph, and the slots that hold them.
class Scope {
 public:
  explicit Scope(std::size_t& slots) : slots_(&slots) {}

  /// A new slot for a name that the graph has not used before.
  std::size_t define(const JsonField& name);
  /// Another name for a slot.
  void define(const JsonField& name, std::size_t slot);
  /// The slot of a value that was computed before.
  [[nodiscard]] std::size_t at(const JsonField& name) const;
  /// A new slot without a name.
  std::size_t add() { return (*slots_)++; }
  /// An empty scope of the same slots.
  [[nodiscard]] Scope inner() const { return Scope(*slots_); }

 private:
  std::size_t* slots_;
  std::map<std::string, std::size_t> names_;
};

/// How one argument comes about at run time.
struct Term {
  enum class Kind { Constant, Slot, List, Device };

  Kind kind = Kind::Constant;
  c10::IValue constant;
  std::size_t slot = 0;
  std::vector<Term> elements;
  c10::TypePtr type;  ///< what it must be, of lists what elements must be; null: anything

  [[nodiscard]] c10::IValue in(const Frame& frame) const;
};

/// An argument from a file, for a parameter of that type; `length` is what a single number is repeated to where the
/// type is a list. Numbers become floats, or tensors, where those are needed. Throws `BadFile`, or `Unsupported` for
/// kinds of arguments that cannot be had (complex numbers, objects).
Term read_term(const JsonField& argument, const c10::TypePtr& type, const Scope& scope, int length = 1);

/// Whether an argument from a file is a plain number, and not a tensor.
bool is_number(const JsonField& argument);

/// The slots that `term` reads.
std::vector<std::size_t> read_slots(const Term& term);

}  // namespace halftone::internal::pt2
