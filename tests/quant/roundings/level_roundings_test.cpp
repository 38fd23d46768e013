// Roundings of formats other than integers on a layer's second moments: gptq_levels, train_levels, nupes_levels,
// quantize_billm.

#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.hpp"
#include "quant/formats/power_levels.hpp"
#include "quant/roundings/billm.hpp"
#include "quant/roundings/billm_layer.hpp"
#include "quant/roundings/gptq_levels.hpp"
#include "quant/roundings/level_roundings.hpp"
#include "quant/roundings/level_rows.hpp"
#include "quant/roundings/nupes_levels.hpp"
#include "quant/roundings/power_exponent.hpp"
#include "quant/roundings/roundings.hpp"
#include "quant/roundings/trained_levels.hpp"
#include "tests/catch.hpp"
#include "tests/quant/rounding_samples.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

namespace {

/// Moments of correlated inputs, by group.
LayerMoments moments_of(std::int64_t columns, std::int64_t groups = 1, std::int64_t samples = 100) {
  LayerMoments out;
  out.groups = groups;
  out.columns = columns;
  out.rows = samples;
  for (std::int64_t g = 0; g < groups; ++g)
    out.gram.push_back(SmallProblem(1, columns, 4, 0, false, static_cast<std::uint64_t>(7 + g), samples).gram);
  return out;
}

LayerMoments diagonal(std::int64_t columns, float value) {
  LayerMoments out;
  out.columns = columns;
  out.gram.emplace_back(static_cast<std::size_t>(columns * columns));
  for (std::int64_t c = 0; c < columns; ++c) out.gram[0][static_cast<std::size_t>(c * (columns + 1))] = value;
  return out;
}

/// L by channel, by the definition.
std::vector<double> losses(const std::vector<float>& weights, const std::vector<float>& values, const WeightView& view,
                           const LayerMoments& moments) {
  std::vector<double> out;
  const std::int64_t k = view.per_channel();
  for (std::int64_t c = 0; c < view.channels; ++c) {
    const auto& gram = moments.gram[static_cast<std::size_t>(c * moments.groups / view.channels)];
    std::vector<double> error;
    for (std::int64_t j = 0; j < k; ++j) {
      const auto at = static_cast<std::size_t>((j / view.inner * view.channels + c) * view.inner + j % view.inner);
      error.push_back(static_cast<double>(values[at]) - weights[at]);
    }
    double loss = 0;
    for (std::size_t i = 0; i < error.size(); ++i)
      for (std::size_t j = 0; j < error.size(); ++j) loss += error[i] * gram[i * error.size() + j] * error[j];
    out.push_back(loss);
  }
  return out;
}

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

void check_no_row_worse(const std::vector<double>& after, const std::vector<double>& before) {
  for (std::size_t r = 0; r < after.size(); ++r) REQUIRE(after[r] <= before[r] * (1 + 1e-4) + 1e-7);
}

std::vector<std::string> level_formats() {
  std::vector<std::string> all{"nf4:g5", "fp4:tensor+mse", "codebook3:channel", "ternary:g7+gain", "vsint4:g5+scale6"};
  for (const auto& format : formats())
    if (format.family != FormatFamily::floating && format.family != FormatFamily::integer &&
        format.family != FormatFamily::binary_stochastic)
      all.emplace_back(format.name);
  return all;
}

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

}  // namespace

TEST_CASE("gptq over levels: no row of any format has a larger output error than without, and scales stay") {
  const std::vector<float> w = sample("gauss", 6 * 70);
  const WeightView view = WeightView::of({6, 70}, 0);
  const LayerMoments moments = moments_of(70);
  for (const auto& text : level_formats()) {
    INFO(text);
    const Choice choice = weight_choice(text);
    const QuantizedWeight plain = quantize_weight(w, view, choice), ours = gptq_levels(w, view, choice, moments);
    check_no_row_worse(losses(w, ours.values, view, moments), losses(w, plain.values, view, moments));
    CHECK(sum(losses(w, ours.values, view, moments)) < 0.95 * sum(losses(w, plain.values, view, moments)));
    CHECK(ours.scales == plain.scales);
    CHECK(ours.code_book == plain.code_book);
    CHECK(ours.stored_bits == plain.stored_bits);
    CHECK(ours.mse >= 0);
    CHECK(all_finite(ours.values));
  }
}

TEST_CASE("gptq over levels: a value is that of its code in the format") {
  const std::vector<float> w = sample("gauss", 4 * 64);
  const QuantizedWeight ours = gptq_levels(w, WeightView::of({4, 64}, 0), weight_choice("nf4:g16"), moments_of(64));
  const auto levels = levels_of_format("nf4");
  for (std::size_t i = 0; i < w.size(); ++i)
    REQUIRE(ours.values[i] == ours.scales[i / 16] * levels->values()[static_cast<std::size_t>(ours.codes[i])]);
}

TEST_CASE("gptq over levels with uncorrelated inputs is the nearest level") {
  const std::vector<float> w = sample("heavy", 5 * 48);
  const WeightView view = WeightView::of({5, 48}, 0);
  for (const std::string text : {"mxfp4", "nf4:g16", "fp8", "nvfp4", "mx6", "apot4"}) {
    INFO(text);
    CHECK(gptq_levels(w, view, weight_choice(text), diagonal(48, 2)).values ==
          quantize_weight(w, view, weight_choice(text)).values);
  }
}

TEST_CASE("gptq over levels: threads, tiles, the other axis and groups of a convolution do not matter") {
  const Choice choice = weight_choice("mxfp4");
  const std::vector<float> w = sample("gauss", 140 * 40);
  const LayerMoments moments = moments_of(40);
  const WeightView view = WeightView::of({140, 40}, 0);
  const QuantizedWeight one = gptq_levels(w, view, choice, moments, {}, {.threads = 1});
  CHECK(gptq_levels(w, view, choice, moments, {}, {.threads = 3}).values == one.values);
  std::vector<float> transposed(w.size());
  for (std::size_t r = 0; r < 140; ++r)
    for (std::size_t c = 0; c < 40; ++c) transposed[c * 140 + r] = w[r * 40 + c];
  const QuantizedWeight columns = gptq_levels(transposed, WeightView::of({40, 140}, 1), choice, moments);
  for (std::size_t r = 0; r < 140; ++r)
    for (std::size_t c = 0; c < 40; ++c) REQUIRE(columns.values[c * 140 + r] == one.values[r * 40 + c]);
  const LayerMoments two = moments_of(40, 2);
  const QuantizedWeight grouped = gptq_levels(w, view, choice, two);
  LayerMoments second = moments;
  second.gram[0] = two.gram[1];
  const QuantizedWeight alone = gptq_levels({w.data() + 70 * 40, 70 * 40}, WeightView::of({70, 40}, 0), choice, second);
  CHECK(std::equal(alone.values.begin(), alone.values.end(), grouped.values.begin() + 70 * 40));
}

TEST_CASE("gptq over levels takes importance for wmse, an activation order, and cross moments") {
  const std::vector<float> w = sample("gauss", 4 * 32);
  const WeightView view = WeightView::of({4, 32}, 0);
  LayerMoments moments = moments_of(32);
  std::vector<float> energy;
  for (std::size_t c = 0; c < 32; ++c) energy.push_back(moments.gram[0][c * 33]);
  for (const std::string text : {"fp4+wmse", "fp4:tensor+wmse", "codebook3+wmse"}) {
    const QuantizedWeight plain = quantize_weight(w, view, weight_choice(text), energy);
    const QuantizedWeight ours = gptq_levels(w, view, weight_choice(text), moments, energy, {.activation_order = true});
    CHECK(ours.scales == plain.scales);
    check_no_row_worse(losses(w, ours.values, view, moments), losses(w, plain.values, view, moments));
  }
  CHECK_THROWS_WITH(gptq_levels(w, view, weight_choice("fp4+wmse"), moments),
                    "range wmse needs the energy of the layer's input");
  moments.cross.push_back(moments.gram[0]);
  for (float& c : moments.cross[0]) c *= 0.9F;
  CHECK(all_finite(gptq_levels(w, view, weight_choice("fp4"), moments).values));
}

TEST_CASE("gptq over levels refuses signs drawn at random") {
  CHECK_THROWS_WITH(gptq_levels(std::vector<float>(4, 1), WeightView::of({2, 2}, 0), weight_choice("binary:stochastic"),
                                diagonal(2, 1)),
                    "binary:stochastic draws its signs at random: gptq would choose them");
}

TEST_CASE("trained levels: no row has a larger output error; ttq, ternary, binary and code books gain by it") {
  const std::vector<float> w = sample("heavy", 6 * 60);
  const WeightView view = WeightView::of({6, 60}, 0);
  const LayerMoments moments = moments_of(60);
  for (const std::string text : {"ttq", "ttq:g20", "ttq:tensor", "ternary", "ternary:g7+gain", "binary", "binary:g16",
                                 "codebook3:channel", "codebook2:tensor"}) {
    INFO(text);
    const Choice choice = weight_choice(text);
    const QuantizedWeight plain = quantize_weight(w, view, choice), ours = train_levels(w, view, choice, moments);
    const auto before = losses(w, plain.values, view, moments), after = losses(w, ours.values, view, moments);
    if (choice.granularity.kind != Granularity::Kind::tensor) check_no_row_worse(after, before);
    CHECK(sum(after) < 0.9 * sum(before));
    CHECK(sum(after) <= sum(losses(w, gptq_levels(w, view, choice, moments).values, view, moments)) * (1 + 1e-4));
    CHECK(ours.stored_bits == plain.stored_bits);
    CHECK(ours.scales.size() == plain.scales.size());
    CHECK(ours.code_book.size() == plain.code_book.size());
    CHECK(train_levels(w, view, choice, moments, {}, {.threads = 3}).values == ours.values);
  }
}

TEST_CASE("trained ternary weights with uncorrelated inputs: each scale is the mean of its weights") {
  const std::vector<float> w = sample("heavy", 200);
  const QuantizedWeight ours = train_levels(w, WeightView::of({1, 200}, 0), weight_choice("ttq"), diagonal(200, 3));
  double low = 0, high = 0;
  int lows = 0, highs = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    if (ours.codes[i] < 0) low += w[i], ++lows;
    if (ours.codes[i] > 0) high += w[i], ++highs;
    REQUIRE(ours.values[i] == ours.code_book[static_cast<std::size_t>(ours.codes[i] + 1)]);
  }
  CHECK(ours.code_book[0] == Approx(low / lows).epsilon(1e-3));
  CHECK(ours.code_book[2] == Approx(high / highs).epsilon(1e-3));
}

TEST_CASE("formats without levels of their own are not trained") {
  CHECK_THROWS_WITH(
      train_levels(std::vector<float>(4, 1), WeightView::of({2, 2}, 0), weight_choice("nf4"), diagonal(2, 1)),
      "nf4 has no levels to train; known: binary, ternary, ttq, codebookN");
}

TEST_CASE("nupes: less output error than powerN, and than the best exponent of a search alone") {
  const std::vector<float> w = sample("heavy", 8 * 60);
  const WeightView view = WeightView::of({8, 60}, 0);
  const LayerMoments moments = moments_of(60);
  for (const std::string text : {"power2", "power3", "power4", "power6", "power8"}) {
    INFO(text);
    const Choice choice = weight_choice(text);
    const QuantizedWeight plain = quantize_weight(w, view, choice), ours = nupes_levels(w, view, choice, moments);
    const auto before = losses(w, plain.values, view, moments), after = losses(w, ours.values, view, moments);
    check_no_row_worse(after, before);
    CHECK(sum(after) < 0.5 * sum(before));
    for (const double exponent : searched_exponents())
      CHECK(sum(after) < 0.6 * sum(losses(w, power_quantize(w, 8, choice.bits, exponent).values, view, moments)));
    CHECK(ours.stored_bits == plain.stored_bits);
    CHECK(ours.mse > plain.mse);
    CHECK(nupes_levels(w, view, choice, moments, 0, 3).values == ours.values);
  }
}

TEST_CASE("nupes: codes, scales and levels by row are as powerN has them, on either axis") {
  const std::vector<float> w = sample("gauss", 6 * 30);
  const LayerMoments moments = moments_of(30);
  for (const WeightView view : {WeightView{1, 6, 30}, WeightView{30, 6, 1}, WeightView{5, 6, 6}}) {
    const Choice choice = weight_choice("power4");
    const QuantizedWeight plain = quantize_weight(w, view, choice), ours = nupes_levels(w, view, choice, moments, 0.1);
    CHECK(ours.scales == plain.scales);
    REQUIRE(ours.code_book.size() == 6 * 15);
    CHECK(ours.code_book != plain.code_book);
    for (std::int64_t row = 0; row < 6; ++row)
      for (std::int64_t c = 0; c < 30; ++c) {
        const std::size_t at = element_at(view, row, c);
        const auto level = static_cast<std::size_t>(row * 15 + ours.codes[at] + 7);
        REQUIRE(ours.values[at] == ours.scales[static_cast<std::size_t>(row)] * ours.code_book[level]);
      }
  }
}

TEST_CASE("nupes: each group of a convolution has an exponent of its own, as if it were a layer by itself") {
  const std::vector<float> w = sample("gauss", 8 * 40);
  const LayerMoments two = moments_of(40, 2);
  const Choice choice = weight_choice("power3");
  const QuantizedWeight grouped = nupes_levels(w, WeightView::of({8, 40}, 0, 2), choice, two, 0.1);
  LayerMoments second = moments_of(40);
  second.gram[0] = two.gram[1];
  const QuantizedWeight alone =
      nupes_levels({w.data() + 4 * 40, 4 * 40}, WeightView::of({4, 40}, 0), choice, second, 0.1);
  CHECK(std::equal(alone.values.begin(), alone.values.end(), grouped.values.begin() + 4 * 40));
  CHECK(std::equal(alone.code_book.begin(), alone.code_book.end(), grouped.code_book.begin() + 4 * 7));
}

TEST_CASE("nupes shrinks both moments: inputs without drift give the same weights with cross moments and without") {
  const std::vector<float> w = sample("gauss", 4 * 32);
  const WeightView view = WeightView::of({4, 32}, 0);
  const Choice choice = weight_choice("power3");
  LayerMoments moments = moments_of(32);
  const QuantizedWeight alone = nupes_levels(w, view, choice, moments, 0.5);
  CHECK(sum(losses(w, alone.values, view, moments)) <
        0.95 * sum(losses(w, quantize_weight(w, view, choice).values, view, moments)));
  moments.cross.push_back(moments.gram[0]);
  CHECK(nupes_levels(w, view, choice, moments, 0.5).values == alone.values);
  for (float& c : moments.cross[0]) c *= 0.9F;
  CHECK(nupes_levels(w, view, choice, moments, 0.5).values != alone.values);
}

TEST_CASE("nupes is for powerN by channel") {
  for (const std::string where : {":tensor", ":g16"})
    CHECK_THROWS_WITH(weight_choice("power4" + where + "+nupes"),
                      EndsWith("rounding nupes gives each channel one scale: it needs granularity channel"));
  CHECK_THROWS_WITH(weight_choice("int4+nupes"),
                    "'int4+nupes' is not a choice: rounding nupes is for power2, power3, power4, power6, power8");
  CHECK(weight_choice("power4:channel+nupes").label == "power4+nupes");
}

TEST_CASE("BiLLM passes errors on: less output error than BWN, no row worse than without passing on") {
  const std::vector<float> w = sample("heavy", 8 * 150);
  const WeightView view = WeightView::of({8, 150}, 0);
  const LayerMoments moments = moments_of(150, 1, 400);
  const auto binary = quantize_weight(w, view, weight_choice("binary"));
  for (const bool split : {false, true}) {
    const BillmSettings settings{.block = 64, .split = split};
    const BillmWeight ours = quantize_billm(w, view, moments, settings);
    CHECK(sum(losses(w, ours.weight.values, view, moments)) < 0.5 * sum(losses(w, binary.values, view, moments)));
    CHECK(ours.salient.size() == 4 + 4 + 1);
    CHECK(ours.weight.stored_bits == billm_stored_bits(view, 1, settings));
    CHECK(quantize_billm(w, view, moments, {.block = 64, .split = split, .threads = 3}).weight.values ==
          ours.weight.values);
  }
}

TEST_CASE("BiLLM with one block, uncorrelated inputs and no split is the residual binarisation") {
  const std::vector<float> w = sample("gauss", 5 * 32);
  const BillmWeight ours =
      quantize_billm(w, WeightView::of({5, 32}, 0), diagonal(32, 1), {.block = 32, .salient = 0.125, .split = false});
  const BinaryResidual residual = binarize_with_residual(w, 5, 32, std::vector<double>(32, 1), 4);
  CHECK(std::vector<std::int64_t>(ours.salient.begin(), ours.salient.end()) == residual.salient);
  for (std::size_t i = 0; i < w.size(); ++i) REQUIRE(ours.weight.values[i] == Approx(residual.values[i]).epsilon(1e-5));
}

TEST_CASE("stored bits of BiLLM: by hand") {
  // rows of 150 in blocks of 64, 64 and 22: 4 + 4 + 1 salient columns
  const WeightView view = WeightView::of({8, 150}, 0);
  CHECK(billm_stored_bits(view, 1, {.block = 64, .split = false}) == 8 * (150 + 9 + 3 * 3 * 32) + 150);
  CHECK(billm_stored_bits(view, 1, {.block = 64}) == 8 * (2 * 150 + 3 * 4 * 32) + 150);
  CHECK(billm_stored_bits(view, 2, {.block = 64}) == 8 * (2 * 150 + 3 * 4 * 32) + 300);
  CHECK(billm_stored_bits(WeightView::of({0, 150}, 0), 1) == 0);
  // four columns have no salient one
  CHECK(billm_stored_bits(WeightView::of({2, 4}, 0), 1) == 2 * (2 * 4 + 2 * 32) + 4);
}

TEST_CASE("singular, zero and dead moments: levels, trained levels and BiLLM stay finite and no worse") {
  const std::vector<float> w = sample("gauss", 3 * 20);
  const WeightView view = WeightView::of({3, 20}, 0);
  LayerMoments one_sample = moments_of(20, 1, 1), dead = moments_of(20);
  for (std::size_t c = 0; c < 20; ++c)
    for (const std::size_t at : {5U, 11U}) dead.gram[0][c * 20 + at] = dead.gram[0][at * 20 + c] = 0;
  for (const LayerMoments& moments : {one_sample, dead, diagonal(20, 0)}) {
    for (const std::string text : {"mxfp4", "nf4", "ttq", "binary", "codebook2", "power4", "log3"}) {
      INFO(text);
      const auto before = losses(w, quantize_weight(w, view, weight_choice(text)).values, view, moments);
      const auto ours = gptq_levels(w, view, weight_choice(text), moments);
      CHECK(all_finite(ours.values));
      check_no_row_worse(losses(w, ours.values, view, moments), before);
    }
    for (const std::string text : {"ttq", "ternary:g6", "binary:tensor", "codebook2:channel"}) {
      INFO(text);
      const auto ours = train_levels(w, view, weight_choice(text), moments, {}, {.shrink = 0.1});
      CHECK(all_finite(ours.values));
      CHECK(all_finite(ours.code_book));
      CHECK(sum(losses(w, ours.values, view, moments)) <=
            sum(losses(w, quantize_weight(w, view, weight_choice(text)).values, view, moments)) * (1 + 1e-4) + 1e-7);
    }
    CHECK(all_finite(quantize_billm(w, view, moments).weight.values));
    const auto before = losses(w, quantize_weight(w, view, weight_choice("power4")).values, view, moments);
    const auto nupes = nupes_levels(w, view, weight_choice("power4"), moments, 0.1);
    CHECK(all_finite(nupes.values));
    CHECK(all_finite(nupes.code_book));
    check_no_row_worse(losses(w, nupes.values, view, moments), before);
  }
}

TEST_CASE("singular, zero and dead moments: every rounding of integers stays finite and no worse than nearest") {
  const SmallProblem one_sample(3, 20, 3, 6, true, 1, 1);
  SmallProblem dead(3, 20, 3), zero(3, 20, 3);
  for (std::size_t c = 0; c < 20; ++c)
    for (const std::size_t at : {5U, 11U}) dead.gram[c * 20 + at] = dead.gram[at * 20 + c] = 0;
  std::fill(zero.gram.begin(), zero.gram.end(), 0.0F);
  for (const Rounding& rounding : roundings())
    for (const RoundingProblem* problem :
         {&one_sample.problem, &std::as_const(dead.problem), &std::as_const(zero.problem)}) {
      INFO(rounding.name);
      const RoundedWeight out = round_with(rounding, *problem);
      CHECK(all_finite(out.values));
      CHECK(std::isfinite(out.loss));
      if (rounding.name != "hqq:legacy") CHECK(out.loss <= out.nearest_loss * (1 + 1e-6));
    }
}

TEST_CASE("moments and weights that are not finite are errors of levels, trained levels and BiLLM") {
  const std::vector<float> w(4, 1);
  const WeightView view = WeightView::of({2, 2}, 0);
  LayerMoments bad = diagonal(2, 1), negative = diagonal(2, -1);
  bad.gram[0][1] = std::numeric_limits<float>::quiet_NaN();
  const auto message = "second moment of the inputs [0, 1] is nan; it must be finite";
  CHECK_THROWS_WITH(gptq_levels(w, view, weight_choice("fp4"), bad), message);
  CHECK_THROWS_WITH(train_levels(w, view, weight_choice("ttq"), bad), message);
  CHECK_THROWS_WITH(quantize_billm(w, view, bad), message);
  CHECK_THROWS_WITH(nupes_levels(w, view, weight_choice("power4"), bad), message);
  CHECK_THROWS_WITH(gptq_levels(w, view, weight_choice("fp4"), negative),
                    "the mean square of input channel 0 is negative");
  const std::vector<float> nan{1, std::numeric_limits<float>::infinity(), 1, 1};
  CHECK_THROWS_WITH(gptq_levels(nan, view, weight_choice("fp4"), diagonal(2, 1)), Contains("value 1 of 4 is inf"));
  CHECK_THROWS_WITH(train_levels(nan, view, weight_choice("ttq"), diagonal(2, 1)), Contains("value 1 of 4 is inf"));
  CHECK_THROWS_WITH(quantize_billm(nan, view, diagonal(2, 1)), Contains("value 1 of 4 is inf"));
  CHECK_THROWS_WITH(nupes_levels(nan, view, weight_choice("power4"), diagonal(2, 1)), Contains("value 1 of 4 is inf"));
}

TEST_CASE("weights of zeros, tiny, huge and of no elements: levels, trained levels and BiLLM are finite or say why") {
  for (const float value : {0.0F, 1e-40F, 1e-20F, 1e10F, 1e38F}) {
    std::vector<float> w = sample("gauss", 2 * 33);
    for (float& x : w) x = std::clamp(x, -3.0F, 3.0F) * value;
    const WeightView view = WeightView::of({2, 33}, 0);
    const LayerMoments moments = moments_of(33);
    const auto checked = [&](auto make) {
      try {
        const QuantizedWeight made = make();
        REQUIRE(all_finite(made.values));
        REQUIRE(all_finite(made.scales));
      } catch (const InputError& error) {
        CHECK_THAT(error.what(), Contains("too large for float32"));
        CHECK(value > 1e9F);
      }
    };
    for (const auto& text : level_formats()) {
      INFO(text << " of weights of size " << value);
      checked([&] { return gptq_levels(w, view, weight_choice(text), moments); });
    }
    for (const std::string text : {"ttq", "ternary:g7", "binary", "codebook2:channel"})
      checked([&] { return train_levels(w, view, weight_choice(text), moments); });
    checked([&] { return quantize_billm(w, view, moments).weight; });
    for (const std::string text : {"power2", "power8"})
      checked([&] { return nupes_levels(w, view, weight_choice(text), moments); });
  }
  const WeightView none = WeightView::of({0, 5}, 0);
  CHECK(gptq_levels({}, none, weight_choice("fp4"), diagonal(5, 1)).values.empty());
  CHECK(train_levels({}, none, weight_choice("ttq"), diagonal(5, 1)).values.empty());
  CHECK(quantize_billm({}, none, diagonal(5, 1)).weight.values.empty());
  CHECK(nupes_levels({}, none, weight_choice("power4"), diagonal(5, 1)).values.empty());
}

TEST_CASE("a stop signal ends the roundings of other formats") {
  const WeightView view{1, 4, 12};
  const std::vector<float> weights = sample("gauss", static_cast<std::size_t>(view.size()), 5);
  for (const auto& rounding : level_roundings()) {
    const char* format = rounding.name == "nupes" ? "power4:channel" : "binary";
    const Choice choice = parse_choice(std::string(format) + "+" + std::string(rounding.name), {}, {});
    CAPTURE(choice.label);
    std::atomic<bool> stop = true;
    CHECK_THROWS_AS(rounding.round(weights, view, choice, moments_of(12), {}, 0.1, 1, &stop), Interrupted);
    stop = false;
    CHECK_NOTHROW(rounding.round(weights, view, choice, moments_of(12), {}, 0.1, 1, &stop));
  }
}
