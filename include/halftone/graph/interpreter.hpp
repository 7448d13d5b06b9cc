#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "halftone/graph/model.hpp"

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

/// Runs a model's graph through LibTorch's dispatcher: bit for bit what the module computed, in eval mode, with
/// autograd where gradients are on. Borrows the model, whose graph must not change meanwhile; tensors may be replaced.
/// `run` may be called in parallel.
class Interpreter {
 public:
  /// Looks every operator up once; throws `Unsupported` naming one that this LibTorch does not have.
  explicit Interpreter(const Model& model);
  ~Interpreter();
  Interpreter(Interpreter&&) noexcept;

  /// One forward pass: inputs [batch, …] in the order of the graph's inputs, outputs likewise. Intermediate tensors are
  /// freed after their last use. Throws `InvalidArgument` for wrong inputs, naming the one.
  [[nodiscard]] std::vector<at::Tensor> run(std::span<const at::Tensor> inputs, SiteVisitor* visitor = nullptr) const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

}  // namespace halftone
