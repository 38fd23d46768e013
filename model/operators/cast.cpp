#include "model/operators/declarations.hpp"

// Cast to attribute `to`, a TensorProto.DataType; CastLike to the type of input 1. Half precision is computed in
// float32.
namespace bitplan {

Facts infer_cast(const Node& node, FactsIn inputs) {
  return one_output(node, type_attribute(node, "to"), inputs[0]->shape);
}
std::vector<Tensor> evaluate_cast(const Node& node, TensorsIn inputs) {
  return {inputs[0]->cast(type_attribute(node, "to"))};
}

Facts infer_cast_like(const Node& node, FactsIn inputs) { return one_output(node, inputs[1]->dtype, inputs[0]->shape); }
std::vector<Tensor> evaluate_cast_like(const Node&, TensorsIn inputs) { return {inputs[0]->cast(inputs[1]->dtype())}; }

}  // namespace bitplan
