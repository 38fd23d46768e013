#include <cmath>
#include <limits>
#include <vector>

#include "core/rng.hpp"
#include "eval/losses/losses.hpp"
#include "eval/losses/losses_rows.hpp"
#include "tests/catch.hpp"

using namespace bitplan;

namespace {

using Values = std::vector<float>;

Values random_logits(std::size_t n, double scale, std::uint64_t index) {
  Rng rng(index, "losses_sequence_test");
  Values values(n);
  for (auto& v : values) v = static_cast<float>(scale * rng.normal());
  return values;
}

struct Plain {
  double kl = 0, jsd = 0, log_sum_y = 0, log_sum_z = 0;
};

/// The definitions with the library's exp and log in long double.
Plain by_definition(const Values& z, const Values& y) {
  long double sum_z = 0, sum_y = 0, kl = 0, jsd = 0;
  long double top_z = z[0], top_y = y[0];
  for (const float v : z) top_z = std::max<long double>(top_z, v);
  for (const float v : y) top_y = std::max<long double>(top_y, v);
  for (const float v : z) sum_z += std::exp(v - top_z);
  for (const float v : y) sum_y += std::exp(v - top_y);
  for (std::size_t c = 0; c < z.size(); ++c) {
    const long double p = std::exp(z[c] - top_z) / sum_z, q = std::exp(y[c] - top_y) / sum_y, m = (p + q) / 2;
    if (p > 0) kl += p * (z[c] - top_z - std::log(sum_z) - (y[c] - top_y - std::log(sum_y)));
    if (p > 0) jsd += p * std::log(p / m) / 2;
    if (q > 0) jsd += q * std::log(q / m) / 2;
  }
  return {static_cast<double>(kl), static_cast<double>(jsd), static_cast<double>(top_y + std::log(sum_y)),
          static_cast<double>(top_z + std::log(sum_z))};
}

LossSums windows(const std::vector<Values>& z, const std::vector<Values>& y, std::size_t classes,
                 const std::vector<std::vector<std::int64_t>>& labels) {
  LossSums sums;
  for (std::size_t i = 0; i < z.size(); ++i) add_sample(sums, z[i], y[i], classes, labels[i]);
  return sums;
}

Loss value_of(std::string_view metric, const LossSums& sums) { return find_metric(metric).value(sums); }

}  // namespace

TEST_CASE("rows of classes have the figures of their definitions, for any length and size of logits") {
  RowScratch scratch;
  for (const std::size_t n : {1, 2, 7, 8, 9, 16, 31, 1000, 4096}) {
    for (const double scale : {1e-4, 0.1, 3.0, 40.0, 2000.0}) {
      const auto z = random_logits(n, scale, n), noise = random_logits(n, scale / 10, n + 1);
      Values y(z);
      for (std::size_t c = 0; c < n; ++c) y[c] += noise[c];
      const auto row = compare_classes(z.data(), y.data(), n, -1, scratch, best_isa());
      const auto plain = by_definition(z, y);
      INFO("n " << n << ", scale " << scale);
      CHECK(row.finite);
      CHECK(row.log_sum_z == Approx(plain.log_sum_z).epsilon(1e-14).margin(1e-14));
      CHECK(row.log_sum_y == Approx(plain.log_sum_y).epsilon(1e-14).margin(1e-14));
      CHECK(row.kl == Approx(plain.kl).epsilon(1e-10).margin(1e-13 * (1 + scale)));
      CHECK(row.jsd == Approx(plain.jsd).epsilon(1e-5).margin(1e-12 * (1 + scale)));
    }
  }
}

TEST_CASE("rows of classes have the same figures to the bit with every instruction set") {
  RowScratch scratch;
  for (const std::size_t n : {1, 5, 8, 100, 4099}) {
    const auto z = random_logits(n, 5, n), y = random_logits(n, 5, n + 7);
    const auto plain = compare_classes(z.data(), y.data(), n, -1, scratch, Isa::generic);
    for (const Isa isa : usable_isas()) {
      const auto row = compare_classes(z.data(), y.data(), n, -1, scratch, isa);
      CHECK(row.kl == plain.kl);
      CHECK(row.jsd == plain.jsd);
      CHECK(row.log_sum_y == plain.log_sum_y);
      CHECK(row.noise == plain.noise);
      CHECK(row.zy == plain.zy);
      CHECK(row.max_y == plain.max_y);
      CHECK(compare_values(z.data(), y.data(), n, isa).noise == plain.noise);
    }
  }
}

TEST_CASE("jsd is 0 for equal logits, log 2 for distributions that share nothing, and symmetric") {
  RowScratch scratch;
  const auto jsd = [&](const Values& z, const Values& y) {
    return compare_classes(z.data(), y.data(), z.size(), -1, scratch, best_isa()).jsd;
  };
  for (const std::size_t n : {1, 3, 8, 1000}) CHECK(jsd(random_logits(n, 10, 3), random_logits(n, 10, 3)) == 0);
  CHECK(jsd({0, 2000}, {2000, 0}) == Approx(std::log(2)).epsilon(1e-6));
  CHECK(jsd({3e38F, -3e38F}, {-3e38F, 3e38F}) == Approx(std::log(2)).epsilon(1e-6));
  const auto z = random_logits(50, 2, 1), y = random_logits(50, 2, 2);
  CHECK(jsd(z, y) == Approx(jsd(y, z)).epsilon(1e-6));
  // p = (1/4, 3/4), q = (1/2, 1/2), m = (3/8, 5/8)
  CHECK(jsd({0, std::log(3.0F)}, {0, 0}) ==
        Approx((0.25 * std::log(2.0 / 3) + 0.75 * std::log(1.2) + 0.5 * std::log(4.0 / 3) + 0.5 * std::log(0.8)) / 2)
            .epsilon(1e-6));
}

TEST_CASE("a window's figures are the means over its positions, those of labels over the positions with a label") {
  const Values z{0, 0, 1, 0, 0, 2}, y{0, 1, 1, 0, 3, 2};
  const auto sums = windows({z}, {y}, 2, {{1, 0, -1}});
  LossSums each;
  for (std::size_t t = 0; t < 3; ++t)
    add_sample(each, std::span(z).subspan(2 * t, 2), std::span(y).subspan(2 * t, 2), t < 2 ? std::int64_t(1 - t) : -1);
  CHECK(sums.samples == 1);
  CHECK(sums.positions == 3);
  CHECK(sums.labelled == 1);
  CHECK(sums.predictions == 2);
  CHECK(sums.top1 == 2);
  CHECK(sums.agree == 1);
  CHECK(sums.kl == Approx(each.kl / 3));
  CHECK(sums.jsd == Approx(each.jsd / 3));
  CHECK(sums.nll == Approx(each.nll / 2));
  CHECK(sums.nll == Approx((std::log(1 + std::exp(-1.0)) + std::log(1 + std::exp(-1.0))) / 2));
  CHECK(sums.mse == Approx(each.mse / 3));
  CHECK(sums.signal == each.signal);
  CHECK(sums.noise == each.noise);
}

TEST_CASE("perplexity is exp of nll, its interval of the ends; one position a sample has none") {
  const auto sums = windows({{0, 0, 1, 0}, {2, 0, 0, 1}}, {{0, 0, 1, 0}, {2, 0, 0, 1}}, 2, {{0, -1}, {1, -1}});
  const auto nll = value_of("nll", sums), perplexity = value_of("perplexity", sums);
  CHECK(perplexity.value == std::exp(nll.value));
  CHECK(perplexity.low == std::exp(nll.low));
  CHECK(perplexity.high == std::exp(nll.high));
  LossSums one;
  add_sample(one, Values{0, 1}, Values{0, 1}, 1);
  CHECK(std::isnan(value_of("perplexity", one).value));
}

TEST_CASE("rates of windows have the interval of a mean of the windows' fractions") {
  // Fractions 1/2 and 1 of two windows: mean 3/4, s^2 = 1/8.
  const Values right{1, 0, 1, 0}, half{1, 0, 0, 1};
  const auto sums = windows({right, right}, {right, half}, 2, {{0, 0}, {0, 0}});
  const double width = 1.959963984540054 * std::sqrt(0.125 / 2);
  for (const auto* name : {"top1", "agreement"}) {
    const auto rate = value_of(name, sums);
    CHECK(rate.value == 0.75);
    CHECK(rate.low == Approx(0.75 - width));
    CHECK(rate.high == 1);
  }
}

TEST_CASE("one bad logit anywhere in a window makes the window invalid") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  LossSums sums;
  const Values z(6, 0.0F);
  for (std::size_t at = 0; at < 6; ++at) {
    Values y(z);
    y[at] = nan;
    add_sample(sums, z, y, 2, std::vector<std::int64_t>{0, 1, -1});
  }
  CHECK(sums.samples == 6);
  CHECK(sums.invalid == 6);
  CHECK(sums.positions == 0);
  CHECK(sums.kl == 0);
}
