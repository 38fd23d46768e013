#include "model/import/unsupported.hpp"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>

#include "model/import_onnx.hpp"
#include "model/operator.hpp"

namespace bitplan {
namespace {

struct Refusal {
  std::string_view prefix;  ///< of the operator's name
  std::string_view reason;
};

constexpr std::string_view kControlFlow = "control flow is not supported; export the model by tracing";
constexpr std::string_view kSequence = "sequence types are not supported";
constexpr std::string_view kRecurrent = "recurrent layers are not supported";
constexpr std::string_view kQuantized = "the model is quantized already; bitplan starts from the float model";
constexpr std::string_view kDataShape = "the shape of its output depends on the data";
constexpr std::string_view kRandom = "random values are not supported";

constexpr std::array kRefusals{
    Refusal{"If", kControlFlow},
    Refusal{"Loop", kControlFlow},
    Refusal{"Scan", kControlFlow},
    Refusal{"Sequence", kSequence},
    Refusal{"SplitToSequence", kSequence},
    Refusal{"ConcatFromSequence", kSequence},
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
    Refusal{"NonZero", kDataShape},
    Refusal{"NonMaxSuppression", kDataShape},
    Refusal{"Unique", kDataShape},
    Refusal{"Compress", kDataShape},
    Refusal{"Random", kRandom},
    Refusal{"Multinomial", kRandom},
    Refusal{"Bernoulli", kRandom},
};

}  // namespace

std::string unsupported_reason(const onnx::ModelProto& model, const onnx::NodeProto& node) {
  for (const auto& function : model.functions())
    if (function.name() == node.op_type() && function.domain() == node.domain())
      return "model-local functions are not supported; inline them first (onnx.inliner)";
  if (node.domain() == "com.microsoft")
    return "operator of ONNX Runtime; export the model again without its optimizations";
  if (!node.domain().empty() && node.domain() != "ai.onnx") return "operators of this domain are not supported";
  for (const auto& [prefix, reason] : kRefusals)
    if (node.op_type().starts_with(prefix)) return std::string(reason);
  if (find_operator(node.op_type()) == nullptr) return "this operator is not supported";
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
