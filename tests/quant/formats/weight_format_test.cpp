#include "quant/formats/weight_format.hpp"

#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "quant/weight_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

QuantizedWeight of_row(const std::vector<float>& row, const std::string& choice) {
  return quantize_weight(row, WeightView::of({1, static_cast<std::int64_t>(row.size())}, 0), weight_choice(choice));
}

std::int64_t bits(const Shape& shape, const std::string& choice) {
  return stored_bits(WeightView::of(shape, 0), weight_choice(choice));
}

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

/// Every format but float, and those of integers with other ranges, granularity and gain.
std::vector<std::string> all_choices() {
  std::vector<std::string> all{"int4:g5+gain",    "int4+octav",       "int3:g64+pow2_mse", "int4:tensor+lp2.4",
                               "fp8+mse+gain",    "nf4:g5",           "int4+noclip",       "codebook3:channel",
                               "ternary:g7+gain", "vsint4:g5+scale6", "binary:g1000",      "ttq:tensor+gain"};
  for (const auto& format : formats())
    if (format.name != "float") all.emplace_back(format.name);
  return all;
}

}  // namespace

TEST_CASE("stored bits of each kind of format: by hand for a weight [4, 100]") {
  const Shape shape{4, 100};
  CHECK(bits(shape, "int1") == 400 + 4 * (32 + 8));
  CHECK(bits(shape, "int16") == 400 * 16 + 4 * 32);
  CHECK(bits(shape, "int4+pow2") == 400 * 4 + 4 * 8);
  CHECK(bits(shape, "fp8") == 400 * 8 + 4 * 32);
  CHECK(bits(shape, "fp6:tensor") == 400 * 6 + 32);
  CHECK(bits(shape, "nf4") == 400 * 4 + 4 * 2 * 32);
  CHECK(bits(shape, "mxfp4") == 400 * 4 + 4 * 4 * 8);
  CHECK(bits(shape, "mxint8") == 400 * 8 + 4 * 4 * 8);
  CHECK(bits(shape, "nvfp4") == 400 * 4 + 4 * 7 * 8 + 32);
  CHECK(bits(shape, "mx9") == 400 * 8 + 4 * 7 * 8 + 4 * 50);
  CHECK(bits({4, 3}, "mx4") == 12 * 3 + 4 * 8 + 4 * 2);  // a pair and a single value
  CHECK(bits({2, 256}, "mx9") == 512 * 9);
  CHECK(bits({2, 256}, "mx6") == 512 * 6);
  CHECK(bits({2, 256}, "mx4") == 512 * 4);
  CHECK(bits(shape, "vsint4") == 400 * 4 + 4 * 7 * 4 + 4 * 32);
  CHECK(bits(shape, "vsint4+scale6") == 400 * 4 + 4 * 7 * 6 + 4 * 32);
  CHECK(bits(shape, "codebook4") == 400 * 4 + 16 * 32);
  CHECK(bits(shape, "codebook2:channel") == 400 * 2 + 4 * 4 * 32);
  CHECK(bits(shape, "pot4") == 400 * 4 + 4 * 32);
  CHECK(bits(shape, "log4") == 400 * 4 + 4 * 8);
  CHECK(bits(shape, "power4") == 400 * 4 + 4 * 40);
  CHECK(bits(shape, "binary") == 400 + 4 * 32);
  CHECK(bits(shape, "ternary:tensor") == 800 + 32);
  CHECK(bits(shape, "ttq") == 800 + 4 * 64);
}

TEST_CASE("small floats are scaled so that the largest weight is the largest level") {
  const auto out = of_row({12, -3, 0.9F, -6}, "fp4");
  CHECK(out.scales == std::vector<float>{2});
  CHECK(out.values == std::vector<float>{12, -3, 1, -6});
  CHECK(out.codes == std::vector<std::int16_t>{7, 8 + 3, 1, 8 + 5});
  CHECK(out.zero_points.empty());
}

TEST_CASE("an MX block shares the exponent of its largest weight, which may saturate") {
  const auto out = of_row({7.9F, -0.5F, 0.3F, 3.5F}, "mxfp4");  // floor(log2 7.9) = 2 = exponent of 6: scale 1
  CHECK(out.scales == std::vector<float>{1});
  CHECK(out.values == std::vector<float>{6, -0.5F, 0.5F, 4});
  CHECK(of_row({4, 2.5F, -2.5F, 0.25F}, "mxfp4").values == std::vector<float>{4, 2, -2, 0});
  CHECK(of_row({4, 2.5F, -2.5F, 0.25F, -0.75F}, "mxfp4:away").values == std::vector<float>{4, 3, -3, 0.5F, -1});
  CHECK(of_row({1.99F, 0.5F}, "mxint8").values == std::vector<float>{127 / 64.0F, 0.5F});
}

TEST_CASE("NVFP4 blocks have scales that are FP8 multiples of the tensor's") {
  std::vector<float> row(32, 0.5F);
  row[0] = 6 * 448;  // tensor scale 1, block scales 448 and 0.5 / 6 rounded to FP8
  const auto out = of_row(row, "nvfp4");
  CHECK(out.scales == std::vector<float>{448, 0.0859375F});
  CHECK(out.values[0] == 2688);
  CHECK(out.values[1] == 0);
  CHECK(out.values[31] == 6 * 0.0859375F);
}

TEST_CASE("NVFP4 of one level has FP8 scales of blocks, of at least 2^-6, and none of the tensor") {
  std::vector<float> row(32, 0.5F);
  std::fill(row.begin(), row.begin() + 16, 0.003F);
  const auto out = of_row(row, "nvfp4:block");
  CHECK(out.scales == std::vector<float>{0x1p-6F, 0.0859375F});
  CHECK(out.values[0] == 0);
  CHECK(out.values[31] == 6 * 0.0859375F);
}

TEST_CASE("bitsandbytes' FP4 has its own levels and patterns") {
  const auto out = of_row({-12, 0.07F, 0.02F, 2.2F, -2.4F, 3.1F, 4.1F, -6.5F, 8.2F, 12}, "fp4:bnb");
  CHECK(out.scales == std::vector<float>{12});
  const std::vector<float> twelfths{-12, 0.0625F, 0, 2, -2, 3, 4, -6, 8, 12};
  for (std::size_t i = 0; i < twelfths.size(); ++i) CHECK(out.values[i] == Approx(twelfths[i]));
  CHECK(out.codes == std::vector<std::int16_t>{11, 1, 0, 6, 14, 7, 4, 13, 2, 3});
}

TEST_CASE("micro-exponents: pairs below the block's exponent have half the step") {
  const auto out = of_row({3, 1, 0.7F, -0.3F}, "mx4");  // E = 1, m = 2: steps 1 and 1/2
  CHECK(out.scales == std::vector<float>{1, 0.5F});
  CHECK(out.values == std::vector<float>{3, 1, 0.5F, -0.5F});
  CHECK(out.codes == std::vector<std::int16_t>{3, 1, 1, -1});
}

TEST_CASE("VSQuant: vectors of a channel share a coarse scale") {
  std::vector<float> row(32, 1);
  row[0] = 7 * 15;  // vector scales 15 and 1 / 7: coarse 1, integers 15 and 0
  const auto out = of_row(row, "vsint4");
  CHECK(out.scales == std::vector<float>{15, 0});
  CHECK(out.values[0] == 105);
  CHECK(out.values[31] == 0);
  CHECK(of_row(row, "vsint4+scale10").values[31] == Approx(1).epsilon(0.4));
}

TEST_CASE("logarithmic weights: bounds are geometric means") {
  const auto out = of_row({1, 0.72F, 0.70F, -0.3F, 0.18F, 0.17F}, "log3");  // 1, 1/2, 1/4; 0 below 2^-2.5 = 0.1768
  CHECK(out.values == std::vector<float>{1, 1, 0.5F, -0.25F, 0.25F, 0});
  CHECK(out.codes == std::vector<std::int16_t>{3, 3, 2, -1, 1, 0});
}

TEST_CASE("binary and ternary weights: by hand") {
  CHECK(of_row({1, -2, 3, 0}, "binary").values == std::vector<float>{1.5F, -1.5F, 1.5F, 1.5F});
  const auto ternary = of_row({4, -2, 0.5F, -0.5F, 1}, "ternary");  // threshold 0.7 * 8 / 5 = 1.12; mean of 4 and 2
  CHECK(ternary.values == std::vector<float>{3, -3, 0, 0, 0});
  CHECK(ternary.codes == std::vector<std::int16_t>{1, -1, 0, 0, 0});
  CHECK(ternary.code_book == std::vector<float>{-3, 0, 3});
  const auto two = of_row({4, -2, 0.1F, 2, -0.5F}, "ttq");  // threshold 0.2
  CHECK(two.values == std::vector<float>{3, -1.25F, 0, 3, -1.25F});
  CHECK(two.code_book == std::vector<float>{-1.25F, 0, 3});
}

TEST_CASE("binary:stochastic draws signs whose mean is the weight, within the mean magnitude") {
  std::vector<float> row(20000);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = i % 2 == 0 ? 0.5F : -1.5F;  // a = 1: h = 3/4 and 0
  const auto out = of_row(row, "binary:stochastic");
  CHECK(out.scales == std::vector<float>{1});
  double sum = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    REQUIRE(std::abs(out.values[i]) == 1);
    REQUIRE(out.codes[i] == (out.values[i] > 0 ? 1 : 0));
    if (i % 2 == 0) sum += static_cast<double>(out.values[i]);
    if (i % 2 == 1) REQUIRE(out.values[i] == -1);
  }
  CHECK(sum / 10000 == Approx(0.5).margin(0.03));  // 3 standard deviations
  CHECK(of_row(row, "binary:stochastic").values == out.values);
  row[3] = -1.4999F;  // other weights, other draws
  CHECK(of_row(row, "binary:stochastic").codes != out.codes);
}

TEST_CASE("code books with wmse are pulled by the energy of the inputs, per channel and per tensor") {
  const std::vector<float> row{0, 0.4F, 1, 1.4F};
  const std::vector<float> energy{9, 1, 1, 3};
  const auto weighted =
      quantize_weight(row, WeightView::of({1, 4}, 0), weight_choice("codebook1:channel+wmse"), energy);
  CHECK(weighted.code_book[0] == Approx(0.04));
  CHECK(weighted.code_book[1] == Approx(1.3));
  CHECK(of_row(row, "codebook1:channel").code_book == std::vector<float>{0.2F, 1.2F});
  // [3, 2]: channels along axis 1, so that each row of the tensor is one input
  const std::vector<float> tensor{0, 0.4F, 1, 1.4F, 0.1F, 1.3F};
  const auto whole =
      quantize_weight(tensor, WeightView::of({3, 2}, 1), weight_choice("codebook1+wmse"), std::vector<float>{4, 1, 0});
  CHECK(whole.code_book[0] == Approx(0.2));  // (0 * 4 + .4 * 4) / 8
  CHECK(whole.code_book[1] == Approx(1.2));  // (1 + 1.4) / 2
  CHECK_THROWS_WITH(of_row(row, "codebook1+wmse"), "range wmse needs the energy of the layer's input");
}

TEST_CASE("code books are stored by part, values are their entries") {
  const auto out = quantize_weight(std::vector<float>{1, 2, 1, 2, 5, 6, 6, 5}, WeightView::of({2, 4}, 0),
                                   weight_choice("codebook1:channel"));
  CHECK(out.code_book == std::vector<float>{1, 2, 5, 6});
  CHECK(out.mse == 0);
  CHECK(out.codes == std::vector<std::int16_t>{0, 1, 0, 1, 0, 1, 1, 0});
}

TEST_CASE("powers: the exponent with the least error is taken, so uniform weights stay uniform") {
  CHECK(of_row({1, 2, 3, 4, 5, 6, 7, -7}, "power4").mse == Approx(0).margin(1e-12));
  const auto w = sample("heavy", 4000);
  CHECK(of_row(w, "power4").mse < of_row(w, "int4+absmax+narrow").mse);
}

TEST_CASE("each format keeps zeros, constants, tiny and huge weights finite, whatever the shape") {
  for (const auto& text : all_choices()) {
    const Choice choice = weight_choice(text);
    INFO(text);
    for (const Shape& shape : {Shape{3, 37}, Shape{1, 1}, Shape{5, 2, 3, 3}, Shape{2, 64}})
      for (const float value : {0.0F, 0.3F, -0.3F, 1e-42F, 1e-30F, 1e30F, std::numeric_limits<float>::max()}) {
        const WeightView view = WeightView::of(shape, 0);
        std::vector<float> w(static_cast<std::size_t>(view.size()), value);
        if (w.size() > 2) w[1] = -value / 2;
        const auto out = quantize_weight(w, view, choice);
        REQUIRE(all_finite(out.values));
        REQUIRE(all_finite(out.scales));
        REQUIRE(all_finite(out.code_book));
        REQUIRE(out.values.size() == w.size());
        REQUIRE(out.codes.size() == w.size());
        REQUIRE(out.stored_bits == stored_bits(view, choice));
        if (value == 0) REQUIRE(std::all_of(out.values.begin(), out.values.end(), [](float v) { return v == 0; }));
      }
  }
}

/// The words of every granularity, symmetry and range that the format takes.
std::vector<std::string> every_choice_of(const FormatEntry& format) {
  std::vector<std::string> all;
  for (const std::string cut : {"", ":tensor", ":g7", ":g1000"})
    for (const std::string symmetry : {"", "+affine", "+narrow"})
      for (const auto& range : range_methods()) {
        if (range.method == RangeMethod::wmse) continue;
        const std::string text = std::string(format.name).append(cut).append(symmetry).append("+").append(range.name);
        try {
          weight_choice(text);
          all.push_back(text);
        } catch (const InputError&) {  // words that the format does not take: choice_test.cpp
        }
      }
  return all;
}

TEST_CASE("each format, granularity and range: exact bits and finite values for odd shapes and weights") {
  constexpr float kSizes[] = {0, 1e-40F, 3e-39F, 0.7F, 1e38F};
  for (const auto& format : formats())
    for (const auto& text : every_choice_of(format)) {
      INFO(text);
      const Choice choice = weight_choice(text);
      for (const Shape& shape : {Shape{0, 3}, Shape{3, 0}, Shape{1, 1}, Shape{3, 11}})
        for (const int axis : {0, 1})
          for (const float size : kSizes) {
            const WeightView view = WeightView::of(shape, axis);
            std::vector<float> w = sample("gauss", static_cast<std::size_t>(view.size()), 3);
            for (float& x : w) x = std::clamp(x, -3.0F, 3.0F) * size;
            const auto out = quantize_weight(w, view, choice);
            REQUIRE(out.stored_bits == stored_bits(view, choice));
            REQUIRE(out.stored_bits >= code_bits(view, choice));
            REQUIRE(out.stored_bits <=
                    code_bits(view, choice) + (view.size() + 1) * 64 * (1 << std::min(8, choice.bits)));
            CHECK(all_finite(out.values));
            CHECK(all_finite(out.scales));
            CHECK(all_finite(out.code_book));
            CHECK(std::isfinite(out.mse));
            REQUIRE(out.codes.size() == w.size());
          }
    }
}

TEST_CASE("an empty weight has no bits in any format, NaN and infinity are errors") {
  for (const auto& text : all_choices()) {
    INFO(text);
    const auto out = quantize_weight({}, WeightView::of({0, 4}, 0), weight_choice(text));
    CHECK(out.values.empty());
    CHECK(out.stored_bits == 0);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      CHECK_THROWS_WITH(of_row({1, bad, 2}, text), Catch::Matchers::StartsWith("value 1 of 3 is "));
  }
}

TEST_CASE("a group longer than the reduction is the reduction") {
  const auto w = sample("gauss", 60);
  const WeightView view = WeightView::of({3, 20}, 0);
  for (const std::string format : {"int4", "fp8", "codebook2", "ternary", "vsint4"}) {
    const auto longer = quantize_weight(w, view, weight_choice(format + ":g1000"));
    const auto exact = quantize_weight(w, view, weight_choice(format + ":g20"));
    CHECK(longer.values == exact.values);
    CHECK(longer.stored_bits == exact.stored_bits);
  }
}

TEST_CASE("channels of the other axis are quantized as rows of the transposed weight, in every format") {
  const auto w = sample("heavy", 40 * 24);  // [40, 24]
  std::vector<float> transposed(w.size());
  for (std::size_t r = 0; r < 40; ++r)
    for (std::size_t c = 0; c < 24; ++c) transposed[c * 40 + r] = w[r * 24 + c];
  for (const auto& text : all_choices()) {
    if (weight_choice(text).granularity.kind == Granularity::Kind::tensor) continue;
    INFO(text);
    const auto columns = quantize_weight(w, WeightView::of({40, 24}, 1), weight_choice(text));
    const auto rows = quantize_weight(transposed, WeightView::of({24, 40}, 0), weight_choice(text));
    REQUIRE(columns.scales == rows.scales);
    for (std::size_t r = 0; r < 40; ++r)
      for (std::size_t c = 0; c < 24; ++c) REQUIRE(columns.values[r * 24 + c] == rows.values[c * 40 + r]);
  }
}

TEST_CASE("a channel does not depend on other channels, except for the tensor scale of NVFP4") {
  const auto w = sample("gauss", 2 * 96);
  for (const auto& text : all_choices()) {
    const Choice choice = weight_choice(text);
    if (choice.granularity.kind == Granularity::Kind::tensor || choice.family == FormatFamily::nvfp4) continue;
    INFO(text);
    const auto both = quantize_weight(w, WeightView::of({2, 96}, 0), choice);
    const auto second = of_row({w.begin() + 96, w.end()}, text);
    CHECK(std::equal(second.values.begin(), second.values.end(), both.values.begin() + 96));
  }
}
