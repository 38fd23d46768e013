#include "tests/fuzz/models.hpp"

#include <functional>

namespace bitplan::test {
namespace {

std::string model_of(const OperatorCase& c, bool feeds_first) {
  OnnxModel model(c.opset);
  std::vector<std::string> inputs, outputs;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    const std::string name = c.inputs[i] ? "in" + std::to_string(i) : "";
    inputs.push_back(name);
    if (!c.inputs[i]) continue;
    if (feeds_first && i == 0) {
      std::vector<std::string> shape;
      for (const auto d : c.inputs[i]->shape()) shape.push_back(std::to_string(d));
      model.input(name, shape, onnx_type(c.inputs[i]->dtype()));
    } else {
      model.constant(name, *c.inputs[i]);
    }
  }
  for (std::size_t i = 0; i < c.expected.size(); ++i) outputs.push_back("out" + std::to_string(i));
  model.node(c.op, inputs, outputs, c.attributes, "n");
  for (const auto& o : outputs) model.output(o);
  return model.bytes();
}

std::string chain_model() {
  OnnxModel model;
  model.input("x", {"batch", "2", "6", "6"}).constant("w", ramp({4, 2, 3, 3})).constant("g", ramp({4}));
  model.constant("end", i64({1}, {-1})).constant("zero", i64({1}, {0})).constant("m", ramp({64, 3}));
  model.node("Conv", {"x", "w"}, {"c"}, {{"strides", Ints{1, 1}}}, "conv");
  model.node("BatchNormalization", {"c", "g", "g", "g", "g"}, {"b"}, {}, "norm");
  model.node("Shape", {"b"}, {"s"}, {}, "shape");
  model.node("Gather", {"s", "zero"}, {"n"}, {}, "gather");
  model.node("Concat", {"n", "end"}, {"t"}, {{"axis", std::int64_t{0}}}, "concat");
  model.node("Reshape", {"b", "t"}, {"r"}, {}, "reshape");
  model.node("MatMul", {"r", "m"}, {"y"}, {}, "matmul");
  auto& external = *model.output("y").graph().mutable_initializer(0);
  external.clear_raw_data();
  external.set_data_location(onnx::TensorProto::EXTERNAL);
  for (const auto& [key, value] : std::map<std::string, std::string>{{"location", "data.bin"}, {"offset", "0"}}) {
    auto& entry = *external.add_external_data();
    entry.set_key(key), entry.set_value(value);
  }
  return model.bytes();
}

std::string function_model() {
  OnnxModel model;
  for (const char* name : {"F", "G"}) {
    auto& function = *model.proto.add_functions();
    function.set_name(name), function.set_domain("local"), function.add_input("a"), function.add_output("b");
    for (const bool last : {false, true}) {
      auto& node = *function.add_node();
      node.set_op_type(name == std::string("G") && last ? "F" : "Neg");
      node.set_domain(name == std::string("G") && last ? "local" : "");
      node.add_input(last ? "t" : "a"), node.add_output(last ? "b" : "t");
    }
  }
  model.input("x", {"2"});
  model.node("G", {"x"}, {"y"}, {}, "call").set_domain("local");
  return model.output("y").bytes();
}

std::int64_t wild(Rng& rng) {
  constexpr std::int64_t kValues[] = {0,       1,       -1,        2,         7,         255,       -2147483648,
                                      1 << 20, 1 << 30, 1LL << 31, 1LL << 40, INT64_MAX, INT64_MIN, -(1LL << 33),
                                      65537,   3};
  return kValues[rng.below(std::size(kValues))];
}

/// A tensor: a dimension, the type, an integer among its values, or data outside the file.
void damage_tensor(onnx::TensorProto& tensor, Rng& rng) {
  switch (rng.below(5)) {
    case 0:
      if (tensor.dims_size() > 0)
        tensor.set_dims(static_cast<int>(rng.below(static_cast<std::uint64_t>(tensor.dims_size()))), wild(rng));
      break;
    case 1:
      tensor.set_data_type(static_cast<int>(rng.below(24)));
      break;
    case 2:
      if (auto& raw = *tensor.mutable_raw_data(); raw.size() >= 8) {
        const std::int64_t value = wild(rng);
        std::memcpy(raw.data() + rng.below(raw.size() / 8) * 8, &value, 8);
      }
      break;
    case 3:
      tensor.add_dims(wild(rng));
      break;
    default: {
      tensor.set_data_location(onnx::TensorProto::EXTERNAL);
      auto& entry = *tensor.add_external_data();
      entry.set_key(rng.below(2) == 0 ? "offset" : "length");
      entry.set_value(std::to_string(wild(rng)));
    }
  }
}

void damage_attribute(onnx::AttributeProto& a, Rng& rng) {
  if (a.ints_size() > 0 && rng.below(2) == 0)
    a.set_ints(static_cast<int>(rng.below(static_cast<std::uint64_t>(a.ints_size()))), wild(rng));
  else if (a.has_t())
    damage_tensor(*a.mutable_t(), rng);
  else if (a.has_s())
    a.set_s(a.s().substr(0, rng.below(a.s().size() + 1)) + (rng.below(2) == 0 ? "..." : ""));
  else if (a.has_f())
    a.set_f(static_cast<float>(wild(rng)));
  else if (rng.below(3) == 0)
    a.add_ints(wild(rng));
  else
    a.set_i(wild(rng));
}

/// A node: an attribute, or an input or output that takes another name of the graph (cycles, doubles) or none.
void damage_node(onnx::NodeProto& node, onnx::GraphProto& graph, Rng& rng) {
  const auto pick = [&](int count) { return static_cast<int>(rng.below(static_cast<std::uint64_t>(count))); };
  const auto& other = graph.node(pick(graph.node_size()));
  const std::string name = rng.below(4) == 0          ? ""
                           : other.output_size() == 0 ? "in0"
                                                      : other.output(pick(other.output_size()));
  switch (rng.below(4)) {
    case 0:
      if (node.input_size() > 0) node.set_input(pick(node.input_size()), name);
      break;
    case 1:
      if (node.output_size() > 0) node.set_output(pick(node.output_size()), name);
      break;
    case 2:
      node.add_input(name);
      break;
    default:
      if (node.attribute_size() > 0) damage_attribute(*node.mutable_attribute(pick(node.attribute_size())), rng);
  }
}

void damage_message(onnx::ModelProto& model, Rng& rng) {
  auto& graph = *model.mutable_graph();
  const auto pick = [&](int count) { return static_cast<int>(rng.below(static_cast<std::uint64_t>(count))); };
  switch (rng.below(8)) {
    case 0:
      if (model.opset_import_size() > 0) model.mutable_opset_import(0)->set_version(static_cast<int>(rng.below(26)));
      break;
    case 1:
    case 2:
      if (graph.initializer_size() > 0) damage_tensor(*graph.mutable_initializer(pick(graph.initializer_size())), rng);
      break;
    case 3:
      if (graph.input_size() > 0) {
        auto& shape =
            *graph.mutable_input(pick(graph.input_size()))->mutable_type()->mutable_tensor_type()->mutable_shape();
        if (shape.dim_size() > 0) shape.mutable_dim(pick(shape.dim_size()))->set_dim_value(wild(rng));
        if (rng.below(4) == 0) shape.add_dim()->set_dim_value(wild(rng));
      }
      break;
    case 4:
      if (model.functions_size() > 0) {
        auto& function = *model.mutable_functions(pick(model.functions_size()));
        function.mutable_node(pick(function.node_size()))->set_op_type(rng.below(2) == 0 ? "G" : "Gelu");
        break;
      }
      [[fallthrough]];
    default:
      if (graph.node_size() > 0) damage_node(*graph.mutable_node(pick(graph.node_size())), graph, rng);
  }
}

}  // namespace

std::vector<std::string> sound_models() {
  std::vector<std::string> models{chain_model(), function_model()};
  for (const auto& cases : {layer_cases(), pool_cases(), elementwise_cases(), reduce_cases(), view_cases(),
                            index_cases(), rare_cases(), attention_cases()})
    for (const auto& c : cases) {
      models.push_back(model_of(c, false));
      if (!c.inputs.empty() && c.inputs[0]) models.push_back(model_of(c, true));
    }
  return models;
}

std::string damaged(const std::string& model, Rng& rng) {
  std::string bytes = model;
  const auto kind = rng.below(10);
  if (kind == 0) return bytes.substr(0, rng.below(bytes.size()));
  if (kind <= 3) {
    for (std::uint64_t k = 0, count = 1 + rng.below(4); k < count; ++k)
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.bits());
    return bytes;
  }
  onnx::ModelProto message;
  message.ParseFromString(bytes);
  for (std::uint64_t k = 0, count = 1 + rng.below(3); k < count; ++k) damage_message(message, rng);
  return message.SerializeAsString();
}

}  // namespace bitplan::test
