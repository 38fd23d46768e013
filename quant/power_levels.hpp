#pragma once

#include "quant/levels.hpp"

namespace bitplan {

/// Uniform quantization of a power of the values (an automorphism of the multiplicative group): Yvinec et al. 2023,
/// PowerQuant, arXiv:2301.09858, eq. 4; NUPES, arXiv:2308.05600:
///
///   y = sign(x) |x|^a,   s = max |y| / (2^(b-1) - 1),   q = rint(y / s),   x' = sign(q) (|q| s)^(1/a)
///
/// as the 2^b - 1 values x' and the bounds x between them. absmax >= 0, 0 < a <= 1.
Levels power_levels(int bits, double exponent, float absmax);

}  // namespace bitplan
