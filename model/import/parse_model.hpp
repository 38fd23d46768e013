#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace onnx {
class ModelProto;
}

namespace bitplan {

/// The message with its functions inlined.
struct ParsedModel {
  std::shared_ptr<onnx::ModelProto> model;
  std::vector<int> opsets;  ///< by node of the graph: the version of the ONNX domain that it obeys
};

/// Reads the protobuf message, checks what concerns the whole file (that it is a model with a graph, and that its opset
/// is one of 11 … 23), and inlines functions. Throws InputError naming the file.
ParsedModel parse_model(const std::filesystem::path& file);

/// The version of a domain ("" is the ONNX domain) that the model imports; 0 when it does not.
int imported_version(const onnx::ModelProto& model, const std::string& domain);

/// Throws InputError when we do not know this version of the ONNX domain; `importer` begins the message.
void check_opset(std::int64_t version, const std::string& importer);

}  // namespace bitplan
