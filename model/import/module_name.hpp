#pragma once

#include <string>
#include <vector>

namespace bitplan {

/// The module of a weight that kept its name: "conv1" of "conv1.weight"; empty for others ("onnx::Conv_284", "val_12").
std::string module_of_weight(const std::string& weight);

/// The last but one entry of the dynamo exporter's node metadata pkg.torch.onnx.name_scopes, a Python list as text:
/// "layer1.0.conv1" of "['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d_3']". Empty at the root or when damaged.
std::string module_of_scopes(const std::string& name_scopes);

/// The module of a node name of the TorchScript exporter: the operator is dropped, and a component that begins with the
/// previous one and a dot replaces it: "layer1.0.conv1" of "/layer1/layer1.0/conv1/Conv". Empty for names without a
/// scope.
std::string module_of_node(const std::string& node);

}  // namespace bitplan
