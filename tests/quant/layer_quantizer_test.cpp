#include "quant/layer_quantizer.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <set>

#include "core/error.hpp"
#include "quant/formats/levels.hpp"
#include "quant/roundings/level_roundings.hpp"
#include "quant/roundings/roundings.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;
using Catch::Matchers::Contains;

namespace {

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

/// Nothing for roundings that the format, its grid or granularity does not take.
std::optional<Choice> choice_if_any(const std::string& text) {
  try {
    return weight_choice(text);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

std::vector<std::string> every_rounding() {
  std::set<std::string> names;
  for (const auto& rounding : roundings()) names.emplace(rounding.name);
  for (const auto& rounding : level_roundings()) names.emplace(rounding.name);
  return {names.begin(), names.end()};
}

Choice with_nearest(Choice choice) {
  choice.rounding = "nearest";
  return choice;
}

bool looks_at_data(const Choice& choice) { return !choice.is_integer() || find_rounding(choice.rounding).needs_gram; }

/// The value of an integer's code, as QuantizedWeight documents its arrays.
float value_of(const SampleLayer& layer, const Choice& choice, const QuantizedWeight& q, std::int64_t c,
               std::int64_t j) {
  const std::int64_t k = layer.view.per_channel();
  const std::int64_t run =
      choice.granularity.kind == Granularity::Kind::group ? std::min<std::int64_t>(choice.granularity.group, k) : k;
  const bool tensor = choice.granularity.kind == Granularity::Kind::tensor;
  const auto part = static_cast<std::size_t>(tensor ? 0 : c * ((k + run - 1) / run) + j / run);
  const float zero = q.offsets.empty() ? static_cast<float>(q.zero_points.at(part)) : q.offsets.at(part);
  const float value = q.scales.at(part) * (static_cast<float>(q.codes[layer.at(c, j)]) - zero);
  return q.column_scales.empty() ? value : value / q.column_scales.at(static_cast<std::size_t>(j));
}

void check_values_are_those_of_codes(const SampleLayer& layer, const Choice& choice, const QuantizedWeight& q) {
  const int half = 1 << (choice.bits - 1);
  const int low = choice.symmetric ? -half + (choice.narrow ? 1 : 0) : 0,
            high = low + 2 * half - 1 - (choice.narrow ? 1 : 0);
  REQUIRE(static_cast<std::int64_t>(q.scales.size()) == parts_of(layer.view, choice.granularity));
  REQUIRE((q.offsets.empty() ? q.zero_points.size() : q.offsets.size()) == q.scales.size());
  for (const std::int32_t zero : q.zero_points) REQUIRE((choice.symmetric ? zero == 0 : zero >= low && zero <= high));
  for (std::int64_t c = 0; c < layer.view.channels; ++c)
    for (std::int64_t j = 0; j < layer.view.per_channel(); ++j) {
      const std::size_t at = layer.at(c, j);
      REQUIRE(q.codes[at] >= low);
      REQUIRE(q.codes[at] <= high);
      if (!std::ranges::count(q.float_columns, static_cast<std::int32_t>(j)))
        REQUIRE(q.values[at] == value_of(layer, choice, q, c, j));
      else
        REQUIRE(q.values[at] == Approx(layer.weights[at]).epsilon(1.0 / 2048).margin(3e-8));
    }
}

void check_same(const QuantizedWeight& a, const QuantizedWeight& b) {
  REQUIRE(a.codes == b.codes);
  REQUIRE(same_bits(a.values, b.values));
  REQUIRE(same_bits(a.scales, b.scales));
  REQUIRE(a.zero_points == b.zero_points);
  REQUIRE(same_bits(a.offsets, b.offsets));
  REQUIRE(same_bits(a.code_book, b.code_book));
  REQUIRE(same_bits(a.column_scales, b.column_scales));
  REQUIRE(a.float_columns == b.float_columns);
  REQUIRE(same_bits(a.bias, b.bias));
}

/// Means of the output error by channel.
std::vector<double> mean_errors(const SampleLayer& layer, const std::vector<float>& values) {
  std::vector<double> out;
  for (std::int64_t c = 0; c < layer.view.channels; ++c) {
    const auto& mean = layer.moments.mean[static_cast<std::size_t>(c * layer.view.groups / layer.view.channels)];
    double sum = 0;
    for (std::int64_t j = 0; j < layer.view.per_channel(); ++j)
      sum += (static_cast<double>(layer.weights[layer.at(c, j)]) - values[layer.at(c, j)]) *
             mean[static_cast<std::size_t>(j)];
    out.push_back(sum);
  }
  return out;
}

}  // namespace

TEST_CASE("every rounding of integers: no output error above nearest rounding's, and values are those of codes") {
  int taken = 0;
  for (const SampleLayer& layer : sample_layers())
    for (const auto& rounding : roundings())
      for (const std::string text : {"int3", "int3:tensor", "int2:g7+affine+minmax", "int4+narrow", "int1:g7"}) {
        const auto choice = choice_if_any(text + "+" + std::string(rounding.name));
        if (!choice) continue;
        INFO(layer.name << ' ' << choice->label);
        const QuantizedWeight ours = layer.as(*choice), nearest = layer.as(with_nearest(*choice));
        ++taken;
        CHECK(ours.stored_bits == stored_bits(layer.view, *choice));
        check_values_are_those_of_codes(layer, *choice, ours);
        if (looks_at_data(*choice)) CHECK(layer.error(ours.values) <= layer.error(nearest.values) * (1 + 1e-5));
        const bool moves_groups = rounding.name == "gptq" && choice->granularity.kind == Granularity::Kind::group;
        if (rounding.grid == Rounding::Grid::kept && !moves_groups) CHECK(same_bits(ours.scales, nearest.scales));
      }
  CHECK(taken > 200);
}

TEST_CASE("every rounding of other formats: no output error above nearest rounding's, all stored bits counted") {
  int taken = 0;
  for (const SampleLayer& layer : sample_layers())
    for (const auto& format : formats())
      for (const auto& rounding : level_roundings()) {
        if (format.family == FormatFamily::integer) continue;
        const auto choice = choice_if_any(std::string(format.name) + "+" + std::string(rounding.name));
        if (!choice) continue;
        INFO(layer.name << ' ' << choice->label);
        const QuantizedWeight ours = layer.as(*choice);
        ++taken;
        CHECK(layer.error(ours.values) <= layer.error(layer.as(with_nearest(*choice)).values) * (1 + 1e-5));
        CHECK(ours.stored_bits == stored_bits(layer.view, *choice));
        CHECK(all_finite(ours.values));
      }
  CHECK(taken > 5 * 20);
}

TEST_CASE("groups of a convolution with ranges by input energy: every rounding starts from the group's own ranges") {
  for (const SampleLayer& layer : sample_layers())
    for (const std::string text : {"int3:g4+wmse", "fp4:g4+wmse", "codebook2:channel+wmse", "int3:tensor+wmse"})
      for (const auto& name : every_rounding()) {
        const auto choice = choice_if_any(text + "+" + name);
        if (!choice || !looks_at_data(*choice)) continue;
        INFO(layer.name << ' ' << choice->label);
        CHECK(layer.error(layer.as(*choice).values) <=
              layer.error(layer.as(with_nearest(*choice)).values) * (1 + 1e-5));
      }
}

TEST_CASE("what is asked besides a format leaves the format's values as they are without it") {
  for (const SampleLayer& layer : sample_layers())
    for (const auto& format : formats()) {
      if (format.family == FormatFamily::floating) continue;
      INFO(layer.name << ' ' << format.name);
      const QuantizedWeight plain = layer.as(std::string(format.name)),
                            biased = layer.as(std::string(format.name) + "+bias");
      // The k-means of one code book for all starts from the order of the weights.
      if (format.family == FormatFamily::codebook && layer.view.outer > 1) continue;
      CHECK(same_bits(plain.values, biased.values));
      CHECK(plain.codes == biased.codes);
      CHECK(same_bits(plain.scales, biased.scales));
    }
}

TEST_CASE("hqq looks at no data: the same weight with a bias besides and without") {
  for (const SampleLayer& layer : sample_layers())
    for (const std::string name : {"hqq", "hqq:grid", "hqq:alternating", "hqq:legacy"}) {
      LayerWeight alone = layer.layer();
      alone.moments = nullptr;
      CHECK_FALSE(weight_choice("int3:g5+" + name).needs_data());
      check_same(quantize_layer(alone, weight_choice("int3:g5+" + name)), layer.as("int3:g5+" + name));
      CHECK(same_bits(layer.as("int3:g5+" + name).values, layer.as("int3:g5+" + name + "+bias").values));
    }
}

TEST_CASE("the bias gives the channels' means back and never raises the output error") {
  for (const SampleLayer& layer : sample_layers())
    for (const std::string text : {"int2", "int3:g5+gptq", "nf4", "int3+hqq", "int3+outliers10", "int3+awq"}) {
      INFO(layer.name << ' ' << text);
      const QuantizedWeight out = layer.as(text + "+bias");
      const std::vector<double> errors = mean_errors(layer, out.values);
      REQUIRE(out.bias.size() == errors.size());
      for (std::size_t c = 0; c < errors.size(); ++c)
        CHECK(out.bias[c] == Approx(errors[c]).epsilon(1e-4).margin(1e-5));
      const double taken = std::inner_product(errors.begin(), errors.end(), errors.begin(), 0.0);
      const double without = layer.error(out.values), with = layer.error(out.values, true);
      CHECK(with <= without);
      CHECK(with == Approx(without - taken).epsilon(1e-3).margin(1e-4));
      CHECK(out.stored_bits == layer.as(text).stored_bits + 32 * layer.view.channels);
    }
}

TEST_CASE("gain is taken by row, and only where the output error is smaller") {
  bool taken = false, refused = false;
  for (const SampleLayer& layer : sample_layers())
    for (const std::string text : {"int2", "int2:g5", "int3:tensor", "fp4:g5", "ternary", "binary:g5"}) {
      INFO(layer.name << ' ' << text);
      const QuantizedWeight plain = layer.as(text), ours = layer.as(text + "+gain");
      const QuantizedWeight always = quantize_weight(layer.weights, layer.view, weight_choice(text + "+gain"));
      CHECK(layer.error(ours.values) <= layer.error(plain.values) * (1 + 1e-6));
      CHECK(layer.error(ours.values) <= layer.error(always.values) * (1 + 1e-6));
      for (std::int64_t c = 0; c < layer.view.channels; ++c) {
        const auto is = [&](const QuantizedWeight& other) {
          for (std::int64_t j = 0; j < layer.view.per_channel(); ++j)
            if (ours.values[layer.at(c, j)] != other.values[layer.at(c, j)]) return false;
          return true;
        };
        REQUIRE((is(plain) || is(always)));
        taken = taken || !is(plain);
        refused = refused || !is(always);
      }
    }
  CHECK(taken);
  CHECK(refused);
}

TEST_CASE("gain and a rounding together are no worse than either") {
  for (const SampleLayer& layer : sample_layers())
    for (const std::string text : {"fp4:g5", "nf4", "ternary:g5", "binary"}) {
      INFO(layer.name << ' ' << text);
      const double both = layer.error(text + "+gain+gptq");
      CHECK(both <= layer.error(text + "+gain") * (1 + 1e-5));
      CHECK(both <= layer.error(text + "+gptq") * (1 + 1e-5));
    }
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const SampleLayer few("few samples", {1, 4, 5, 1}, 3, seed);
    CHECK(few.error("int2+gain+gptq") <= few.error("int2+gain") * (1 + 1e-5));
  }
}

TEST_CASE("awq is never worse than without, and helps where few inputs are large") {
  for (const SampleLayer& layer : sample_layers())
    for (const std::string text :
         {"int3", "int3:g5+affine", "int3:tensor", "nf4", "int3+wmse", "fp4+wmse", "int3+outliers10"}) {
      INFO(layer.name << ' ' << text);
      const QuantizedWeight ours = layer.as(text + "+awq");
      CHECK(layer.error(ours.values) <= layer.error(text) * (1 + 1e-5));
      CHECK(ours.column_scales.size() ==
            (layer.view.groups > 1 ? 0 : static_cast<std::size_t>(layer.view.per_channel())));
      CHECK(ours.stored_bits == stored_bits(layer.view, weight_choice(text + "+awq")));
      if (ours.codes.size() == ours.values.size() && weight_choice(text).is_integer())
        check_values_are_those_of_codes(layer, weight_choice(text + "+awq"), ours);
    }
  // Ranges by input energy: that of the inputs which the scaled weight meets.
  for (std::uint64_t seed = 2; seed < 22; ++seed) {
    const SampleLayer other("Gemm", WeightView{1, 3, 17, 1}, 90, seed);
    for (const std::string text : {"int2:tensor+wmse", "int3+wmse", "fp4+wmse"})
      CHECK(other.error(text + "+awq") <= other.error(text) * (1 + 1e-5));
  }
  const SampleLayer layer("Gemm", WeightView{1, 16, 35, 1}, 300);
  CHECK(layer.error("int3+awq") < 0.9 * layer.error("int3"));
}

TEST_CASE("grouped convolutions have no column scales, and their stored bits have none") {
  const SampleLayer grouped("grouped", WeightView{1, 6, 18, 2});
  CHECK(stored_bits(grouped.view, weight_choice("int4+awq")) == stored_bits(grouped.view, weight_choice("int4")));
  const SampleLayer plain("plain", WeightView{1, 6, 18, 1});
  CHECK(stored_bits(plain.view, weight_choice("int4+awq")) == stored_bits(plain.view, weight_choice("int4")) + 32 * 18);
}

TEST_CASE("columns in float are those of the largest inputs, in half precision, and are worth it") {
  for (const SampleLayer& layer : sample_layers())
    for (const std::string text :
         {"int3", "int3+gptq", "int3+gptq:descent", "int3+hqq", "nf4", "binary:g5", "int3+awq", "binary+gptq"}) {
      INFO(layer.name << ' ' << text);
      const QuantizedWeight ours = layer.as(text + "+outliers10");
      const auto k = static_cast<std::size_t>(layer.view.per_channel());
      REQUIRE(ours.float_columns.size() == (k + 9) / 10);
      CHECK(std::ranges::is_sorted(ours.float_columns));
      std::vector<float> largest(k);
      for (const auto& group : layer.moments.abs_max)
        for (std::size_t j = 0; j < k; ++j) largest[j] = std::max(largest[j], group[j]);
      for (std::size_t j = 0; j < k; ++j)
        for (const auto kept : ours.float_columns)
          if (!std::ranges::count(ours.float_columns, static_cast<std::int32_t>(j)))
            CHECK(largest[j] <= largest[static_cast<std::size_t>(kept)]);
      for (const auto kept : ours.float_columns)
        for (std::int64_t c = 0; c < layer.view.channels; ++c) {
          const float w = layer.weights[layer.at(c, kept)], half = ours.values[layer.at(c, kept)];
          CHECK(std::abs(half - w) <= std::ldexp(1.0F, std::ilogb(w) - 11));
          CHECK(std::ldexp(half, 10 - std::ilogb(half)) == std::nearbyint(std::ldexp(half, 10 - std::ilogb(half))));
        }
      CHECK(ours.stored_bits == stored_bits(layer.view, weight_choice(text + "+outliers10")));
      CHECK(layer.error(ours.values) < layer.error(text));
      if (weight_choice(text).is_integer())
        check_values_are_those_of_codes(layer, weight_choice(text + "+outliers10"), ours);
    }
}

TEST_CASE("roundings do not make up for errors with weights that are kept in float") {
  for (const SampleLayer& layer : sample_layers())
    for (const std::string text : {"int2", "int2:g5+affine", "fp4", "ternary"})
      for (const auto& name : every_rounding()) {
        const auto choice = choice_if_any(text + "+" + name + "+outliers20");
        if (!choice || !looks_at_data(*choice)) continue;
        INFO(layer.name << ' ' << choice->label);
        // What half precision leaves of the columns in float is no rounding's doing.
        CHECK(layer.error(layer.as(*choice).values) <=
              layer.error(layer.as(with_nearest(*choice)).values) * (1 + 5e-3));
      }
}

TEST_CASE("numbers beyond half precision are its largest, small ones its subnormals") {
  SampleLayer layer("Gemm", WeightView{1, 2, 4, 1});
  layer.moments.abs_max[0] = {1, 1, 9, 9};
  layer.weights = {1, -1, 1e6F, 1e-7F, 0.5F, 1, 0, -3e-8F};
  const QuantizedWeight out = layer.as("int4+outliers50");
  CHECK(out.float_columns == std::vector<std::int32_t>{2, 3});
  CHECK(out.values[2] == 65504.0F);
  CHECK(out.values[3] == std::ldexp(2.0F, -24));
  CHECK(out.values[6] == 0);
  CHECK(out.values[7] == std::ldexp(-1.0F, -24));
}

TEST_CASE("with cross moments roundings and biases answer to the drift of the inputs") {
  SampleLayer layer("Gemm", WeightView{1, 6, 17, 1});
  std::vector<float> x = layer.inputs(5, 90), xq = x;
  for (std::size_t i = 0; i < xq.size(); ++i) xq[i] = std::nearbyint(2 * x[i]) / 2 - (i % 17 < 4 ? 0.3F : 0.0F);
  GramAccumulator sums(17, true, 1);
  sums.add(xq, x);
  layer.moments.gram = {sums.gram()};
  layer.moments.cross = {sums.cross()};
  layer.moments.mean = {sums.mean()};
  GramAccumulator floats(17, false, 1);
  floats.add(x);
  layer.moments.float_mean = {floats.mean()};
  // The definition, over the samples.
  const auto error_of = [&](const std::vector<float>& values, const std::vector<float>& bias) {
    double all = 0;
    for (std::size_t t = 0; t < x.size(); t += 17)
      for (std::size_t r = 0; r < 6; ++r) {
        double error = bias.empty() ? 0 : bias[r];
        for (std::size_t c = 0; c < 17; ++c)
          error += static_cast<double>(values[r * 17 + c]) * xq[t + c] -
                   static_cast<double>(layer.weights[r * 17 + c]) * x[t + c];
        all += error * error;
      }
    return all / 90;
  };
  for (const std::string name : {"nearest", "gptq", "gptq:descent", "descent", "adaround", "flexround", "signround"}) {
    INFO(name);
    const QuantizedWeight ours = layer.as("int3+" + name + "+bias");
    const double base = error_of(layer.weights, {});
    CHECK(layer.error(ours.values) == Approx(error_of(ours.values, {}) - base).epsilon(1e-3).margin(1e-3));
    CHECK(layer.error(ours.values, true) == Approx(error_of(ours.values, ours.bias) - base).epsilon(1e-3).margin(1e-3));
    CHECK(error_of(ours.values, {}) <= error_of(layer.as("int3").values, {}) * (1 + 1e-5));
    CHECK(error_of(ours.values, ours.bias) <= error_of(ours.values, {}) * (1 + 1e-6));
  }
}

TEST_CASE("fewer positions than columns do not let a shrunk Gram matrix pull weights to 0 where inputs drift") {
  SampleLayer layer("Gemm", WeightView{1, 4, 12, 1}, 3);
  for (const char* choice : {"int3+gptq:descent", "ttq+trained"}) {
    layer.moments.cross = layer.moments.gram;  // no drift: the same weights as without
    const QuantizedWeight with = layer.as(choice);
    layer.moments.cross.clear();
    CHECK(same_bits(with.values, layer.as(choice).values));
  }
}

TEST_CASE("one sample, inputs of 0 and dead columns give finite weights that are no worse than nearest") {
  std::vector<SampleLayer> layers;
  layers.emplace_back("one sample", WeightView{1, 4, 12, 1}, 1);
  layers.emplace_back("one sample, groups", WeightView{1, 4, 12, 2}, 1);
  layers.emplace_back("zero", WeightView{1, 4, 12, 1});
  for (auto* all : {&layers[2].moments.gram, &layers[2].moments.mean, &layers[2].moments.float_mean,
                    &layers[2].moments.abs_mean, &layers[2].moments.abs_max})
    std::fill(all->front().begin(), all->front().end(), 0.0F);
  layers.emplace_back("dead columns", WeightView{1, 4, 12, 1});
  for (std::size_t c = 0; c < 12; ++c)
    for (const std::size_t dead : {2U, 7U})
      layers[3].moments.gram[0][c * 12 + dead] = layers[3].moments.gram[0][dead * 12 + c] = 0;
  for (const std::size_t dead : {2U, 7U})
    layers[3].moments.abs_mean[0][dead] = layers[3].moments.abs_max[0][dead] = layers[3].moments.mean[0][dead] =
        layers[3].moments.float_mean[0][dead] = 0;
  for (const SampleLayer& layer : layers)
    for (const std::string text : {"int3:g5", "int2+affine", "fp4", "ttq", "binary", "codebook2:channel"})
      for (const auto& name : every_rounding())
        for (const std::string besides : {"+bias", "+awq+outliers10+bias"}) {
          const auto choice = choice_if_any(text + "+" + name + besides);
          if (!choice) continue;
          INFO(layer.name << ' ' << choice->label);
          const QuantizedWeight ours = layer.as(*choice);
          CHECK(all_finite(ours.values));
          CHECK(all_finite(ours.scales));
          CHECK(all_finite(ours.bias));
          CHECK(all_finite(ours.column_scales));
          CHECK(std::isfinite(ours.mse));
          if (besides == "+bias" && looks_at_data(*choice))
            CHECK(layer.error(ours.values, choice->is_integer()) <=
                  layer.error(layer.as(with_nearest(*choice)).values, choice->is_integer()) * (1 + 1e-5) + 1e-6);
        }
}

TEST_CASE("rows of zeros, constant rows and weights of zeros keep every part of a choice finite") {
  SampleLayer layer("Gemm", WeightView{1, 4, 12, 1});
  std::fill_n(layer.weights.begin(), 12, 0.0F);
  std::fill_n(layer.weights.begin() + 12, 12, 0.7F);
  SampleLayer zeros = layer;
  std::fill(zeros.weights.begin(), zeros.weights.end(), 0.0F);
  for (const SampleLayer* each : {&std::as_const(layer), &std::as_const(zeros)})
    for (const std::string text : {"int3", "int3:g5+affine", "fp4", "ttq", "binary"})
      for (const auto& name : every_rounding()) {
        const auto choice = choice_if_any(text + "+" + name + "+gain+awq+bias");
        if (!choice) continue;
        INFO(choice->label);
        const QuantizedWeight ours = each->as(*choice);
        CHECK(all_finite(ours.values));
        CHECK(all_finite(ours.scales));
        CHECK(all_finite(ours.bias));
        if (each == &zeros) CHECK(std::ranges::count(ours.values, 0.0F) == 48);
      }
}

TEST_CASE("threads do not matter to any part of a choice") {
  for (const SampleLayer& layer : sample_layers())
    for (const std::string text : {"int3:g5", "nf4", "ttq", "binary"})
      for (const auto& name : every_rounding()) {
        const auto choice = choice_if_any(text + "+" + name + "+awq+outliers10+bias");
        if (!choice) continue;
        INFO(layer.name << ' ' << choice->label);
        check_same(layer.as(*choice, 1), layer.as(*choice, 3));
      }
}

TEST_CASE("MatMul's weight is quantized as the same weight of Gemm") {
  const SampleLayer rows("Gemm", WeightView{1, 6, 17, 1});
  SampleLayer columns("MatMul", WeightView{17, 6, 1, 1});
  for (std::int64_t c = 0; c < 6; ++c)
    for (std::int64_t j = 0; j < 17; ++j) columns.weights[columns.at(c, j)] = rows.weights[rows.at(c, j)];
  for (const std::string text :
       {"int3:g5+gptq+awq+outliers10+bias", "nf4+gptq+gain+bias", "int3+hqq", "ttq+trained+bias"}) {
    INFO(text);
    const QuantizedWeight a = rows.as(text), b = columns.as(text);
    for (std::int64_t c = 0; c < 6; ++c)
      for (std::int64_t j = 0; j < 17; ++j) {
        REQUIRE(a.values[rows.at(c, j)] == b.values[columns.at(c, j)]);
        REQUIRE(a.codes[rows.at(c, j)] == b.codes[columns.at(c, j)]);
      }
    CHECK(same_bits(a.scales, b.scales));
    CHECK(same_bits(a.bias, b.bias));
    CHECK(a.mse == Approx(b.mse));
  }
}

TEST_CASE("a group of a convolution is quantized as a layer of its own") {
  const SampleLayer both("grouped", WeightView{1, 6, 18, 2});
  for (const std::string text : {"int3:g5+gptq", "int3+wmse", "fp4+wmse+gptq", "int2+gain", "int4+adaround+bias"}) {
    INFO(text);
    SampleLayer second("second", WeightView{1, 3, 18, 1});
    second.weights.assign(both.weights.begin() + 3 * 18, both.weights.end());
    for (auto member : {&LayerMoments::gram, &LayerMoments::mean, &LayerMoments::float_mean, &LayerMoments::abs_mean,
                        &LayerMoments::abs_max})
      second.moments.*member = {(both.moments.*member)[1]};
    const QuantizedWeight all = both.as(text), half = second.as(text);
    CHECK(same_bits(half.values, std::span(all.values).subspan(3 * 18)));
    if (!half.bias.empty()) CHECK(same_bits(half.bias, std::span(all.bias).subspan(3)));
  }
}

TEST_CASE("a choice that needs data says so when there are none") {
  const SampleLayer sampled("Gemm", WeightView{1, 6, 17, 1});
  LayerWeight layer = sampled.layer();
  layer.moments = nullptr;
  for (const std::string text :
       {"int4+gptq", "int4+bias", "int4+awq", "int4+outliers1", "int4+gain", "int4+wmse", "nf4+gptq"})
    CHECK_THROWS_WITH(quantize_layer(layer, weight_choice(text)),
                      "choice '" + weight_choice(text).label + "' needs the layer's inputs");
}

TEST_CASE("weights and moments that are not finite are errors") {
  SampleLayer layer("Gemm", WeightView{1, 2, 3, 1});
  SampleLayer bad = layer;
  bad.weights[4] = std::numeric_limits<float>::quiet_NaN();
  for (const std::string text : {"int4+gptq", "int4+bias", "nf4+awq", "int4+outliers40", "int4+hqq"})
    CHECK_THROWS_WITH(bad.as(text), Contains("NaN") || Contains("nan"));
  layer.moments.gram[0][1] = std::numeric_limits<float>::infinity();
  for (const std::string text : {"int4+gptq", "nf4+gptq", "int4+adaround"})
    CHECK_THROWS_WITH(layer.as(text), "second moment of the inputs [0, 1] is inf; it must be finite");
}

TEST_CASE("an empty weight has no codes, whatever the choice") {
  SampleLayer layer("Gemm", WeightView{1, 6, 17, 1});
  layer.view.channels = 0;
  layer.weights.clear();
  for (const std::string text : {"int4+gptq+bias", "int4+hqq", "nf4+gptq+awq+outliers1", "int4+gain"}) {
    const QuantizedWeight out = layer.as(text);
    CHECK(out.values.empty());
    CHECK(out.codes.empty());
    CHECK(out.stored_bits == 0);
  }
}
