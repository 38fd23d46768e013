#include "model/onnx_types.hpp"
#include "model/operators/declarations.hpp"

// Cast to attribute `to`, a TensorProto.DataType. Half precision is computed in float32.
namespace bitplan {
namespace {

DType target(const Node& node) {
  if (!node.has("to")) fail_node(node, "attribute 'to' is missing");
  const auto dtype = dtype_of_onnx(node.integer("to", 0));
  if (!dtype) fail_node(node, "element type " + std::to_string(node.integer("to", 0)) + " of ONNX is not supported");
  return computed_type(*dtype);
}

}  // namespace

Facts infer_cast(const Node& node, FactsIn inputs) { return one_output(node, target(node), inputs[0]->shape); }

std::vector<Tensor> evaluate_cast(const Node& node, TensorsIn inputs) { return {inputs[0]->cast(target(node))}; }

}  // namespace bitplan
