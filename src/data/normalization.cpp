#include "data/normalization.hpp"

#include <cmath>

#include "halftone/core/error.hpp"

namespace halftone::internal {

NormalizationTable normalization_table(const ImageNormalization& normalization) {
  const auto& [mean, std] = normalization;
  if (mean.size() != kChannels || std.size() != kChannels)
    throw Error(Errc::InvalidArgument, message("colour images need 3 means and 3 standard deviations, got ",
                                               mean.size(), " and ", std.size()));
  NormalizationTable table;
  for (std::size_t c = 0; c < kChannels; ++c) {
    const auto center = static_cast<float>(mean[c]);
    const auto spread = static_cast<float>(std[c]);
    if (!std::isfinite(center) || !std::isfinite(spread) || !(spread > 0) || !std::isfinite(1 / spread))
      throw Error(Errc::InvalidArgument, message("normalisation of channel ", c, " with mean ", mean[c], " and std ",
                                                 std[c], ": both must be finite and std above 0"));
    for (std::size_t x = 0; x < 256; ++x) table[c][x] = (static_cast<float>(x) / 255.0F - center) / spread;
  }
  return table;
}

}  // namespace halftone::internal
