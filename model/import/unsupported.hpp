#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/network.hpp"

namespace onnx {
class ModelProto;
class NodeProto;
}  // namespace onnx

namespace bitplan {

/// Why a node cannot be imported; empty when it can.
std::string unsupported_reason(const onnx::ModelProto& model, const onnx::NodeProto& node);

/// Throws UnsupportedModel, one line for each node: name, operator, domain, opset, reason.
[[noreturn]] void refuse_nodes(const std::filesystem::path& file, std::vector<UnsupportedNode> nodes);

}  // namespace bitplan
