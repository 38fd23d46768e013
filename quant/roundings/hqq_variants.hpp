#pragma once

#include "quant/roundings/hqq.hpp"

namespace bitplan {

/// HQQ as the packages run it, for comparison: one stopping rule on the mean error of the WHOLE tensor, so that parts
/// influence each other. The method itself is in hqq.hpp.
///
///   legacy    hqq 0.2.8's default: beta stays as it is (kappa is not applied), and z is the one computed after the
///             last, not better, step. 1/s = q_max / (max - min), 1 where max - min <= 1e-4, at most 2e4
///   v2        the same start; kappa applied, the z of the best step restored when the error no longer falls, else z
///             as after the last step (slow: no early stop). grid: before, 1/s + r u for 129 u in -1 … 1, r = 5 % of
///             the mean of all 1/s, by the error of the codes of the start, which are not rounded again
///   quanto    optimum-quanto 0.2.7: kappa applied, the best kept; s = (max - min) / q_max
///   brevitas  brevitas 0.13.4 zero point: p = .5, beta = 1, 1000 steps, the best kept; the range contains 0
struct HqqVariant {
  double p = 0.7, beta = 10, kappa = 1;
  int iterations = 20;
  enum class Keep : std::uint8_t { last, best_at_stop, best };
  Keep keep = Keep::last;  ///< z after the last step; or of the best step, when the search stopped early or always
  bool early_stop = true;
  bool optimize = true;     ///< else the start
  bool round_zero = false;  ///< of the start
  bool scale_grid = false;
  enum class Start : std::uint8_t { capped, min_max, with_zero };
  Start start = Start::capped;

  static HqqVariant legacy() { return {}; }
  static HqqVariant v2() {
    HqqVariant v;
    v.kappa = 1.01, v.keep = Keep::best_at_stop;
    return v;
  }
  static HqqVariant quanto() {
    HqqVariant v = v2();
    v.start = Start::min_max, v.keep = Keep::best, v.iterations = 21;
    return v;
  }
  static HqqVariant brevitas() {
    HqqVariant v = v2();
    v.p = 0.5, v.beta = 1, v.iterations = 1000, v.start = Start::with_zero, v.keep = Keep::best;
    return v;
  }
};

/// As hqq(). Throws InputError on NaN or infinite values and on a part whose range float32 does not hold, and for
/// quanto's start on a part of equal values, where that package divides by 0.
HqqResult hqq_variant(std::span<const float> values, std::span<const std::int64_t> begins, int q_max,
                      const HqqVariant& variant, int threads = 0);

/// Scale alone, symmetric codes q_min … q_max without zero point, by two packages:
///
///   torchao   0.18.0 "hqq scale only", in truth alternating least squares: s = absmax / 2^(b-1) at first, then up
///             to 20 times q = clamp(rint(w / s)), s = sum(w q) / sum(q q), until no s of any part changes by more
///             than 1e-5
///   brevitas  0.13.4 HQO: s = absmax / q_max at first, up to 1000 times e = shrink(w - w') with p = .7,
///             beta = 1e5 1.01^i, s = lower median of (w - e) / q over q != 0; the best kept, by the mean error of the
///             whole tensor
HqqResult torchao_scale(std::span<const float> values, std::span<const std::int64_t> begins, int bits);
HqqResult brevitas_scale(std::span<const float> values, std::span<const std::int64_t> begins, int bits);

}  // namespace bitplan
