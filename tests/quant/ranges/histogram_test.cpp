#include "quant/ranges/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

Histogram of(std::span<const float> values) {
  Histogram histogram;
  histogram.add(values);
  return histogram;
}

/// Values whose range grows and moves while they come, with zeros and very small and very large ones.
std::vector<float> unruly_values() {
  std::vector<float> values(100, 0.0F);
  for (const float unit : {1e-42F, 1e-37F, 1e-20F, 1e-3F, 1.0F, 1e10F, 1e30F}) {
    std::vector<float> more = sample(unit < 1 ? "heavy" : "shifted", 333);
    for (float& value : more) value *= unit;
    values.insert(values.end(), more.begin(), more.end());
    values.insert(values.end(), {0.0F, -0.0F});
  }
  return values;
}

}  // namespace

TEST_CASE("an empty histogram has the range [0, 0] and no values") {
  const Histogram histogram;
  CHECK(histogram.range() == Range{0, 0});
  CHECK(histogram.values() == 0);
  CHECK(of({}) == histogram);
}

TEST_CASE("a histogram counts in bins of a power of two: by hand") {
  // 4095.5 needs bins of width 1: 0 … 4095.
  const Histogram histogram = of(std::vector<float>{0, 0.5F, 1, 1.99F, 4095.5F, -0.0F});
  CHECK(histogram.bin_width() == 1);
  CHECK(histogram.zeros() == 2);
  CHECK(histogram.count(0) == 1);
  CHECK(histogram.count(1) == 2);
  CHECK(histogram.count(4095) == 1);
  CHECK(histogram.values() == 6);
  CHECK(histogram.edges(1).low == 1);
  CHECK(histogram.edges(1).high == 2);
  CHECK(histogram.edges(4095).high == 4095.5F);
}

TEST_CASE("bins below zero are the mirror images of those above: by hand") {
  const Histogram histogram = of(std::vector<float>{-2047.5F, -1, -0.5F, 2047.5F});
  CHECK(histogram.bin_width() == 1);
  CHECK(histogram.count(-1) == 1);  // -0.5
  CHECK(histogram.count(-2) == 1);  // -1
  CHECK(histogram.first_bin() == -2048);
  CHECK(histogram.last_bin() == 2047);
}

TEST_CASE("when a larger value comes, pairs of bins become one") {
  Histogram histogram = of(std::vector<float>{1.5F, 2.5F, 3.5F, -1.5F, -2.5F, 1000.5F, -1000});
  CHECK(histogram.bin_width() == 0.5);
  histogram.add(std::vector<float>{8000});
  CHECK(histogram.bin_width() == 4);
  CHECK(histogram.count(0) == 3);
  CHECK(histogram.count(-1) == 2);
  CHECK(histogram.values() == 8);
}

TEST_CASE("a histogram does not depend on the order, the splitting or the merging of its values") {
  const std::vector<float> values = unruly_values();
  const Histogram whole = of(values);
  CHECK(whole.values() == static_cast<std::int64_t>(values.size()));

  std::vector<float> reversed(values.rbegin(), values.rend());
  CHECK(of(reversed) == whole);

  for (const std::size_t step : {1, 7, 100, 1000}) {
    Histogram one_by_one, merged, merged_backwards;
    for (std::size_t begin = 0; begin < values.size(); begin += step) {
      const auto part = std::span(values).subspan(begin, std::min(step, values.size() - begin));
      one_by_one.add(part);
      merged.merge(of(part));
      const auto last = std::span(reversed).subspan(begin, part.size());
      Histogram later = of(last);
      later.merge(merged_backwards);
      merged_backwards = later;
    }
    CHECK(one_by_one == whole);
    CHECK(merged == whole);
    CHECK(merged_backwards == whole);
  }
}

TEST_CASE("each value lies in its bin, on each instruction set") {
  const std::vector<float> values = unruly_values();
  Histogram expected;
  expected.add_on(Isa::generic, values);
  for (const Isa isa : usable_isas()) {
    Histogram histogram;
    histogram.add_on(isa, values);
    CHECK(histogram == expected);
  }
  for (const auto kind : kDistributions) {
    const std::vector<float> x = sample(kind, 2000);
    const Histogram histogram = of(x);
    std::int64_t zeros = std::count(x.begin(), x.end(), 0.0F), counted = 0;
    CHECK(histogram.zeros() == zeros);
    CHECK(histogram.last_bin() - histogram.first_bin() < Histogram::kBins);
    CHECK(histogram.last_bin() - histogram.first_bin() >= Histogram::kBins / 2 - 1);
    for (int bin = histogram.first_bin(); bin <= histogram.last_bin(); ++bin) {
      const Range edges = histogram.edges(bin);
      if (bin >= -1000 && bin <= 1000 && bin % 97 == 0)
        CHECK(histogram.count(bin) == std::count_if(x.begin(), x.end(), [&](float v) {
                if (v == 0) return false;
                const double low = bin * histogram.bin_width(), high = low + histogram.bin_width();
                return bin >= 0 ? low <= v && v < high : low < v && v <= high;
              }));
      CHECK(edges.low <= edges.high);
      counted += histogram.count(bin);
    }
    CHECK(counted + zeros == 2000);
  }
}

TEST_CASE("the largest and smallest floats have bins") {
  constexpr float kMax = std::numeric_limits<float>::max(), kTiny = std::numeric_limits<float>::denorm_min();
  for (const auto& values :
       {std::vector<float>{kMax, -kMax, kTiny, -kTiny}, std::vector<float>{kMax, kMax, 1, 1},
        std::vector<float>{-kMax, -kMax, -1, -1}, std::vector<float>{kTiny, kTiny, kTiny, -kTiny}}) {
    const Histogram histogram = of(values);
    std::int64_t counted = 0;
    for (int bin = histogram.first_bin(); bin <= histogram.last_bin(); ++bin) counted += histogram.count(bin);
    CHECK(counted == 4);
  }
}

TEST_CASE("a histogram refuses values that are not finite and stays as it was") {
  Histogram histogram = of(std::vector<float>{1, 2});
  const Histogram before = histogram;
  CHECK_THROWS_AS(histogram.add(std::vector<float>{3, std::numeric_limits<float>::quiet_NaN()}), InputError);
  CHECK_THROWS_AS(histogram.add(std::vector<float>{3, std::numeric_limits<float>::infinity()}), InputError);
  CHECK(histogram == before);
}

TEST_CASE("a histogram of fewer bins is the finest one with its bins joined, also after merging") {
  for (const auto kind : kDistributions) {
    const std::vector<float> values = sample(kind, 5000);
    const Histogram fine = of(values);
    for (const int bins : {64, 512}) {
      Histogram coarse(bins), first(bins), second(bins);
      coarse.add(values);
      first.add(std::span(values).first(1234));
      second.add(std::span(values).subspan(1234));
      second.merge(first);
      CHECK(second == coarse);
      const int shift = static_cast<int>(std::log2(coarse.bin_width() / fine.bin_width()));
      std::vector<std::int64_t> joined(static_cast<std::size_t>(2 * bins));
      for (int bin = fine.first_bin(); bin <= fine.last_bin(); ++bin)
        joined[static_cast<std::size_t>((bin >> shift) + bins)] += fine.count(bin);
      for (int bin = -bins; bin < bins; ++bin) CHECK(coarse.count(bin) == joined[static_cast<std::size_t>(bin + bins)]);
      CHECK(coarse.zeros() == fine.zeros());
      CHECK(coarse.last_bin() - coarse.first_bin() < bins);
    }
  }
}
