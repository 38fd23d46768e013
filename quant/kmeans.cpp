#include "quant/kmeans.hpp"

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
  KMeans random = lloyd(sorted, plus_plus_start(sorted, k, seed));
  if (start == KMeansStart::plus_plus) return random;
  KMeans linear = lloyd(sorted, linear_start(sorted, k));
  return random.inertia < linear.inertia ? random : linear;
}

}  // namespace bitplan
