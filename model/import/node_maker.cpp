#include "model/import/node_maker.hpp"

#include <utility>

namespace bitplan {

TensorId NodeMaker::tensor() {
  const std::string base = draft_.tensor(replaced_.outputs[0]).name + "/part_";
  while (draft_.ids.contains(base + std::to_string(tensors_))) ++tensors_;
  return draft_.add_tensor(base + std::to_string(tensors_++));
}

TensorId NodeMaker::constant(Tensor value) {
  const TensorId id = tensor();
  TensorInfo& info = draft_.tensor(id);
  info.dtype = value.dtype();
  info.shape = value.shape();
  info.constant = std::move(value);
  return id;
}

TensorId NodeMaker::integers(const std::vector<std::int64_t>& values) {
  return constant(Tensor::of({static_cast<std::int64_t>(values.size())}, values));
}

Node& NodeMaker::add(const char* op, std::vector<TensorId> inputs, std::vector<TensorId> outputs,
                     const std::string& suffix) {
  DraftNode made;
  made.node.name = replaced_.name + suffix;
  made.node.op = op;
  made.node.opset = replaced_.opset;
  made.node.metadata = replaced_.metadata;
  for (const TensorId id : inputs) made.inputs.push_back(draft_.tensor(id).name);
  for (const TensorId id : outputs) made.outputs.push_back(draft_.tensor(id).name);
  made.node.inputs = std::move(inputs);
  made.node.outputs = std::move(outputs);
  nodes.push_back(std::move(made));
  return nodes.back().node;
}

TensorId NodeMaker::add(const char* op, std::vector<TensorId> inputs, const std::string& suffix) {
  const TensorId made = tensor();
  add(op, std::move(inputs), {made}, suffix);
  return made;
}

TensorId NodeMaker::change_axis(const char* op, TensorId from, std::int64_t axis) {
  const std::string suffix = "/" + std::string(op) + "_" + std::to_string(nodes.size());
  if (replaced_.opset >= 13) return add(op, {from, integers({axis})}, suffix);
  const TensorId made = add(op, {from}, suffix);
  nodes.back().node.attributes["axes"] = std::vector<std::int64_t>{axis};
  return made;
}

}  // namespace bitplan
