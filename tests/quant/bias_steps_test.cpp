// A bias beside roundings by data never makes a layer worse on its calibration data.
#include "quant/layer_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

Choice choice_of(const std::string& text) {
  return parse_choice(text, ChoiceDefaults::weights(), ChoiceDefaults::weights());
}

/// Summed over the samples themselves.
double error_on(const SampleLayer& layer, const std::vector<float>& inputs, const QuantizedWeight& weight) {
  const auto k = static_cast<std::size_t>(layer.view.per_channel());
  double sum = 0;
  for (std::size_t at = 0; at < inputs.size(); at += k)
    for (std::size_t o = 0; o < static_cast<std::size_t>(layer.view.channels); ++o) {
      double error = weight.bias.empty() ? 0 : static_cast<double>(weight.bias[o]);
      for (std::size_t c = 0; c < k; ++c)
        error += (static_cast<double>(weight.values[o * k + c]) - static_cast<double>(layer.weights[o * k + c])) *
                 static_cast<double>(inputs[at + c]);
      sum += error * error;
    }
  return sum;
}

}  // namespace

TEST_CASE("a bias beside any steps by data leaves no larger output error than the steps alone") {
  const std::vector<std::string> choices{"int3+gptq",     "int2+affine+fit+gptq+refit", "int3+output+gptq",
                                         "int4+adaround", "int3:g8+affine+descent",     "int3+gain",
                                         "int3+awq+gptq"};
  int held = 0;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SampleLayer layer("few samples", {1, 4, 24, 1}, 1, seed);
    const std::vector<float> inputs = layer.inputs(seed + 50, 30 + static_cast<std::int64_t>(seed) * 5);
    layer.moments = {};
    layer.moments.columns = 24;
    layer.moments.rows = std::ssize(inputs) / 24;
    layer.add_inputs(inputs);
    const LayerWeight weight{layer.weights, layer.view, &layer.moments, 1};
    for (const std::string& text : choices) {
      CAPTURE(seed, text);
      const QuantizedWeight without = quantize_layer(weight, choice_of(text)),
                            with = quantize_layer(weight, choice_of(text + "+bias"));
      CHECK(error_on(layer, inputs, with) <= error_on(layer, inputs, without) * (1 + 1e-4));
      held += with.codes == without.codes;
    }
  }
  CHECK(held > 0);
}
