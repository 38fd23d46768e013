#pragma once

#include <span>

#include "quant/choice.hpp"
#include "quant/formats/levels.hpp"
#include "quant/math/affine.hpp"

namespace bitplan {

/// The error that a range is chosen by: sum of h |x' - x|^p, h the importance of each value (1 when empty).
struct ErrorNorm {
  double power = 2;
  std::span<const float> importance;
};
/// In double, in index order.
double range_error(std::span<const float> part, const Affine& q, const ErrorNorm& norm);
double range_error(std::span<const float> part, const Grid& grid, const ErrorNorm& norm);

/// The grid of fixed levels with scale r a / (largest level), a = max |x|, where r is by the choice's range method:
/// absmax 1; percentile the share of values inside; mse, lp and wmse of 0.3 … 1 in 100 equal steps the one with the
/// least error, of equal ones the largest; grid of k / 20, k = 1 … 20, the first with the least squared error.
/// A part of zeros has scale 0. O(candidates n log levels).
Grid search_grid(const std::shared_ptr<const Levels>& levels, std::span<const float> part,
                 std::span<const float> importance, const Choice& choice);

/// The same candidates for integers; symmetric ones take [-r a, r a], affine ones [r min, r max]. Affine grid is
/// brevitas' ShiftedUint8Weight…MSE: with l = min(min w, 0), first the scale of the range r (max w - l) with the zero
/// point of l, then for this scale the zero point of r l, both with r = k / 20. Other than there max w is at least 0.
Affine search_affine(std::span<const float> part, std::span<const float> importance, const Choice& choice);

/// The clipping point s of b-bit symmetric integers at which the expected squared error of clipping and rounding is
/// least: OCTAV, Sakr et al. 2022, arXiv:2206.06501, eq. 6 (Newton's iteration), zeros counted:
///
///   s <- sum |x| [|x| >= s] / (#{|x| >= s} (1 - k) + k n),   k = 4^-b / 3
///
/// From s = max |x| / 2 until it changes by less than 1e-12 of itself, at most 100 times; 0 of zeros alone.
double octav_clip(std::span<const float> part, int bits);

}  // namespace bitplan
