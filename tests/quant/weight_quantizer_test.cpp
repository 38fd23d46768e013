#include "quant/weight_quantizer.hpp"

#include <limits>
#include <set>

#include "core/error.hpp"
#include "quant/ranges/weight_range.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// The definition: part by part, element by element.
QuantizedWeight reference(const std::vector<float>& w, const WeightView& view, const Choice& choice) {
  QuantizedWeight out;
  out.codes.resize(w.size());
  out.values.resize(w.size());
  const auto kind = choice.granularity.kind;
  std::vector<std::vector<std::size_t>> parts;
  if (kind == Granularity::Kind::tensor) {
    parts.emplace_back();
    for (std::size_t i = 0; i < w.size(); ++i) parts.back().push_back(i);
  } else {
    for (std::int64_t c = 0; c < view.channels; ++c) {
      std::int64_t at = 0;
      for (std::int64_t o = 0; o < view.outer; ++o)
        for (std::int64_t i = 0; i < view.inner; ++i, ++at) {
          if (at == 0 || (kind == Granularity::Kind::group && at % choice.granularity.group == 0)) parts.emplace_back();
          parts.back().push_back(static_cast<std::size_t>((o * view.channels + c) * view.inner + i));
        }
    }
  }
  for (const auto& part : parts) {
    std::vector<float> values;
    for (const std::size_t i : part) values.push_back(w[i]);
    const Affine q = weight_quantizer(values, choice);
    out.scales.push_back(q.scale);
    out.zero_points.push_back(q.zero_point);
    fake_quantize_ref(q, values, values);
    for (std::size_t k = 0; k < part.size(); ++k) {
      out.values[part[k]] = values[k];
      out.codes[part[k]] =
          static_cast<std::int16_t>(std::nearbyint(values[k] / q.scale) + static_cast<float>(q.zero_point));
    }
  }
  out.stored_bits = static_cast<std::int64_t>(w.size()) * choice.bits +
                    static_cast<std::int64_t>(parts.size()) * (choice.symmetric ? 32 : 40);
  return out;
}

}  // namespace

TEST_CASE("a weight view puts the channel axis in the middle") {
  const WeightView conv = WeightView::of({8, 3, 5, 5}, 0);
  CHECK((conv.outer == 1 && conv.channels == 8 && conv.inner == 75));
  const WeightView matmul = WeightView::of({10, 4}, 1);
  CHECK((matmul.outer == 10 && matmul.channels == 4 && matmul.inner == 1));
  const WeightView transposed = WeightView::of({3, 8, 5, 5}, 1);
  CHECK((transposed.outer == 3 && transposed.channels == 8 && transposed.inner == 25));
  CHECK(transposed.per_channel() == 75);
  CHECK(transposed.size() == 600);
  const WeightView scalar = WeightView::of({}, 0);
  CHECK(scalar.size() == 1);
}

TEST_CASE("a weight is quantized channel by channel: by hand") {
  const std::vector<float> w{7, -3, 3.4F, 0, 14, -16, 5, 1};  // [2, 4], axis 0
  const auto out = quantize_weight(w, WeightView::of({2, 4}, 0), weight_choice("int4+absmax"));
  CHECK(out.scales == std::vector<float>{1, 16.0F / 7});
  CHECK(out.zero_points == std::vector<std::int32_t>{0, 0});
  CHECK(out.codes == std::vector<std::int16_t>{7, -3, 3, 0, 6, -7, 2, 0});
  CHECK(out.values[2] == 3);
  CHECK(out.stored_bits == 8 * 4 + 2 * 32);
}

TEST_CASE("a weight is quantized column by column when its channel axis is 1: by hand") {
  const std::vector<float> w{7, 70, -3, 30, 2, -14};  // [3, 2], axis 1
  const auto out = quantize_weight(w, WeightView::of({3, 2}, 1), weight_choice("int4+absmax"));
  CHECK(out.scales == std::vector<float>{1, 10});
  CHECK(out.codes == std::vector<std::int16_t>{7, 7, -3, 3, 2, -1});
  CHECK(out.values == std::vector<float>{7, 70, -3, 30, 2, -10});
  CHECK(out.mse == Approx(16.0 / 6));
}

TEST_CASE("groups cut a channel's reduction, the last one may be shorter: by hand") {
  const std::vector<float> w{7,  1, 14, 2,  21,
                             70, 0, 0,  -7, 35};  // [2, 5], groups of 2: (7 1)(14 2)(21) (70 0)(0 -7)(35)
  const auto out = quantize_weight(w, WeightView::of({2, 5}, 0), weight_choice("int4:g2+absmax"));
  CHECK(out.scales == std::vector<float>{1, 2, 3, 10, 1, 5});
  CHECK(out.codes == std::vector<std::int16_t>{7, 1, 7, 1, 7, 7, 0, 0, -7, 7});
  CHECK(out.stored_bits == 10 * 4 + 6 * 32);
}

TEST_CASE("one scale for the whole tensor: by hand") {
  const std::vector<float> w{-7, 1, 3, 5};
  const auto out = quantize_weight(w, WeightView::of({2, 2}, 0), weight_choice("int4:tensor+minmax+affine"));
  CHECK(out.scales == std::vector<float>{12.0F / 15});
  CHECK(out.zero_points == std::vector<std::int32_t>{9});
  CHECK(out.codes == std::vector<std::int16_t>{0, 10, 13, 15});
  CHECK(out.stored_bits == 4 * 4 + 32 + 8);
}

TEST_CASE("affine codes of 8 bits go from 0 to 255") {
  const auto out =
      quantize_weight(std::vector<float>{-1, 0, 254}, WeightView::of({1, 3}, 0), weight_choice("int8+minmax+affine"));
  CHECK(out.codes == std::vector<std::int16_t>{0, 1, 255});
}

TEST_CASE("every integer, granularity, symmetry and range method equals quantization part by part") {
  const std::vector<std::pair<Shape, int>> shapes{{{5, 3, 3, 3}, 0}, {{40, 18}, 1},     {{6, 17, 4}, 1},
                                                  {{33, 7}, 0},      {{4, 1, 3, 3}, 0}, {{1}, 0}};
  for (const auto& [shape, axis] : shapes) {
    const WeightView view = WeightView::of(shape, axis);
    const std::vector<float> w = sample("heavy", static_cast<std::size_t>(view.size()));
    for (const auto& format : formats())
      for (const std::string granularity : {"", ":tensor", ":g4", ":g16", ":g1000"})
        for (const std::string symmetry : {"", "+affine", "+narrow"})
          for (const auto& range : range_methods()) {
            if (!is_plain_integer(format) || !is_plain_range(range)) continue;
            const Choice choice =
                weight_choice(std::string(format.name) + granularity + symmetry + "+" + std::string(range.name));
            const auto out = quantize_weight(w, view, choice), expected = reference(w, view, choice);
            REQUIRE(out.scales == expected.scales);
            REQUIRE(out.zero_points == expected.zero_points);
            REQUIRE(same_bits(out.values, expected.values));
            REQUIRE(out.codes == expected.codes);
            REQUIRE(out.stored_bits == expected.stored_bits);
            REQUIRE(stored_bits(view, choice) == out.stored_bits);
            REQUIRE(code_bits(view, choice) == view.size() * choice.bits);
            REQUIRE(parts_of(view, choice.granularity) == static_cast<std::int64_t>(out.scales.size()));
          }
  }
}

TEST_CASE("codes stay within the levels of their format and reach both ends of its narrow range") {
  std::vector<float> w = sample("gauss", 3000);
  w[7] = 5;
  w[8] = -5;
  for (int bits = 2; bits <= 8; ++bits) {
    const std::string format = "int" + std::to_string(bits);
    const int half = 1 << (bits - 1);
    const auto levels = [&](const std::string& text) {
      const auto out = quantize_weight(w, WeightView::of({1, 3000}, 0), weight_choice(text));
      return std::set<int>(out.codes.begin(), out.codes.end());
    };
    CHECK(*levels(format).begin() >= -half);
    CHECK(*levels(format).rbegin() == half - 1);
    CHECK(*levels(format + "+narrow").begin() == 1 - half);
    CHECK(*levels(format + "+narrow").rbegin() == half - 1);
    const auto affine = levels(format + "+affine+minmax");  // the zero point is rounded: an end may be one step off
    CHECK((*affine.begin() >= 0 && *affine.begin() <= 1));
    CHECK((*affine.rbegin() <= 2 * half - 1 && *affine.rbegin() >= 2 * half - 2));
  }
}

TEST_CASE("more bits have less error, and mse ranges no more than absmax ones") {
  const std::vector<float> w = sample("gauss", 16 * 144);
  const WeightView view = WeightView::of({16, 16, 3, 3}, 0);
  double before = 1e9;
  for (int bits = 2; bits <= 8; ++bits) {
    const std::string format = "int" + std::to_string(bits);
    const double mse = quantize_weight(w, view, weight_choice(format)).mse;
    CHECK(mse < before);
    CHECK(mse <= quantize_weight(w, view, weight_choice(format + "+absmax")).mse);
    before = mse;
  }
}

TEST_CASE("float keeps a weight and counts 32 bits an element") {
  const std::vector<float> w = sample("gauss", 12);
  const WeightView view = WeightView::of({3, 4}, 0);
  const auto out = quantize_weight(w, view, weight_choice("float"));
  CHECK(out.values == w);
  CHECK(out.codes.empty());
  CHECK(out.scales.empty());
  CHECK(out.mse == 0);
  CHECK(out.stored_bits == 12 * 32);
  CHECK(code_bits(view, weight_choice("float")) == 12 * 32);
}

TEST_CASE("an empty weight has no codes, no scales and no bits") {
  for (const std::string text : {"int4", "int4:tensor", "int4:g8+affine", "float"})
    for (const Shape& shape : {Shape{0, 4}, Shape{4, 0}, Shape{0}}) {
      const WeightView view = WeightView::of(shape, 0);
      const auto out = quantize_weight({}, view, weight_choice(text));
      CHECK(out.codes.empty());
      CHECK(out.scales.empty());
      CHECK(out.stored_bits == 0);
      CHECK(stored_bits(view, weight_choice(text)) == 0);
      CHECK(out.mse == 0);
    }
}

TEST_CASE("a channel of zeros has scale 1 and codes 0") {
  const auto out =
      quantize_weight(std::vector<float>{0, -0.0F, 1, -1}, WeightView::of({2, 2}, 0), weight_choice("int4"));
  CHECK(out.scales[0] == 1);
  CHECK(out.codes[0] == 0);
  CHECK(out.values[0] == 0);
  CHECK(out.values[1] == 0);
}

TEST_CASE("NaN and infinite weights are errors that say where") {
  for (const std::string text : {"int4", "int4:tensor+minmax", "int4:g2+percentile", "float"}) {
    std::vector<float> w(12, 1);
    w[5] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_WITH(quantize_weight(w, WeightView::of({3, 4}, 1), weight_choice(text)),
                      "value 5 of 12 is NaN; only finite values can be quantized");
    w[5] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(quantize_weight(w, WeightView::of({3, 4}, 1), weight_choice(text)), InputError);
  }
}
