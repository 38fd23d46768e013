#include "quant/math/affine.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

namespace bitplan {
namespace {

/// fake_quantize_ref with clamp and rint exchanged, which is exact since the bounds are integers:
/// x' = s rint(clamp(x / s, q_min - z, q_max - z)). A NaN fails both comparisons and stays; the rounder makes -0 into
/// 0, as adding z does.
BITPLAN_KERNEL void quantize_all(const Affine& q, const float* x, float* out, std::size_t n) {
  const float inverse = 1 / q.scale, scale = q.scale;
  const auto low = static_cast<float>(q.q_min - q.zero_point), high = static_cast<float>(q.q_max - q.zero_point);
  BITPLAN_NO_OVERLAP
  for (std::size_t i = 0; i < n; ++i) {
    float t = x[i] * inverse;
    t = low > t ? low : t;
    t = high < t ? high : t;
    out[i] = scale * ((t + kRounder) - kRounder);
  }
}

void quantize_generic(const Affine& q, const float* x, float* out, std::size_t n) { quantize_all(q, x, out, n); }
BITPLAN_AVX2 void quantize_avx2(const Affine& q, const float* x, float* out, std::size_t n) {
  quantize_all(q, x, out, n);
}
BITPLAN_AVX512 void quantize_avx512(const Affine& q, const float* x, float* out, std::size_t n) {
  quantize_all(q, x, out, n);
}

/// The same levels as integers. t + kRounder holds t's integer in its low mantissa bits; t is within 256 of 0 when
/// q_min - z is, which holds for codes of a byte. NaN goes to the low end, and is counted.
BITPLAN_KERNEL bool codes_of_all(const Affine& q, const float* x, std::uint8_t* codes, std::size_t n) {
  const float inverse = 1 / q.scale;
  const auto low = static_cast<float>(q.q_min - q.zero_point), high = static_cast<float>(q.q_max - q.zero_point);
  const std::int32_t shift = q.zero_point - q.q_min - std::bit_cast<std::int32_t>(kRounder);
  std::int32_t bad = 0;
  BITPLAN_NO_OVERLAP
  for (std::size_t i = 0; i < n; ++i) {
    float t = x[i] * inverse;
    bad |= t != t ? 1 : 0;
    t = t > low ? t : low;
    t = high < t ? high : t;
    codes[i] = static_cast<std::uint8_t>(std::bit_cast<std::int32_t>(t + kRounder) + shift);
  }
  return bad == 0;
}

bool codes_generic(const Affine& q, const float* x, std::uint8_t* codes, std::size_t n) {
  return codes_of_all(q, x, codes, n);
}
BITPLAN_AVX2 bool codes_avx2(const Affine& q, const float* x, std::uint8_t* codes, std::size_t n) {
  return codes_of_all(q, x, codes, n);
}
BITPLAN_AVX512 bool codes_avx512(const Affine& q, const float* x, std::uint8_t* codes, std::size_t n) {
  return codes_of_all(q, x, codes, n);
}

}  // namespace

void fake_quantize_ref(const Affine& q, std::span<const float> x, std::span<float> out) {
  assert(x.size() == out.size() && q.scale > 0);
  const float inverse = 1 / q.scale;
  const auto zero = static_cast<float>(q.zero_point);
  const auto q_min = static_cast<float>(q.q_min), q_max = static_cast<float>(q.q_max);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float level = std::nearbyint(x[i] * inverse) + zero;
    out[i] = q.scale * (std::clamp(level, q_min, q_max) - zero);
  }
}

void fake_quantize_on(Isa isa, const Affine& q, std::span<const float> x, std::span<float> out) {
  assert(x.size() == out.size() && q.scale > 0);
  constexpr decltype(&quantize_generic) kernels[] = {quantize_generic, quantize_avx2, quantize_avx512};
  kernels[static_cast<std::size_t>(isa)](q, x.data(), out.data(), x.size());
}

void fake_quantize(const Affine& q, std::span<const float> x, std::span<float> out) {
  fake_quantize_on(best_isa(), q, x, out);
}

void quantize_codes_ref(const Affine& q, std::span<const float> x, std::span<std::uint8_t> codes) {
  assert(x.size() == codes.size() && q.scale > 0 && q.q_max - q.q_min <= 255);
  const float inverse = 1 / q.scale;
  const auto zero = static_cast<float>(q.zero_point);
  const auto q_min = static_cast<float>(q.q_min), q_max = static_cast<float>(q.q_max);
  for (std::size_t i = 0; i < x.size(); ++i)
    codes[i] = static_cast<std::uint8_t>(std::clamp(std::nearbyint(x[i] * inverse) + zero, q_min, q_max) - q_min);
}

bool quantize_codes_on(Isa isa, const Affine& q, std::span<const float> x, std::span<std::uint8_t> codes) {
  assert(x.size() == codes.size() && q.scale > 0 && q.q_max - q.q_min <= 255);
  constexpr decltype(&codes_generic) kernels[] = {codes_generic, codes_avx2, codes_avx512};
  return kernels[static_cast<std::size_t>(isa)](q, x.data(), codes.data(), x.size());
}

bool quantize_codes(const Affine& q, std::span<const float> x, std::span<std::uint8_t> codes) {
  return quantize_codes_on(best_isa(), q, x, codes);
}

float largest_scale(std::int32_t level) {
  return static_cast<float>(std::numeric_limits<float>::max() * (1 - 0x1p-23) / level);
}

Affine affine_from_range(float low, float high, int bits, bool symmetric, bool narrow) {
  assert(std::isfinite(low) && std::isfinite(high) && bits >= 1 && bits <= 16);
  assert(bits >= 2 || !symmetric);
  const double least = std::min(low, 0.0F), most = std::max(high, 0.0F);
  const std::int32_t half = 1 << (bits - 1);
  Affine q;
  q.q_min = symmetric ? (narrow ? 1 - half : -half) : 0;
  q.q_max = symmetric ? half - 1 : 2 * half - 1;
  double range = std::max(-least, most);
  if (!symmetric) {
    range = static_cast<float>(most) - static_cast<float>(least);
    if (std::isinf(range)) range = most - least;
  }
  using Limits = std::numeric_limits<float>;
  if (range > 0) q.scale = static_cast<float>(std::clamp<double>(range / q.q_max, Limits::min(), Limits::max()));
  if (!symmetric)
    q.zero_point = std::min(static_cast<std::int32_t>(std::rint(static_cast<float>(-least) / q.scale)), q.q_max);
  q.scale = std::min(q.scale, largest_scale(std::max(q.zero_point, q.q_max - q.zero_point)));
  return q;
}

}  // namespace bitplan
