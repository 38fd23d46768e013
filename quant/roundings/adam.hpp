#pragma once

#include <span>
#include <vector>

#include "quant/math/vector_math.hpp"

namespace bitplan {

/// What all parameters share in step t of Adam: rate sqrt(1 - b2^t) / (1 - b1^t) and eps sqrt(1 - b2^t).
struct AdamStep {
  static constexpr float kBeta1 = 0.9F, kBeta2 = 0.999F;
  /// Moments that no gradient feeds any more end as 0, not as subnormal numbers, which are slow.
  static constexpr float kLeast = 1e-36F, kMost = 1e37F;

  float rate, epsilon;

  /// One parameter (or Floats of them) with its moments m and v, for loops that do more than this.
  template <class T>
  BITPLAN_KERNEL T advance(T x, T gradient, T& m, T& v) const {
    m = kBeta1 * m + (1 - kBeta1) * gradient;
    v = at_most(kBeta2 * v + (1 - kBeta2) * (gradient * gradient), T{} + kMost);
    m = where(less(T{} + kLeast, magnitude(m)), m);
    v = where(less(T{} + kLeast, v), v);
    return x - rate * m / (fast_sqrt(v) + epsilon);
  }
};

/// Counts the steps.
class AdamClock {
 public:
  AdamStep next(double rate);

 private:
  double power1_ = 1, power2_ = 1;  ///< b1^t, b2^t
};

/// Adam, Kingma & Ba 2015, arXiv:1412.6980, algorithm 1, on float parameters:
///
///   m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g^2
///   x -= rate sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps sqrt(1 - b2^t))
///
/// (eps = 1e-8 against the corrected v, as in the algorithm and in PyTorch). Elementwise: parameters may be split over
/// optimisers in any way. O(n) a step, vectorised, the same bits on every instruction set.
class Adam {
 public:
  explicit Adam(std::size_t size) : m_(size), v_(size) {}
  /// One step; the sizes are those of the constructor.
  void step(std::span<float> x, std::span<const float> gradient, double rate);

 private:
  std::vector<float> m_, v_;
  AdamClock clock_;
};

}  // namespace bitplan
