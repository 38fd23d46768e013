#include "model/import/unsupported.hpp"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>

#include "model/import/sequences.hpp"
#include "model/import_onnx.hpp"
#include "model/operator.hpp"

namespace bitplan {
namespace {

struct Refusal {
  std::string_view prefix;  ///< of the operator's name
  std::string_view reason;
};

constexpr std::string_view kControlFlow =
    "control flow is not supported; export by tracing, with fixed shapes, or simplify the graph so that it folds away";
constexpr std::string_view kBranch =
    "control flow is not supported where its condition depends on the data; export by tracing, with fixed shapes";
constexpr std::string_view kSequence = "sequences and optionals are not supported; export with tensors only";
constexpr std::string_view kRecurrent = "recurrent layers are not supported; keep this part out of the exported model";
constexpr std::string_view kQuantized = "the model is quantized already; export the float model";
constexpr std::string_view kDataShape =
    "depends on the data in its shape; end the exported model before this step (postprocessing)";
constexpr std::string_view kRandom = "random values are not supported; export in eval mode";
constexpr std::string_view kTraining = "training is not supported; export the model without its loss and optimizer";

constexpr std::array kRefusals{
    Refusal{"If", kBranch},
    Refusal{"Loop", kControlFlow},
    Refusal{"Scan", kControlFlow},
    Refusal{"Sequence", kSequence},
    Refusal{"Optional", kSequence},
    Refusal{"LSTM", kRecurrent},
    Refusal{"GRU", kRecurrent},
    Refusal{"RNN", kRecurrent},
    Refusal{"QLinear", kQuantized},
    Refusal{"QuantizeLinear", kQuantized},
    Refusal{"DequantizeLinear", kQuantized},
    Refusal{"DynamicQuantizeLinear", kQuantized},
    Refusal{"ConvInteger", kQuantized},
    Refusal{"MatMulInteger", kQuantized},
    Refusal{"NonMaxSuppression", kDataShape},
    Refusal{"Unique", kDataShape},
    Refusal{"Compress", kDataShape},
    Refusal{"Random", kRandom},
    Refusal{"Multinomial", kRandom},
    Refusal{"Bernoulli", kRandom},
    Refusal{"SoftmaxCrossEntropyLoss", kTraining},
    Refusal{"NegativeLogLikelihoodLoss", kTraining},
};

}  // namespace

std::string unsupported_reason(const onnx::NodeProto& node, int opset) {
  if (node.domain() == "com.microsoft")
    return "operator of ONNX Runtime; export the float model, without ONNX Runtime's optimizations or quantization";
  if (!node.domain().empty() && node.domain() != "ai.onnx")
    return "operators of this domain are not supported; export with ONNX operators or model-local functions";
  if (resolves_sequence(node.op_type())) return {};
  for (const auto& [prefix, reason] : kRefusals) {
    if (!node.op_type().starts_with(prefix)) continue;
    if (reason != kDataShape) return std::string(reason);
    return "its output '" + (node.output().empty() ? std::string() : node.output(0)) + "' " + std::string(reason);
  }
  const Operator* op = find_operator(node.op_type());
  if (op == nullptr) return "this operator is not supported; `bitplan list operators` names those that are";
  if (op->since > opset)
    return "needs opset " + std::to_string(op->since) + "; the model imports " + std::to_string(opset);
  for (const auto& attribute : node.attribute())
    if (attribute.has_g() || attribute.graphs_size() > 0) return "subgraphs are not supported";
  return {};
}

void refuse_nodes(const std::filesystem::path& file, std::vector<UnsupportedNode> nodes) {
  std::string message = file.string() + ": " + std::to_string(nodes.size()) +
                        (nodes.size() == 1 ? " node is" : " nodes are") + " not supported:";
  for (const auto& node : nodes)
    message += "\n  node '" + node.node + "': " + node.op + ", domain " +
               (node.domain.empty() ? "ai.onnx" : node.domain) + ", opset " + std::to_string(node.opset) + ": " +
               node.reason;
  throw UnsupportedModel(message, std::move(nodes));
}

}  // namespace bitplan
