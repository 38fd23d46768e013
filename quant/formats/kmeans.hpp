#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitplan {

/// k values that stand for many, with the least sum of weighted squared distances that Lloyd's iteration reaches:
/// each value goes to its nearest centre, each centre to the mean of its values, until no value changes or 300 times.
/// An empty cluster takes the value with the largest error. On sorted values a cluster is an interval and its sums are
/// differences of running sums: O(n log n + iterations k log n). In one dimension the best clusters can be computed by
/// dynamic programming, O(k m log m) for m values (Wang & Song 2011, Ckmeans.1d.dp).
struct KMeans {
  std::vector<double> centres;  ///< ascending
  double inertia = 0;           ///< sum of weight (value - centre)^2
  int iterations = 0;
};

enum class KMeansStart : std::uint8_t {
  linear,     ///< k values from the smallest to the largest, equally far apart: Han et al. 2016, arXiv:1510.00149
  plus_plus,  ///< k-means++: Arthur & Vassilvitskii 2007; random with probability of the squared distance
  optimal,    ///< the best clusters there are, of up to 2048 values; of more, the best of runs of neighbours
  better,     ///< all three, the one of least inertia
};

/// weights: of each value, empty for all alike, not negative. k >= 1. The random stream is (seed, "kmeans++").
KMeans k_means(std::span<const float> values, std::span<const float> weights, int k, KMeansStart start,
               std::uint64_t seed = 0);
/// Lloyd's iteration from given ascending centres.
KMeans k_means_from(std::span<const float> values, std::span<const float> weights, std::vector<double> centres);

}  // namespace bitplan
