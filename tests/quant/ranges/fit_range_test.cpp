#include "quant/ranges/fit_range.hpp"

#include <cmath>

#include "quant/math/affine.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/refit.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

double error_of(const QuantizedWeight& weight) { return weight.mse; }

QuantizedWeight as_row(const std::vector<float>& part, const std::string& choice) {
  return quantize_weight(part, {1, 1, static_cast<std::int64_t>(part.size())}, weight_choice(choice));
}

}  // namespace

TEST_CASE("a fitted range has no larger squared error than the plain one and hardly ever than the best clip ratio") {
  int worse = 0, cases = 0;
  for (const char* kind : {"gauss", "heavy", "uniform"})
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
      for (const std::string bits : {"int1", "int2", "int3", "int4", "int8"})
        for (const std::string symmetry : {"+symmetric", "+affine"}) {
          if (bits == "int1" && symmetry == "+symmetric") continue;
          INFO(kind << " " << seed << " " << bits << symmetry);
          const auto part = sample(kind, 64 + seed, seed);
          const double fitted = error_of(as_row(part, bits + symmetry + "+fit"));
          const std::string plain = symmetry == "+affine" ? "+minmax" : "+absmax";
          CHECK(fitted <= error_of(as_row(part, bits + symmetry + plain)) * (1 + 1e-5));
          worse += fitted > error_of(as_row(part, bits + symmetry + "+mse")) * (1 + 1e-5);
          ++cases;
        }
  CHECK(worse * 10 <= cases);
}

TEST_CASE("a fitted grid is a fixed point: its codes are the nearest, its scale the least squares") {
  for (const bool symmetric : {false, true}) {
    const auto part = sample("gauss", 200, 7);
    const FitGrid grid = fit_range(part, symmetric ? FitCodes::of(3, true, false) : FitCodes::of(3, false, false));
    const double least = fit_error(part, grid);
    for (const float factor : {0.98F, 0.995F, 1.005F, 1.02F}) {
      const float scale = grid.scale * factor;  // the same codes on another grid
      double sum = 0;
      for (const float w : part) {
        const double e = static_cast<double>(scale * (static_cast<float>(fit_code(grid, w)) - grid.zero) - w);
        sum += e * e;
      }
      CHECK(sum >= least * (1 - 2e-4));
    }
    if (symmetric) CHECK(grid.zero == 0);
  }
}

TEST_CASE("fitting parts of equal values, of zeros, of none, and of extreme sizes") {
  const FitCodes codes{0, 15, false};
  CHECK(fit_range({}, codes) == FitGrid{1, 0, 0, 15});
  CHECK(fit_range(std::vector<float>{0, 0}, codes) == FitGrid{1, 0, 0, 15});
  CHECK(as_row({2.5F, 2.5F, 2.5F}, "int4+affine+fit").values == std::vector<float>{2.5F, 2.5F, 2.5F});
  for (const float size : {1e-30F, 1e30F, 3e38F}) {
    std::vector<float> part = sample("uniform", 50, 3);
    float most = 0;
    for (const float w : part) most = std::max(most, std::abs(w));
    for (float& w : part) w = w / most * size;
    for (const char* choice : {"int4+affine+fit", "int4+fit"}) {
      const auto made = as_row(part, choice);
      for (std::size_t i = 0; i < part.size(); ++i) {
        CHECK(std::isfinite(made.values[i]));
        CHECK(std::abs(made.values[i] - part[i]) <= 0.2F * size);
      }
    }
  }
  CHECK_THROWS_WITH(as_row({1, NAN}, "int4+affine+fit"), Catch::Contains("NaN"));
}

TEST_CASE("fitted grids are the same on each instruction set") {
  for (const std::size_t n : {1, 5, 16, 33, 5000}) {
    const auto part = sample("heavy", n, 5);
    for (const FitCodes codes :
         {FitCodes::of(2, false, false), FitCodes::of(5, false, false), FitCodes::of(4, true, false)})
      for (const Isa isa : usable_isas())
        CHECK(fit_range_on(isa, part, codes) == fit_range_on(Isa::generic, part, codes));
  }
}

TEST_CASE("the zero point of an affine fit lies between codes, where 8 bits can say it") {
  const auto part = sample("heavy", 64, 2);
  const auto fitted = as_row(part, "int3+affine+fit");
  REQUIRE(fitted.offsets.size() == 1);
  CHECK(fitted.zero_points.empty());
  CHECK(fitted.stored_bits == 64 * 3 + 32 + 8);
  CHECK(fitted.offsets[0] * 16 == std::nearbyint(fitted.offsets[0] * 16));
  for (std::size_t i = 0; i < part.size(); ++i)
    CHECK(fitted.values[i] == fitted.scales[0] * (static_cast<float>(fitted.codes[i]) - fitted.offsets[0]));
  const auto symmetric = as_row(part, "int3+fit");
  CHECK(symmetric.offsets.empty());
  CHECK(symmetric.stored_bits == 64 * 3 + 32);
}

TEST_CASE("refit never raises a row's output error, lowers it, and keeps the codes") {
  for (const SampleLayer& layer : sample_layers())
    for (const std::string base :
         {"int2:g4+affine+fit", "int3:g4+affine", "int3+absmax", "int2:g5+fit+gptq", "int3+hqq"}) {
      INFO(layer.name << " " << base);
      const auto before = layer.as(base), after = layer.as(base + "+refit");
      CHECK(after.codes == before.codes);
      CHECK(after.zero_points == before.zero_points);
      if (base.find("affine+fit") != std::string::npos)
        for (const float zero : after.offsets) CHECK(FitCodes::of(2, false, false).storable(zero) == zero);
      CHECK(layer.error(after.values) < layer.error(before.values));
      CHECK(after.stored_bits == before.stored_bits);
      const auto again = layer.as(base + "+refit", 2);
      CHECK(again.values == after.values);
    }
}

TEST_CASE("refit solves the normal equations: no other scale is better, nor a zero point that may be any number") {
  SampleLayer layer("one row", {1, 1, 12});
  layer.moments.rows = 1 << 30;  // no shrinkage
  for (const std::string base : {"int3:g4+affine+fit", "int3:g4+hqq"}) {
    const auto found = layer.as(base + "+refit");
    const double least = layer.error(found.values);
    const float by = base.ends_with("hqq") ? 0.02F : 0.0F;
    for (std::size_t part = 0; part < 3; ++part)
      for (const float scale : {0.99F, 1.0F, 1.01F})
        for (const float zero : {-by, 0.0F, by}) {
          auto values = found.values;
          for (std::size_t i = part * 4; i < part * 4 + 4; ++i)
            values[i] = found.scales[part] * scale * (static_cast<float>(found.codes[i]) - found.offsets[part] - zero);
          CHECK(layer.error(values) >= least * (1 - 1e-5));
        }
  }
}

TEST_CASE("refit takes integers by channel or group whose scales may be any number") {
  const std::string why =
      "refit is for integers of at most 8 bits by channel or group, with scales that are no powers of two";
  for (const char* choice : {"int4:tensor+refit", "int16+refit", "nf4+refit", "int4+pow2+refit", "ternary+refit"})
    CHECK_THROWS_WITH(weight_choice(choice), Catch::Contains(why));
  CHECK_THROWS_WITH(quantize_layer({std::vector<float>(9, 1.0F), {1, 1, 9}, nullptr, 1}, weight_choice("int4+refit")),
                    Catch::Contains("needs the layer's inputs"));
  CHECK(weight_choice("int3:g64+affine+fit+gptq+refit").label == "int3:g64+affine+fit+gptq+refit");
}

TEST_CASE("gptq finds the scales of groups on the way, so that they fit the weights as they have become") {
  const SampleLayer layer("wide", {1, 4, 256}, 800);
  const auto kept = layer.as("int2:g64+affine+gptq:actorder"), moved = layer.as("int2:g64+affine+gptq");
  const auto plain = layer.as("int2:g64+affine");
  CHECK(kept.scales == plain.scales);
  CHECK(moved.scales != plain.scales);
  CHECK(layer.error(moved.values) <= layer.error(plain.values));
}

TEST_CASE("a bias takes the mean of the error, so rounding beside it minimises what is left") {
  const SampleLayer layer("wide", {1, 8, 32}, 400);
  for (const std::string base : {"int3+gptq", "int2:g8+affine+fit+gptq+refit", "int3+affine+adaround"}) {
    INFO(base);
    const auto alone = layer.as(base), with = layer.as(base + "+bias");
    CHECK(layer.error(with.values, true) <= layer.error(alone.values, true) * 1.02);
    CHECK(layer.error(with.values, true) <= layer.error(layer.as(base.substr(0, base.find('+'))).values, true));
  }
}
