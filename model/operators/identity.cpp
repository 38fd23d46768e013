#include "model/operators/declarations.hpp"

// Identity, and Dropout as it is in inference: the input passes, the mask is all true.
namespace bitplan {
namespace {

bool wants_mask(const Node& node) { return node.outputs.size() > 1 && node.outputs[1] != kNoTensor; }

}  // namespace

Facts infer_identity(const Node& node, FactsIn inputs) { return one_output(node, inputs[0]->dtype, inputs[0]->shape); }
std::vector<Tensor> evaluate_identity(const Node&, TensorsIn inputs) { return {*inputs[0]}; }

Facts infer_dropout(const Node& node, FactsIn inputs) {
  if (const auto* training = optional_input(inputs, 2)) {
    require_type(node, *training, {DType::boolean});
    if (!training->constant || training->constant->size() != 1 || training->constant->values<bool>()[0])
      fail_node(node, "training_mode is not supported; export in eval mode");
  }
  Facts facts = one_output(node, inputs[0]->dtype, inputs[0]->shape);
  if (wants_mask(node)) facts.push_back(make_facts(node, DType::boolean, inputs[0]->shape));
  return facts;
}

std::vector<Tensor> evaluate_dropout(const Node& node, TensorsIn inputs) {
  std::vector<Tensor> outputs{*inputs[0]};
  if (wants_mask(node)) {
    outputs.emplace_back(DType::boolean, inputs[0]->shape());
    for (bool& kept : outputs[1].writable<bool>()) kept = true;
  }
  return outputs;
}

}  // namespace bitplan
