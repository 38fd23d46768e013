#include "quant/moments/gram.hpp"

#include <cmath>

#include "core/rng.hpp"
#include "tests/catch.hpp"

using namespace bitplan;

namespace {

std::vector<float> normal(std::size_t count, const char* name) {
  Rng rng(7, name);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(rng.normal());
  return values;
}

/// The largest difference from 1/m sum_t left_t right_t^T, summed in double.
double error(const std::vector<float>& made, const std::vector<float>& left, const std::vector<float>& right,
             std::size_t k) {
  const std::size_t m = left.size() / k;
  double worst = made.size() == k * k ? 0 : INFINITY;
  for (std::size_t i = 0; i < made.size(); ++i) {
    double sum = 0;
    for (std::size_t t = 0; t < m; ++t)
      sum += static_cast<double>(left[t * k + i / k]) * static_cast<double>(right[t * k + i % k]);
    worst = std::max(worst, std::abs(static_cast<double>(made[i]) - sum / static_cast<double>(m)));
  }
  return worst;
}

void plain_product(std::int64_t rows, std::int64_t stride, const float* left, std::int64_t m, const float* right,
                   std::int64_t n, double* sums) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t r = 0; r < rows; ++r)
        sum += static_cast<double>(left[r * stride + i]) * static_cast<double>(right[r * stride + j]);
      sums[i * n + j] += static_cast<double>(static_cast<float>(sum));
    }
}

}  // namespace

TEST_CASE("moments of any number of columns and runs are those of the definition, gram symmetric to the bit") {
  for (const std::size_t k : {1, 9, 96, 97, 200}) {
    const std::size_t m = k == 200 ? 1100 : 300;
    const auto x = normal(m * k, "x"), xq = normal(m * k, "xq");
    GramAccumulator moments(k, true, 2);
    moments.add(xq, x);
    const auto gram = moments.gram();
    CHECK(error(gram, xq, xq, k) < 1e-5);
    CHECK(error(moments.cross(), xq, x, k) < 1e-5);
    for (std::size_t i = 0; i < k * k; ++i) REQUIRE(gram[i] == gram[i % k * k + i / k]);
  }
}

TEST_CASE("energies are exact sums, rounded once, also when the sum is beyond float32") {
  const std::size_t k = 200, m = 2500;
  auto x = normal(m * k, "energies");
  for (std::size_t i = 0; i < x.size(); i += k) x[i] *= 3e18F;
  GramAccumulator moments(k);
  moments.add(x);
  const auto gram = moments.gram();
  for (std::size_t c = 0; c < k; ++c) {
    double exact = 0;
    for (std::size_t t = 0; t < m; ++t) exact += static_cast<double>(x[t * k + c]) * static_cast<double>(x[t * k + c]);
    exact /= static_cast<double>(m);
    REQUIRE(gram[c * (k + 1)] == static_cast<float>(exact));
  }
}

TEST_CASE("moments do not depend on the number of threads nor, in whole runs, on how rows are handed over") {
  const std::size_t k = 150, m = 2100, run = static_cast<std::size_t>(GramAccumulator::kRun);
  const auto x = normal(m * k, "x");
  GramAccumulator one(k, false, 1), three(k, false, 3), parts(k, false, 2);
  one.add(x);
  three.add(x);
  for (std::size_t first = 0; first < m; first += run)
    parts.add(std::span(x).subspan(first * k, std::min(run, m - first) * k));
  CHECK(one.gram() == three.gram());
  CHECK(one.gram() == parts.gram());
  CHECK(one.mean() == parts.mean());
  CHECK(parts.count() == static_cast<std::int64_t>(m));
}

TEST_CASE("moments may be made by another product") {
  const auto x = normal(40 * 100, "x");
  GramAccumulator own(100, false, 1), other(100, false, 1, plain_product);
  own.add(x);
  other.add(x);
  const auto a = own.gram(), b = other.gram();
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).margin(1e-6));
}
