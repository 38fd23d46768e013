#pragma once
// Hand-computed cases of operators, shared by the tests that walk the table.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/network.hpp"

namespace bitplan::test {

using Attributes = std::map<std::string, Attribute>;
using Ints = std::vector<std::int64_t>;

/// One call of an operator: absent inputs are nullopt.
struct OperatorCase {
  std::string name, op;
  int opset = 17;
  Attributes attributes;
  std::vector<std::optional<Tensor>> inputs;
  std::vector<Tensor> expected;
};

inline Tensor f32(Shape shape, std::vector<float> values) { return Tensor::of<float>(std::move(shape), values); }
inline Tensor i64(Shape shape, Ints values) { return Tensor::of<std::int64_t>(std::move(shape), values); }
inline Tensor i32(Shape shape, std::vector<std::int32_t> values) {
  return Tensor::of<std::int32_t>(std::move(shape), values);
}
inline Tensor flags(Shape shape, const std::vector<int>& values) {
  Tensor t(DType::boolean, std::move(shape));
  const auto out = t.writable<bool>();
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = values[i] != 0;
  return t;
}
/// 0, 1, 2, … in this shape.
inline Tensor ramp(Shape shape) {
  Tensor t(DType::f32, std::move(shape));
  const auto out = t.writable<float>();
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i);
  return t;
}

/// A node of this operator with as many inputs and outputs as the case, tensors numbered from 0.
Node node_of(const OperatorCase& c);

std::vector<OperatorCase> layer_cases();  // Conv, ConvTranspose, Gemm, MatMul
std::vector<OperatorCase> pool_cases();   // pooling, normalization, softmax, resize
std::vector<OperatorCase> elementwise_cases();
std::vector<OperatorCase> reduce_cases();     // reductions, cumulative sum
std::vector<OperatorCase> view_cases();       // reshape, transpose, concat, pad, slice, split, expand, tile
std::vector<OperatorCase> index_cases();      // gather, shape, constants, range, cast
std::vector<OperatorCase> rare_cases();       // functions, bits, scatter, top-k and others that few models use
std::vector<OperatorCase> attention_cases();  // einsum, attention, the normalizations beside LayerNormalization

}  // namespace bitplan::test
