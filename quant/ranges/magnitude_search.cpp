#include "quant/ranges/magnitude_search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitplan {
namespace {

double x_log_x(double x) { return x > 0 ? x * std::log(x) : 0; }

/// Sums over the first j bins, j = 0 … n.
struct Prefix {
  std::vector<std::int64_t> count, filled;  // values; bins that hold any
  std::vector<double> c_log_c;

  explicit Prefix(std::span<const std::int64_t> counts) : count{0}, filled{0}, c_log_c{0} {
    for (const std::int64_t c : counts) {
      count.push_back(count.back() + c);
      filled.push_back(filled.back() + (c > 0 ? 1 : 0));
      c_log_c.push_back(c_log_c.back() + x_log_x(static_cast<double>(c)));
    }
  }
};

/// KL(P || Q) of the header, i bins kept. With r the counts of P and q those of Q:
/// sum r log(r / q) / N + log(sum q / N), where q is constant over the filled bins of a group.
double divergence(std::span<const std::int64_t> counts, const Prefix& prefix, std::size_t i, std::size_t levels) {
  const std::int64_t inside = prefix.count[i], total = prefix.count.back(), tail = total - inside;
  const std::int64_t last = counts[i - 1];
  if (inside == 0 || (tail > 0 && last == 0)) return std::numeric_limits<double>::infinity();
  double sum = prefix.c_log_c[i - 1] + x_log_x(static_cast<double>(last + tail));
  double log_q = 0;  // of the group; the last one's is that of the tail
  for (std::size_t level = 0; level < levels; ++level) {
    // Bin j belongs to the group with level <= j levels / i < level + 1.
    const std::size_t begin = (level * i + levels - 1) / levels, end = ((level + 1) * i + levels - 1) / levels;
    const std::int64_t values = prefix.count[end] - prefix.count[begin];
    if (values == 0) continue;
    const auto filled = static_cast<double>(prefix.filled[end] - prefix.filled[begin]);
    log_q = std::log(static_cast<double>(values) / filled);
    sum -= static_cast<double>(values) * log_q;
  }
  sum -= static_cast<double>(tail) * log_q;
  const auto n = static_cast<double>(total);
  return sum / n + std::log(static_cast<double>(inside) / n);
}

}  // namespace

std::vector<std::int64_t> magnitude_counts(const Histogram& histogram) {
  const int last = std::max(~histogram.first_bin(), histogram.last_bin());
  std::vector<std::int64_t> counts;
  for (int bin = 0; bin <= last; ++bin) counts.push_back(histogram.count(bin) + histogram.count(~bin));
  return counts;
}

int least_divergence_bins(std::span<const std::int64_t> counts, int levels, int first) {
  const Prefix prefix(counts);
  const int n = static_cast<int>(counts.size());
  int best = n;
  double least = std::numeric_limits<double>::infinity();
  for (int i = std::min(first, n); i <= n && prefix.count.back() > 0; ++i) {
    const double found = divergence(counts, prefix, static_cast<std::size_t>(i), static_cast<std::size_t>(levels));
    if (found > least || std::isinf(found)) continue;
    least = found;
    best = i;
  }
  return best;
}

int least_error_bin(std::span<const std::int64_t> counts, int max_code, int first) {
  const int n = static_cast<int>(counts.size());
  std::vector<double> centres, weights;  // in bins
  for (int j = 0; j < n; ++j) {
    if (counts[static_cast<std::size_t>(j)] == 0) continue;
    centres.push_back(j + 0.5);
    weights.push_back(static_cast<double>(counts[static_cast<std::size_t>(j)]));
  }
  int best = n - 1;
  double least = std::numeric_limits<double>::infinity();
  for (int i = std::min(first, n - 1); i < n; ++i) {
    const double step = (i + 0.5) / max_code, inverse = max_code / (i + 0.5);
    double error = 0;
    for (std::size_t j = 0; j < centres.size(); ++j) {
      const double rest = std::min(std::nearbyint(centres[j] * inverse), static_cast<double>(max_code)) * step;
      error += weights[j] * (rest - centres[j]) * (rest - centres[j]);
    }
    if (error < least) least = error, best = i;
  }
  return best;
}

}  // namespace bitplan
