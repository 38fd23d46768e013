#include "model/import/sequences.hpp"

#include <algorithm>
#include <array>

#include "model/import/node_maker.hpp"
#include "model/operators/arguments.hpp"

namespace bitplan {
namespace {

constexpr std::size_t kLongest = 1024;
constexpr std::array<std::string_view, 7> kOperators{"SplitToSequence",   "SequenceConstruct", "SequenceEmpty",
                                                     "SequenceInsert",    "SequenceAt",        "SequenceLength",
                                                     "ConcatFromSequence"};

TensorId input_of(const Node& node, std::size_t i) {
  if (i >= node.inputs.size() || node.inputs[i] == kNoTensor)
    fail_node(node, "input " + std::to_string(i) + " is missing");
  return node.inputs[i];
}

std::vector<std::int64_t> known_values(const Draft& draft, const Node& node, TensorId tensor) {
  const TensorInfo& info = draft.tensor(tensor);
  if (!info.constant) fail_node(node, "input '" + info.name + "' depends on the data; it must be known at import");
  if (info.dtype != DType::i64 && info.dtype != DType::i32)
    fail_node(node, "input '" + info.name + "' is not of integers");
  return info.constant->integers();
}

/// Sizes of the parts: as listed, or one size for all parts but a smaller last one.
std::vector<std::int64_t> part_sizes(const Node& node, std::int64_t size, const std::vector<std::int64_t>& given,
                                     bool one_for_all) {
  if (!one_for_all) return given;
  if (given[0] < 1) fail_node(node, "parts of " + std::to_string(given[0]) + " elements are not possible");
  if ((size - 1) / given[0] >= static_cast<std::int64_t>(kLongest))
    fail_node(node, "makes more than " + std::to_string(kLongest) + " parts");
  std::vector<std::int64_t> sizes;
  for (std::int64_t left = size; left > 0; left -= given[0]) sizes.push_back(std::min(given[0], left));
  return sizes;
}

/// An element of a list of this size, counted from the end when negative.
std::int64_t position(const Node& node, const std::vector<std::int64_t>& given, std::size_t size) {
  const auto end = static_cast<std::int64_t>(size);
  if (given.size() != 1 || given[0] < -end || given[0] >= end)
    fail_node(node, "position " + (given.size() == 1 ? std::to_string(given[0]) : std::string("of no single number")) +
                        " is outside its sequence; " + std::to_string(size) + " are possible");
  return given[0] < 0 ? given[0] + end : given[0];
}

}  // namespace

bool resolves_sequence(std::string_view op) {
  return std::find(kOperators.begin(), kOperators.end(), op) != kOperators.end();
}

std::vector<DraftNode> Sequences::resolve(DraftNode&& made) {
  const Node& node = made.node;
  if (!resolves_sequence(node.op)) {
    for (const TensorId input : node.inputs)
      if (is_sequence(input)) fail_node(node, "its input '" + draft_.tensor(input).name + "' is a sequence of tensors");
    std::vector<DraftNode> itself;
    itself.push_back(std::move(made));
    return itself;
  }
  if (node.outputs.size() != 1 || node.outputs[0] == kNoTensor) fail_node(node, "must have one output");
  if (node.op == "SplitToSequence") return split(node);
  if (node.op == "ConcatFromSequence") return concat(node);
  if (node.op == "SequenceAt") return element(node);
  if (node.op == "SequenceLength") return length(node);
  if (node.op == "SequenceInsert") return insert(node), std::vector<DraftNode>();
  for (std::size_t i = 0; i < node.inputs.size(); ++i)
    if (is_sequence(input_of(node, i))) fail_node(node, "sequences of sequences are not supported");
  define(node, node.op == "SequenceEmpty" ? std::vector<TensorId>() : node.inputs);
  return {};
}

const std::vector<TensorId>& Sequences::list_of(const Node& node) const {
  const auto found = lists_.find(input_of(node, 0));
  if (found == lists_.end())
    fail_node(node, "its input '" + draft_.tensor(node.inputs[0]).name + "' is no sequence of tensors");
  return found->second;
}

void Sequences::define(const Node& node, std::vector<TensorId> list) {
  if (list.size() > kLongest) fail_node(node, "makes a sequence of more than " + std::to_string(kLongest) + " tensors");
  lists_[node.outputs[0]] = std::move(list);
}

void Sequences::insert(const Node& node) {
  std::vector<TensorId> list = list_of(node);
  const TensorId added = input_of(node, 1);
  if (is_sequence(added)) fail_node(node, "sequences of sequences are not supported");
  auto place = static_cast<std::int64_t>(list.size());
  if (node.inputs.size() > 2) place = position(node, known_values(draft_, node, input_of(node, 2)), list.size() + 1);
  list.insert(list.begin() + place, added);
  define(node, std::move(list));
}

std::vector<DraftNode> Sequences::split(const Node& node) {
  const TensorId data = input_of(node, 0);
  if (is_sequence(data)) fail_node(node, "its input '" + draft_.tensor(data).name + "' is a sequence of tensors");
  const Shape shape = draft_.tensor(data).shape;
  const std::size_t axis = axis_of(node, node.integer("axis", 0), shape.size());
  const bool given = node.inputs.size() > 1 && node.inputs[1] != kNoTensor;
  const auto values = given ? known_values(draft_, node, node.inputs[1]) : std::vector<std::int64_t>{1};
  const bool one_for_all = !given || draft_.tensor(node.inputs[1]).shape.empty();
  const auto sizes = part_sizes(node, shape[axis], values, one_for_all);
  if (sizes.empty()) fail_node(node, "makes no parts");
  NodeMaker make(draft_, node);
  std::vector<TensorId> parts;
  for (std::size_t i = 0; i < sizes.size(); ++i) parts.push_back(make.tensor());
  if (node.opset < 13)
    make.add("Split", {data}, parts).attributes["split"] = sizes;
  else
    make.add("Split", {data, make.integers(sizes)}, parts);
  make.nodes[0].node.attributes["axis"] = static_cast<std::int64_t>(axis);
  if (!given && node.integer("keepdims", 1) == 0)
    for (auto& part : parts) part = make.change_axis("Squeeze", part, static_cast<std::int64_t>(axis));
  define(node, parts);
  return std::move(make.nodes);
}

std::vector<DraftNode> Sequences::concat(const Node& node) {
  std::vector<TensorId> list = list_of(node);
  if (list.empty()) fail_node(node, "its sequence is empty");
  if (!node.has("axis")) fail_node(node, "attribute 'axis' is missing");
  const bool stacks = node.integer("new_axis", 0) != 0;
  const std::size_t rank = draft_.tensor(list[0]).shape.size() + (stacks ? 1 : 0);
  const auto axis = static_cast<std::int64_t>(axis_of(node, node.integer("axis", 0), rank));
  NodeMaker make(draft_, node);
  if (stacks)
    for (auto& element : list) element = make.change_axis("Unsqueeze", element, axis);
  make.add("Concat", std::move(list), node.outputs).attributes["axis"] = axis;
  return std::move(make.nodes);
}

std::vector<DraftNode> Sequences::element(const Node& node) {
  const auto& list = list_of(node);
  const auto place = position(node, known_values(draft_, node, input_of(node, 1)), list.size());
  NodeMaker make(draft_, node);
  make.add("Identity", {list[static_cast<std::size_t>(place)]}, node.outputs);
  return std::move(make.nodes);
}

std::vector<DraftNode> Sequences::length(const Node& node) {
  const auto size = static_cast<std::int64_t>(list_of(node).size());
  NodeMaker make(draft_, node);
  make.add("Constant", {}, node.outputs).attributes["value"] = Tensor::of<std::int64_t>({}, std::vector{size});
  return std::move(make.nodes);
}

}  // namespace bitplan
