#include "engine/libtorch/quantize_u8.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>

namespace halftone::internal {
namespace {

inline float to_float(float x) { return x; }
inline float to_float(c10::BFloat16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.x) << 16); }

/// Compiled once for each instruction set, and vectorised there.
template <class T>
[[gnu::always_inline]] inline void quantize_loop(const T* x, std::uint8_t* q, std::int64_t count,
                                                 const QuantParams& params) {
  // Adding and taking away 1.5 * 2^23 leaves the nearest integer, half to even; the limits, integers too, come before.
  constexpr float kRound = 12582912;
  const float scale = params.scale;
  const auto least = static_cast<float>(params.qmin - params.zero_point);
  const auto most = static_cast<float>(params.qmax - params.zero_point);
  const std::int32_t zero_point = params.zero_point;
  for (std::int64_t i = 0; i < count; ++i) {
    const float level = std::min(std::max(to_float(x[i]) / scale, least), most) + kRound - kRound;
    q[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(level) + zero_point);
  }
}

#if defined(__x86_64__)
template <class T>
[[gnu::target("avx512f,avx512bw,avx512vl,prefer-vector-width=512")]] void quantize_avx512(const T* x, std::uint8_t* q,
                                                                                          std::int64_t count,
                                                                                          const QuantParams& params) {
  quantize_loop(x, q, count, params);
}

template <class T>
[[gnu::target("avx2")]] void quantize_avx2(const T* x, std::uint8_t* q, std::int64_t count, const QuantParams& params) {
  quantize_loop(x, q, count, params);
}
#endif

template <class T>
void quantize_all(const T* x, std::uint8_t* q, std::int64_t count, const QuantParams& params) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    return quantize_avx512(x, q, count, params);
  if (__builtin_cpu_supports("avx2")) return quantize_avx2(x, q, count, params);
#endif
  quantize_loop(x, q, count, params);
}

}  // namespace

at::Tensor quantize_u8(const at::Tensor& x, const QuantParams& params) {
  const bool narrow = x.scalar_type() == at::kBFloat16;
  if (!narrow && x.scalar_type() != at::kFloat) return quantize_u8(x.to(at::kFloat), params);
  if (!x.is_non_overlapping_and_dense()) return quantize_u8(x.contiguous(), params);
  at::Tensor quantized = at::empty_strided(x.sizes(), x.strides(), x.options().dtype(at::kByte));
  auto* const out = quantized.mutable_data_ptr<std::uint8_t>();
  if (narrow)
    quantize_all(x.const_data_ptr<c10::BFloat16>(), out, x.numel(), params);
  else
    quantize_all(x.const_data_ptr<float>(), out, x.numel(), params);
  return quantized;
}

}  // namespace halftone::internal
