#include "quant/ranges/mse_search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitplan {
namespace {

constexpr std::size_t kLanes = 8;
constexpr double kDoubleRounder = 6755399441055744.0;  // 1.5 * 2^52: rounds half to even, as kRounder does for floats

struct Levels {
  double inverse_scale, low, high;
};

/// F of the header.
BITPLAN_KERNEL double error_integral(const Levels& levels, double x) {
  const double u = x * levels.inverse_scale;
  double n = levels.low > u ? levels.low : u;
  n = levels.high < n ? levels.high : n;
  n = (n + kDoubleRounder) - kDoubleRounder;
  const double rest = u - n;
  return n * (1.0 / 12) + rest * rest * rest * (1.0 / 3);
}

/// n is a multiple of kLanes. The order of the additions is part of the definition, so that each instruction set gives
/// the same sum.
BITPLAN_KERNEL double total_error(const Levels& levels, const double* low, const double* high, const double* density,
                                  std::size_t n) {
  double lanes[kLanes] = {};
  for (std::size_t i = 0; i < n; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] +=
          density[i + lane] * (error_integral(levels, high[i + lane]) - error_integral(levels, low[i + lane]));
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

double total_error_generic(const Levels& levels, const double* low, const double* high, const double* density,
                           std::size_t n) {
  return total_error(levels, low, high, density, n);
}
BITPLAN_AVX2 double total_error_avx2(const Levels& levels, const double* low, const double* high, const double* density,
                                     std::size_t n) {
  return total_error(levels, low, high, density, n);
}
BITPLAN_AVX512 double total_error_avx512(const Levels& levels, const double* low, const double* high,
                                         const double* density, std::size_t n) {
  return total_error(levels, low, high, density, n);
}

/// A candidate: how far each end of the range is drawn in, and what that costs.
struct Clip {
  double low = 1, high = 1;
  double error = std::numeric_limits<double>::infinity();
};

/// Scans ratios of one end or of both at once.
class ClipSearch {
 public:
  ClipSearch(const Histogram& histogram, int bits, bool symmetric, bool narrow)
      : range_(histogram.range()), error_(histogram), bits_(bits), symmetric_(symmetric), narrow_(narrow) {}

  Range clipped(const Clip& clip) const {
    return {static_cast<float>(range_.low * clip.low), static_cast<float>(range_.high * clip.high)};
  }

  /// The best clip that differs from `from` in the ratios named; `from` itself is kept unless something is better.
  Clip scan(const Clip& from, bool low, bool high) const {
    constexpr int kCoarse = 8, kOctaves = 10;
    Clip best = from;
    for (int i = 0; i <= kCoarse * kOctaves; ++i)
      consider(std::exp2(-static_cast<double>(i) / kCoarse), low, high, best);
    for (const int steps : {4 * kCoarse, 16 * kCoarse}) {
      const double center = low ? best.low : best.high;
      for (int k = 3; k >= -3; --k)
        if (k != 0) consider(std::min(1.0, center * std::exp2(static_cast<double>(k) / steps)), low, high, best);
    }
    return best;
  }

 private:
  void consider(double ratio, bool low, bool high, Clip& best) const {
    Clip clip = best;
    if (low) clip.low = ratio;
    if (high) clip.high = ratio;
    const Range range = clipped(clip);
    clip.error = error_(affine_from_range(range.low, range.high, bits_, symmetric_, narrow_));
    if (clip.error < best.error) best = clip;
  }

  Range range_;
  HistogramError error_;
  int bits_;
  bool symmetric_, narrow_;
};

}  // namespace

HistogramError::HistogramError(const Histogram& histogram) {
  const double least_width =
      histogram.bin_width() / 1024;  // a bin cut to one point: nearly a point, without dividing by 0
  for (int bin = histogram.first_bin(); bin <= histogram.last_bin(); ++bin) {
    const std::int64_t count = histogram.count(bin);
    if (count == 0) continue;
    const Range edges = histogram.edges(bin);
    const double width = std::max(static_cast<double>(edges.high) - edges.low, least_width);
    // Widened towards zero, which keeps the values inside the range.
    low_.push_back(bin >= 0 ? edges.high - width : edges.low);
    high_.push_back(bin >= 0 ? edges.high : edges.low + width);
    density_.push_back(static_cast<double>(count) / width);
  }
  const std::size_t padded = (low_.size() + kLanes - 1) / kLanes * kLanes;
  for (auto* values : {&low_, &high_, &density_}) values->resize(padded);
}

double HistogramError::on(Isa isa, const Affine& q) const {
  const double scale = q.scale;
  const Levels levels{1 / scale, static_cast<double>(q.q_min - q.zero_point),
                      static_cast<double>(q.q_max - q.zero_point)};
  constexpr decltype(&total_error_generic) kernels[] = {total_error_generic, total_error_avx2, total_error_avx512};
  const double sum =
      kernels[static_cast<std::size_t>(isa)](levels, low_.data(), high_.data(), density_.data(), low_.size());
  return sum * scale * scale * scale;
}

Range mse_range(const Histogram& histogram, int bits, bool symmetric, bool narrow) {
  constexpr int kRounds = 3;
  const ClipSearch search(histogram, bits, symmetric, narrow);
  Clip best = search.scan({}, true, true);
  const bool both_sides = histogram.range().low < 0 && histogram.range().high > 0;
  for (int round = 0; round < kRounds && both_sides && !symmetric; ++round) {
    const double before = best.error;
    best = search.scan(best, false, true);
    best = search.scan(best, true, false);
    if (!(best.error < before)) break;
  }
  return search.clipped(best);
}

}  // namespace bitplan
