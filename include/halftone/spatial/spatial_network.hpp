#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "halftone/distributed/communicator.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/spatial/rows.hpp"

namespace halftone {

struct SpatialOptions {
  /// Where an operator cannot work on some rows alone (flattening, say), it gets the whole image on every rank. Else
  /// such operators are refused.
  bool gather = false;
};

/// A prepared network run on images whose rows are split over ranks. Images [n, channels, rows, width] are split evenly
/// (`split_evenly`): inputs of four dimensions, and what operators make of them that work on each number alone, on
/// windows of rows (convolutions, pooling, padding, slices, upsampling by whole factors) or beside each other
/// (concatenation of channels). A mean or sum over rows, as before a classifier, is whole on every rank, and so is all
/// that follows from it. What gradients are of: see exchange.hpp; parameters are replicated, and each rank's gradients
/// of them are its part.
class SpatialNetwork {
 public:
  /// Borrows both. Throws `Unsupported`, naming the first operator that cannot be split and why; also where an image
  /// has a size that depends on the length of inputs. All ranks have the same model.
  SpatialNetwork(const Model& model, Communicator& communicator, const SpatialOptions& options = {});
  ~SpatialNetwork();
  SpatialNetwork(SpatialNetwork&&) noexcept;

  /// How input `index` is split; none where every rank takes the whole.
  [[nodiscard]] std::optional<RowSplit> input_split(std::size_t index) const;
  /// This rank's part of inputs that it holds as a whole; views.
  [[nodiscard]] std::vector<at::Tensor> split_inputs(std::span<const at::Tensor> whole) const;

  /// One forward pass over this rank's part of the inputs, on all ranks together; outputs are whole on every rank. A
  /// visitor sees this rank's rows. Throws `InvalidArgument` for wrong inputs, naming the one.
  [[nodiscard]] std::vector<at::Tensor> run(std::span<const at::Tensor> inputs, SiteVisitor* visitor = nullptr) const;

  /// The operators that get whole images since they cannot work on rows, as messages name them.
  [[nodiscard]] const std::vector<std::string>& gathered() const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

}  // namespace halftone
