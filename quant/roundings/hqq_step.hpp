#pragma once

#include <cstddef>
#include <span>

namespace bitplan {

/// The grid of one part while HQQ works on it: q = clamp(rint(w inverse + zero), 0, q_max), w' = (q - zero) scale.
struct HqqGrid {
  float inverse = 1, scale = 1, zero = 0, q_max = 15;
};

/// Error of a grid on a part, and what the half-quadratic step makes of its zero point.
struct HqqStep {
  double error = 0;    ///< sum |w - w'|
  double squares = 0;  ///< sum (w - w')^2
  double zero = 0;     ///< mean(q - (w - e) / s); 0 for an empty part
};

/// One step with shrink(x) = sign(x) max(|x| - |x|^(p-1) / beta, 0). Vectorised; sums in 16 lanes of floats, added up
/// in double every 4096 values; the same bits on every instruction set.
HqqStep hqq_step(std::span<const float> part, const HqqGrid& grid, double p, double beta);
/// The step's definition: one value at a time, sums in double, std::pow.
HqqStep hqq_step_ref(std::span<const float> part, const HqqGrid& grid, double p, double beta);

}  // namespace bitplan
