#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace halftone {

/// What maps real numbers to integers: q = clip(round(x / scale) + zero_point, qmin, qmax), rounding half to even;
/// back by (q - zero_point) * scale.
struct QuantParams {
  float scale = 1;
  std::int32_t zero_point = 0;
  std::int32_t qmin = 0;
  std::int32_t qmax = 255;

  bool operator==(const QuantParams&) const = default;
};

namespace internal {
/// A range so small that its scale is not a normal float (a tensor of zeros) quantizes with scale 1.
inline float usable_scale(double scale) {
  const auto narrow = static_cast<float>(scale);
  return narrow >= std::numeric_limits<float>::min() ? narrow : 1.0F;
}
}  // namespace internal

/// Per-tensor activation quantizer for [low, high] at `bits`: unsigned with zero point 0 where low >= 0, else
/// affine; the range is widened to contain 0 so that zero is exact.
inline QuantParams activation_params(double low, double high, int bits) {
  const std::int32_t qmax = (1 << bits) - 1;
  low = low < 0 ? low : 0.0;
  high = high > 0 ? high : 0.0;
  const float scale = internal::usable_scale((high - low) / qmax);
  const double zero_point = std::nearbyint(-low / static_cast<double>(scale));
  return {scale, static_cast<std::int32_t>(zero_point < qmax ? zero_point : qmax), 0, qmax};
}

/// Symmetric weight quantizer for [-bound, bound] at `bits`: qmax = 2^(bits-1) - 1, zero point 0.
inline QuantParams weight_params(double bound, int bits) {
  const std::int32_t qmax = (1 << (bits - 1)) - 1;
  return {internal::usable_scale(bound / qmax), 0, -qmax, qmax};
}

/// What `x` becomes after quantization and back. The scalar form of `fake_quantize`, bit for bit.
inline float fake_quantize(float x, const QuantParams& p) {
  float q = std::nearbyint(x / p.scale) + static_cast<float>(p.zero_point);
  q = q < static_cast<float>(p.qmin) ? static_cast<float>(p.qmin) : q;
  q = q > static_cast<float>(p.qmax) ? static_cast<float>(p.qmax) : q;
  return (q - static_cast<float>(p.zero_point)) * p.scale;
}

}  // namespace halftone
