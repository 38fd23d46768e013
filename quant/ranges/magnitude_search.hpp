#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/ranges/histogram.hpp"

namespace bitplan {

// Thresholds of |x| from counts c_j of magnitudes in bins [j w, (j + 1) w), as TensorRT, pytorch-quantization and
// NVIDIA ModelOpt choose them.

/// Magnitudes of a histogram, bins j and ~j together, up to the last bin that holds values; exact zeros left out.
std::vector<std::int64_t> magnitude_counts(const Histogram& histogram);

/// How many bins i to keep, first <= i <= n, so that the quantized distribution diverges least from the true one:
///
///   P = c_0 … c_(i-1) with everything beyond added to the last;   Q: the i bins cut into `levels` groups of i /
///   levels, each group's sum spread evenly over those of its bins that are not empty;   least sum_j P_j log(P_j / Q_j)
///
/// with P and Q normalised (natural logarithm); infinite where Q_j = 0 < P_j. Of equal divergences the most bins win
/// (ModelOpt: the last minimum). O(n levels), from prefix sums. n when all counts are 0 or n < first.
/// Migacz, 8-bit Inference with TensorRT, GTC 2017.
int least_divergence_bins(std::span<const std::int64_t> counts, int levels, int first);

/// The bin i, first <= i < n, whose centre as max |x| gives the least squared error, all values at the centres of their
/// bins: levels q = -m … m (unsigned: 0 … m), step centre_i / m. Of equal errors the first. O(n^2).
int least_error_bin(std::span<const std::int64_t> counts, int max_code, int first);

}  // namespace bitplan
