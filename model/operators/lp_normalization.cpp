#include <cmath>

#include "model/operators/declarations.hpp"
#include "model/operators/lines.hpp"

// LpNormalization: each line along an axis divided by its L1 or L2 norm; a line of zeros stays zero.
namespace bitplan {

Facts infer_lp_normalization(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32});
  axis_of(node, node.integer("axis", -1), inputs[0]->shape.size());
  const std::int64_t p = node.integer("p", 2);
  if (p != 1 && p != 2) fail_node(node, "attribute 'p' is " + std::to_string(p) + "; known: 1, 2");
  return one_output(node, DType::f32, inputs[0]->shape);
}

std::vector<Tensor> evaluate_lp_normalization(const Node& node, TensorsIn inputs) {
  Tensor y = *inputs[0];
  const bool squared = node.integer("p", 2) == 2;
  const Lines lines = Lines::of(y.shape(), axis_of(node, node.integer("axis", -1), y.shape().size()));
  float* values = y.writable<float>().data();
  for (std::int64_t n = 0; y.size() > 0 && n < lines.count(); ++n) {
    float* line = values + lines.begin(n);
    double sum = 0;
    for (std::int64_t k = 0; k < lines.length; ++k) {
      const auto v = static_cast<double>(line[k * lines.inner]);
      sum += squared ? v * v : std::abs(v);
    }
    const double norm = squared ? std::sqrt(sum) : sum;
    for (std::int64_t k = 0; norm > 0 && k < lines.length; ++k)
      line[k * lines.inner] = static_cast<float>(static_cast<double>(line[k * lines.inner]) / norm);
  }
  return {y};
}

}  // namespace bitplan
