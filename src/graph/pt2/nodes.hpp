#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/pt2/operators.hpp"
#include "graph/pt2/program.hpp"

namespace halftone::internal::pt2 {

/// Turns the nodes of a graph, and of graphs within it, into the steps of a program.
class NodeReader {
 public:
  /// `data` are the slots of parameters, buffers and constants, to which nothing may write.
  NodeReader(Program& program, std::set<std::size_t> data, const std::vector<std::string>& namespaces)
      : program_(program), data_(std::move(data)), namespaces_(namespaces) {}

  void read(const JsonField& nodes, Scope& scope);

 private:
  void read_node(const JsonField& node, Scope& scope);
  void add_call(const JsonField& node, Scope& scope);
  void add_number(const JsonField& node, Scope& scope);
  void add_check(const JsonField& node, const std::vector<const char*>& names, void (*check)(torch::jit::Stack&),
                 const Scope& scope);
  void add_grad_region(const JsonField& node, Scope& scope);
  std::size_t add_grad_mode(Term enabled, Scope& scope);
  void add_detached(std::size_t slot, const JsonField& name, Scope& scope);
  void check_writes(const Step& step, const c10::FunctionSchema& schema);

  Program& program_;
  std::set<std::size_t> data_;
  std::set<std::size_t> copies_;  ///< fresh copies of constants
  const std::vector<std::string>& namespaces_;
  Target target_;  ///< of the node being read
};

}  // namespace halftone::internal::pt2
