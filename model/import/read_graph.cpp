#include <onnx/onnx_pb.h>

#include <set>

#include "core/error.hpp"
#include "model/import/draft.hpp"
#include "model/import/parse_model.hpp"
#include "model/import/tensor_reader.hpp"
#include "model/import/unknown_fields.hpp"
#include "model/import/unsupported.hpp"
#include "model/onnx_types.hpp"
#include "model/operator.hpp"

namespace bitplan {
namespace {

/// Half-precision values are computed in float32, wherever they stand in the graph.
Tensor widened(Tensor tensor, std::size_t& halves) {
  const DType computed = computed_type(tensor.dtype());
  if (computed != tensor.dtype()) ++halves;
  return tensor.cast(computed);
}

std::map<std::string, std::string> metadata_of(const onnx::NodeProto& node) {
  std::map<std::string, std::string> metadata;
  for (const auto& bytes : bytes_fields(node.unknown_fields(), kNodeMetadata)) {
    onnx::StringStringEntryProto entry;
    if (entry.ParseFromString(bytes)) metadata[entry.key()] = entry.value();
  }
  return metadata;
}

class GraphReader {
 public:
  GraphReader(Draft& draft, const ParsedModel& parsed)
      : draft_(draft), model_(*parsed.model), opsets_(parsed.opsets), tensors_(draft.file, parsed.model) {}

  void read() {
    read_properties();
    refuse_unsupported();
    const auto& graph = model_.graph();
    if (graph.sparse_initializer_size() > 0) throw InputError("sparse initializers are not supported");
    for (const auto& initializer : graph.initializer()) read_initializer(initializer);
    for (const auto& input : graph.input())
      if (!draft_.ids.contains(input.name())) read_input(input);
    for (int i = 0; i < graph.node_size(); ++i) read_node(graph.node(i), i);
    for (const auto& output : graph.output()) {
      if (!draft_.ids.contains(output.name())) throw InputError("output '" + output.name() + "' is made by no node");
      draft_.network.outputs.push_back(draft_.ids.at(output.name()));
    }
    if (draft_.network.outputs.empty()) throw InputError("the model has no outputs");
    if (halves_ > 0)
      draft_.network.notes.push_back("computed " + std::to_string(halves_) + " half-precision tensors in float32");
  }

 private:
  void read_properties() {
    Network& network = draft_.network;
    network.opset = imported_version(model_, "");
    network.ir_version = static_cast<int>(model_.ir_version());
    network.producer = model_.producer_name();
    if (!model_.producer_version().empty()) network.producer += " " + model_.producer_version();
  }

  void refuse_unsupported() const {
    std::vector<UnsupportedNode> refused;
    for (int i = 0; i < model_.graph().node_size(); ++i) {
      const auto& node = model_.graph().node(i);
      const std::string reason = unsupported_reason(node, opset_of(i));
      if (reason.empty()) continue;
      const bool foreign = !node.domain().empty() && node.domain() != "ai.onnx";
      refused.push_back({node.name().empty() ? node.op_type() + "_" + std::to_string(i) : node.name(), node.op_type(),
                         node.domain(), foreign ? imported_version(model_, node.domain()) : opset_of(i), reason});
    }
    if (!refused.empty()) refuse_nodes(draft_.file, std::move(refused));
  }

  int opset_of(int index) const { return opsets_[static_cast<std::size_t>(index)]; }

  TensorId define(const std::string& name, const std::string& by) {
    if (name.empty()) throw InputError(by + " has no name");
    if (!made_.insert(name).second) throw InputError("tensor '" + name + "' is made twice, the second time by " + by);
    return draft_.find_or_add(name);
  }

  void read_initializer(const onnx::TensorProto& initializer) {
    const TensorId id = define(initializer.name(), "an initializer");
    Tensor value = widened(tensors_.read(initializer), halves_);
    auto& tensor = draft_.tensor(id);
    tensor.dtype = value.dtype();
    tensor.shape = value.shape();
    tensor.constant = std::move(value);
  }

  void read_input(const onnx::ValueInfoProto& input) {
    const TensorId id = define(input.name(), "an input");
    const std::string place = "input '" + input.name() + "'";
    if (!input.type().has_tensor_type())
      throw InputError(place + " is no tensor; sequences, maps and optionals are not supported");
    const auto& type = input.type().tensor_type();
    draft_.tensor(id).dtype = computed_type(supported_type(type.elem_type(), place));
    DeclaredInput declared{input.name(), id, type.has_shape(), {}};
    for (const auto& d : type.shape().dim())  // exporters also write 0 or -1 for a free dimension
      declared.shape.push_back({d.has_dim_value() && d.dim_value() > 0 ? d.dim_value() : -1, d.dim_param()});
    draft_.inputs.push_back(std::move(declared));
    draft_.network.inputs.push_back(id);
  }

  void read_node(const onnx::NodeProto& from, int index) {
    DraftNode made;
    Node& node = made.node;
    node.op = from.op_type();
    node.opset = opset_of(index);
    node.name = from.name().empty() ? node.op + "_" + std::to_string(index) : from.name();
    while (!node_names_.insert(node.name).second) node.name += "_" + std::to_string(index);
    node.metadata = metadata_of(from);
    for (const auto& attribute : from.attribute()) read_attribute(node, attribute);
    for (const auto& name : from.input()) {
      node.inputs.push_back(name.empty() ? kNoTensor : draft_.find_or_add(name));
      made.inputs.push_back(name);
    }
    for (const auto& name : from.output()) {
      node.outputs.push_back(name.empty() ? kNoTensor : define(name, "node '" + node.name + "'"));
      made.outputs.push_back(name);
    }
    draft_.nodes.push_back(std::move(made));
  }

  void read_attribute(Node& node, const onnx::AttributeProto& a) {
    Attribute& value = node.attributes[a.name()];
    switch (a.type()) {
      case onnx::AttributeProto::INT:
        value = a.i();
        return;
      case onnx::AttributeProto::FLOAT:
        value = a.f();
        return;
      case onnx::AttributeProto::STRING:
        value = a.s();
        return;
      case onnx::AttributeProto::INTS:
        value = std::vector<std::int64_t>(a.ints().begin(), a.ints().end());
        return;
      case onnx::AttributeProto::FLOATS:
        value = std::vector<float>(a.floats().begin(), a.floats().end());
        return;
      case onnx::AttributeProto::STRINGS:
        value = std::vector<std::string>(a.strings().begin(), a.strings().end());
        return;
      case onnx::AttributeProto::TENSOR: {
        try {
          value = widened(tensors_.read(a.t()), halves_);
        } catch (const InputError& e) {
          fail_node(node, "attribute '" + a.name() + "': " + e.what());
        }
        return;
      }
      default:
        fail_node(node, "attribute '" + a.name() + "' has a type that is not supported");
    }
  }

  Draft& draft_;
  const onnx::ModelProto& model_;
  const std::vector<int>& opsets_;
  TensorReader tensors_;
  std::set<std::string> made_, node_names_;
  std::size_t halves_ = 0;
};

}  // namespace

void read_graph(Draft& draft, const ParsedModel& parsed) { GraphReader(draft, parsed).read(); }

}  // namespace bitplan
