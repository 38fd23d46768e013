#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// Power-exponent quantization: PowerQuant, Yvinec et al. 2023, arXiv:2301.09858; NUPES, 2023, arXiv:2308.05600. A
/// power function, the automorphism of (R+, x), before a uniform quantizer with narrow symmetric codes:
///
///   y = sign(w) |w|^a,   s = max |y| / (2^(b-1) - 1) of each row,   q = clamp(rint(y / s))
///   w' = sign(q) (|q| s)^(1/a)
///
/// a < 1 gives fine steps near 0 and coarse ones far out; a = 1 is absmax. One exponent a tensor. Levels and codes are
/// those of power_levels.hpp.
struct PowerQuantized {
  double exponent = 1;
  std::vector<double> scales;       ///< by row; 1 for a row of zeros
  std::vector<std::int16_t> codes;  ///< [rows, columns]
  std::vector<float> values;
};

/// weights [rows, columns], bits 2 … 8, exponent > 0. Throws InputError on NaN or infinite weights. O(weights) powers.
PowerQuantized power_quantize(std::span<const float> weights, std::int64_t rows, int bits, double exponent);
/// Sum of (w' - w)^2 for each exponent.
std::vector<double> power_errors(std::span<const float> weights, std::int64_t rows, int bits,
                                 std::span<const double> exponents);
/// Of searched_exponents() the one with the least sum; of equal ones the largest.
double power_search(std::span<const float> weights, std::int64_t rows, int bits);

/// NUPES: exponent refined by the layer's output error, weights learned over the whole quantized space. The loss L is
/// that of rounding_problem.hpp. From the best of the exponents .3 … 1 by L:
///   1. Adam on ln a, .1 <= a <= 2 in hundredths, straight-through (rint(y / s) - y / s held fixed), best iterate kept:
///        dw'/da = w' (u' / (a u) - ln u / a^2),  u = |q| s,  u' = sign(q) (y ln |w| + (q - y / s) s ln max|w|)
///   2. codes by GPTQ (gptq_levels.hpp), then coordinate descent over all of them (descent.hpp), where the paper learns
///      them by gradient: L is quadratic, so the best code of a weight given the others is known at once.
/// Each step is kept only where it lowers L. problem.gram must be given; of problem.grid nothing is read. Throws
/// InputError on NaN or infinite weights.
struct PowerRounded {
  PowerQuantized weight;
  double loss = 0, start_loss = 0;  ///< L after, and before (exponent of least weight error, codes by rounding)
};
PowerRounded round_power(const RoundingProblem& problem, int bits, int iterations = 60);
/// dL/da at an exponent, straight-through.
double power_slope(const RoundingProblem& problem, int bits, double exponent);

}  // namespace bitplan
