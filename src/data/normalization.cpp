#include "data/normalization.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

#include "data/sample_index.hpp"

namespace halftone::internal {

NormalizationTable normalization_table(const ImageNormalization& normalization, std::size_t channels) {
  const auto& [mean, std] = normalization;
  if (mean.size() != channels || std.size() != channels)
    throw Error(Errc::InvalidArgument, message(channels == 1 ? "grey images need 1 mean and 1 standard deviation"
                                                             : "colour images need 3 means and 3 standard deviations",
                                               ", got ", mean.size(), " and ", std.size()));
  NormalizationTable table(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const auto center = static_cast<float>(mean[c]);
    const auto spread = static_cast<float>(std[c]);
    if (!std::isfinite(center) || !std::isfinite(spread) || !(spread > 0) || !std::isfinite(1 / spread))
      throw Error(Errc::InvalidArgument, message("normalisation of channel ", c, " with mean ", mean[c], " and std ",
                                                 std[c], ": both must be finite and std above 0"));
    for (std::size_t x = 0; x < 256; ++x) table[c][x] = (static_cast<float>(x) / 255.0F - center) / spread;
  }
  return table;
}

Batch normalized_batch(const Dataset& data, std::span<const std::int64_t> indices, ImageSize size,
                       const NormalizationTable& table, const std::function<LabelledImage(std::size_t)>& image) {
  const auto count = static_cast<std::int64_t>(indices.size());
  at::Tensor images = at::empty({count, static_cast<std::int64_t>(table.size()), size.height, size.width}, at::kFloat);
  at::Tensor labels = at::empty({count}, at::kLong);
  auto* pixel_out = images.mutable_data_ptr<float>();
  auto* label_out = labels.mutable_data_ptr<std::int64_t>();
  for (const std::int64_t index : indices) {
    require_sample(data, index);
    const LabelledImage source = image(static_cast<std::size_t>(index));
    *label_out++ = source.label;
    const std::uint8_t* in = source.planes;
    for (const auto& values : table)
      for (std::int64_t i = 0; i < size.height * size.width; ++i) *pixel_out++ = values[*in++];
  }
  return {{std::move(images)}, std::move(labels)};
}

}  // namespace halftone::internal
