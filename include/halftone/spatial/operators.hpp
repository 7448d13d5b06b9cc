#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <optional>

#include "halftone/distributed/communicator.hpp"
#include "halftone/spatial/rows.hpp"

namespace halftone {

/// An image [n, channels, rows, width] of which every rank holds its rows. What works on each number alone, and sums of
/// images of equal split, need nothing from here: apply them to `rows`.
struct SplitImage {
  at::Tensor rows;  ///< this rank's
  RowSplit split;
};

/// Height, width.
using Extent2d = std::array<std::int64_t, 2>;

struct SpatialConvOptions {
  Extent2d stride{1, 1};
  Extent2d padding{0, 0};
  Extent2d dilation{1, 1};
  std::int64_t groups = 1;
};

struct SpatialPoolOptions {
  Extent2d kernel{2, 2};
  Extent2d stride{2, 2};
  Extent2d padding{0, 0};
  Extent2d dilation{1, 1};  ///< of max pooling
  bool ceil_mode = false;
  bool count_include_pad = true;                   ///< of average pooling
  std::optional<std::int64_t> divisor_override{};  ///< of average pooling
};

// Each operator below gives what LibTorch's gives on the whole image, to rounding, split evenly, forward and backward
// (see exchange.hpp for what gradients are of), and fetches the rows that windows at the edges of a rank's part read:
// no more than that, from whichever ranks hold them. A rank without outputs computes one row of zeros and drops it, so
// that gradients exist everywhere. Throws `InvalidArgument` as `fetch_rows`, and where a window does not fit.

/// The rows that a window reads for this rank's rows of `outputs`, with `fill` for rows beyond the image: what an
/// operator then takes without padding in height. For no outputs, a window of `fill`.
at::Tensor window_rows(const SplitImage& x, const RowWindow& window, const RowSplit& outputs, double fill,
                       Communicator& communicator);

/// `weight` [out, in / groups, kh, kw], `bias` [out] or undefined.
SplitImage spatial_conv2d(const SplitImage& x, const at::Tensor& weight, const at::Tensor& bias,
                          const SpatialConvOptions& options, Communicator& communicator);

SplitImage spatial_max_pool2d(const SplitImage& x, const SpatialPoolOptions& options, Communicator& communicator);

/// Sums of windows, divided by how many numbers of each count.
SplitImage spatial_avg_pool2d(const SplitImage& x, const SpatialPoolOptions& options, Communicator& communicator);

/// Mean over height and width, whole on every rank: [n, channels, 1, 1].
at::Tensor spatial_mean(const SplitImage& x, Communicator& communicator);

enum class Upsampling { Nearest, Bilinear };

/// `factor` times as high and wide; bilinear as with align_corners = false.
SplitImage spatial_upsample2d(const SplitImage& x, std::int64_t factor, Upsampling how, Communicator& communicator);

}  // namespace halftone
