#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/network.hpp"

namespace onnx {
class NodeProto;
}

namespace bitplan {

/// Why a node that obeys this version of the ONNX domain cannot be imported, and what to do; empty when it can.
std::string unsupported_reason(const onnx::NodeProto& node, int opset);

/// Throws UnsupportedModel, one line for each node: name, operator, domain, opset, reason.
[[noreturn]] void refuse_nodes(const std::filesystem::path& file, std::vector<UnsupportedNode> nodes);

}  // namespace bitplan
