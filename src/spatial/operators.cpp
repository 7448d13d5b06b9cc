#include "halftone/spatial/operators.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "halftone/core/error.hpp"
#include "halftone/spatial/exchange.hpp"
#include "spatial/upsampled_rows.hpp"

namespace halftone {
namespace {

constexpr std::int64_t kRows = 2;

RowWindow row_window(const SpatialPoolOptions& o, std::int64_t dilation) {
  return {.kernel = o.kernel[0], .stride = o.stride[0], .padding = o.padding[0], .dilation = dilation};
}

/// By output, how many of the rows (or columns) of its window an average is over. `from` is the first output, `size`
/// the image's. Windows end at the padding, and what lies in it counts where it is to.
std::vector<double> counts(RowRange outputs, std::int64_t size, const RowWindow& window, bool count_padding) {
  const RowRange counted{count_padding ? -window.padding : 0, size + (count_padding ? window.padding : 0)};
  std::vector<double> list;
  for (std::int64_t o = outputs.first; o < outputs.end; ++o) {
    const std::int64_t first = o * window.stride - window.padding;
    list.push_back(static_cast<double>(common_rows({first, first + window.kernel}, counted).count()));
  }
  return list;
}

at::Tensor like(const at::Tensor& x, const std::vector<double>& numbers) {
  return at::tensor(numbers, at::kDouble).to(x.options().requires_grad(false));
}

}  // namespace

at::Tensor internal::without_dummy(const at::Tensor& y, const RowSplit& outputs, int rank) {
  const std::int64_t rows = outputs.of(rank).count();
  return y.size(kRows) == rows ? y : y.narrow(kRows, 0, rows);
}

at::Tensor window_rows(const SplitImage& x, const RowWindow& window, const RowSplit& outputs, double fill,
                       Communicator& communicator) {
  require_split(x.split, communicator.size());
  require_split(outputs, communicator.size());
  const auto needed = rows_needed(window, x.split, outputs);
  const at::Tensor rows = fetch_rows(x.rows, x.split, needed, communicator);
  const RowRange wanted = rows_needed(window, outputs.of(communicator.rank()));
  if (wanted.count() == 0) return at::constant_pad_nd(rows, {0, 0, 0, window.extent()}, fill);
  const RowRange image = needed[static_cast<std::size_t>(communicator.rank())];
  // A window that is padding from end to end has no rows of the image to stand beside.
  const std::int64_t above = image.count() > 0 ? image.first - wanted.first : wanted.count();
  const std::int64_t below = wanted.count() - image.count() - above;
  return above == 0 && below == 0 ? rows : at::constant_pad_nd(rows, {0, 0, above, below}, fill);
}

SplitImage spatial_conv2d(const SplitImage& x, const at::Tensor& weight, const at::Tensor& bias,
                          const SpatialConvOptions& options, Communicator& communicator) {
  const RowWindow window{weight.size(2), options.stride[0], options.padding[0], options.dilation[0]};
  const RowSplit outputs = split_evenly(output_rows(window, x.split.rows()), communicator.size());
  const at::Tensor y = at::conv2d(window_rows(x, window, outputs, 0, communicator), weight, bias, options.stride,
                                  at::IntArrayRef{0, options.padding[1]}, options.dilation, options.groups);
  return {internal::without_dummy(y, outputs, communicator.rank()), outputs};
}

SplitImage spatial_max_pool2d(const SplitImage& x, const SpatialPoolOptions& options, Communicator& communicator) {
  const RowWindow window = row_window(options, options.dilation[0]);
  const RowSplit outputs = split_evenly(output_rows(window, x.split.rows(), options.ceil_mode), communicator.size());
  const at::Tensor rows = window_rows(x, window, outputs, -std::numeric_limits<double>::infinity(), communicator);
  const at::Tensor y = at::max_pool2d(rows, options.kernel, options.stride, at::IntArrayRef{0, options.padding[1]},
                                      options.dilation, options.ceil_mode);
  return {internal::without_dummy(y, outputs, communicator.rank()), outputs};
}

SplitImage spatial_avg_pool2d(const SplitImage& x, const SpatialPoolOptions& options, Communicator& communicator) {
  const RowWindow window = row_window(options, 1);
  const RowSplit outputs = split_evenly(output_rows(window, x.split.rows(), options.ceil_mode), communicator.size());
  const at::Tensor sums =
      at::avg_pool2d(window_rows(x, window, outputs, 0, communicator), options.kernel, options.stride,
                     at::IntArrayRef{0, options.padding[1]}, options.ceil_mode, true, /*divisor_override=*/1);
  const at::Tensor own = internal::without_dummy(sums, outputs, communicator.rank());
  if (options.divisor_override) return {own / *options.divisor_override, outputs};
  const RowWindow columns{options.kernel[1], options.stride[1], options.padding[1]};
  const auto high = counts(outputs.of(communicator.rank()), x.split.rows(), window, options.count_include_pad);
  const auto wide = counts({0, own.size(3)}, x.rows.size(3), columns, options.count_include_pad);
  return {own / at::outer(like(own, high), like(own, wide)), outputs};
}

at::Tensor spatial_mean(const SplitImage& x, Communicator& communicator) {
  const at::Tensor sum = sum_over_ranks(x.rows.sum({2, 3}, /*keepdim=*/true), communicator);
  return sum / static_cast<double>(x.split.rows() * x.rows.size(3));
}

/// Output row o lies at (o + 1/2) / f - 1/2: bilinear sampling reads the rows on both sides, and within the fetched
/// rows o lies as far from their first row as in the image.
SplitImage internal::upsampled_rows(const SplitImage& x, std::int64_t factor, Upsampling how,
                                    const std::function<at::Tensor(const at::Tensor& rows)>& upsample,
                                    Communicator& communicator) {
  if (factor < 1)
    throw Error(Errc::InvalidArgument, message("upsampling by a factor of ", factor, ": at least 1 is needed"));
  const RowSplit outputs = split_evenly(factor * x.split.rows(), communicator.size());
  const std::int64_t beside = how == Upsampling::Bilinear ? 1 : 0;
  std::vector<RowRange> needed;
  for (int rank = 0; rank < outputs.ranks(); ++rank) {
    const RowRange own = outputs.of(rank);
    const RowRange sources{own.first / factor - beside, (own.end - 1) / factor + 1 + beside};
    needed.push_back(own.count() > 0 ? common_rows(sources, {0, x.split.rows()}) : RowRange{});
  }
  at::Tensor rows = fetch_rows(x.rows, x.split, needed, communicator);
  if (rows.size(kRows) == 0) rows = at::constant_pad_nd(rows, {0, 0, 0, 1});
  const RowRange own = outputs.of(communicator.rank());
  const std::int64_t first =
      own.count() > 0 ? own.first - factor * needed[static_cast<std::size_t>(communicator.rank())].first : 0;
  return {upsample(rows).narrow(kRows, first, own.count()), outputs};
}

SplitImage spatial_upsample2d(const SplitImage& x, std::int64_t factor, Upsampling how, Communicator& communicator) {
  const auto upsample = [&](const at::Tensor& rows) {
    const Extent2d size{factor * rows.size(2), factor * rows.size(3)};
    if (how == Upsampling::Nearest) return at::upsample_nearest2d(rows, size);
    return at::upsample_bilinear2d(rows, size, /*align_corners=*/false);
  };
  return internal::upsampled_rows(x, factor, how, upsample, communicator);
}

}  // namespace halftone
