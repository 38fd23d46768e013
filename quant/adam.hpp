#pragma once

#include <span>
#include <vector>

namespace bitplan {

/// Adam, Kingma & Ba 2015, arXiv:1412.6980, algorithm 1, on float parameters:
///
///   m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g^2
///   x -= rate sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps sqrt(1 - b2^t))
///
/// (eps against the corrected v, as in the algorithm and in PyTorch). Elementwise: parameters may be split over
/// optimisers in any way. O(n) a step, vectorised, the same bits on every instruction set.
class Adam {
 public:
  explicit Adam(std::size_t size) : m_(size), v_(size) {}
  /// One step; the sizes are those of the constructor.
  void step(std::span<float> x, std::span<const float> gradient, double rate);

  static constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

 private:
  std::vector<float> m_, v_;
  double power1_ = 1, power2_ = 1;  ///< b1^t, b2^t
};

}  // namespace bitplan
