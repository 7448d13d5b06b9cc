#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "halftone/graph/graph.hpp"

namespace halftone::internal {

/// [a, b] as (a, b, a, b): LibTorch pads both sides alike, ONNX lists all befores and then all afters.
std::vector<std::int64_t> both_sides(std::vector<std::int64_t> padding);

/// Zero padding that stands before a convolution becomes part of it: engines fuse what lies before a convolution into
/// it only where nothing stands between.
class AbsorbedPadding {
 public:
  explicit AbsorbedPadding(const Graph& graph);

  /// Whether node `index` pads for convolutions alone and so is not needed.
  [[nodiscard]] bool is_absorbed(std::size_t index) const { return absorbed_.contains(index); }

  /// For a convolution that reads `input` and pads `padding` on both sides: the value before the zero padding, and all
  /// befores followed by all afters.
  [[nodiscard]] std::pair<ValueId, std::vector<std::int64_t>> before(ValueId input,
                                                                     std::vector<std::int64_t> padding) const;

 private:
  struct Padding {
    ValueId source = 0;
    std::vector<std::int64_t> before;  ///< by spatial dimension
    std::vector<std::int64_t> after;
  };

  std::map<ValueId, Padding> by_output_;
  std::set<std::size_t> absorbed_;
};

}  // namespace halftone::internal
