#include "quant/formats/power_levels.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitplan {

Levels power_levels(int bits, double exponent, float absmax) {
  constexpr double kMost = std::numeric_limits<float>::max();
  const int most = (1 << (bits - 1)) - 1;
  const bool zeros = absmax == 0;  // bounds as of 1, so that 0 has code 0
  const double step = std::pow(zeros ? 1.0 : static_cast<double>(absmax), exponent) / most;
  const auto expanded = [&](double q) {
    return std::copysign(std::min(std::pow(std::abs(q) * step, 1 / exponent), kMost), q);
  };
  std::vector<float> values;
  std::vector<std::int16_t> codes;
  std::vector<double> bounds;
  std::vector<bool> up;
  for (int q = -most; q <= most; ++q) {
    values.push_back(zeros ? 0.0F : static_cast<float>(expanded(q)));
    codes.push_back(static_cast<std::int16_t>(q));
    if (q == most) break;
    bounds.push_back(expanded(q + 0.5));
    up.push_back((q + 1) % 2 == 0);
  }
  return {std::move(values), std::move(codes), bounds, up};
}

std::array<double, 15> searched_exponents() {
  std::array<double, 15> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = (20 - static_cast<double>(i)) / 20;
  return out;
}

}  // namespace bitplan
