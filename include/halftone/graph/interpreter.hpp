#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "halftone/graph/model.hpp"

namespace c10 {
struct IValue;
class OperatorHandle;
}  // namespace c10

namespace halftone {

/// Sees, and may replace, what the sites of one forward pass read. One visitor serves one pass at a time.
class SiteVisitor {
 public:
  virtual ~SiteVisitor() = default;

  /// The activation that site `index` (into Model::sites) is about to read.
  virtual at::Tensor input(std::size_t /*index*/, const at::Tensor& activation) { return activation; }
  /// The weight that site `index` is about to read.
  virtual at::Tensor weight(std::size_t /*index*/, const at::Tensor& weight) { return weight; }
};

/// Makes the calls of one pass, whose tensors may be others than the graph's shapes speak of: parts of them, say. One
/// caller serves one pass at a time.
class Caller {
 public:
  virtual ~Caller() = default;

  /// Node `index` of the graph, which calls `op`: `stack` holds the arguments of its schema, in which a visitor has
  /// replaced what sites read, and has to hold its returns afterwards.
  virtual void call(std::size_t index, const c10::OperatorHandle& op, std::vector<c10::IValue>& stack) = 0;
};

/// One pass of a network without a visitor, and the values of it that passes with some sites changed read again.
struct CleanPass {
  std::vector<at::Tensor> outputs;
  std::vector<at::Tensor> values;  ///< by ValueId; undefined where no replay reads one
  Sizes sizes;
  bool is_whole = false;  ///< else it holds the inputs alone
};

/// Runs a model's graph through LibTorch's dispatcher: bit for bit what the module computed, in eval mode, with
/// autograd where gradients are on. Borrows the model, whose graph must not change meanwhile; tensors may be replaced.
/// `run` may be called in parallel.
class Interpreter {
 public:
  /// Looks every operator up once; throws `Unsupported` naming one that this LibTorch does not have.
  explicit Interpreter(const Model& model);
  ~Interpreter();
  Interpreter(Interpreter&&) noexcept;

  /// One forward pass: inputs [batch, …] in the order of the graph's inputs, outputs likewise, of any length where the
  /// graph leaves it open. Intermediate tensors are
  /// freed after their last use. Throws `InvalidArgument` for wrong inputs, naming the one.
  [[nodiscard]] std::vector<at::Tensor> run(std::span<const at::Tensor> inputs, SiteVisitor* visitor = nullptr) const;

  /// One forward pass whose calls `caller` makes. Arguments that are numbers are those at `sizes`; of inputs only how
  /// many there are is checked.
  [[nodiscard]] std::vector<at::Tensor> run(std::span<const at::Tensor> inputs, const Sizes& sizes, Caller& caller,
                                            SiteVisitor* visitor = nullptr) const;

  /// One pass that keeps what `replay` reads: `recorded_bytes`, or the inputs alone where that is more than
  /// `most_bytes`. Throws as `run`.
  [[nodiscard]] CleanPass record(std::span<const at::Tensor> inputs, std::int64_t most_bytes) const;

  /// The outputs of a pass over the inputs of `clean` in which `visitor` sees the sites `changed`, and they alone.
  /// Runs only the operators that those sites reach, bit for bit as a full pass; all of them where `clean` kept
  /// the inputs alone. May be called in parallel.
  [[nodiscard]] std::vector<at::Tensor> replay(const CleanPass& clean, std::span<const std::size_t> changed,
                                               SiteVisitor& visitor) const;

  /// Memory of a clean pass at these sizes, an upper bound: views count as tensors of their own, and what they are
  /// views of, which they keep alive, counts beside them. No limit suffices for graphs that write in place: the largest
  /// number.
  [[nodiscard]] std::int64_t recorded_bytes(const Sizes& sizes) const;

  /// Share of the sites' multiply-accumulates that a replay of `changed` runs; 1 where `clean` has the inputs
  /// alone.
  [[nodiscard]] double replayed_share(const CleanPass& clean, std::span<const std::size_t> changed) const;

 private:
  std::vector<at::Tensor> run_all(std::span<const at::Tensor> inputs, const Sizes& sizes, Caller* caller,
                                  SiteVisitor* visitor) const;

  struct Program;
  std::unique_ptr<Program> program_;
};

}  // namespace halftone
