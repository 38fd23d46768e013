#pragma once

#include <array>

#include "quant/formats/levels.hpp"

namespace bitplan {

/// Uniform quantization of a power of the values (an automorphism of the multiplicative group): Yvinec et al. 2023,
/// PowerQuant, arXiv:2301.09858, eq. 4; NUPES, arXiv:2308.05600:
///
///   y = sign(x) |x|^a,   s = max |y| / (2^(b-1) - 1),   q = rint(y / s),   x' = sign(q) (|q| s)^(1/a)
///
/// as the 2^b - 1 values x', codes q, and the bounds x at which y / s is halfway between two codes (a tie goes to the
/// even one). absmax >= 0; zeros alone give levels 0. a > 0. O(2^b) powers, in double.
Levels power_levels(int bits, double exponent, float absmax);

/// The exponents that a search tries: 1, .95 … .3. The first with the least error is taken, so that of equal ones it is
/// the one nearest to uniform.
std::array<double, 15> searched_exponents();

}  // namespace bitplan
