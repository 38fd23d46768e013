#include "quant/adam.hpp"

#include <cassert>
#include <cmath>

#include "quant/isa.hpp"

namespace bitplan {
namespace {

/// Moments that no gradient feeds any more end as 0, not as subnormal numbers, which are slow.
constexpr float kLeast = 1e-36F;

BITPLAN_KERNEL void update(float* x, const float* g, float* m, float* v, std::size_t n, float rate, float epsilon) {
  constexpr auto b1 = static_cast<float>(Adam::kBeta1), b2 = static_cast<float>(Adam::kBeta2);
  BITPLAN_NO_OVERLAP
  for (std::size_t i = 0; i < n; ++i) {
    const float first = b1 * m[i] + (1 - b1) * g[i], second = b2 * v[i] + (1 - b2) * (g[i] * g[i]);
    m[i] = (first < 0 ? -first : first) < kLeast ? 0.0F : first;
    v[i] = second < kLeast ? 0.0F : second;
    x[i] -= rate * m[i] / (__builtin_sqrtf(v[i]) + epsilon);
  }
}

void update_generic(float* x, const float* g, float* m, float* v, std::size_t n, float rate, float epsilon) {
  update(x, g, m, v, n, rate, epsilon);
}
BITPLAN_AVX2 void update_avx2(float* x, const float* g, float* m, float* v, std::size_t n, float rate, float epsilon) {
  update(x, g, m, v, n, rate, epsilon);
}
BITPLAN_AVX512 void update_avx512(float* x, const float* g, float* m, float* v, std::size_t n, float rate,
                                  float epsilon) {
  update(x, g, m, v, n, rate, epsilon);
}

}  // namespace

void Adam::step(std::span<float> x, std::span<const float> gradient, double rate) {
  assert(x.size() == m_.size() && gradient.size() == m_.size());
  power1_ *= kBeta1;
  power2_ *= kBeta2;
  const double root = std::sqrt(1 - power2_);
  constexpr decltype(&update_generic) kernels[] = {update_generic, update_avx2, update_avx512};
  kernels[static_cast<std::size_t>(best_isa())](x.data(), gradient.data(), m_.data(), v_.data(), x.size(),
                                                static_cast<float>(rate * root / (1 - power1_)),
                                                static_cast<float>(kEpsilon * root));
}

}  // namespace bitplan
