#include "quant/roundings/output_range.hpp"

#include "quant/roundings/layer_loss.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

TEST_CASE("the range by output error is never worse than the whole range, and better where there are outliers") {
  for (const std::string base : {"int4", "int3:g16", "int2:g16+affine", "int3:g7+affine"}) {
    SampleLayer layer("conv", {1, 6, 45});
    for (std::size_t i = 0; i < layer.weights.size(); i += 45) layer.weights[i] *= 6;
    const std::string whole = base + (base.ends_with("affine") ? "+minmax" : "+absmax");
    const double before = output_error(layer.layer(), layer.as(whole).values, false);
    const double after = output_error(layer.layer(), layer.as(base + "+output").values, false);
    INFO(base);
    CHECK(after < before);
    CHECK(output_error(layer.layer(), layer.as(base + "+output+gptq").values, false) <= after);
  }
}

TEST_CASE("each part's ratio is the best given the others") {
  SampleLayer layer("one part", {1, 3, 12});
  layer.moments.rows = 1 << 30;  // no shrinkage
  const auto found = layer.as("int3+output");
  const auto whole = layer.as("int3+absmax");
  for (std::size_t row = 0; row < 3; ++row) {
    double least = HUGE_VAL;
    float best = 0;
    for (int i = 20; i >= 0; --i) {
      RoundingProblem one{1, 12, std::span(layer.weights).subspan(row * 12, 12), {}, layer.moments.gram[0], {}, 1};
      const auto scale = static_cast<float>(whole.scales[row] * (0.3 + 0.7 * i / 20));
      one.grid = {-4, 3, 1, neighbour_groups(12, 12), {scale}, {0}};
      const double loss = LayerLoss(one).of(round_nearest(one).values);
      if (loss < least) least = loss, best = scale;
    }
    CHECK(found.scales[row] == Approx(best));
  }
}

TEST_CASE("the range by output error needs data, integers, and channels or groups") {
  const SampleLayer layer("conv", {1, 2, 9});
  CHECK_THROWS_WITH(quantize_layer({layer.weights, layer.view, nullptr, 1}, weight_choice("int4+output")),
                    Catch::Contains("needs the layer's inputs"));
  CHECK_THROWS_WITH(weight_choice("nf4+output"), Catch::Contains("nf4 has no such range method"));
  CHECK_THROWS_WITH(weight_choice("int4:tensor+output"), Catch::Contains("range output is found row by row"));
  CHECK_THROWS_WITH(weight_choice("int4+output+gain"), Catch::Contains("range output finds the scales: no gain"));
}
