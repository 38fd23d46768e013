#include "quant/observer.hpp"

#include <algorithm>
#include <limits>

#include "core/error.hpp"
#include "quant/mse_search.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

std::unique_ptr<Observer> make(std::string_view name, ObserverSpec spec = {}) {
  spec.name = name;
  return find_observer(name).make(spec);
}

/// Splits values into batches of 100.
std::vector<std::span<const float>> batches(const std::vector<float>& values) {
  std::vector<std::span<const float>> parts;
  for (std::size_t begin = 0; begin < values.size(); begin += 100)
    parts.push_back(std::span(values).subspan(begin, std::min<std::size_t>(100, values.size() - begin)));
  return parts;
}

std::vector<Affine> all_quantizers(const Observer& observer) {
  std::vector<Affine> quantizers;
  for (int bits = 2; bits <= 8; ++bits)
    for (const auto& [symmetric, narrow] : {std::pair(false, false), std::pair(true, false), std::pair(true, true)})
      quantizers.push_back(observer.quantizer(bits, symmetric, narrow));
  return quantizers;
}

double mean_squared_error(const Affine& q, const std::vector<float>& x) {
  std::vector<float> out(x.size());
  fake_quantize(q, x, out);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = static_cast<double>(out[i]) - x[i];
    sum += error * error;
  }
  return sum / static_cast<double>(x.size());
}

/// The least error over a grid of ranges, measured on the values themselves.
double brute_force(const std::vector<float>& x, int bits, bool symmetric) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const float least = std::min(*low, 0.0F), most = std::max(*high, 0.0F);
  double best = std::numeric_limits<double>::infinity();
  std::vector<double> ratios, low_ratios{1};
  for (double ratio = 1; ratio > 0.02; ratio *= 0.95) ratios.push_back(ratio);
  if (!symmetric && least < 0) low_ratios = ratios;
  for (const double high_ratio : ratios)
    for (const double low_ratio : symmetric ? std::vector<double>{high_ratio} : low_ratios) {
      const Affine q = affine_from_range(static_cast<float>(least * low_ratio), static_cast<float>(most * high_ratio),
                                         bits, symmetric, false);
      best = std::min(best, mean_squared_error(q, x));
    }
  return best;
}

}  // namespace

TEST_CASE("each observer has a name, a summary and a maker") {
  CHECK(observers().size() == 4);
  for (const auto& entry : observers()) {
    CHECK(&find_observer(entry.name) == &entry);
    CHECK_FALSE(entry.summary.empty());
    CHECK(entry.make({}) != nullptr);
  }
}

TEST_CASE("an unknown observer is an error that lists the known ones") {
  CHECK_THROWS_WITH(find_observer("max"), "'max' is not an observer; known: minmax, moving_average, percentile, mse");
}

TEST_CASE("an observer that saw nothing, or zeros alone, has the quantizer of [0, 0]") {
  for (const auto& entry : observers())
    for (const std::size_t n : {0, 1, 100}) {
      const auto observer = make(entry.name);
      observer->observe(std::vector<float>(n));
      CHECK(observer->quantizer(8, false, false) == Affine{1, 0, 0, 255});
      CHECK(observer->quantizer(4, true, true) == Affine{1, 0, -7, 7});
    }
}

TEST_CASE("each observer finds the same quantizers however its batches are split and merged") {
  std::vector<float> values = sample("heavy", 950);
  const std::vector<float> more = sample("relu", 1000);
  values.insert(values.begin() + 300, more.begin(), more.end());
  const auto parts = batches(values);
  for (const auto& entry : observers()) {
    const auto whole = make(entry.name);
    for (const auto part : parts) whole->observe(part);
    const auto expected = all_quantizers(*whole);
    for (const std::size_t ranks : {2, 3, 20}) {
      const auto merged = make(entry.name);
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        const auto one = make(entry.name);
        for (std::size_t i = parts.size() * rank / ranks; i < parts.size() * (rank + 1) / ranks; ++i)
          one->observe(parts[i]);
        merged->merge(*one);
      }
      CHECK(all_quantizers(*merged) == expected);
    }
  }
}

TEST_CASE("merging an observer that saw nothing changes nothing") {
  for (const auto& entry : observers()) {
    const auto observer = make(entry.name), empty = make(entry.name), taker = make(entry.name);
    observer->observe(sample("gauss", 500));
    const auto expected = all_quantizers(*observer);
    observer->merge(*empty);
    CHECK(all_quantizers(*observer) == expected);
    taker->merge(*observer);
    CHECK(all_quantizers(*taker) == expected);
  }
}

TEST_CASE("values beyond what was seen are of no use: each observer's range lies within the extremes") {
  for (const auto kind : kDistributions) {
    const std::vector<float> x = sample(kind, 3000);
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    for (const auto& entry : observers()) {
      const auto observer = make(entry.name);
      observer->observe(x);
      for (int bits = 2; bits <= 8; ++bits) {
        const float most = std::max(std::abs(*low), std::abs(*high)) * 1.000001F;
        CHECK(observer->quantizer(bits, true, false).scale * static_cast<float>((1 << (bits - 1)) - 1) <= most);
        const Affine q = observer->quantizer(bits, false, false);
        CHECK(q.scale * static_cast<float>(q.q_max) <= (std::max(*high, 0.0F) - std::min(*low, 0.0F)) * 1.000001F);
      }
    }
  }
}

TEST_CASE("NaN and infinite values are errors for each observer") {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& entry : observers()) {
    const auto observer = make(entry.name);
    CHECK_THROWS_WITH(observer->observe(std::vector<float>{1, 2, kNan}),
                      "value 2 of 3 is NaN; only finite values can be quantized");
    CHECK_THROWS_WITH(observer->observe(std::vector<float>{-kInf}),
                      "value 0 of 1 is infinite; only finite values can be quantized");
  }
}

TEST_CASE("minmax is the range of all batches") {
  const auto observer = make("minmax");
  observer->observe(std::vector<float>{1, 3});
  observer->observe(std::vector<float>{-2, 0});
  CHECK(observer->quantizer(8, false, false) == affine_from_range(-2, 3, 8, false, false));
  CHECK(observer->quantizer(8, true, true) == affine_from_range(-2, 3, 8, true, true));
}

TEST_CASE("moving_average weighs earlier batches by the momentum: by hand") {
  const auto observer = make("moving_average", {.name = "", .percentile = 99.99, .momentum = 0.5});
  observer->observe(std::vector<float>{-4, 8});
  observer->observe(std::vector<float>{-2, 4});
  observer->observe(std::vector<float>{-1, 1});
  observer->observe(std::vector<float>{});
  CHECK(observer->quantizer(8, false, false) == affine_from_range(-2, 3.5F, 8, false, false));
  CHECK_THROWS_WITH(make("moving_average", {.name = "", .percentile = 99.99, .momentum = 1.5}),
                    "momentum must be 0 to 1");
}

TEST_CASE("percentile cuts both tails alike, to the width of a bin: by hand") {
  const auto observer = make("percentile", {.name = "", .percentile = 90, .momentum = 0.9});
  std::vector<float> values;
  for (int i = -49; i <= 50; ++i) values.push_back(static_cast<float>(i));
  observer->observe(values);
  // Bins of 2^-5: -44 is at the low edge of none, so the bin's other edge counts.
  CHECK(observer->quantizer(8, false, false) == affine_from_range(-44 - 0x1p-5F, 45 + 0x1p-5F, 8, false, false));
  CHECK(observer->quantizer(8, true, false) == affine_from_range(0, 45 + 0x1p-5F, 8, true, false));
  CHECK_THROWS_WITH(make("percentile", {.name = "", .percentile = 20, .momentum = 0.9}),
                    "percentile must be 50 to 100");
}

TEST_CASE("percentile 100 is minmax") {
  for (const auto kind : kDistributions) {
    const std::vector<float> x = sample(kind, 1000);
    const auto percentile = make("percentile", {.name = "", .percentile = 100, .momentum = 0.9}),
               minmax = make("minmax");
    percentile->observe(x);
    minmax->observe(x);
    CHECK(all_quantizers(*percentile) == all_quantizers(*minmax));
  }
}

TEST_CASE("percentile counts exact zeros as zeros") {
  std::vector<float> values(990, 0.0F);
  values.insert(values.end(), 10, 5.0F);
  const auto observer = make("percentile", {.name = "", .percentile = 98, .momentum = 0.9});
  observer->observe(values);
  CHECK(observer->quantizer(8, true, false) == affine_from_range(0, 0, 8, true, false));
  const auto wider = make("percentile", {.name = "", .percentile = 99.5, .momentum = 0.9});
  wider->observe(values);
  CHECK(wider->quantizer(8, true, false) == affine_from_range(0, 5, 8, true, false));
}

TEST_CASE("the error of a bin is the mean over its width: by hand") {
  Histogram histogram;
  histogram.add(std::vector<float>{4095.5F, 10.5F, 10.25F, 0});  // width 1
  // Step 4: 10 … 11 goes to 8 below 10 and to 12 above, mean of (12 - x)^2 is 7/3; 4095.0 … 4095.5 is clipped to 400.
  const Affine q{.scale = 4, .zero_point = 0, .q_min = 0, .q_max = 100};
  const double clipped = (std::pow(4095.5 - 400, 3) - std::pow(4095.0 - 400, 3)) / 3 / 0.5;
  CHECK(HistogramError(histogram)(q) == Approx(2 * 7.0 / 3 + clipped).epsilon(1e-9));
}

TEST_CASE(
    "the error on a histogram equals the sum over finely spread values, and is the same on each instruction set") {
  for (const auto kind : kDistributions) {
    const std::vector<float> x = sample(kind, 3000);
    Histogram histogram;
    histogram.add(x);
    const HistogramError error(histogram);
    for (int bits = 2; bits <= 8; ++bits)
      for (const float clip : {0.1F, 0.5F, 1.0F}) {
        const Range range = histogram.range();
        const Affine q = affine_from_range(range.low * clip, range.high * clip, bits, false, false);
        double expected = 0;
        for (int bin = histogram.first_bin(); bin <= histogram.last_bin(); ++bin) {
          if (histogram.count(bin) == 0) continue;
          constexpr int kPoints = 64;
          const Range edges = histogram.edges(bin);
          std::vector<float> points(kPoints);
          for (int k = 0; k < kPoints; ++k)
            points[static_cast<std::size_t>(k)] =
                edges.low + (edges.high - edges.low) * (static_cast<float>(k) + 0.5F) / kPoints;
          expected += mean_squared_error(q, points) * static_cast<double>(histogram.count(bin));
        }
        CHECK(error(q) == Approx(expected).epsilon(2e-3));
        for (const Isa isa : usable_isas()) CHECK(error.on(isa, q) == error.on(Isa::generic, q));
      }
  }
}

TEST_CASE("the mse observer is within 5 per cent of a brute-force search on the values themselves") {
  for (const auto kind : kDistributions) {
    const std::vector<float> x = sample(kind, 6000);
    const auto observer = make("mse");
    observer->observe(x);
    for (const int bits : {2, 3, 4, 6, 8})
      for (const bool symmetric : {false, true}) {
        const double found = mean_squared_error(observer->quantizer(bits, symmetric, false), x);
        CAPTURE(kind, bits, symmetric);
        CHECK(found <= 1.05 * brute_force(x, bits, symmetric));
      }
  }
}

TEST_CASE("the mse observer clips a lone outlier") {
  std::vector<float> x = sample("gauss", 20000);
  x[17] = 50;
  const auto observer = make("mse");
  observer->observe(x);
  const double found = mean_squared_error(observer->quantizer(4, false, false), x);
  CHECK(found < 0.2 * mean_squared_error(affine_from_range(-5, 50, 4, false, false), x));
  CHECK(found < 1.05 * brute_force(x, 4, false));
}
