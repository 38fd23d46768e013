// A bias beside roundings by data never makes a layer worse on its calibration data.
#include "quant/layer_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/quant/layer_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

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
    for (const std::string& text : choices) {
      CAPTURE(seed, text);
      const QuantizedWeight without = layer.as(text), with = layer.as(text + "+bias");
      CHECK(layer.squared_error_on(inputs, with) <= layer.squared_error_on(inputs, without) * (1 + 1e-4));
      held += with.codes == without.codes;
    }
  }
  CHECK(held > 0);
}
