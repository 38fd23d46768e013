#include "quant/site_quantizer.hpp"

#include <cmath>
#include <limits>

#include "core/rng.hpp"
#include "quant/observers/channel_observer.hpp"
#include "tests/catch.hpp"

using namespace bitplan;

namespace {

std::vector<float> normal(std::size_t count) {
  Rng rng(9, "site_quantizer_test");
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(rng.normal() * (1 + 5 * rng.unit()));
  return values;
}

std::vector<float> quantized(const SiteQuantizer& q, std::vector<float> x) {
  std::vector<float> out(x.size());
  fake_quantize(q, x, out);
  fake_quantize(q, x, x);
  CHECK(x == out);  // in place is the same
  return out;
}

Choice activation(const std::string& text) {
  return parse_choice(text, ChoiceDefaults::activations(), ChoiceDefaults::activations());
}

}  // namespace

TEST_CASE("a token is quantized from its own smallest and largest value, as the minmax observer says") {
  for (const std::size_t length : {1U, 5U, 16U, 37U, 64U}) {
    const auto x = normal(length * 12);
    for (const bool symmetric : {false, true}) {
      const auto tokens =
          token_quantizers({.name = "minmax"}, x, static_cast<std::int64_t>(length), 4, symmetric, symmetric);
      std::vector<float> expected(x.size());
      fake_quantize_parts(tokens, static_cast<std::int64_t>(length), x, expected);
      SiteQuantizer q{.kind = Granularity::Kind::token, .channels = static_cast<std::int64_t>(length), .bits = 4};
      q.symmetric = q.narrow = symmetric;
      CHECK(quantized(q, x) == expected);
    }
  }
}

TEST_CASE("a token of an image is what the channels hold at one place") {
  const std::int64_t channels = 20, inner = 6;
  const auto x = normal(3 * 20 * 6);
  const SiteQuantizer images{
      .kind = Granularity::Kind::token, .axis = 1, .channels = channels, .inner = inner, .bits = 3};
  const SiteQuantizer rows{.kind = Granularity::Kind::token, .channels = channels, .bits = 3};
  const auto made = quantized(images, x);
  for (std::size_t image = 0; image < 3; ++image)
    for (std::size_t i = 0; i < 6; ++i) {
      std::vector<float> token, of_image;
      for (std::size_t c = 0; c < 20; ++c) token.push_back(x[(image * 20 + c) * 6 + i]);
      for (std::size_t c = 0; c < 20; ++c) of_image.push_back(made[(image * 20 + c) * 6 + i]);
      CHECK(quantized(rows, token) == of_image);
    }
}

TEST_CASE("float channels stay as they are and do not widen the range of a token") {
  const std::int64_t channels = 9;
  auto x = normal(9 * 8);
  for (std::size_t i = 0; i < x.size(); i += 9) x[i + 2] *= 1000, x[i + 8] *= -100;
  SiteQuantizer token{.kind = Granularity::Kind::token, .channels = channels, .bits = 8};
  const double without = std::abs(quantized(token, x)[0] - x[0]);
  token.float_channels = {2, 8};
  SiteQuantizer tensor = SiteQuantizer::of(affine_from_range(-9, 9, 8, false, false));
  tensor.channels = channels;
  tensor.float_channels = {2, 8};
  CHECK_FALSE(tensor.is_plain());
  for (const SiteQuantizer& q : {token, tensor}) {
    const auto made = quantized(q, x);
    for (std::size_t i = 0; i < x.size(); ++i)
      if (i % 9 == 2 || i % 9 == 8) CHECK(made[i] == x[i]);
  }
  CHECK(std::abs(quantized(token, x)[0] - x[0]) < 0.01 * without);
  std::vector<float> all(x.size());
  fake_quantize(tensor.parts[0], x, all);
  CHECK(quantized(tensor, x)[3] == all[3]);
}

TEST_CASE("a token with NaN or infinite values becomes NaN, others do not") {
  auto x = normal(40);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  x[27] = std::numeric_limits<float>::infinity();
  std::vector<float> out(40);
  fake_quantize({.kind = Granularity::Kind::token, .channels = 10, .bits = 8}, x, out);
  for (std::size_t i = 0; i < 40; ++i) CHECK(std::isnan(out[i]) == (i < 10 || (i >= 20 && i < 30)));
  const SiteQuantizer zeros{.kind = Granularity::Kind::token, .channels = 4};
  CHECK(quantized(zeros, {0, 0, 0, 0}) == std::vector<float>(4));
}

TEST_CASE("quantizers are told apart by their serial, copies are the same") {
  const SiteQuantizer a = SiteQuantizer::of(Affine()), b = SiteQuantizer::of(Affine()), copy = a;
  CHECK(a.serial != b.serial);
  CHECK(copy.serial == a.serial);
  CHECK(a.is_plain());
}

TEST_CASE("outlier channels are those of the largest magnitude, their share rounded up, of 16 bits each") {
  const std::vector<float> magnitudes{1, 7, 3, 7, 2, 9, 0, 7};
  const auto of = [&](const std::string& text) { return largest_channels(magnitudes, activation(text)); };
  CHECK(of("int8+outliers1") == std::vector<std::int32_t>{5});
  CHECK(of("int8+outliers12.5") == std::vector<std::int32_t>{5});
  CHECK(of("int8+outliers13") == std::vector<std::int32_t>{1, 5});
  CHECK(of("int4:token+outliers50") == std::vector<std::int32_t>{1, 3, 5, 7});
  CHECK(of("int8").empty());
  CHECK(activation_bits(activation("int8"), 800, 8) == 6400);
  CHECK(activation_bits(activation("int8+outliers1"), 800, 8) == 700 * 8 + 100 * 16);
  CHECK(activation_bits(activation("int4:token"), 800, 8) == 3200);
  CHECK(activation_bits(activation("float"), 800, 8) == 25600);
}
