#include "model/operators/arguments.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "model/onnx_types.hpp"

namespace bitplan {
namespace {

/// 2^31 elements: 8 GiB of float32. No activation of a network that we could run is larger.
constexpr std::int64_t kMostElements = std::int64_t{1} << 31;

}  // namespace

TensorFacts make_facts(const Node& node, DType dtype, Shape shape) {
  std::int64_t count = 0;
  try {
    count = element_count(shape);
  } catch (const InputError& e) {
    fail_node(node, e.what());
  }
  if (count > kMostElements)
    fail_node(node, "its output of shape " + to_string(shape) + " has more than 2^31 elements");
  return {dtype, std::move(shape), {}};
}

Facts one_output(const Node& node, DType dtype, Shape shape) {
  Facts facts;
  facts.push_back(make_facts(node, dtype, std::move(shape)));
  return facts;
}

std::size_t axis_of(const Node& node, std::int64_t axis, std::size_t rank) {
  const auto r = static_cast<std::int64_t>(rank);
  if (axis < -r || axis >= r)
    fail_node(node, "axis " + std::to_string(axis) + " is outside a tensor of rank " + std::to_string(rank));
  return static_cast<std::size_t>(axis < 0 ? axis + r : axis);
}

std::vector<std::size_t> axes_of(const Node& node, std::span<const std::int64_t> axes, std::size_t rank) {
  std::vector<std::size_t> sorted;
  for (const auto axis : axes) sorted.push_back(axis_of(node, axis, rank));
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) fail_node(node, "an axis is given twice");
  return sorted;
}

void require_type(const Node& node, const TensorFacts& input, std::initializer_list<DType> allowed) {
  if (std::find(allowed.begin(), allowed.end(), input.dtype) != allowed.end()) return;
  std::string names;
  for (const auto dtype : allowed) names += (names.empty() ? "" : ", ") + std::string(name_of(dtype));
  fail_node(node, "an input is " + std::string(name_of(input.dtype)) + "; supported here: " + names);
}

void require_number(const Node& node, const TensorFacts& input) {
  if (input.dtype == DType::boolean || input.dtype == DType::f16 || input.dtype == DType::bf16)
    fail_node(node, "an input is " + std::string(name_of(input.dtype)) + "; numbers are needed");
}

void require_same_type(const Node& node, FactsIn inputs) {
  const TensorFacts* first = nullptr;
  for (const auto* input : inputs) {
    if (input == nullptr) continue;
    if (first == nullptr) first = input;
    if (input->dtype != first->dtype)
      fail_node(node, "inputs have different types: " + std::string(name_of(first->dtype)) + " and " +
                          std::string(name_of(input->dtype)));
  }
}

void require_rank(const Node& node, const TensorFacts& input, std::size_t least, std::size_t most) {
  const auto rank = input.shape.size();
  if (rank >= least && rank <= most) return;
  fail_node(node, "an input of shape " + to_string(input.shape) + " has rank " + std::to_string(rank) +
                      "; supported: " + std::to_string(least) + " to " + std::to_string(most));
}

DType type_attribute(const Node& node, const char* key) {
  if (!node.has(key)) fail_node(node, "attribute '" + std::string(key) + "' is missing");
  const std::int64_t number = node.integer(key, 0);
  const auto dtype = dtype_of_onnx(number);
  if (!dtype) fail_node(node, "element type " + std::to_string(number) + " of ONNX is not supported");
  return computed_type(*dtype);
}

void fail_data_dependent(const Node& node, const std::string& what) {
  try {
    fail_node(node, what + " depends on the data; shapes must be known when the model is imported");
  } catch (const InputError& e) {
    throw DataDependent(e.what());
  }
}

std::vector<std::int64_t> known_integers(const Node& node, FactsIn inputs, std::size_t i, const char* what) {
  const TensorFacts& input = *inputs[i];
  require_type(node, input, {DType::i64, DType::i32});
  if (!input.constant) fail_data_dependent(node, "its input '" + std::string(what) + "'");
  return input.constant->integers();
}

std::vector<std::int64_t> attribute_or_input(const Node& node, FactsIn inputs, const char* attribute, int since,
                                             std::size_t i, const std::vector<std::int64_t>& fallback) {
  const bool has_input = optional_input(inputs, i) != nullptr;
  if (node.opset < since) {
    if (has_input) fail_node(node, "'" + std::string(attribute) + "' is an attribute in this opset, not an input");
    return node.integers(attribute, fallback);
  }
  if (node.has(attribute))
    fail_node(node, "'" + std::string(attribute) + "' is an input in this opset, not an attribute");
  return has_input ? known_integers(node, inputs, i, attribute) : fallback;
}

Shape broadcast(const Node& node, const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < out.size(); ++i) {  // counted from the last axis
    const std::int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1)
      fail_node(node, "shapes " + to_string(a) + " and " + to_string(b) + " cannot be broadcast together");
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

KnownInputs::KnownInputs(TensorsIn inputs) {
  facts_.reserve(inputs.size());
  for (const auto* input : inputs) {
    facts_.push_back(input ? TensorFacts{input->dtype(), input->shape(), *input} : TensorFacts{});
    pointers_.push_back(input ? &facts_.back() : nullptr);
  }
}

}  // namespace bitplan
