// Kernels of one row against plain loops in double, on every instruction set and awkward lengths; strided views.
#include "eval/kernels/row_kernels.hpp"

#include <cmath>

#include "eval/kernels/strided_operand.hpp"
#include "tests/catch.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

std::vector<float> normal(std::size_t n, const std::string& name) {
  const Tensor t = random_tensor({static_cast<std::int64_t>(n)}, name);
  return {t.values<float>().begin(), t.values<float>().end()};
}

double largest_difference(const std::vector<float>& made, const std::vector<double>& wanted) {
  double most = 0;
  for (std::size_t i = 0; i < made.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(made[i]) - wanted[i]));
  return most;
}

constexpr std::size_t kLengths[]{1, 2, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, 64, 197, 1000};

/// The elements of a view of `data`, row-major.
std::vector<float> elements(const StridedOperand& view, const std::vector<float>& data) {
  std::vector<float> result(static_cast<std::size_t>(element_count(view.dims)));
  const Dims dense = plain_placement(view.dims).strides;
  for (std::size_t i = 0; i < result.size(); ++i) {
    std::int64_t at = view.offset;
    for (std::size_t d = 0; d < view.dims.size(); ++d)
      at += static_cast<std::int64_t>(i) / dense[d] % view.dims[d] / view.repeats[d] * view.strides[d];
    result[i] = data[static_cast<std::size_t>(at)];
  }
  return result;
}

}  // namespace

TEST_CASE("softmax of a row, with and without a mask, equals its definition") {
  for (const Isa isa : usable_isas())
    for (const std::size_t n : kLengths)
      for (const bool masked : {false, true}) {
        const std::vector<float> x = normal(n, "scores");
        std::vector<float> mask = normal(n, "mask"), y = x;
        if (n > 2) mask[n / 2] = -3.4e38F, mask[n - 1] = -INFINITY;
        std::vector<double> wanted(n);
        double most = -INFINITY, sum = 0;
        for (std::size_t i = 0; i < n; ++i)
          most = std::max(most, wanted[i] = static_cast<double>(x[i]) + (masked ? static_cast<double>(mask[i]) : 0));
        for (double& v : wanted) sum += v = std::exp(v - most);
        for (double& v : wanted) v /= sum;
        softmax_row(isa, y.data(), masked ? mask.data() : nullptr, y.data(), n);
        CAPTURE(static_cast<int>(isa), n, masked);
        CHECK(largest_difference(y, wanted) < 3e-7);
        if (masked && n > 2) CHECK(y[n - 1] == 0);
      }
}

TEST_CASE("a row of masked scores alone has no softmax") {
  for (const Isa isa : usable_isas()) {
    std::vector<float> y(20, -INFINITY);
    softmax_row(isa, y.data(), nullptr, y.data(), y.size());
    for (const float v : y) CHECK(std::isnan(v));
  }
}

TEST_CASE("a NaN among the scores makes the whole row NaN") {
  for (const Isa isa : usable_isas())
    for (const std::size_t at : {0, 3, 19}) {
      std::vector<float> y(20, 1.0F);
      y[at] = std::nanf("");
      softmax_row(isa, y.data(), nullptr, y.data(), y.size());
      for (const float v : y) CHECK(std::isnan(v));
    }
}

TEST_CASE("normalization of a row equals its definition, in place too") {
  for (const Isa isa : usable_isas())
    for (const std::size_t n : kLengths)
      for (const bool centered : {false, true}) {
        std::vector<float> x = normal(n, "x");
        for (float& v : x) v = v * 3 + 1;
        const std::vector<float> scale = normal(n, "scale"), bias = normal(n, "bias");
        double mean = 0, variance = 0;
        for (const float v : x) mean += static_cast<double>(v) / static_cast<double>(n);
        if (!centered) mean = 0;
        for (const float v : x) variance += std::pow(static_cast<double>(v) - mean, 2) / static_cast<double>(n);
        std::vector<double> wanted(n);
        for (std::size_t i = 0; i < n; ++i)
          wanted[i] = (static_cast<double>(x[i]) - mean) / std::sqrt(variance + 1e-5) * static_cast<double>(scale[i]) +
                      static_cast<double>(bias[i]);
        norm_row(isa, {scale.data(), bias.data(), 1e-5F, centered}, x.data(), x.data(), n);
        CAPTURE(static_cast<int>(isa), n, centered);
        CHECK(largest_difference(x, wanted) < (n == 1 && centered ? 1e-3 : 3e-6));
      }
}

TEST_CASE("rotary embedding of a row turns its halves") {
  for (const Isa isa : usable_isas()) {
    const std::vector<float> x{1, 2, 3, 4, 5, 6}, cos(6, 2), sin{10, 10, 10, 100, 100, 100};
    std::vector<float> y(6);
    rotary_row(isa, x.data(), cos.data(), sin.data(), y.data(), 6);
    CHECK(y == std::vector<float>{-38, -46, -54, 108, 210, 312});
  }
}

TEST_CASE("views compose: what they show is what copies would") {
  const std::vector<float> data = normal(2 * 6 * 4, "data");
  const StridedOperand whole = whole_operand({}, {2, 6, 4});
  CHECK(whole.dense());
  SECTION("transposing twice is nothing") { CHECK(whole.permuted({1, 0, 2}).permuted({1, 0, 2}).dense()); }
  SECTION("heads are split off and brought forward") {
    const auto heads = whole.reshaped({2, 6, 2, 2});
    REQUIRE(heads);
    const auto seen = elements(heads->permuted({0, 2, 1, 3}), data);
    for (int s = 0; s < 2; ++s)
      for (int h = 0; h < 2; ++h)
        for (int r = 0; r < 6; ++r)
          CHECK(seen[static_cast<std::size_t>(((s * 2 + h) * 6 + r) * 2)] ==
                data[static_cast<std::size_t>((s * 6 + r) * 4 + h * 2)]);
  }
  SECTION("merging transposed dimensions needs a copy") { CHECK(!whole.permuted({0, 2, 1}).reshaped({2, 24})); }
  SECTION("repeated heads merge with their dimension") {
    const auto wide = whole.reshaped({2, 6, 1, 4})->expanded({2, 6, 3, 4}).reshaped({2, 18, 4});
    REQUIRE(wide);
    CHECK(wide->repeats == Dims{1, 3, 1});
    const auto seen = elements(*wide, data);
    for (std::size_t i = 0; i < seen.size(); ++i) CHECK(seen[i] == data[i / 72 * 24 + i % 72 / 4 / 3 * 4 + i % 4]);
    CHECK(!wide->sliced({0, 1, 0}, {1, 1, 1}, {2, 5, 4}));
  }
  SECTION("slices start anywhere and run backwards") {
    const auto part = whole.sliced({1, 5, 0}, {1, -2, 1}, {1, 3, 4});
    REQUIRE(part);
    CHECK(elements(*part, data)[0] == data[24 + 20]);
    CHECK(elements(*part, data)[4] == data[24 + 12]);
  }
}

}  // namespace bitplan::test
