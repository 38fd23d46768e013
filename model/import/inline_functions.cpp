#include "model/import/inline_functions.hpp"

#include <onnx/onnx_pb.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "core/error.hpp"
#include "model/import/parse_model.hpp"
#include "model/import/unknown_fields.hpp"

namespace bitplan {
namespace {

constexpr int kMostNodes = 1 << 16;
constexpr std::size_t kMostBytes = std::size_t{1} << 30, kMostDepth = 100;

using Key = std::tuple<std::string, std::string, std::string>;  ///< domain, name, overload

Key key_of(const onnx::NodeProto& call) {
  return {call.domain(), call.op_type(), text_field(call.unknown_fields(), kNodeOverload)};
}

/// The values of a call's attributes: the function's defaults, then the call's own.
std::map<std::string, onnx::AttributeProto> parameters_of(const onnx::FunctionProto& function,
                                                          const onnx::NodeProto& call) {
  std::map<std::string, onnx::AttributeProto> parameters;
  for (const auto& bytes : bytes_fields(function.unknown_fields(), kFunctionDefaults)) {
    onnx::AttributeProto fallback;
    if (fallback.ParseFromString(bytes)) parameters[fallback.name()] = fallback;
  }
  for (const auto& attribute : call.attribute()) parameters[attribute.name()] = attribute;
  return parameters;
}

class Inliner {
 public:
  explicit Inliner(onnx::ModelProto& model) : model_(model) {
    for (const auto& function : model.functions())
      functions_[{function.domain(), function.name(), text_field(function.unknown_fields(), kFunctionOverload)}] =
          &function;
    for (const auto& node : model.graph().node()) names_.insert(node.output().begin(), node.output().end());
    for (const auto& input : model.graph().input()) names_.insert(input.name());
    for (const auto& initializer : model.graph().initializer()) names_.insert(initializer.name());
  }

  std::vector<int> run() {
    google::protobuf::RepeatedPtrField<onnx::NodeProto> before;
    before.Swap(model_.mutable_graph()->mutable_node());
    const int opset = imported_version(model_, "");
    for (auto& node : before) add(std::move(node), opset);
    return opsets_;
  }

 private:
  /// Adds the node, or what the function that it calls consists of.
  void add(onnx::NodeProto&& node, int opset) {
    const auto found = functions_.find(key_of(node));
    if (found != functions_.end()) {
      expand(*found->second, node);
      return;
    }
    if (opsets_.size() >= kMostNodes) throw InputError("its functions expand to more than 2^16 nodes");
    *model_.mutable_graph()->add_node() = std::move(node);
    opsets_.push_back(opset);
  }

  void expand(const onnx::FunctionProto& function, const onnx::NodeProto& call) {
    const std::string label = "function '" + function.name() + "'";
    const std::string who = call.name().empty() ? function.name() : call.name();
    if (!open_.insert(&function).second) throw InputError(label + " calls itself");
    if (open_.size() > kMostDepth) throw InputError(label + " is nested more than 100 deep");
    if (call.input_size() > function.input_size() || call.output_size() > function.output_size())
      throw InputError("node '" + who + "' has more inputs or outputs than its " + label);
    const int opset = function_opset(function, label);
    const auto parameters = parameters_of(function, call);
    auto names = formal_names(function, call, who, opset);
    std::vector<onnx::NodeProto> body(function.node().begin(), function.node().end());
    for (auto& node : body) {
      if ((bytes_ += node.ByteSizeLong()) > kMostBytes)
        throw InputError("its functions expand to more than 2^30 bytes");
      for (auto& name : *node.mutable_input()) name = actual(names, name, who);
      for (auto& name : *node.mutable_output()) name = actual(names, name, who);
      node.set_name(who + "/" + (node.name().empty() ? node.op_type() : node.name()));
      bind_attributes(node, parameters);
      if (bytes_fields(node.unknown_fields(), kNodeMetadata).empty())
        for (const auto& entry : bytes_fields(call.unknown_fields(), kNodeMetadata))
          node.mutable_unknown_fields()->AddLengthDelimited(kNodeMetadata, entry);
      add(std::move(node), opset);
    }
    open_.erase(&function);
  }

  int function_opset(const onnx::FunctionProto& function, const std::string& label) const {
    for (const auto& import : function.opset_import())
      if (import.domain().empty() || import.domain() == "ai.onnx") {
        check_opset(import.version(), label);
        return static_cast<int>(import.version());
      }
    return imported_version(model_, "");
  }

  /// Tensor names in the body by what they are outside. An output that is an input too is copied by an Identity.
  std::map<std::string, std::string> formal_names(const onnx::FunctionProto& function, const onnx::NodeProto& call,
                                                  const std::string& who, int opset) {
    std::map<std::string, std::string> names{{"", ""}};
    for (int i = 0; i < function.input_size(); ++i)
      names[function.input(i)] = i < call.input_size() ? call.input(i) : "";
    const std::set<std::string> inputs(function.input().begin(), function.input().end());
    for (int i = 0; i < call.output_size(); ++i) {
      if (call.output(i).empty()) continue;
      if (!inputs.contains(function.output(i))) {
        names[function.output(i)] = call.output(i);
        continue;
      }
      onnx::NodeProto copy;
      copy.set_op_type("Identity");
      copy.set_name(who + "/" + function.output(i));
      copy.add_input(names.at(function.output(i)));
      copy.add_output(call.output(i));
      add(std::move(copy), opset);
    }
    return names;
  }

  std::string actual(std::map<std::string, std::string>& names, const std::string& formal, const std::string& who) {
    const auto [place, added] = names.try_emplace(formal);
    if (added) {
      std::string unique = who + "/" + formal;
      for (std::size_t n = names_.size(); !names_.insert(unique).second; ++n)  // a number that is likely to be free
        unique = who + "/" + formal + "_" + std::to_string(n);
      place->second = unique;
    }
    return place->second;
  }

  static void bind_attributes(onnx::NodeProto& node, const std::map<std::string, onnx::AttributeProto>& parameters) {
    google::protobuf::RepeatedPtrField<onnx::AttributeProto> bound;
    for (const auto& attribute : node.attribute()) {
      const auto given = parameters.find(attribute.ref_attr_name());
      if (!attribute.ref_attr_name().empty() && given == parameters.end()) continue;
      auto& made = *bound.Add();
      made = attribute.ref_attr_name().empty() ? attribute : given->second;
      made.set_name(attribute.name());
    }
    node.mutable_attribute()->Swap(&bound);
  }

  onnx::ModelProto& model_;
  std::map<Key, const onnx::FunctionProto*> functions_;
  std::set<const onnx::FunctionProto*> open_;  ///< those being expanded, to see recursion
  std::set<std::string> names_;                ///< of all tensors
  std::vector<int> opsets_;
  std::size_t bytes_ = 0;
};

}  // namespace

std::vector<int> inline_functions(onnx::ModelProto& model) { return Inliner(model).run(); }

}  // namespace bitplan
