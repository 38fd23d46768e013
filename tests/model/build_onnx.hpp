#pragma once
// Writes small ONNX files for tests.

#include <onnx/onnx_pb.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "model/import_onnx.hpp"
#include "tests/model/operator_cases.hpp"

namespace bitplan::test {

/// A folder of its own that goes away with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("bitplan-model-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

inline int onnx_type(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return onnx::TensorProto::DOUBLE;
    case DType::i64:
      return onnx::TensorProto::INT64;
    case DType::i32:
      return onnx::TensorProto::INT32;
    case DType::boolean:
      return onnx::TensorProto::BOOL;
    case DType::f16:
      return onnx::TensorProto::FLOAT16;
    default:
      return onnx::TensorProto::FLOAT;
  }
}

/// Operators that are left after import, in order.
inline std::vector<std::string> left(const Network& network) {
  std::vector<std::string> ops;
  for (const Node& node : network.nodes) ops.push_back(node.op);
  return ops;
}

/// A model under construction; parts that the tests damage are open.
class OnnxModel {
 public:
  explicit OnnxModel(int opset = 17) {
    proto.set_ir_version(8);
    proto.set_producer_name("test");
    auto* import = proto.add_opset_import();
    import->set_domain("");
    import->set_version(opset);
    proto.mutable_graph()->set_name("g");
  }

  /// Dimensions are numbers or symbols: {"batch", "3"}.
  OnnxModel& input(const std::string& name, const std::vector<std::string>& shape,
                   int type = onnx::TensorProto::FLOAT) {
    auto* value = graph().add_input();
    value->set_name(name);
    auto* tensor = value->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    tensor->mutable_shape();
    for (const auto& d : shape) {
      auto* dimension = tensor->mutable_shape()->add_dim();
      if (d.find_first_not_of("-0123456789") == std::string::npos && !d.empty())
        dimension->set_dim_value(std::stoll(d));
      else if (d != "?")
        dimension->set_dim_param(d);
    }
    return *this;
  }

  OnnxModel& output(const std::string& name) {
    graph().add_output()->set_name(name);
    return *this;
  }

  OnnxModel& constant(const std::string& name, const Tensor& value) {
    fill(*graph().add_initializer(), name, value);
    return *this;
  }

  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs, const Attributes& attributes = {},
                        const std::string& name = "") {
    auto& made = *graph().add_node();
    made.set_op_type(op);
    made.set_name(name.empty() ? op + "." + outputs.at(0) : name);
    for (const auto& i : inputs) made.add_input(i);
    for (const auto& o : outputs) made.add_output(o);
    for (const auto& [key, value] : attributes) add_attribute(made, key, value);
    return made;
  }

  onnx::GraphProto& graph() { return *proto.mutable_graph(); }
  std::string bytes() const { return proto.SerializeAsString(); }
  std::filesystem::path write(const std::filesystem::path& folder, const std::string& name = "model.onnx") const {
    write_bytes(folder / name, bytes());
    return folder / name;
  }
  Network import(const ImportOptions& options = {}) const {
    const TemporaryFolder folder;
    return import_onnx(write(folder.path()), options);
  }

  static void fill(onnx::TensorProto& proto, const std::string& name, const Tensor& value) {
    proto.set_name(name);
    proto.set_data_type(onnx_type(value.dtype()));
    for (const auto d : value.shape()) proto.add_dims(d);
    proto.set_raw_data(value.bytes(), value.byte_size());
  }

  onnx::ModelProto proto;

 private:
  static void add_attribute(onnx::NodeProto& node, const std::string& key, const Attribute& value) {
    auto& a = *node.add_attribute();
    a.set_name(key);
    if (const auto* i = std::get_if<std::int64_t>(&value)) a.set_type(onnx::AttributeProto::INT), a.set_i(*i);
    if (const auto* f = std::get_if<float>(&value)) a.set_type(onnx::AttributeProto::FLOAT), a.set_f(*f);
    if (const auto* s = std::get_if<std::string>(&value)) a.set_type(onnx::AttributeProto::STRING), a.set_s(*s);
    if (const auto* t = std::get_if<Tensor>(&value))
      a.set_type(onnx::AttributeProto::TENSOR), fill(*a.mutable_t(), key, *t);
    if (const auto* list = std::get_if<Ints>(&value)) {
      a.set_type(onnx::AttributeProto::INTS);
      for (const auto i : *list) a.add_ints(i);
    }
  }
};

/// The node's metadata_props (field 9), which libonnx's class does not know: written as an unknown field.
inline void add_metadata(onnx::NodeProto& node, const std::string& key, const std::string& value) {
  onnx::StringStringEntryProto entry;
  entry.set_key(key);
  entry.set_value(value);
  node.mutable_unknown_fields()->AddLengthDelimited(9, entry.SerializeAsString());
}

/// The message of the InputError that `import` ends with; "" when it does not fail.
inline std::string import_error(const OnnxModel& model, const ImportOptions& options = {}) {
  try {
    model.import(options);
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

}  // namespace bitplan::test
