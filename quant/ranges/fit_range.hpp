#pragma once

#include <cstdint>
#include <span>

#include "quant/math/isa.hpp"

namespace bitplan {

/// w' = scale (q - zero), q_min <= q <= q_max. zero may lie between codes, at multiples of
///
///   u = 2^-max(0, 7 - b),     q_min <= zero <= q_max        b bits
///
/// so that up to 7 bits (q - zero) / u is an integer of 8 bits: a kernel for 8-bit weights computes it exactly, with
/// the scale u s, and the zero point itself is stored in 8 bits.
struct FitGrid {
  float scale = 1, zero = 0;
  std::int32_t q_min = 0, q_max = 1;
  bool operator==(const FitGrid&) const = default;
};

/// The codes that a fit is for.
struct FitCodes {
  std::int32_t q_min = 0, q_max = 1;
  bool symmetric = false;  ///< zero = 0
  float unit = 1;          ///< u
  static FitCodes of(int bits, bool symmetric, bool narrow);
  /// The nearest zero point that can be stored.
  float storable(double zero) const;
};

/// The grid of least squared error of one part, by codes and grid in turn (Lloyd's iteration on a uniform grid; the
/// half-quadratic zero points of HQQ move z alone, torchao's scale search s alone):
///
///   q <- clamp(rint(w / s + z), q_min, q_max)
///   affine     z <- mean(q) - mean(w) var(q) / cov(w, q), to the nearest that can be stored
///   both       s <- sum(w (q - z)) / sum((q - z)^2)
///
/// from 1, .9, .8 … .45 of the range (min to max with 0; -max |w| to max |w|), each until the squared error no longer
/// falls, at most 30 times; then s alone from the best grid of all, so never a larger error than the plain range has.
/// Zeros: s = 1, z = 0. All values must be finite. O(n * iterations), vectorised; the same on each instruction set.
FitGrid fit_range(std::span<const float> part, const FitCodes& codes);
FitGrid fit_range_on(Isa isa, std::span<const float> part, const FitCodes& codes);

/// Sum of (w' - w)^2 of nearest rounding, by definition.
double fit_error(std::span<const float> part, const FitGrid& grid);

/// Nearest code and its value.
std::int32_t fit_code(const FitGrid& grid, float w);

}  // namespace bitplan
