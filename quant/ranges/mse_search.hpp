#pragma once

#include <vector>

#include "quant/math/affine.hpp"
#include "quant/ranges/histogram.hpp"

namespace bitplan {

/// The squared error of a quantizer on the values of a histogram, each bin's values taken as spread evenly between its
/// edges. With u = x / s, a = q_min - z, b = q_max - z and n(u) = clamp(rint(u), a, b), the integral of (u - n(u))^2 is
///
///   F(u) = n(u) / 12 + (u - n(u))^3 / 3
///
/// so a bin [l, h] with c values adds c s^3 (F(h / s) - F(l / s)) / (h - l), whether bins are wide or narrow beside a
/// step. Exact zeros have no error. A search evaluates many quantizers: empty bins are dropped once, here.
class HistogramError {
 public:
  explicit HistogramError(const Histogram& histogram);
  /// Sum over all values, O(bins); the same to the bit on each instruction set.
  double operator()(const Affine& q) const { return on(best_isa(), q); }
  double on(Isa isa, const Affine& q) const;

 private:
  std::vector<double> low_, high_, density_;  // edges, and c / (h - l), by bin that holds values; padded to full lanes
};

/// The range whose quantizer has the least error on a histogram, of the ranges [r l, t h] of its exact [l, h]:
/// ratios 2^(-i/8), i = 0 … 80, then around the best in steps of 2^(1/32) and 2^(1/128). Both ends share the ratio at
/// first; for affine quantizers of ranges on both sides of zero each end is then searched alone until nothing improves.
/// Of equal errors the wider range wins.
Range mse_range(const Histogram& histogram, int bits, bool symmetric, bool narrow);

}  // namespace bitplan
