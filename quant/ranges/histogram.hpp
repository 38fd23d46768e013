#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/ranges/value_range.hpp"

namespace bitplan {

/// Counts of finite values in bins of width 2^e. Exact zeros are counted apart, bin j >= 0 holds (j 2^e, (j + 1) 2^e)
/// with its lower edge, bin ~j its mirror image, with the edge farther from zero excluded as well.
///
/// e is the smallest for which the bins from the lowest to the highest value are at most `bins`; when it grows, pairs
/// of bins become one. Counts are integers and e follows from the extremes alone, so the histogram is a function of the
/// set of values: equal, bit for bit, in any order and after any splitting and merging. Memory 16 bytes a bin: 64 kB
/// for a tensor, 8 kB for one channel of many.
class Histogram {
 public:
  static constexpr int kBins = 4096;

  /// A power of two, 64 to kBins.
  explicit Histogram(int bins = kBins);
  /// 0.6 to 1 ns a value; 3 ns when all stand in one bin. Throws InputError on NaN or infinite values, then nothing was
  /// added.
  void add(std::span<const float> values);
  void add_on(Isa isa, std::span<const float> values);
  void merge(const Histogram& other);  ///< of equally many bins

  Range range() const { return range_; }  ///< exact smallest and largest value, widened to contain 0; [0, 0] when empty
  int bins() const { return bins_; }
  double bin_width() const;
  std::int64_t values() const;  ///< how many were added
  std::int64_t zeros() const;   ///< how many were exactly 0 (or -0)
  int first_bin() const;        ///< bin of range().low …
  int last_bin() const;         ///< … and of range().high: all counts lie between
  std::int64_t count(int bin) const { return counts_[static_cast<std::size_t>(bin + bins_)]; }
  /// The values that a bin can hold: its edges, cut to range().
  Range edges(int bin) const;

  bool operator==(const Histogram& other) const;

 private:
  void widen(Range range);
  int bin_of(float value) const;
  std::ptrdiff_t zero_slots() const { return 2 * bins_; }

  int bins_;
  Range range_;
  int exponent_;
  std::vector<std::int64_t> counts_;  // bins -bins_ … bins_ - 1, then counters of zeros
};

}  // namespace bitplan
