// The analytic bias of one layer; what it is on networks: tests/eval/analytic_bias_test.cpp.

#include "quant/layer_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

TEST_CASE("an analytic bias is the mean of the output error at the expected inputs, with data or without") {
  for (const SampleLayer& layer : sample_layers()) {
    std::vector<float> expected;
    for (const auto& mean : layer.moments.mean) expected.insert(expected.end(), mean.begin(), mean.end());
    for (const std::string text : {"int2", "int3:g5+gptq", "nf4", "int3+hqq"}) {
      INFO(layer.name << ' ' << text);
      LayerWeight asked = layer.layer();
      asked.expected = &expected;
      if (!weight_choice(text).needs_data()) asked.moments = nullptr;
      const QuantizedWeight analytic = quantize_layer(asked, weight_choice(text + "+bias:analytic"));
      const QuantizedWeight plain = layer.as(text);
      CHECK(same_bits(analytic.values, plain.values));
      const auto errors = mean_difference(layer.view, layer.weights, plain.values, layer.moments);
      REQUIRE(analytic.bias.size() == errors.size());
      for (std::size_t c = 0; c < errors.size(); ++c)
        CHECK(analytic.bias[c] == Approx(errors[c]).epsilon(1e-5).margin(1e-6));
      CHECK(analytic.stored_bits == plain.stored_bits + 32 * layer.view.channels);
    }
  }
}

TEST_CASE("an analytic bias without expected inputs is an error") {
  const SampleLayer layer = sample_layers().front();
  CHECK_THROWS_WITH(quantize_layer(layer.layer(), weight_choice("int3+bias:analytic")),
                    "choice 'int3+bias:analytic' needs the means that batch normalisations give the layer's inputs: it "
                    "exists for layers of a network; +bias takes the means from data");
}
