#include "quant/formats/xnor.hpp"

#include <cmath>

#include "quant/roundings/billm.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

TEST_CASE("signs are packed lowest bit first, zero counts as positive") {
  const SignRows rows = pack_signs(std::vector<float>{1, -1, 0, -0.0F, -2, 3}, 2, 3);
  CHECK(rows.words == std::vector<std::uint64_t>{0b101, 0b101});
  CHECK(pack_signs(std::vector<float>(130, 1), 1, 130).words == std::vector<std::uint64_t>{~0ULL, ~0ULL, 3});
}

TEST_CASE("products of packed signs equal those of the signs, for every way to count bits") {
  for (const std::int64_t length : {1, 3, 63, 64, 65, 128, 200, 1000})
    for (const auto& [m, n] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {3, 5}, {2, 8}, {4, 0}}) {
      const auto a = pack_signs(sample("gauss", static_cast<std::size_t>(m * length), 1), m, length);
      const auto b = pack_signs(sample("gauss", static_cast<std::size_t>(n * length), 2), n, length);
      std::vector<std::int32_t> expected(static_cast<std::size_t>(m * n)), out(expected.size());
      xnor_products_ref(a, b, expected);
      for (const BitCount how : usable_bit_counts()) {
        xnor_products_on(how, a, b, out);
        REQUIRE(out == expected);
      }
    }
}

TEST_CASE("a binary residual: by hand") {
  // Column 1 is salient: (4)(2) -> a1 by row, no rest. Others: mean magnitudes 2 and 1.
  const std::vector<float> w{1, 4, -3, 1, 2, -1};
  const auto out = binarize_with_residual(w, 2, 3, std::vector<double>{1, 0.1, 1}, 1);
  CHECK(out.salient == std::vector<std::int64_t>{1});
  CHECK(out.saliency[1] == Approx(2000));
  CHECK(out.first == std::vector<double>{4, 2});
  CHECK(out.second == std::vector<double>{0, 0});
  CHECK(out.rest == std::vector<double>{2, 1});
  CHECK(out.values == std::vector<float>{2, 4, -2, 1, 2, -1});
  CHECK(out.stored_bits == 6 + 2 + 2 * 96 + 3);
}

TEST_CASE("a second bit never makes salient columns worse") {
  const auto w = sample("heavy", 16 * 64);
  const std::vector<double> diagonal(64, 1);
  double before = 1e9;
  for (const std::int64_t salient : {0, 8, 32, 64}) {
    const auto out = binarize_with_residual(w, 16, 64, diagonal, salient);
    double error = 0;
    for (std::size_t i = 0; i < w.size(); ++i) error += std::pow(out.values[i] - w[i], 2);
    CHECK(error < before);
    before = error;
  }
}

TEST_CASE("the inverse Hessian's diagonal: by hand, and an error for inputs of zeros") {
  // X = I: H = 2 I + 0.02 I.
  const std::vector<float> identity{1, 0, 0, 1};
  CHECK(inverse_hessian_diagonal(identity, 2, 2)[0] == Approx(1 / 2.02));
  CHECK_THROWS_WITH(inverse_hessian_diagonal(std::vector<float>(6), 3, 2),
                    "the Hessian of 3 inputs of 2 elements is not positive definite");
  // One sample is enough thanks to the damping.
  CHECK(std::isfinite(inverse_hessian_diagonal(std::vector<float>{1, 2, 3}, 1, 3)[0]));
}
