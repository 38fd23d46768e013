#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bitplan {

/// The `kept` smallest and the `kept` largest of all values added, exactly: ranks near the ends of a distribution need
/// no histogram. A function of the set of values: equal in any order and after any splitting and merging. Memory at
/// most 8 bytes x kept, 24 while values are added; 0 keeps nothing.
class Extremes {
 public:
  explicit Extremes(std::size_t kept) : kept_(kept) {}
  /// Finite values (Histogram checks them). About 1 ns a value once the bounds of what is kept have settled.
  void add(std::span<const float> values);
  void merge(const Extremes& other);

  std::size_t kept() const { return kept_; }
  std::vector<float> smallest() const;  ///< ascending, at most kept()
  std::vector<float> largest() const;   ///< descending, at most kept()

 private:
  std::size_t kept_;
  std::vector<float> low_, high_;  // in any order; high_ is negated, so that both keep their smallest
};

/// Magnitudes of the negative values of smallest() and the positive ones of largest(), descending. Its first kept() are
/// the largest magnitudes of all values; when there are fewer, all other values are 0.
std::vector<float> largest_magnitudes(const Extremes& extremes);

}  // namespace bitplan
