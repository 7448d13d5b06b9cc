#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>

namespace halftone::internal {

/// Seeds of independent streams from a few numbers (SplitMix64's mixing).
constexpr std::uint64_t mix(std::uint64_t seed, std::uint64_t number) {
  std::uint64_t z = seed + (number + 1) * 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

/// -1 or 1 with equal chance, in the shape, type and place of `like`; the same on every device.
inline at::Tensor random_signs(const at::Tensor& like, std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const at::Tensor bits = at::empty(like.sizes(), like.options().device(at::kCPU).requires_grad(false));
  return bits.random_(0, 2, generator).mul_(2).sub_(1).to(like.device());
}

/// Standard normal numbers, likewise.
inline at::Tensor random_normal(const at::Tensor& like, std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const at::Tensor numbers = at::empty(like.sizes(), like.options().device(at::kCPU).requires_grad(false));
  return numbers.normal_(0, 1, generator).to(like.device());
}

}  // namespace halftone::internal
