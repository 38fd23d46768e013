#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "quant/math/affine.hpp"
#include "quant/math/isa.hpp"

namespace bitplan {

// Elementary functions without branches, tables or library calls; relative error below 4e-7 (pow: 2e-6 for
// |y log2 x| < 20). T is float or Floats: loops that hold a choice between values are written on Floats, for compilers
// often make branches of it, which do not vectorise. Equal bits for both, on every instruction set.

/// 16 floats that are computed with as one; narrower instruction sets take several registers.
typedef float Floats __attribute__((vector_size(64)));
typedef std::int32_t Ints __attribute__((vector_size(64)));
inline constexpr std::size_t kLanes = 16;

template <class T>
using IntsOf = std::conditional_t<std::is_same_v<T, float>, std::int32_t, Ints>;

/// n rounded up to whole Floats: arrays of this size need no loop for a rest.
constexpr std::size_t whole_lanes(std::size_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

BITPLAN_KERNEL Floats load(const float* from) {
  Floats out;
  std::memcpy(&out, from, sizeof out);
  return out;
}
BITPLAN_KERNEL void store(Floats values, float* to) { std::memcpy(to, &values, sizeof values); }

// Choices go by bits of integers: comparisons of vectors that a CPU has not in this width are computed one by one.

/// All bits where a < b.
template <class T>
BITPLAN_KERNEL IntsOf<T> less(T a, T b) {
  return std::bit_cast<IntsOf<T>>(a - b) >> 31;
}
/// x under the mask, 0 elsewhere.
template <class T>
BITPLAN_KERNEL T where(IntsOf<T> mask, T x) {
  return std::bit_cast<T>(mask & std::bit_cast<IntsOf<T>>(x));
}
template <class T>
BITPLAN_KERNEL T at_least(T x, T bound) {
  const auto mask = less(x, bound);
  return std::bit_cast<T>((mask & std::bit_cast<IntsOf<T>>(bound)) | (~mask & std::bit_cast<IntsOf<T>>(x)));
}
template <class T>
BITPLAN_KERNEL T at_most(T x, T bound) {
  const auto mask = less(bound, x);
  return std::bit_cast<T>((mask & std::bit_cast<IntsOf<T>>(bound)) | (~mask & std::bit_cast<IntsOf<T>>(x)));
}
template <class T>
BITPLAN_KERNEL T magnitude(T x) {
  return std::bit_cast<T>(std::bit_cast<IntsOf<T>>(x) & 0x7fffffff);
}
/// x >= 0 with the sign of another.
template <class T>
BITPLAN_KERNEL T with_sign(T x, T sign) {
  return std::bit_cast<T>(std::bit_cast<IntsOf<T>>(x) | (std::bit_cast<IntsOf<T>>(sign) & INT32_MIN));
}

/// 2^x, x clamped to [-125, 125]: Taylor series of degree 7 on [-1/2, 1/2], whose remainder is 5e-9.
template <class T>
BITPLAN_KERNEL T fast_exp2(T x) {
  x = at_most(at_least(x, T{} - 125.0F), T{} + 125.0F);
  const T shifted = x + kRounder, whole = shifted - kRounder, f = (x - whole) * 0.69314718F;
  T p = T{} + 1.0F / 5040;
  p = p * f + 1.0F / 720;
  p = p * f + 1.0F / 120;
  p = p * f + 1.0F / 24;
  p = p * f + 1.0F / 6;
  p = p * f + 0.5F;
  p = p * f + 1.0F;
  p = p * f + 1.0F;
  const IntsOf<T> exponent = std::bit_cast<IntsOf<T>>(shifted) - std::bit_cast<std::int32_t>(kRounder) + 127;
  return p * std::bit_cast<T>(exponent << 23);
}

template <class T>
BITPLAN_KERNEL T fast_exp(T x) {
  return fast_exp2(x * 1.44269504F);
}

/// log2 of a positive normal x: with x = 2^e m, sqrt(1/2) <= m < sqrt(2), t = (m - 1) / (m + 1),
/// ln m = 2 (t + t^3/3 + t^5/5 + …), |t| < 0.172.
template <class T>
BITPLAN_KERNEL T fast_log2(T x) {
  const auto bits = std::bit_cast<IntsOf<T>>(x);
  const IntsOf<T> exponent = (bits - 0x3f3504f3) >> 23;  // sqrt(1/2)
  const T m = std::bit_cast<T>(bits - exponent * (1 << 23));
  const T t = (m - 1.0F) / (m + 1.0F), t2 = t * t;
  T p = T{} + 1.0F / 11;
  p = p * t2 + 1.0F / 9;
  p = p * t2 + 1.0F / 7;
  p = p * t2 + 1.0F / 5;
  p = p * t2 + 1.0F / 3;
  p = p * t2 + 1.0F;
  const T whole = std::bit_cast<T>(exponent + std::bit_cast<std::int32_t>(kRounder)) - kRounder;
  return whole + 2.885390082F * t * p;
}

/// x^y for x >= 0: (x + 2^-120)^y, which is x^y from 2^-96 on.
template <class T>
BITPLAN_KERNEL T fast_pow(T x, float y) {
  return fast_exp2(y * fast_log2(x + 0x1p-120F));
}

template <class T>
BITPLAN_KERNEL T fast_sigmoid(T x) {
  return 1.0F / (1.0F + fast_exp(-x));
}

/// sqrt x for 0 <= x <= 1e37: x times Newton's iteration for 1 / sqrt x from a guess of its bits (sqrtf looks at
/// errno).
template <class T>
BITPLAN_KERNEL T fast_sqrt(T x) {
  T y = std::bit_cast<T>(0x5f375a86 - (std::bit_cast<IntsOf<T>>(x) >> 1));
  const T half = 0.5F * x;
  y = y * (1.5F - half * y * y);
  y = y * (1.5F - half * y * y);
  y = y * (1.5F - half * y * y);
  return x * y;
}

/// std::nearbyint in the default mode, but never -0; without its call wherever |x| < 2^22.
BITPLAN_KERNEL float fast_rint(float x) {
  return magnitude(x) < 4194304.0F ? (x + kRounder) - kRounder : __builtin_nearbyintf(x);
}

}  // namespace bitplan
