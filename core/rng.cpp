#include "core/rng.hpp"

#include <cmath>
#include <numbers>

namespace bitplan {

double Rng::normal() {
  const double u = 1.0 - unit();  // in (0, 1], so that the logarithm is finite
  const double v = unit();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace bitplan
