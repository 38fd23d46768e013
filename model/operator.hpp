#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/tensor.hpp"
#include "model/network.hpp"

namespace bitplan {

/// What is known of a tensor before the network runs.
struct TensorFacts {
  DType dtype = DType::f32;
  Shape shape;
  std::optional<Tensor> constant;  ///< its value, when it is known at import
};

/// One ONNX operator (all versions 11–23 of it): the shapes it makes and the values it computes.
/// An operator is one file in model/operators/ and one row in model/operator_table.cpp.
///
/// Import checks the counts and the attribute names of a row before it calls `infer`, and `infer` before anything calls
/// `evaluate`. Inputs that are absent are null; the first `min_inputs` never are. Both functions throw InputError
/// ("node 'name' (Conv, opset 13): …") on attributes, types and shapes that are wrong or that we do not support;
/// neither trusts a size. They return one entry for each output up to the last one that the node names.
/// `evaluate` is the definition: plain loops, one thread, sums in double; constant folding uses it, eval/ falls back to
/// it, and the fast kernels of eval/ are tested against it.
///
/// Half-precision tensors never get here: import turns them into float32.
struct Operator {
  std::string_view name;
  int min_inputs, max_inputs, max_outputs;  ///< kManyTensors: no upper bound
  std::vector<TensorFacts> (*infer)(const Node& node, std::span<const TensorFacts* const> inputs);
  std::vector<Tensor> (*evaluate)(const Node& node, std::span<const Tensor* const> inputs);
  std::string_view attributes;  ///< all that it knows, separated by blanks; "axes@18": since opset 18
  int since = 1;                ///< the opset that brought it; an older model may not use it
};
inline constexpr int kManyTensors = 1 << 20;

/// The row of `op` in the ONNX domain, or null.
const Operator* find_operator(std::string_view op);
/// All rows, for `bitplan list operators` and the tests.
std::span<const Operator> operators();

/// Throws InputError: "node 'conv1' (Conv, opset 13): <problem>".
[[noreturn]] void fail_node(const Node& node, const std::string& problem);

}  // namespace bitplan
