#pragma once

#include <filesystem>
#include <memory>

namespace onnx {
class ModelProto;
}

namespace bitplan {

/// Reads the protobuf message and checks what concerns the whole file: that it is a model with a graph, and that its
/// opset is one of 11 … 21. Throws InputError naming the file.
std::shared_ptr<const onnx::ModelProto> parse_model(const std::filesystem::path& file);

/// The version of a domain ("" is the ONNX domain) that the model imports; 0 when it does not.
int imported_version(const onnx::ModelProto& model, const std::string& domain);

}  // namespace bitplan
