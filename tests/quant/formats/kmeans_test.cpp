#include "quant/formats/kmeans.hpp"

#include <cmath>
#include <limits>

#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

double inertia(const std::vector<float>& values, const std::vector<float>& weights,
               const std::vector<double>& centres) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    double least = std::numeric_limits<double>::infinity();
    for (const double c : centres) least = std::min(least, (values[i] - c) * (values[i] - c));
    sum += (weights.empty() ? 1.0 : weights[i]) * least;
  }
  return sum;
}

}  // namespace

TEST_CASE("k-means finds separate clusters exactly, from either start") {
  const std::vector<float> values{5, 1, 5.5F, 1.5F, 9, 10};
  for (const auto start : {KMeansStart::linear, KMeansStart::plus_plus}) {
    const KMeans found = k_means(values, {}, 3, start);
    CHECK(found.centres == std::vector<double>{1.25, 5.25, 9.5});
    CHECK(found.inertia == Approx(0.125 + 0.125 + 0.5));
  }
}

TEST_CASE("the inertia is that of the centres, and each centre is the mean of the values nearest to it") {
  const auto values = sample("heavy", 500);
  for (const auto start : {KMeansStart::linear, KMeansStart::plus_plus})
    for (const int k : {1, 2, 5, 16}) {
      const KMeans found = k_means(values, {}, k, start);
      CHECK(found.inertia == Approx(inertia(values, {}, found.centres)));
      CHECK(std::is_sorted(found.centres.begin(), found.centres.end()));
      std::vector<double> sums(found.centres.size()), counts(sums.size());
      for (const float value : values) {
        std::size_t nearest = 0;
        for (std::size_t c = 1; c < sums.size(); ++c)
          if (std::abs(value - found.centres[c]) < std::abs(value - found.centres[nearest])) nearest = c;
        sums[nearest] += value, ++counts[nearest];
      }
      for (std::size_t c = 0; c < sums.size(); ++c) CHECK(found.centres[c] == Approx(sums[c] / counts[c]));
    }
}

TEST_CASE("optimal centres: no other clusters of few values have less inertia, weighted or not") {
  for (const auto kind : kDistributions) {
    const auto values = sample(kind, 9);
    const auto weights = sample("uniform", 9);
    std::vector<float> sorted = values, positive;
    std::sort(sorted.begin(), sorted.end());
    for (const float w : weights) positive.push_back(std::abs(w));
    for (const auto& mass : {std::vector<float>(9, 1), positive}) {
      double least = std::numeric_limits<double>::infinity();
      const auto cost = [&](std::size_t begin, std::size_t end) {
        double w = 0, wx = 0, sum = 0;
        for (std::size_t i = begin; i < end; ++i) w += mass[i], wx += mass[i] * sorted[i];
        for (std::size_t i = begin; i < end; ++i) sum += mass[i] * std::pow(sorted[i] - wx / w, 2);
        return sum;
      };
      for (std::size_t a = 1; a < 8; ++a)
        for (std::size_t b = a + 1; b < 9; ++b) least = std::min(least, cost(0, a) + cost(a, b) + cost(b, 9));
      CHECK(k_means(sorted, mass, 3, KMeansStart::optimal).inertia == Approx(least).margin(1e-9));
    }
  }
}

TEST_CASE("optimal centres of many values are near those of the whole, and the better start is the best of all") {
  for (const auto kind : kDistributions) {
    const auto values = sample(kind, 6000);
    const double optimal = k_means(values, {}, 8, KMeansStart::optimal).inertia;
    for (std::uint64_t seed = 0; seed < 5; ++seed)
      CHECK(optimal <= 1.01 * k_means(values, {}, 8, KMeansStart::plus_plus, seed).inertia);
    CHECK(k_means(values, {}, 8, KMeansStart::better).inertia <= optimal);
  }
}

TEST_CASE("the better start has the least inertia of all") {
  for (const auto kind : kDistributions) {
    const auto values = sample(kind, 400);
    CHECK(k_means(values, {}, 8, KMeansStart::better).inertia ==
          std::min({k_means(values, {}, 8, KMeansStart::linear).inertia,
                    k_means(values, {}, 8, KMeansStart::plus_plus).inertia,
                    k_means(values, {}, 8, KMeansStart::optimal).inertia}));
  }
}

TEST_CASE("weights pull the centres") {
  const std::vector<float> values{0, 1, 10}, weights{1, 3, 1};
  const KMeans found = k_means(values, weights, 2, KMeansStart::linear);
  CHECK(found.centres[0] == Approx(0.75));
  CHECK(found.centres[1] == Approx(10));
  CHECK(found.inertia == Approx(0.75));
  const std::vector<float> none{0, 0, 0};  // without any weight every centre is as good
  CHECK(k_means(values, none, 2, KMeansStart::plus_plus).inertia == 0);
}

TEST_CASE("equal values, and fewer values than centres, have no error") {
  CHECK(k_means(std::vector<float>(20, 0.3F), {}, 4, KMeansStart::linear).inertia == Approx(0).margin(1e-12));
  CHECK(k_means(std::vector<float>{1, 2}, {}, 8, KMeansStart::plus_plus).inertia == Approx(0).margin(1e-12));
  CHECK(k_means(std::vector<float>{1, 2, 7}, {}, 8, KMeansStart::linear).inertia == Approx(0).margin(1e-12));
}

TEST_CASE("an empty cluster takes the value with the largest error") {
  const std::vector<float> values{0, 0.1F, 0.2F, 100};  // equally spaced centres 33 and 67 attract nothing
  CHECK(k_means(values, {}, 4, KMeansStart::linear).inertia == Approx(0).margin(1e-12));
}

TEST_CASE("k-means++ is the same on every call and may differ by seed") {
  const auto values = sample("heavy", 300);
  CHECK(k_means(values, {}, 8, KMeansStart::plus_plus).centres ==
        k_means(values, {}, 8, KMeansStart::plus_plus).centres);
}
