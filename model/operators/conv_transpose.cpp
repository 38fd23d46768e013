#include "model/operators/declarations.hpp"
#include "model/spatial.hpp"

// ConvTranspose, weight [C, M/G, k…]: Y[n, g M/G + m, i s - p + k d] += X[n, c, i] W[c, m, k],  g = c / (C/G)
namespace bitplan {

Facts infer_conv_transpose(const Node& node, FactsIn inputs) {
  const TensorFacts &x = *inputs[0], &w = *inputs[1];
  require_type(node, x, {DType::f32});
  require_same_type(node, inputs);
  require_rank(node, x, 3, 5);
  const std::int64_t groups = node.integer("group", 1);
  if (w.shape.size() != x.shape.size() || groups < 1 || w.shape[0] != x.shape[1] || w.shape[0] < 1 ||
      w.shape[0] % groups != 0 || w.shape[1] < 1)
    fail_node(node, "weight " + to_string(w.shape) + " in " + std::to_string(groups) + " groups does not fit input " +
                        to_string(x.shape));
  const Shape kernel(w.shape.begin() + 2, w.shape.end());
  if (node.integers("kernel_shape", kernel) != kernel)
    fail_node(node, "attribute 'kernel_shape' differs from weight " + to_string(w.shape));
  Shape shape{x.shape[0], w.shape[1] * groups};  // groups <= w.shape[0]: no overflow
  if (const auto* bias = optional_input(inputs, 2); bias && bias->shape != Shape{shape[1]})
    fail_node(node, "bias " + to_string(bias->shape) + " does not fit weight " + to_string(w.shape));
  for (const auto& window : conv_transpose_windows(node, x.shape, kernel)) shape.push_back(window.input);
  return one_output(node, DType::f32, std::move(shape));
}

namespace {

/// sums[i s - p + k d] += weight * x[i] over one channel, for one kernel position k.
void scatter_tap(std::span<double> sums, const float* x, float weight, const std::array<Window, 3>& w,
                 const std::array<std::int64_t, 3>& k) {
  const auto r0 = w[0].outputs_of(k[0]), r1 = w[1].outputs_of(k[1]), r2 = w[2].outputs_of(k[2]);
  for (auto a = r0.begin; a < r0.end; ++a)
    for (auto b = r1.begin; b < r1.end; ++b) {
      const float* row = x + (a * w[1].output + b) * w[2].output;
      double* out = sums.data() + (w[0].at(a, k[0]) * w[1].input + w[1].at(b, k[1])) * w[2].input;
      for (auto c = r2.begin; c < r2.end; ++c)
        out[w[2].at(c, k[2])] += static_cast<double>(weight) * static_cast<double>(row[c]);
    }
}

}  // namespace

std::vector<Tensor> evaluate_conv_transpose(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  Tensor y(DType::f32, infer_conv_transpose(node, known)[0].shape);
  const Tensor &x = *inputs[0], &weight = *inputs[1], *bias = optional_input(inputs, 2);
  const Shape& ws = weight.shape();
  const auto w = three_axes(node, conv_transpose_windows(node, x.shape(), Shape(ws.begin() + 2, ws.end())));
  const std::int64_t groups = node.integer("group", 1), group_inputs = ws[0] / groups, outputs = ws[1] * groups;
  const std::int64_t x_plane = w[0].output * w[1].output * w[2].output;
  const std::int64_t taps = w[0].kernel * w[1].kernel * w[2].kernel;
  std::vector<double> sums(static_cast<std::size_t>(w[0].input * w[1].input * w[2].input));
  float* out = y.writable<float>().data();
  for (std::int64_t n = 0; n < x.shape()[0]; ++n)
    for (std::int64_t m = 0; m < outputs; ++m) {
      sums.assign(sums.size(), bias ? static_cast<double>(bias->values<float>()[static_cast<std::size_t>(m)]) : 0.0);
      const std::int64_t first = m / ws[1] * group_inputs;
      for (std::int64_t c = first; c < first + group_inputs; ++c) {
        const float* plane = x.values<float>().data() + (n * ws[0] + c) * x_plane;
        const float* filter = weight.values<float>().data() + (c * ws[1] + m % ws[1]) * taps;
        for (std::int64_t a = 0; a < w[0].kernel; ++a)
          for (std::int64_t b = 0; b < w[1].kernel; ++b)
            for (std::int64_t d = 0; d < w[2].kernel; ++d) scatter_tap(sums, plane, *filter++, w, {a, b, d});
      }
      for (const double sum : sums) *out++ = static_cast<float>(sum);
    }
  return {y};
}

}  // namespace bitplan
