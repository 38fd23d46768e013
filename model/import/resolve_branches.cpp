#include "model/import/resolve_branches.hpp"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "model/import/draft.hpp"

namespace bitplan {
namespace {

constexpr int kMostNodes = 1 << 16;  ///< of the graph with its branches

using Names = std::map<std::string, std::string>;  ///< of a branch's own tensors: inside, outside

bool is_if(const onnx::NodeProto& node) {
  return node.op_type() == "If" && (node.domain().empty() || node.domain() == "ai.onnx");
}

/// The part of the model that computes one tensor.
ParsedModel part_for(const ParsedModel& parsed, const std::string& tensor) {
  const auto& graph = parsed.model->graph();
  std::set<std::string> wanted{tensor};
  std::set<int> nodes;
  for (int n = graph.node_size() - 1; n >= 0; --n) {
    const auto& made = graph.node(n).output();
    if (std::none_of(made.begin(), made.end(), [&](const std::string& name) { return wanted.contains(name); }))
      continue;
    nodes.insert(n);
    wanted.insert(graph.node(n).input().begin(), graph.node(n).input().end());
  }
  ParsedModel part{std::make_shared<onnx::ModelProto>(), {}};
  part.model->set_ir_version(parsed.model->ir_version());
  *part.model->mutable_opset_import() = parsed.model->opset_import();
  auto& to = *part.model->mutable_graph();
  *to.mutable_input() = graph.input();
  for (const auto& initializer : graph.initializer())
    if (wanted.contains(initializer.name())) *to.add_initializer() = initializer;
  for (const int n : nodes) {
    *to.add_node() = graph.node(n);
    part.opsets.push_back(parsed.opsets[static_cast<std::size_t>(n)]);
  }
  to.add_output()->set_name(tensor);
  return part;
}

/// The value of a condition that does not depend on the data.
std::optional<bool> known_condition(const ParsedModel& parsed, const std::filesystem::path& file,
                                    const ImportOptions& options, const std::string& tensor) {
  Draft draft;
  draft.file = file;
  try {
    read_graph(draft, part_for(parsed, tensor));
    bind_shapes(draft, options);
    sort_nodes(draft);
    infer_and_fold(draft);
  } catch (const InputError&) {
    return std::nullopt;  // importing the whole model meets the same problem and says it
  }
  const auto& value = draft.tensor(draft.network.outputs[0]).constant;
  if (!value || value->size() != 1 || value->dtype() != DType::boolean) return std::nullopt;
  return value->integers()[0] != 0;
}

void rename_reads(onnx::GraphProto& graph, const Names& names);

void rename_reads(onnx::NodeProto& node, const Names& names) {
  for (auto& input : *node.mutable_input())
    if (const auto found = names.find(input); found != names.end()) input = found->second;
  for (auto& attribute : *node.mutable_attribute())
    if (attribute.has_g()) rename_reads(*attribute.mutable_g(), names);
}

void rename_reads(onnx::GraphProto& graph, const Names& names) {
  for (auto& node : *graph.mutable_node()) rename_reads(node, names);
  for (auto& output : *graph.mutable_output())
    if (const auto found = names.find(output.name()); found != names.end()) output.set_name(found->second);
}

class BranchInliner {
 public:
  explicit BranchInliner(ParsedModel& parsed) : parsed_(parsed), graph_(*parsed.model->mutable_graph()) {
    for (const auto& input : graph_.input()) taken_.insert(input.name());
    for (const auto& initializer : graph_.initializer()) taken_.insert(initializer.name());
    for (const auto& node : graph_.node()) taken_.insert(node.output().begin(), node.output().end());
  }

  /// Puts the branch in the place of node `index`.
  void replace(int index, bool taken) {
    google::protobuf::RepeatedPtrField<onnx::NodeProto> before;
    before.Swap(graph_.mutable_node());
    const std::vector<int> opsets = std::exchange(parsed_.opsets, {});
    for (int n = 0; n < before.size(); ++n) {
      opset_ = opsets[static_cast<std::size_t>(n)];
      if (n == index)
        expand(before[n], taken);
      else
        add(std::move(before[n]));
    }
    if (graph_.node_size() > kMostNodes) throw InputError("its If nodes expand to more than 2^16 nodes");
  }

 private:
  void add(onnx::NodeProto&& node) {
    *graph_.add_node() = std::move(node);
    parsed_.opsets.push_back(opset_);
  }

  void expand(const onnx::NodeProto& node, bool taken) {
    onnx::GraphProto branch = branch_of(node, taken);
    const std::string who = node.name().empty() ? "If" : node.name();
    Names names;
    for (const auto& initializer : branch.initializer()) names[initializer.name()] = unique(who, initializer.name());
    for (const auto& inner : branch.node())
      for (const auto& output : inner.output())
        if (!output.empty()) names[output] = unique(who, output);
    rename_reads(branch, names);
    for (auto& initializer : *branch.mutable_initializer()) {
      initializer.set_name(names.at(initializer.name()));
      *graph_.add_initializer() = initializer;
    }
    for (auto& inner : *branch.mutable_node()) {
      inner.set_name(who + "/" + (inner.name().empty() ? inner.op_type() : inner.name()));
      for (auto& output : *inner.mutable_output())
        if (!output.empty()) output = names.at(output);
      add(std::move(inner));
    }
    for (int i = 0; i < node.output_size(); ++i) {
      onnx::NodeProto result;
      result.set_op_type("Identity");
      result.set_name(who + "/" + node.output(i));
      result.add_input(branch.output(i).name());
      result.add_output(node.output(i));
      if (!node.output(i).empty()) add(std::move(result));
    }
  }

  static onnx::GraphProto branch_of(const onnx::NodeProto& node, bool taken) {
    for (const auto& attribute : node.attribute())
      if (attribute.name() == (taken ? "then_branch" : "else_branch") && attribute.has_g()) {
        if (attribute.g().output_size() != node.output_size())
          throw InputError("node '" + node.name() + "' (If): its " + attribute.name() + " has " +
                           std::to_string(attribute.g().output_size()) + " outputs, the node " +
                           std::to_string(node.output_size()));
        return attribute.g();
      }
    throw InputError("node '" + node.name() + "' (If) has no " + (taken ? "then_branch" : "else_branch"));
  }

  std::string unique(const std::string& who, const std::string& name) {
    std::string made = who + "/" + name;
    for (std::size_t n = taken_.size(); !taken_.insert(made).second; ++n)
      made = who + "/" + name + "_" + std::to_string(n);
    return made;
  }

  ParsedModel& parsed_;
  onnx::GraphProto& graph_;
  std::set<std::string> taken_;  ///< names of tensors
  int opset_ = 0;
};

}  // namespace

void resolve_branches(ParsedModel& parsed, const std::filesystem::path& file, const ImportOptions& options) {
  for (;;) {
    const auto& nodes = parsed.model->graph().node();
    const auto found = std::find_if(nodes.begin(), nodes.end(), is_if);
    if (found == nodes.end() || found->input_size() != 1) return;
    const auto taken = known_condition(parsed, file, options, found->input(0));
    if (!taken) return;
    BranchInliner(parsed).replace(static_cast<int>(found - nodes.begin()), *taken);
  }
}

}  // namespace bitplan
