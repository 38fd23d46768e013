#include <algorithm>
#include <cmath>

#include "model/operators/declarations.hpp"
#include "model/operators/lines.hpp"

// LRN (local response normalization over neighbouring channels), channel axis 1:
//   y[c] = x[c] / (bias + alpha / size sum x[j]^2)^beta,   j = c - floor((size - 1) / 2) … c + ceil((size - 1) / 2)
namespace bitplan {

Facts infer_lrn(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32});
  require_rank(node, *inputs[0], 3, 8);
  const std::int64_t size = node.integer("size", 0);
  if (size < 1 || size > 1 << 20)
    fail_node(node, "attribute 'size' is " + std::to_string(size) + "; allowed: 1 to 2^20");
  return one_output(node, DType::f32, inputs[0]->shape);
}

std::vector<Tensor> evaluate_lrn(const Node& node, TensorsIn inputs) {
  const Tensor& x = *inputs[0];
  Tensor y(DType::f32, x.shape());
  const auto alpha = static_cast<double>(node.number("alpha", 1e-4f)),
             beta = static_cast<double>(node.number("beta", 0.75f));
  const auto bias = static_cast<double>(node.number("bias", 1));
  const std::int64_t size = node.integer("size", 1), before = (size - 1) / 2, after = size / 2;
  const Lines lines = Lines::of(x.shape(), 1);
  const float* from = x.values<float>().data();
  float* to = y.writable<float>().data();
  for (std::int64_t n = 0; y.size() > 0 && n < lines.count(); ++n)
    for (std::int64_t c = 0; c < lines.length; ++c) {
      double squares = 0;
      for (auto j = std::max<std::int64_t>(0, c - before); j <= std::min(lines.length - 1, c + after); ++j) {
        const auto v = static_cast<double>(from[lines.begin(n) + j * lines.inner]);
        squares += v * v;
      }
      const std::int64_t at = lines.begin(n) + c * lines.inner;
      to[at] = static_cast<float>(static_cast<double>(from[at]) /
                                  std::pow(bias + alpha / static_cast<double>(size) * squares, beta));
    }
  return {y};
}

}  // namespace bitplan
