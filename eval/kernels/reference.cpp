#include <cstring>
#include <utility>

#include "core/error.hpp"
#include "eval/kernels/kernel_table.hpp"
#include "model/operator.hpp"

namespace bitplan {

namespace {

/// Runs an operator by its definition, on tensors in ONNX's layout. Allocates; slow.
class ReferenceStep final : public Step {
 public:
  struct Input {
    const Tensor* constant = nullptr;
    Operand operand;  ///< when there is no constant; absent when that is empty too
  };

  ReferenceStep(const Node& node, const Operator& op, std::vector<Input> inputs, std::vector<ValueId> outputs)
      : node_(node), op_(op), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}

  void run(Frame& frame) const override {
    std::vector<Tensor> views(inputs_.size());
    std::vector<const Tensor*> pointers(inputs_.size(), nullptr);
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const Operand& operand = inputs_[i].operand;
      if (inputs_[i].constant) {
        pointers[i] = inputs_[i].constant;
      } else if (operand.weight >= 0) {
        pointers[i] = &frame.weight(operand.weight).plain;
      } else if (operand.value != kNoValue) {
        views[i] = frame.tensor(operand);
        pointers[i] = &views[i];
      }
    }
    const std::vector<Tensor> results = op_.evaluate(node_, pointers);
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (outputs_[i] == kNoValue) continue;
      assert(results[i].byte_size() == frame.program.values[static_cast<std::size_t>(outputs_[i])].bytes);
      if (results[i].byte_size() > 0) std::memcpy(frame.write(outputs_[i]), results[i].bytes(), results[i].byte_size());
    }
  }

 private:
  const Node& node_;
  const Operator& op_;
  std::vector<Input> inputs_;
  std::vector<ValueId> outputs_;
};

}  // namespace

void compile_reference(ProgramBuilder& builder, NodeId id) {
  const Network& net = builder.network();
  const Node& node = net.node(id);
  const Operator* op = find_operator(node.op);
  if (!op) fail_node(node, "no such operator");
  const Layer* layer = builder.layer_of(id);
  std::vector<ReferenceStep::Input> inputs;
  std::vector<Operand> reads;
  bool weight_seen = false, input_seen = false;
  for (const TensorId tensor : node.inputs) {
    ReferenceStep::Input input;
    if (layer && tensor == layer->weight && !std::exchange(weight_seen, true)) {
      input.operand = ProgramBuilder::weight(layer->id);
    } else if (builder.constant(tensor)) {
      input.constant = builder.constant(tensor);
    } else if (tensor != kNoTensor && layer && tensor == layer->input && !std::exchange(input_seen, true)) {
      input.operand = builder.is_float(tensor) ? builder.layer_as(layer->id, plain_layout(net.tensor(tensor).shape))
                                               : builder.plain(tensor);
    } else if (tensor != kNoTensor) {
      input.operand = builder.is_float(tensor) ? builder.product_plain(id, tensor) : builder.plain(tensor);
    }
    reads.push_back(input.operand);
    inputs.push_back(input);
  }
  if (layer) builder.keep_plain(layer->id);
  std::vector<ValueId> outputs;
  std::vector<ValueId> writes;
  for (const TensorId tensor : node.outputs) {
    outputs.push_back(tensor == kNoTensor ? kNoValue
                                          : builder.make(net.tensor(tensor).dtype, net.tensor(tensor).shape));
    if (tensor != kNoTensor) writes.push_back(outputs.back());
  }
  builder.add(std::make_unique<ReferenceStep>(node, *op, std::move(inputs), outputs), reads, writes);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i] != kNoValue) builder.define(node.outputs[i], outputs[i]);
}

}  // namespace bitplan
