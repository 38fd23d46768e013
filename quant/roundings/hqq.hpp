#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitplan {

/// HQQ, half-quadratic quantization: Badri & Shaji 2023, mobiusml.github.io/hqq_blog (package hqq). Weights alone, no
/// data. Codes 0 … q_max, a scale s and a zero point z (in codes, not rounded) for each part:
///
///   q = clamp(rint(w / s + z), 0, q_max),   w' = s (q - z)
///
/// From the min-max grid, z is improved for an l_p norm of the error, p < 1, by half-quadratic splitting:
///
///   e <- shrink(w - w'),  shrink(x) = sign(x) max(|x| - |x|^(p-1) / beta, 0)        the outliers of the error
///   z <- mean(q - (w - e) / s),   beta <- kappa beta
///
/// shrink is 0 up to |x| = beta^(-1/(2-p)), so for beta = 10 most parts never need the power.
///
/// Plain: every part by itself keeps its best z by mean (w - w')^2 and stops when that no longer falls; so a part does
/// not depend on which others stand in the tensor, its values stay in cache, and no part ends worse than min-max. The
/// package judges a tensor by mean |w - w'|; part by part that stops too early (perplexity of llama at 3 and 2 bits,
/// groups of 64: 42.7 and 205, by squares 42.2 and 198, as the package's). A part of equal values c is exact (s = 1,
/// z = -c); one whose min-max scale is no normal number (below 2^-126) becomes its mean c. O(values * iterations),
/// vectorised.
///
/// `scale` adds to it (both discussed with the method): `grid` tries 1/s at 129 points within 5 % of the start first
/// and keeps the best; `alternating` solves s and z together by least squares for the codes found, then goes on with z,
/// as long as the error falls.
///
/// The package's habits are in hqq_variants.hpp.
struct HqqSettings {
  enum class Scale : std::uint8_t { fixed, grid, alternating };
  double p = 0.7, beta = 10, kappa = 1.01;
  int iterations = 20;
  Scale scale = Scale::fixed;
  int grid_points = 129;
  double grid_reach = 0.05;
};

struct HqqResult {
  std::vector<float> scales, zero_points;  ///< by part
  std::vector<std::int16_t> codes;         ///< by value
  double mean_abs_error = 0;               ///< mean |w - w'|
};

/// values in parts: part p is [begins[p], begins[p + 1]). q_max is 2^b - 1, or 2 for ternary codes ("1.58 bits").
/// Throws InputError on NaN or infinite values. Empty parts have scale 1, zero point 0.
HqqResult hqq(std::span<const float> values, std::span<const std::int64_t> begins, int q_max,
              const HqqSettings& settings = {}, int threads = 0);

/// Bounds of `rows` rows of `columns` values cut into groups (0: one a row), the last of a row may be shorter.
std::vector<std::int64_t> part_bounds(std::int64_t rows, std::int64_t columns, std::int64_t group);

}  // namespace bitplan
