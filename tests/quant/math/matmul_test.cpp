#include "quant/math/matmul.hpp"

#include <bit>
#include <cmath>

#include "core/rng.hpp"
#include "quant/math/cholesky.hpp"
#include "quant/math/vector_math.hpp"
#include "quant/moments/gram.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

template <class T>
std::vector<T> numbers(std::size_t n, std::uint64_t seed) {
  Rng rng(seed, "matmul");
  std::vector<T> out(n);
  for (T& v : out) v = static_cast<T>(rng.normal());
  return out;
}

template <class T>
void compare_with_definition(std::ptrdiff_t rows, std::ptrdiff_t inner, std::ptrdiff_t columns) {
  const auto a = numbers<T>(static_cast<std::size_t>(rows * inner), 1),
             b = numbers<T>(static_cast<std::size_t>(inner * columns), 2);
  for (const bool transposed : {false, true}) {
    const MatrixView<T> left = transposed ? MatrixView<T>{a.data(), 1, rows} : MatrixView<T>{a.data(), inner, 1};
    const MatrixView<T> right = transposed ? MatrixView<T>{b.data(), 1, inner} : MatrixView<T>{b.data(), columns, 1};
    std::vector<T> slow(static_cast<std::size_t>(rows * columns), T{3});
    add_product_ref(T{-1}, left, rows, right, inner, columns, slow.data(), columns);
    for (const Isa isa : usable_isas()) {
      std::vector<T> fast(slow.size(), T{3});
      add_product(T{-1}, left, rows, PackedMatrix<T>(right, inner, columns), fast.data(), columns, {}, isa);
      REQUIRE(fast == slow);
    }
  }
}

/// J L^-1 J of J H J = L L^T, element by element in long double.
std::vector<float> upper_by_definition(const std::vector<double>& h, std::int64_t n) {
  const auto size = static_cast<std::size_t>(n);
  std::vector<long double> l(size * size), x(size * size);
  for (std::size_t c = 0; c < size; ++c)
    for (std::size_t r = c; r < size; ++r) {
      long double sum = h[(size - 1 - r) * size + size - 1 - c];
      for (std::size_t i = 0; i < c; ++i) sum -= l[r * size + i] * l[c * size + i];
      l[r * size + c] = r == c ? std::sqrt(sum) : sum / l[c * size + c];
    }
  std::vector<float> upper(size * size);
  for (std::size_t c = 0; c < size; ++c)
    for (std::size_t r = c; r < size; ++r) {
      long double sum = r == c;
      for (std::size_t i = c; i < r; ++i) sum -= l[r * size + i] * x[i * size + c];
      x[r * size + c] = sum / l[r * size + r];
      upper[(size - 1 - r) * size + size - 1 - c] = static_cast<float>(x[r * size + c]);
    }
  return upper;
}

}  // namespace

TEST_CASE("a product has the bits of its definition, for any shape and either order of storage") {
  for (const auto& [rows, inner, columns] : {std::array<std::ptrdiff_t, 3>{1, 1, 1},
                                             {3, 5, 2},
                                             {4, 256, 32},
                                             {7, 257, 33},
                                             {9, 600, 70},
                                             {0, 4, 4},
                                             {4, 0, 4},
                                             {5, 7, 0}}) {
    compare_with_definition<float>(rows, inner, columns);
    compare_with_definition<double>(rows, inner, columns);
  }
}

TEST_CASE("a part of a product is that part of the whole") {
  const std::ptrdiff_t rows = 5, inner = 520, columns = 100;
  const auto a = numbers<float>(static_cast<std::size_t>(rows * inner), 1);
  const auto b = numbers<float>(static_cast<std::size_t>(inner * columns), 2);
  const PackedMatrix<float> packed({b.data(), columns, 1}, inner, columns);
  for (const Isa isa : usable_isas())
    for (const ProductRange& range : {ProductRange{256, 520, 32, 64}, ProductRange{0, 256, 96, 100},
                                      ProductRange{256, 512, 128, 100}}) {  // the last: nothing
      std::vector<float> part(static_cast<std::size_t>(rows * columns)), wanted = part;
      add_product(2.0F, {a.data(), inner, 1}, rows, packed, part.data(), columns, range, isa);
      add_product_ref(2.0F, {a.data() + range.begin, inner, 1}, rows,
                      {b.data() + range.begin * columns + range.first, columns, 1}, range.end - range.begin,
                      range.last - range.first, wanted.data() + range.first, columns);
      CHECK(part == wanted);
    }
}

TEST_CASE("U of a matrix is upper triangular, U^T U is its inverse, and threads do not matter") {
  for (const std::int64_t n : {1, 2, 5, 130, 300}) {
    const auto x = numbers<double>(static_cast<std::size_t>(n * (n + 8)), 3);
    std::vector<double> h(static_cast<std::size_t>(n * n));
    for (std::int64_t r = 0; r < n; ++r)
      for (std::int64_t c = 0; c < n; ++c)
        for (std::int64_t t = 0; t < n + 8; ++t)
          h[static_cast<std::size_t>(r * n + c)] +=
              x[static_cast<std::size_t>(t * n + r)] * x[static_cast<std::size_t>(t * n + c)];
    for (std::int64_t d = 0; d < n; ++d) h[static_cast<std::size_t>(d * (n + 1))] += static_cast<double>(n);
    const auto u = inverse_cholesky_upper(h, n, 1);
    REQUIRE(u);
    CHECK(*u == *inverse_cholesky_upper(h, n, 2));
    std::vector<double> product(h.size());  // U^T U H
    double worst = 0;
    for (std::int64_t r = 0; r < n; ++r) {
      std::vector<double> row(static_cast<std::size_t>(n));
      for (std::int64_t m = 0; m <= r; ++m)
        for (std::int64_t c = 0; c < n; ++c)
          row[static_cast<std::size_t>(c)] += static_cast<double>((*u)[static_cast<std::size_t>(m * n + r)]) *
                                              (*u)[static_cast<std::size_t>(m * n + c)];
      for (std::int64_t c = 0; c < n; ++c) {
        double sum = 0;
        for (std::int64_t m = 0; m < n; ++m)
          sum += row[static_cast<std::size_t>(m)] * h[static_cast<std::size_t>(m * n + c)];
        worst = std::max(worst, std::abs(sum - (r == c ? 1 : 0)));
      }
      for (std::int64_t c = 0; c < r; ++c) REQUIRE((*u)[static_cast<std::size_t>(r * n + c)] == 0);
    }
    CHECK(worst < 1e-5);
  }
}

TEST_CASE("a matrix that is not positive definite has no U") {
  CHECK_FALSE(inverse_cholesky_upper(std::vector<double>{1, 2, 2, 1}, 2, 1));
  CHECK_FALSE(inverse_cholesky_upper(std::vector<double>{1, 1, 1, 1}, 2, 1));
  CHECK_FALSE(inverse_cholesky_upper(std::vector<double>{0}, 1, 1));
  CHECK(*inverse_cholesky_upper(std::vector<double>{4}, 1, 1) == std::vector<float>{0.5F});
  CHECK(inverse_cholesky_upper({}, 0, 1)->empty());
}

TEST_CASE("a bad pivot or a value that is not finite beyond the first block is found, too") {
  const std::int64_t n = 300;
  const auto refused = [&](std::int64_t row, std::int64_t column, double value) {
    std::vector<double> h(static_cast<std::size_t>(n * n));
    for (std::int64_t d = 0; d < n; ++d) h[static_cast<std::size_t>(d * (n + 1))] = 1 + static_cast<double>(d % 3);
    h[static_cast<std::size_t>(row * n + column)] = h[static_cast<std::size_t>(column * n + row)] = value;
    return !inverse_cholesky_upper(h, n, 2);
  };
  CHECK_FALSE(refused(0, n - 1, 0.5));
  for (const std::int64_t at : {0L, n / 2, n - 1}) CHECK(refused(at, at, -1));
  for (const double value : {double{NAN}, double{INFINITY}, 2.0}) CHECK(refused(0, n - 1, value));
}

TEST_CASE("a matrix that is nearly singular is factored as exactly as by substitution") {
  const std::int64_t n = 400;
  std::vector<double> h(static_cast<std::size_t>(n * n));
  for (std::int64_t r = 0; r < n; ++r)
    for (std::int64_t c = 0; c < n; ++c) {
      const double far = static_cast<double>(r - c) / 30;
      h[static_cast<std::size_t>(r * n + c)] = std::exp(-far * far) + (r == c ? 1e-10 : 0);
    }
  const auto u = inverse_cholesky_upper(h, n, 1);
  REQUIRE(u);
  const std::vector<float> wanted = upper_by_definition(h, n);
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>((*u)[i]) - static_cast<double>(wanted[i])));
    largest = std::max(largest, std::abs(static_cast<double>(wanted[i])));
  }
  CHECK(worst < 1e-4 * largest);
}

TEST_CASE("second moments are means of products; cross moments keep quantized inputs first") {
  GramAccumulator moments(2, true, 1);
  moments.add(std::vector<float>{1, 2, 3, 4}, std::vector<float>{1, 0, 0, 1});
  CHECK(moments.gram() == std::vector<float>{5, 7, 7, 10});
  CHECK(moments.cross() == std::vector<float>{0.5F, 1.5F, 1, 2});
  CHECK(moments.mean() == std::vector<float>{2, 3});
  GramAccumulator first(2, false, 1), second(2, false, 2);
  first.add(std::vector<float>{1, 2});
  second.add(std::vector<float>{3, 4});
  first.merge(second);
  CHECK(first.gram() == moments.gram());
  CHECK(first.count() == 2);
}

TEST_CASE("moments of no samples and of values that are not finite are errors") {
  CHECK_THROWS_WITH(GramAccumulator(3).gram(), "no calibration samples: second moments need at least one");
  GramAccumulator moments(2);
  CHECK_THROWS_WITH(moments.add(std::vector<float>{1, 2, 3, NAN}),
                    "calibration input of sample 1, channel 1 is nan; inputs must be finite");
}

TEST_CASE("the vector functions are near the library's") {
  for (float x = -20; x < 20; x += 0.37F) {
    CHECK(fast_exp(x) == Approx(std::exp(x)).epsilon(2e-6));
    CHECK(fast_exp2(x) == Approx(std::exp2(x)).epsilon(4e-7));
    CHECK(fast_sigmoid(x) == Approx(1 / (1 + std::exp(-x))).epsilon(2e-6));
  }
  for (float x = 1e-6F; x < 1e3F; x *= 1.37F) {
    CHECK(fast_log2(x) == Approx(std::log2(x)).epsilon(4e-7).margin(2e-7));
    CHECK(fast_pow(x, 0.7F) == Approx(std::pow(x, 0.7F)).epsilon(2e-6));
  }
  CHECK(fast_pow(0.0F, 19) < 1e-30F);
  CHECK(fast_exp(1000.0F) == fast_exp2(125.0F));
  CHECK(fast_exp2(-3.0F) == 0.125F);
  for (float x = 1e-36F; x < 1e37F; x *= 3.7F) CHECK(fast_sqrt(x) == Approx(std::sqrt(x)).epsilon(4e-7));
  CHECK(fast_sqrt(0.0F) == 0);
  for (const float x : {0.5F, 1.5F, -2.5F, -0.2F, 7.7F, 4194303.5F, 4194304.5F, 1e9F, -1e30F})
    CHECK(fast_rint(x) == std::nearbyint(x));
}

TEST_CASE("the vector functions give equal bits for one float and for sixteen") {
  for (float first = -30; first < 30; first += 1.37F) {
    Floats x;
    for (std::size_t i = 0; i < kLanes; ++i) x[i] = first + 0.11F * static_cast<float>(i);
    const Floats size = magnitude(x), sigmoid = fast_sigmoid(x), power = fast_pow(size, 2.3F), root = fast_sqrt(size),
                 kept = where(less(x, Floats{} + 1.0F), with_sign(size, -x)), cut = at_most(at_least(x, -size), power);
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float one = x[i], far = magnitude(one);
      CHECK(far == std::abs(one));
      CHECK(sigmoid[i] == fast_sigmoid(one));
      CHECK(power[i] == fast_pow(far, 2.3F));
      CHECK(root[i] == fast_sqrt(far));
      CHECK(kept[i] == (one < 1 ? -one : 0));
      CHECK(cut[i] == std::min(std::max(one, -far), power[i]));
    }
  }
}
