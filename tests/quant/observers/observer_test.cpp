#include "quant/observers/observer.hpp"

#include <algorithm>
#include <limits>

#include "core/error.hpp"
#include "quant/ranges/mse_search.hpp"
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
  CHECK(observers().size() == 14);
  for (const auto& entry : observers()) {
    CHECK(&find_observer(entry.name) == &entry);
    CHECK_FALSE(entry.summary.empty());
    CHECK(entry.make({}) != nullptr);
  }
}

TEST_CASE("an unknown observer is an error that lists the known ones") {
  CHECK_THROWS_WITH(find_observer("max"),
                    "'max' is not an observer; known: minmax, batch_max, batch_mean, batch_median, moving_average, "
                    "absmax_average, percentile, percentile:nearest, mse, mse:modelopt, sqnr, entropy, octav, "
                    "histogram");
  CHECK(observers_that(&ObserverEntry::takes_percentile) == "percentile, percentile:nearest");
  CHECK(observers_that(&ObserverEntry::takes_momentum) == "moving_average, absmax_average");
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
  // One candidate of AIMET's symmetric scales is 101/100 of 2 max|x| / (2^b - 1): at 8 bits 0.6 % beyond max|x|.
  constexpr float kSlack = 1.000001F, kSqnrSlack = 1.01F * 254 / 255 * kSlack;
  for (const auto kind : kDistributions) {
    const std::vector<float> x = sample(kind, 3000);
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    for (const auto& entry : observers()) {
      const auto observer = make(entry.name);
      observer->observe(x);
      CAPTURE(kind, entry.name);
      for (const int bits : {2, 4, 8}) {
        const float most = std::max(std::abs(*low), std::abs(*high)) * (entry.name == "sqnr" ? kSqnrSlack : kSlack);
        CHECK(observer->quantizer(bits, true, false).scale * static_cast<float>((1 << (bits - 1)) - 1) <= most);
        const Affine q = observer->quantizer(bits, false, false);
        CHECK(q.scale * static_cast<float>(q.q_max) <= (std::max(*high, 0.0F) - std::min(*low, 0.0F)) * 1.000001F);
      }
    }
  }
}

TEST_CASE("each observer merges in any split to what one stream finds, also when the parts come in another order") {
  // Values of other sizes in each batch, so that bins widen and extremes change hands while parts are merged.
  std::vector<std::vector<float>> batches;
  for (const float unit : {1.0F, 1e-3F, 40.0F, 1e-30F, 7.0F, 0.0F, 300.0F}) {
    batches.push_back(sample(batches.size() % 2 == 0 ? "heavy" : "shifted", 700, batches.size()));
    for (float& value : batches.back()) value *= unit;
  }
  for (const auto& entry : observers()) {
    CAPTURE(entry.name);
    const auto whole = make(entry.name, {.bins = 64});
    for (const auto& batch : batches) whole->observe(batch);
    const auto expected = all_quantizers(*whole);
    const bool in_order = entry.takes_momentum;  // moving averages are of batches in their order, by definition
    for (std::size_t step = 1; step < batches.size(); ++step) {  // 7 is prime: each step visits all batches
      const auto merged = make(entry.name, {.bins = 64});
      for (std::size_t i = 0; i < batches.size(); ++i) {
        const auto part = make(entry.name, {.bins = 64});
        part->observe(batches[in_order ? i : i * step % batches.size()]);
        merged->merge(*part);
      }
      CHECK(all_quantizers(*merged) == expected);
    }
  }
}

TEST_CASE("each observer has a finite range for constants, single values, one sign, huge and tiny values") {
  constexpr float kMost = std::numeric_limits<float>::max(), kLeast = std::numeric_limits<float>::denorm_min();
  const std::vector<std::vector<float>> cases{std::vector<float>(1000, 5.0F),
                                              std::vector<float>(1000, -5.0F),
                                              {3},
                                              {-2},
                                              {kMost, -kMost, 1},
                                              {kLeast, 0, -kLeast},
                                              {-kLeast},
                                              {kMost},
                                              {1e-30F, 1e30F},
                                              {-3, -2, -1, -8},
                                              std::vector<float>(500, 0.0F)};
  for (const auto& entry : observers())
    for (std::size_t i = 0; i < cases.size(); ++i) {
      CAPTURE(entry.name, i);
      const auto observer = make(entry.name);
      observer->observe(cases[i]);
      for (const Affine& q : all_quantizers(*observer)) {
        CHECK(std::isfinite(q.scale));
        CHECK(std::isfinite(1 / q.scale));
        CHECK(q.scale > 0);
        CHECK((q.q_min <= q.zero_point && q.zero_point <= q.q_max));
      }
    }
}

TEST_CASE("each observer keeps a constant, to the width of a bin") {
  for (const float value : {5.0F, -5.0F})
    for (const auto& entry : observers()) {
      CAPTURE(entry.name, value);
      const auto observer = make(entry.name);
      observer->observe(std::vector<float>(1000, value));
      for (const bool symmetric : {false, true}) {
        std::vector<float> x{value};
        fake_quantize(observer->quantizer(8, symmetric, false), x, x);
        CHECK(x[0] == Approx(value).epsilon(6e-3));
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

TEST_CASE("percentile cuts both tails alike, exactly: by hand") {
  const auto observer = make("percentile", {.name = "", .percentile = 90, .momentum = 0.9});
  std::vector<float> values;
  for (int i = -49; i <= 50; ++i) values.push_back(static_cast<float>(i));
  observer->observe(values);
  CHECK(observer->range(8, false, false) == Range{-44, 45});
  CHECK(observer->range(8, true, false) == Range{-45, 45});
  CHECK_THROWS_WITH(make("percentile", {.name = "", .percentile = 20, .momentum = 0.9}),
                    "percentile must be 50 to 100");
}

TEST_CASE("percentile ends at the edge of a bin where more values lie outside than are kept: by hand") {
  const auto observer = make("percentile", {.percentile = 50, .bins = 64});
  std::vector<float> values;
  for (int i = -499; i <= 500; ++i) values.push_back(static_cast<float>(i));
  observer->observe(values);
  // 250 values outside on either side, 64 are kept: bins of width 16.
  CHECK(observer->range(8, false, false) == Range{-256, 256});
  CHECK(observer->range(8, true, false) == Range{-256, 256});
}

TEST_CASE("percentile:nearest rounds ranks as brevitas does: by hand") {
  std::vector<float> values;
  for (int i = 1; i <= 1004; ++i) values.push_back(static_cast<float>(i));
  const auto find = [&](std::string_view name, double percentile) {
    const auto observer = make(name, {.percentile = percentile});
    observer->observe(values);
    return std::pair(observer->range(8, true, false).high, observer->range(8, false, false));
  };
  // 99 % of 1004 are 993.96, of both tails 5.02 each.
  CHECK(find("percentile:nearest", 99) == std::pair(994.0F, Range{6, 999}));
  CHECK(find("percentile", 99) == std::pair(994.0F, Range{6, 999}));
  // 99.9 %: 1002.996; 0.502 each. 99.92 %: 1003.1968, where the nearest rank holds less than was asked for.
  CHECK(find("percentile:nearest", 99.9) == std::pair(1003.0F, Range{1, 1003}));
  CHECK(find("percentile:nearest", 99.92) == std::pair(1003.0F, Range{1, 1004}));
  CHECK(find("percentile", 99.92) == std::pair(1004.0F, Range{1, 1004}));
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
