#pragma once

#include <filesystem>
#include <map>
#include <memory>

#include "core/files.hpp"
#include "core/tensor.hpp"

namespace onnx {
class ModelProto;
class TensorProto;
}  // namespace onnx

namespace bitplan {

/// Makes Tensors of TensorProtos: views of the message or of the mapped external file where the bytes fit, copies
/// otherwise. Sizes are checked against the bytes that are there before anything is allocated.
class TensorReader {
 public:
  TensorReader(const std::filesystem::path& model_file, std::shared_ptr<const onnx::ModelProto> model);

  /// Throws InputError naming the tensor: types that we have not, dimensions that are negative or do not fit the data,
  /// external data outside the model's folder or shorter than stated.
  Tensor read(const onnx::TensorProto& tensor);

 private:
  Tensor read_external(const onnx::TensorProto& tensor, DType dtype, const Shape& shape);

  std::filesystem::path file_;
  std::shared_ptr<const onnx::ModelProto> model_;
  std::map<std::filesystem::path, std::shared_ptr<const MappedFile>> files_;
};

/// The element type of TensorProto.DataType `number`; throws InputError beginning with `place` for those we have not.
DType supported_type(std::int64_t number, const std::string& place);

}  // namespace bitplan
