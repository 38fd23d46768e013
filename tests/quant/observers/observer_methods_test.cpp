// The methods behind the observers, each against its definition.

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/observers/even_cells.hpp"
#include "quant/observers/observer.hpp"
#include "quant/ranges/extremes.hpp"
#include "quant/ranges/magnitude_search.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

std::unique_ptr<Observer> observed(ObserverSpec spec, const std::vector<std::vector<float>>& batches) {
  auto observer = find_observer(spec.name).make(spec);
  for (const auto& batch : batches) observer->observe(batch);
  return observer;
}

/// The divergence as its definition reads, bin by bin.
double divergence_ref(const std::vector<std::int64_t>& counts, int kept, int levels) {
  std::vector<double> p(counts.begin(), counts.begin() + kept), q(p.size());
  for (std::size_t j = static_cast<std::size_t>(kept); j < counts.size(); ++j)
    p.back() += static_cast<double>(counts[j]);
  for (int level = 0; level < levels; ++level) {
    std::vector<std::size_t> group;
    for (int j = 0; j < kept; ++j)
      if (j * levels / kept == level && counts[static_cast<std::size_t>(j)] > 0)
        group.push_back(static_cast<std::size_t>(j));
    double sum = 0;
    for (const std::size_t j : group) sum += static_cast<double>(counts[j]);
    for (const std::size_t j : group) q[j] = sum / static_cast<double>(group.size());
  }
  double p_sum = 0, q_sum = 0, divergence = 0;
  for (std::size_t j = 0; j < p.size(); ++j) p_sum += p[j], q_sum += q[j];
  for (std::size_t j = 0; j < p.size(); ++j) {
    if (p[j] == 0) continue;
    if (q[j] == 0) return std::numeric_limits<double>::infinity();
    divergence += p[j] / p_sum * std::log(p[j] / p_sum / (q[j] / q_sum));
  }
  return divergence;
}

std::vector<std::int64_t> counts_of(std::string_view kind, std::size_t n, std::uint64_t seed) {
  Histogram histogram(256);
  histogram.add(sample(kind, n, seed));
  return magnitude_counts(histogram);
}

}  // namespace

TEST_CASE("extremes are the smallest and largest values in any order and split") {
  std::vector<float> values = sample("heavy", 3000);
  std::vector<float> expected = values;
  std::sort(expected.begin(), expected.end());
  for (const std::size_t kept : {1, 7, 100, 5000}) {
    Extremes whole(kept), merged(kept);
    whole.add(values);
    for (std::size_t begin = values.size(); begin > 0; begin -= 250) {
      Extremes part(kept);
      part.add(std::span(values).subspan(begin - 250, 250));
      merged.merge(part);
    }
    const std::size_t n = std::min(kept, values.size());
    CHECK(same_bits(whole.smallest(), std::vector<float>(expected.begin(), expected.begin() + static_cast<int>(n))));
    CHECK(same_bits(whole.largest(), std::vector<float>(expected.rbegin(), expected.rbegin() + static_cast<int>(n))));
    CHECK(same_bits(merged.smallest(), whole.smallest()));
    CHECK(same_bits(merged.largest(), whole.largest()));
  }
  Extremes nothing(0);
  nothing.add(values);
  CHECK(nothing.smallest().empty());
}

TEST_CASE("the largest magnitudes come from both ends") {
  Extremes extremes(2);
  extremes.add(std::vector<float>{1, -5, 3, 0, -2, 4});
  CHECK(largest_magnitudes(extremes) == std::vector<float>{5, 4, 3, 2});
}

TEST_CASE("even cells are exact where extremes reach, and near it between them") {
  for (const auto kind : kDistributions) {
    const std::vector<float> values = sample(kind, 5000);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    constexpr std::size_t kCells = 100;
    std::vector<double> expected(kCells);
    for (const float value : values) {
      const double width = (static_cast<double>(*high) - *low) / kCells;
      expected[std::min(kCells - 1, static_cast<std::size_t>((static_cast<double>(value) - *low) / width))] += 1;
    }
    Histogram histogram;
    histogram.add(values);
    for (const std::size_t kept : {2500, 500}) {
      Extremes extremes(kept);
      extremes.add(values);
      const EvenCells cells = even_cells(histogram, extremes, kCells);
      CAPTURE(kind, kept);
      REQUIRE(cells.counts.size() == kCells);
      CHECK(cells.edge(kCells) == Approx(*high));
      double sum = 0;
      for (std::size_t i = 0; i < kCells; ++i) {
        sum += cells.counts[i];
        // A value at an edge may fall on either side; a bin is a fortieth of a cell.
        CHECK(std::abs(cells.counts[i] - expected[i]) <= (kept == 2500 ? 1 : 10));
      }
      CHECK(sum == Approx(5000));
    }
  }
  CHECK(even_cells(Histogram(), Extremes(4), 10).counts.empty());
}

TEST_CASE("the divergence search finds the least divergence of its definition") {
  for (const auto kind : kDistributions)
    for (const int levels : {4, 8, 32}) {
      const auto counts = counts_of(kind, 4000, 3);
      const int found = least_divergence_bins(counts, levels, 16);
      double least = std::numeric_limits<double>::infinity();
      for (int i = 16; i <= static_cast<int>(counts.size()); ++i)
        least = std::min(least, divergence_ref(counts, i, levels));
      CAPTURE(kind, levels, found);
      CHECK(divergence_ref(counts, found, levels) <= least + 1e-12);
    }
}

TEST_CASE("a distribution of as many steps as there are levels is kept whole, without divergence") {
  // 8 levels of 16 even bins each: Q equals P.
  std::vector<std::int64_t> counts;
  for (int j = 0; j < 128; ++j) counts.push_back(100 + 37 * (j / 16));
  CHECK(divergence_ref(counts, 128, 8) == Approx(0).margin(1e-12));
  CHECK(least_divergence_bins(counts, 8, 16) == 128);
  // Behind it a lone far value: cutting it costs less than cells twice as wide.
  std::vector<std::int64_t> with_outlier = counts;
  with_outlier.resize(256);
  with_outlier.back() = 1;
  CHECK(least_divergence_bins(with_outlier, 8, 16) == 128);
}

TEST_CASE("the divergence search keeps everything when there is nothing to choose") {
  CHECK(least_divergence_bins(std::vector<std::int64_t>(50), 8, 16) == 50);
  CHECK(least_divergence_bins(std::vector<std::int64_t>{1, 2, 3}, 8, 16) == 3);
  std::vector<std::int64_t> lone(50);
  lone.back() = 9;  // every shorter range would divide by an empty bin
  CHECK(least_divergence_bins(lone, 8, 16) == 50);
}

TEST_CASE("the centre with the least error is that of its definition") {
  for (const auto kind : kDistributions) {
    const auto counts = counts_of(kind, 4000, 5);
    const auto error = [&](int bin) {
      double sum = 0;
      for (std::size_t j = 0; j < counts.size(); ++j) {
        const double centre = static_cast<double>(j) + 0.5, step = (bin + 0.5) / 7;
        sum +=
            static_cast<double>(counts[j]) * std::pow(std::min(std::nearbyint(centre / step), 7.0) * step - centre, 2);
      }
      return sum;
    };
    const int found = least_error_bin(counts, 7, 16);
    for (int bin = 16; bin < static_cast<int>(counts.size()); ++bin) CHECK(error(found) <= error(bin) * (1 + 1e-12));
  }
}

TEST_CASE("entropy ignores exact zeros, however many a ReLU makes") {
  std::vector<float> x = sample("relu", 20000);
  const auto dense = observed({.name = "entropy"}, {x});
  x.insert(x.end(), 200000, 0.0F);
  CHECK(observed({.name = "entropy"}, {x})->range(8, false, false) == dense->range(8, false, false));
}

TEST_CASE("entropy of values far from 0 keeps more than the smallest of them") {
  for (const std::size_t n : {100, 1000, 50000})
    for (const float sign : {1.0F, -1.0F})
      for (const int bits : {3, 8}) {
        std::vector<float> x = sample("uniform", n);  // -0.5 … 1.5
        for (float& value : x) value = sign * (value + 3.5F);
        const Range range = observed({.name = "entropy"}, {x})->range(bits, false, false);
        CAPTURE(n, sign, bits);
        CHECK(std::max(-range.low, range.high) > 4.9F);  // even: nothing is gained by clipping
      }
  // All within a sixteenth of the thresholds: none is clipped.
  CHECK(observed({.name = "entropy"}, {{-4.9F, 5, 4.95F, -5}})->range(8, false, false) == Range{-5, 5});
}

TEST_CASE("octav is the fixed point of its Newton iteration, among exact values and among bins") {
  for (const auto kind : kDistributions)
    for (const int bits : {2, 3, 4, 8})
      for (const int bins : {4096, 64}) {
        const std::vector<float> x = sample(kind, 6000);
        const bool signed_values = *std::min_element(x.begin(), x.end()) < 0;
        const Range range = observed({.name = "octav", .bins = bins}, {x})->range(bits, false, false);
        const double s = std::max(-range.low, range.high), k = std::pow(4.0, -bits) / (signed_values ? 3 : 12);
        double sum = 0, inside = 0, outside = 0;
        for (const float value : x) {
          const double magnitude = std::abs(static_cast<double>(value));
          if (magnitude > s) sum += magnitude, ++outside;
          if (magnitude > 0 && magnitude <= s) ++inside;
        }
        CAPTURE(kind, bits, bins, s);
        const double most = *std::max_element(x.begin(), x.end());
        // A fixed point may coincide with a value, where the count jumps by one; 64 bins are 1.6 to 3 % of the range
        // wide.
        CHECK(sum / (k * inside + outside) == Approx(s).epsilon(bins == 64 ? 0.1 : 2e-3).margin(most * 1e-6));
      }
}

TEST_CASE("octav of all values equal is the value, and one-sided data spend no codes on the other side") {
  CHECK(observed({.name = "octav"}, {std::vector<float>(100, 3.0F)})->range(4, true, false) == Range{-3, 3});
  CHECK(observed({.name = "octav"}, {std::vector<float>(100, -3.0F)})->range(4, false, false) == Range{-3, 0});
  const std::vector<float> x = sample("relu", 5000);
  const auto observer = observed({.name = "octav"}, {x});
  CHECK(observer->range(4, false, false).high > observer->range(4, true, false).high);  // k is a quarter
}

TEST_CASE("batch_mean, batch_median and absmax_average over the batches' extremes: by hand") {
  const std::vector<std::vector<float>> batches{{-4, 8}, {-1, 1, 0}, {}, {-10, 2}, {-3, 5}};
  CHECK(observed({.name = "batch_mean"}, batches)->range(8, false, false) == Range{-4.5F, 4});
  CHECK(observed({.name = "batch_median"}, batches)->range(8, false, false) == Range{-3.5F, 3.5F});
  CHECK(observed({.name = "batch_max"}, batches)->range(8, false, false) == Range{-10, 8});
  CHECK(observed({.name = "batch_median"}, {{-4, 8}, {-1, 1}, {2, 3}})->range(8, false, false) == Range{-1, 3});
  // max|x| 8, 1, 10, 5 with momentum 0.5: 8, 4.5, 7.25, 6.125.
  const auto average = observed({.name = "absmax_average", .momentum = 0.5}, batches);
  CHECK(average->range(8, true, false) == Range{-6.125F, 6.125F});
  CHECK(average->range(8, false, false) == Range{-6.125F, 6.125F});
  CHECK(observed({.name = "absmax_average", .momentum = 0.5}, {{0, 4}, {0, 2}})->range(8, false, false) == Range{0, 3});
  CHECK_THROWS_WITH(observed({.name = "absmax_average", .momentum = -1}, {}), "momentum must be 0 to 1");
}

TEST_CASE("histogram trims a lone outlier at few bits and nothing of an even distribution") {
  std::vector<float> x = sample("uniform", 50000);
  const Range even = observed({.name = "histogram"}, {x})->range(8, false, false);
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  CHECK(even.low == Approx(*low).margin(2e-2));
  CHECK(even.high == Approx(*high).margin(2e-2));
  x[17] = 50;
  CHECK(observed({.name = "histogram"}, {x})->range(4, false, false).high < 3);
}

TEST_CASE("sqnr clips less than mse, since clipped values count three times") {
  for (const std::string_view kind : {"gauss", "heavy"}) {
    const std::vector<float> x = sample(kind, 20000);
    CHECK(observed({.name = "sqnr"}, {x})->quantizer(4, true, false).scale >
          observed({.name = "mse"}, {x})->quantizer(4, true, false).scale);
  }
}
