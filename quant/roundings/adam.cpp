#include "quant/roundings/adam.hpp"

#include <cassert>
#include <cmath>

namespace bitplan {
namespace {

BITPLAN_KERNEL void update(const AdamStep& at, float* x, const float* g, float* m, float* v, std::size_t n) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Floats first = load(m + i), second = load(v + i);
    store(at.advance(load(x + i), load(g + i), first, second), x + i);
    store(first, m + i), store(second, v + i);
  }
  for (; i < n; ++i) x[i] = at.advance(x[i], g[i], m[i], v[i]);
}

void update_generic(const AdamStep& at, float* x, const float* g, float* m, float* v, std::size_t n) {
  update(at, x, g, m, v, n);
}
BITPLAN_AVX2 void update_avx2(const AdamStep& at, float* x, const float* g, float* m, float* v, std::size_t n) {
  update(at, x, g, m, v, n);
}
BITPLAN_AVX512 void update_avx512(const AdamStep& at, float* x, const float* g, float* m, float* v, std::size_t n) {
  update(at, x, g, m, v, n);
}

}  // namespace

AdamStep AdamClock::next(double rate) {
  constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
  power1_ *= kBeta1;
  power2_ *= kBeta2;
  const double root = std::sqrt(1 - power2_);
  return {static_cast<float>(rate * root / (1 - power1_)), static_cast<float>(kEpsilon * root)};
}

void Adam::step(std::span<float> x, std::span<const float> gradient, double rate) {
  assert(x.size() == m_.size() && gradient.size() == m_.size());
  constexpr decltype(&update_generic) kernels[] = {update_generic, update_avx2, update_avx512};
  kernels[static_cast<std::size_t>(best_isa())](clock_.next(rate), x.data(), gradient.data(), m_.data(), v_.data(),
                                                x.size());
}

}  // namespace bitplan
