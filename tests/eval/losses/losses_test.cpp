#include "eval/losses/losses.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "tests/catch.hpp"

using namespace bitplan;

namespace {

using Values = std::vector<float>;

LossSums one(const Values& z, const Values& y, std::int64_t label = -1) {
  LossSums sums;
  add_sample(sums, z, y, label);
  return sums;
}

Loss value_of(std::string_view metric, const LossSums& sums) { return find_metric(metric).value(sums); }

Approx near(double value) { return Approx(value).epsilon(1e-7); }

}  // namespace

TEST_CASE("kl, mse, cosine and nll of two classes are what one computes by hand") {
  // p = (1/4, 3/4), q = (1/2, 1/2)
  const float ln3 = std::log(3.0F);
  const auto sums = one({0, ln3}, {0, 0}, 1);
  CHECK(sums.samples == 1);
  CHECK(sums.kl == near(0.25 * std::log(0.5) + 0.75 * std::log(1.5)));
  CHECK(sums.kl2 == near(sums.kl * sums.kl));
  CHECK(sums.mse == near(std::log(3.0) * std::log(3.0) / 2));
  CHECK(sums.nll == near(std::log(2.0)));
  CHECK(sums.cosine == 0);
  CHECK(sums.signal == near(std::log(3.0) * std::log(3.0)));
  CHECK(sums.noise == near(sums.signal));
  CHECK(one({3, 4}, {4, 3}).cosine == near(24.0 / 25));
}

TEST_CASE("kl does not depend on a shift of the logits and survives logits of any size") {
  const Values z{1, 2, 3}, y{3, 1, 2};
  const double kl = one(z, y).kl;
  CHECK(one({1001, 1002, 1003}, {-997, -999, -998}).kl == near(kl));
  CHECK(one({0, 20000}, {20000, 0}).kl == near(20000));
  CHECK(one({3e38F, -3e38F}, {-3e38F, 3e38F}).kl == near(6e38));
}

TEST_CASE("equal logits have a kl of exactly 0, also with one class") {
  Rng rng(1, "losses_test");
  for (const std::size_t classes : {1, 2, 10, 1000}) {
    Values z(classes);
    for (auto& v : z) v = static_cast<float>(10 * rng.normal());
    const auto sums = one(z, z, 0);
    CHECK(sums.kl == 0);
    CHECK(sums.noise == 0);
    CHECK(sums.cosine == near(1));
    CHECK(sums.agree == 1);
  }
  CHECK(one({5}, {-7}, 0).kl == 0);
  CHECK(one({5}, {-7}, 0).nll == 0);
  CHECK(one({5}, {-7}, 0).top1 == 1);
}

TEST_CASE("kl in one pass equals the definition term by term") {
  Rng rng(2, "losses_test");
  Values z(100), y(100);
  for (auto& v : z) v = static_cast<float>(3 * rng.normal());
  for (std::size_t c = 0; c < y.size(); ++c) y[c] = z[c] + static_cast<float>(0.1 * rng.normal());
  double sum_z = 0, sum_y = 0, kl = 0;
  for (const float v : z) sum_z += std::exp(double{v});
  for (const float v : y) sum_y += std::exp(double{v});
  for (std::size_t c = 0; c < z.size(); ++c) {
    const double p = std::exp(double{z[c]}) / sum_z, q = std::exp(double{y[c]}) / sum_y;
    kl += p * (std::log(p) - std::log(q));
  }
  CHECK(one(z, y).kl == Approx(kl).epsilon(1e-10));
}

TEST_CASE("the cosine is 1 when both vectors are zero and 0 when one is") {
  CHECK(one({0, 0}, {0, 0}).cosine == 1);
  CHECK(one({0, 0}, {1, 0}).cosine == 0);
  CHECK(one({0, 1}, {0, 0}).cosine == 0);
}

TEST_CASE("of equal logits the smaller index ranks first in top1, top5 and agreement") {
  const Values z{1, 1, 1, 1, 1, 1}, reference{0, 1, 0, 0, 0, 0};
  for (std::int64_t label = 0; label < 6; ++label) {
    const auto sums = one(reference, z, label);
    CHECK(sums.labelled == 1);
    CHECK(sums.top1 == (label == 0 ? 1 : 0));
    CHECK(sums.top5 == (label < 5 ? 1 : 0));
    CHECK(sums.agree == 0);
  }
  CHECK(one({2, 2, 0}, {3, 1, 3}, 2).agree == 1);
  CHECK(one({2, 2, 0}, {3, 1, 3}, 2).top1 == 0);
}

TEST_CASE("with fewer than five classes every label is among the five largest") {
  for (std::int64_t label = 0; label < 3; ++label) CHECK(one({0, 1, 2}, {0, 1, 2}, label).top5 == 1);
}

TEST_CASE("a sample without label counts in no metric that needs labels") {
  const auto sums = one({0, 1}, {0, 1});
  CHECK(sums.samples == 1);
  CHECK(sums.labelled == 0);
  for (const auto& metric : metrics()) CHECK(std::isnan(metric.value(sums).value) == metric.needs_labels);
}

TEST_CASE("a NaN or infinite output makes the sample invalid and every metric NaN") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {inf, -inf, nan}) {
    auto sums = one({0, 1}, {0, 1}, 1);
    add_sample(sums, Values{0, 1}, Values{0, bad}, 1);
    add_sample(sums, Values{bad, 1}, Values{0, 1}, 1);
    CHECK(sums.samples == 3);
    CHECK(sums.invalid == 2);
    CHECK(sums.labelled == 1);
    for (const auto& metric : metrics()) {
      CHECK(std::isnan(metric.value(sums).value));
      CHECK(std::isnan(metric.value(sums).low));
      CHECK(std::isnan(objective_loss(metric, sums)));
    }
  }
}

TEST_CASE("metrics of no samples are NaN") {
  for (const auto& metric : metrics()) CHECK(std::isnan(objective_loss(metric, LossSums{})));
}

TEST_CASE("outputs that are no classes have mse, cosine and sqnr_db and no other metric") {
  LossSums sums;
  add_values(sums, Values{3, 4}, Values{4, 3});
  add_values(sums, Values{3, 4}, Values{3, 4});
  CHECK(sums.samples == 2);
  CHECK(sums.mse == 1);
  for (const auto& metric : metrics()) CHECK(std::isnan(metric.value(sums).value) == metric.needs_classes);
}

TEST_CASE("sums add field by field") {
  auto a = one({0, 1, 5}, {1, 0, 2}, 2);
  const auto b = one({3, 1, 0}, {0, 0, 2}, 1);
  LossSums both;
  add_sample(both, Values{0, 1, 5}, Values{1, 0, 2}, 2);
  add_sample(both, Values{3, 1, 0}, Values{0, 0, 2}, 1);
  auto invalid = one({0}, {std::numeric_limits<float>::quiet_NaN()});
  a.add(b);
  CHECK(a == both);
  a.add(invalid);
  CHECK(a.invalid == 1);
  CHECK(a.samples == 3);
}

TEST_CASE("a mean has the normal interval of its samples") {
  // kl of the samples does not matter here: sums as of the values 1, 2, 3, 6: mean 3, s^2 = 14/3
  LossSums sums;
  sums.samples = sums.positions = 4;
  sums.kl = 12;
  sums.kl2 = 50;
  const auto kl = value_of("kl", sums);
  const double half = 1.959963984540054 * std::sqrt(14.0 / 3 / 4);
  CHECK(kl.value == 3);
  CHECK(kl.low == near(3 - half));
  CHECK(kl.high == near(3 + half));
  sums.samples = 1;
  CHECK(std::isinf(value_of("kl", sums).high));
}

TEST_CASE("a rate has the Wilson interval") {
  LossSums sums;
  sums.samples = sums.positions = sums.labelled = sums.predictions = 10;
  sums.top1 = 8;
  sums.top5 = 10;
  // Wilson for 8 of 10, as in R: prop.test(8, 10, correct = FALSE)
  CHECK(value_of("top1", sums).value == 0.8);
  CHECK(value_of("top1", sums).low == Approx(0.4901625).epsilon(1e-6));
  CHECK(value_of("top1", sums).high == Approx(0.9433178).epsilon(1e-6));
  CHECK(value_of("top5", sums).low == Approx(0.7224672).epsilon(1e-6));
  CHECK(value_of("top5", sums).high == 1);
  CHECK(value_of("agreement", sums).low == 0);
}

TEST_CASE("sqnr_db is ten times the decadic logarithm of signal over noise and stays finite") {
  LossSums sums;
  sums.samples = 2;
  sums.signal = 1000;
  sums.noise = 1;
  sums.mse = 0.5;  // samples of 2 elements: noise 0.5 each
  sums.mse2 = 0.125;
  auto sqnr = value_of("sqnr_db", sums);
  CHECK(sqnr.value == near(30));
  CHECK(sqnr.low == near(30));
  CHECK(sqnr.high == near(30));
  sums.mse2 = 0.25;  // all of the noise in one sample: s^2 = 1/8, standard error 1/4, mean 1/4
  sqnr = value_of("sqnr_db", sums);
  CHECK(sqnr.high - sqnr.value == near(1.959963984540054 * 10 / std::log(10.0)));
  CHECK(value_of("sqnr_db", one({1, 2}, {1, 2})).value == 200);
  CHECK(value_of("sqnr_db", one({0, 0}, {1, 2})).value == -200);
}

TEST_CASE("the objective is a loss: maximized metrics are negated") {
  const auto sums = one({0, 1}, {0, 1}, 1);
  CHECK(objective_loss(find_metric("top1"), sums) == -1);
  CHECK(objective_loss(find_metric("kl"), sums) == 0);
  const auto wrong = objective_loss(find_metric("top1"), one({0, 1}, {0, 1}, 0));
  CHECK(wrong == 0);
  CHECK_FALSE(std::signbit(wrong));
}

TEST_CASE("losses are rounded to 20 bits of mantissa, half to even") {
  CHECK(round_to_grid(0.5) == 0.5);
  CHECK(round_to_grid(0) == 0);
  CHECK(round_to_grid(1 + 0x1p-19) == 1 + 0x1p-19);
  CHECK(round_to_grid(1 + 0x1p-20) == 1);
  CHECK(round_to_grid(1 + 0x1.8p-19) == 1 + 0x1p-18);
  CHECK(round_to_grid(-3.0000001) == -3);
  CHECK(std::isnan(round_to_grid(std::numeric_limits<double>::quiet_NaN())));
  CHECK(std::isinf(round_to_grid(std::numeric_limits<double>::infinity())));
}

TEST_CASE("every metric has a name, a summary and a place in the table") {
  std::vector<std::string_view> names;
  for (const auto& metric : metrics()) {
    names.push_back(metric.name);
    CHECK_FALSE(metric.summary.empty());
    CHECK(&find_metric(metric.name) == &metric);
  }
  CHECK(names == std::vector<std::string_view>{"kl", "jsd", "mse", "sqnr_db", "cosine", "top1", "top5", "nll",
                                               "perplexity", "agreement"});
  CHECK_THROWS_WITH(find_metric("accuracy"),
                    "'accuracy' is not a metric; known: kl, jsd, mse, sqnr_db, cosine, top1, top5, nll, "
                    "perplexity, agreement");
  CHECK_THROWS_AS(find_metric(""), InputError);
}
