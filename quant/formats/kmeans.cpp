#include "quant/formats/kmeans.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "core/rng.hpp"

namespace bitplan {
namespace {

constexpr int kMostIterations = 300;

/// Values in ascending order with running sums of w and w x before each; without weights w is 1 and not stored.
struct Sorted {
  std::vector<float> x, w;
  std::vector<double> sum_w, sum_wx{0};

  Sorted(std::span<const float> values, std::span<const float> weights) : x(values.begin(), values.end()) {
    if (weights.empty()) {
      std::sort(x.begin(), x.end());
    } else {
      std::vector<std::size_t> order(values.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
      sum_w.push_back(0);
      for (std::size_t i = 0; i < order.size(); ++i) {
        x[i] = values[order[i]];
        w.push_back(weights[order[i]]);
        sum_w.push_back(sum_w.back() + w.back());
      }
    }
    sum_wx.reserve(x.size() + 1);
    for (std::size_t i = 0; i < x.size(); ++i) sum_wx.push_back(sum_wx.back() + weight(i) * x[i]);
  }
  double weight(std::size_t i) const { return w.empty() ? 1 : w[i]; }
  double weight(std::size_t begin, std::size_t end) const {
    return w.empty() ? static_cast<double>(end - begin) : sum_w[end] - sum_w[begin];
  }
};

using Borders = std::vector<std::size_t>;  ///< cluster c holds the sorted values borders[c] … borders[c + 1] - 1

Borders borders_of(const Sorted& sorted, const std::vector<double>& centres) {
  Borders borders{0};
  for (std::size_t c = 0; c + 1 < centres.size(); ++c) {
    const double middle = (centres[c] + centres[c + 1]) / 2;
    borders.push_back(
        static_cast<std::size_t>(std::upper_bound(sorted.x.begin(), sorted.x.end(), middle) - sorted.x.begin()));
  }
  borders.push_back(sorted.x.size());
  return borders;
}

/// The sorted value that is furthest from its centre, by weighted squared distance.
std::size_t furthest(const Sorted& sorted, const Borders& borders, const std::vector<double>& centres) {
  std::size_t worst = 0;
  double most = -1;
  for (std::size_t c = 0; c < centres.size(); ++c)
    for (std::size_t i = borders[c]; i < borders[c + 1]; ++i) {
      const double error = sorted.weight(i) * (sorted.x[i] - centres[c]) * (sorted.x[i] - centres[c]);
      if (error > most) most = error, worst = i;
    }
  return worst;
}

void move_centres(const Sorted& sorted, const Borders& borders, std::vector<double>& centres) {
  std::vector<std::size_t> empty;
  for (std::size_t c = 0; c < centres.size(); ++c) {
    const std::size_t begin = borders[c], end = borders[c + 1];
    const double weight = sorted.weight(begin, end);
    if (weight > 0)
      centres[c] = (sorted.sum_wx[end] - sorted.sum_wx[begin]) / weight;
    else
      empty.push_back(c);
  }
  if (empty.empty()) return;
  centres[empty.front()] = sorted.x[furthest(sorted, borders, centres)];
  std::sort(centres.begin(), centres.end());
}

double inertia_of(const Sorted& sorted, const Borders& borders, const std::vector<double>& centres) {
  double sum = 0;
  for (std::size_t c = 0; c < centres.size(); ++c)
    for (std::size_t i = borders[c]; i < borders[c + 1]; ++i)
      sum += sorted.weight(i) * (sorted.x[i] - centres[c]) * (sorted.x[i] - centres[c]);
  return sum;
}

KMeans lloyd(const Sorted& sorted, std::vector<double> centres) {
  KMeans result;
  Borders borders = borders_of(sorted, centres);
  for (; result.iterations < kMostIterations; ++result.iterations) {
    move_centres(sorted, borders, centres);
    Borders next = borders_of(sorted, centres);
    if (next == borders) break;
    borders = std::move(next);
  }
  result.inertia = inertia_of(sorted, borders, centres);
  result.centres = std::move(centres);
  return result;
}

std::vector<double> linear_start(const Sorted& sorted, int k) {
  std::vector<double> centres;
  const double low = sorted.x.front(), high = sorted.x.back();
  for (int i = 0; i < k; ++i) centres.push_back(k == 1 ? low : low + (high - low) * i / (k - 1));
  return centres;
}

/// What a cluster of sorted values costs, values in at most 2048 runs that stay together: each value by itself where
/// there are no more, else runs that are short both in values and in their range, so that tails are told apart.
class Runs {
 public:
  explicit Runs(const Sorted& sorted) {
    const std::size_t n = sorted.x.size();
    const double low = sorted.x.front(), range = static_cast<double>(sorted.x.back()) - low;
    const double middle = sorted.x[n / 2];  // small numbers: the costs are differences of sums
    double before = -1;
    Sums sums{0, 0, 0};
    for (std::size_t i = 0; i < n; ++i) {
      const double share = static_cast<double>(i) / static_cast<double>(n);
      const double place = range > 0 ? (sorted.x[i] - low) / range : 0;
      const double run = n <= kMost ? static_cast<double>(i) : std::floor((share + place) / 2 * (kMost - 1));
      if (run != before) begins_.push_back(i), sums_.push_back(sums);
      before = run;
      const double x = sorted.x[i] - middle, weight = sorted.weight(i);
      sums.w += weight, sums.wx += weight * x, sums.wxx += weight * x * x;
    }
    begins_.push_back(n);
    sums_.push_back(sums);
  }
  std::size_t count() const { return begins_.size() - 1; }
  std::size_t begin_of(std::size_t run) const { return begins_[run]; }
  double cost(std::size_t begin, std::size_t end) const {
    const double w = sums_[end].w - sums_[begin].w, wx = sums_[end].wx - sums_[begin].wx;
    return w > 0 ? std::max(0.0, sums_[end].wxx - sums_[begin].wxx - wx * wx / w) : 0;
  }

 private:
  static constexpr std::size_t kMost = 2048;
  struct Sums {
    double w, wx, wxx;
  };
  std::vector<std::size_t> begins_;
  std::vector<Sums> sums_;
};

/// One more cluster: next[i] = min over j of least[j] + cost(j, i), cut[i] the smallest such j, for i = first … last.
/// The best j does not fall with i, so the middle i halves what is to be looked at: O(runs log runs).
void add_cluster(const Runs& runs, const std::vector<double>& least, std::size_t first, std::size_t last,
                 std::size_t low, std::size_t high, std::vector<double>& next, std::vector<std::uint32_t>& cut) {
  const std::size_t i = (first + last) / 2;
  for (std::size_t j = low; j <= std::min(i, high); ++j) {
    const double cost = least[j] + runs.cost(j, i);
    if (j == low || cost < next[i]) next[i] = cost, cut[i] = static_cast<std::uint32_t>(j);
  }
  if (first < i) add_cluster(runs, least, first, i - 1, low, cut[i], next, cut);
  if (i < last) add_cluster(runs, least, i + 1, last, cut[i], high, next, cut);
}

/// The centres of the best clusters of whole runs, by dynamic programming.
std::vector<double> optimal_start(const Sorted& sorted, int k) {
  const Runs runs(sorted);
  const std::size_t n = runs.count();
  std::vector<double> least;
  for (std::size_t i = 0; i <= n; ++i) least.push_back(runs.cost(0, i));
  std::vector<std::vector<std::uint32_t>> cuts;
  for (int c = 1; c < k; ++c) {
    std::vector<double> next(n + 1);
    cuts.emplace_back(n + 1);
    add_cluster(runs, least, 0, n, 0, n, next, cuts.back());
    least = std::move(next);
  }
  std::vector<double> centres;
  for (std::size_t end = n, c = cuts.size() + 1; c-- > 0;) {
    const std::size_t begin = c == 0 ? 0 : cuts[c - 1][end];
    const std::size_t from = runs.begin_of(begin), to = runs.begin_of(end);
    const double weight = sorted.weight(from, to);
    // An empty cluster, or one without weight, stands beside its neighbour.
    centres.push_back(weight > 0 ? (sorted.sum_wx[to] - sorted.sum_wx[from]) / weight
                                 : static_cast<double>(sorted.x[std::min(from, sorted.x.size() - 1)]));
    end = begin;
  }
  std::sort(centres.begin(), centres.end());
  return centres;
}

/// The index whose running sum of `mass` first passes a random share of the whole.
std::size_t drawn(const std::vector<double>& mass, Rng& rng) {
  const double whole = std::accumulate(mass.begin(), mass.end(), 0.0);
  double rest = rng.unit() * whole;
  for (std::size_t i = 0; i < mass.size(); ++i)
    if ((rest -= mass[i]) < 0) return i;
  return mass.size() - 1;
}

std::vector<double> plus_plus_start(const Sorted& sorted, int k, std::uint64_t seed) {
  Rng rng(seed, "kmeans++");
  std::vector<double> mass(sorted.x.size());
  for (std::size_t i = 0; i < mass.size(); ++i) mass[i] = sorted.weight(i);
  std::vector<double> centres{sorted.x[drawn(mass, rng)]};
  while (centres.size() < static_cast<std::size_t>(k)) {
    for (std::size_t i = 0; i < mass.size(); ++i) {
      const double distance = sorted.x[i] - centres.back(), error = sorted.weight(i) * distance * distance;
      mass[i] = centres.size() == 1 ? error : std::min(mass[i], error);
    }
    centres.push_back(sorted.x[drawn(mass, rng)]);
  }
  std::sort(centres.begin(), centres.end());
  return centres;
}

}  // namespace

KMeans k_means_from(std::span<const float> values, std::span<const float> weights, std::vector<double> centres) {
  assert(!values.empty() && !centres.empty() && (weights.empty() || weights.size() == values.size()));
  return lloyd(Sorted(values, weights), std::move(centres));
}

KMeans k_means(std::span<const float> values, std::span<const float> weights, int k, KMeansStart start,
               std::uint64_t seed) {
  assert(!values.empty() && k >= 1 && (weights.empty() || weights.size() == values.size()));
  const Sorted sorted(values, weights);
  if (start == KMeansStart::linear) return lloyd(sorted, linear_start(sorted, k));
  if (start == KMeansStart::plus_plus) return lloyd(sorted, plus_plus_start(sorted, k, seed));
  if (start == KMeansStart::optimal) return lloyd(sorted, optimal_start(sorted, k));
  KMeans best = lloyd(sorted, linear_start(sorted, k));
  for (const auto& centres : {plus_plus_start(sorted, k, seed), optimal_start(sorted, k)})
    if (KMeans other = lloyd(sorted, centres); other.inertia < best.inertia) best = std::move(other);
  return best;
}

}  // namespace bitplan
