#include <cmath>

#include "model/channel_normal.hpp"
#include "model/import/draft.hpp"
#include "model/operator.hpp"

namespace bitplan {
namespace {

/// How the weight's axes count output channels: element i belongs to channel group(i) * per_group + (i / inner) % size.
struct ChannelAxis {
  std::size_t axis;
  std::int64_t groups;  ///< of ConvTranspose, whose weight [C, M/G, …] has the group in axis 0
};

/// The producer of a BatchNormalization's input, when its weight and bias can take the normalization in.
bool can_absorb(const Draft& draft, const Node& node) {
  if (node.op == "Gemm") {
    if (node.integer("transA", 0) != 0 || node.number("alpha", 1) != 1.0f || node.number("beta", 1) != 1.0f)
      return false;
  } else if (node.op != "Conv" && node.op != "ConvTranspose") {
    return false;
  }
  const auto constant = [&](std::size_t i) { return draft.tensor(node.inputs[i]).constant.has_value(); };
  if (!constant(1) || draft.tensor(node.outputs[0]).shape.size() < 2) return false;
  const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoTensor;
  return !has_bias ||
         (constant(2) && draft.tensor(node.inputs[2]).shape == Shape{draft.tensor(node.outputs[0]).shape[1]});
}

ChannelAxis channel_axis(const Node& node) {
  if (node.op == "ConvTranspose") return {1, node.integer("group", 1)};
  if (node.op == "Gemm") return {node.integer("transB", 0) != 0 ? 0u : 1u, 1};
  return {0, 1};
}

Tensor scaled(const Tensor& weight, const ChannelAxis& channels, const std::vector<double>& factor) {
  Tensor out = weight;
  const Shape& shape = weight.shape();
  const std::int64_t size = shape[channels.axis];
  const std::int64_t inner =
      element_count(Shape(shape.begin() + static_cast<std::ptrdiff_t>(channels.axis) + 1, shape.end()));
  const std::int64_t group_elements = static_cast<std::int64_t>(weight.size()) / channels.groups;
  const auto values = out.writable<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const std::int64_t group = channels.groups > 1 ? at / group_elements : 0;
    const std::int64_t channel = group * size + at / inner % size;
    values[i] = static_cast<float>(static_cast<double>(values[i]) * factor[static_cast<std::size_t>(channel)]);
  }
  return out;
}

class BatchNormFolder {
 public:
  explicit BatchNormFolder(Draft& draft)
      : draft_(draft), readers_(draft.network.tensors.size(), 0), producer_(draft.network.tensors.size(), nullptr) {
    for (auto& made : draft.nodes) {
      if (made.dead) continue;
      for (const TensorId input : made.node.inputs)
        if (input != kNoTensor) ++readers_[static_cast<std::size_t>(input)];
      for (const TensorId output : made.node.outputs)
        if (output != kNoTensor) producer_[static_cast<std::size_t>(output)] = &made;
    }
  }

  void run() {
    int folded = 0;
    for (auto& made : draft_.nodes)
      if (!made.dead && made.node.op == "BatchNormalization" && absorb(made)) ++folded;
    if (folded > 0) draft_.network.notes.push_back("folded " + std::to_string(folded) + " BatchNormalization nodes");
  }

 private:
  bool absorb(DraftNode& norm) {
    const TensorId between = norm.node.inputs[0];
    DraftNode* into = producer_[static_cast<std::size_t>(between)];
    if (into == nullptr || readers_[static_cast<std::size_t>(between)] != 1 || draft_.is_output(between)) return false;
    for (std::size_t i = 1; i < 5; ++i)
      if (!draft_.tensor(norm.node.inputs[i]).constant) return false;
    if (!can_absorb(draft_, into->node)) return false;
    fold(norm.node, into->node);
    draft_.tensor(norm.node.outputs[0]).normal = normal_of(norm.node);
    into->node.outputs[0] = norm.node.outputs[0];
    producer_[static_cast<std::size_t>(norm.node.outputs[0])] = into;
    norm.dead = true;
    return true;
  }

  /// W' = W g / sqrt(v + e), b' = (b - m) g / sqrt(v + e) + beta, in double, rounded once.
  void fold(const Node& norm, Node& into) {
    const auto values = [&](std::size_t i) { return draft_.tensor(norm.inputs[i]).constant->values<float>(); };
    const auto gain = values(1), beta = values(2), mean = values(3), variance = values(4);
    const auto epsilon = static_cast<double>(norm.number("epsilon", 1e-5f));
    const bool has_bias = into.inputs.size() > 2 && into.inputs[2] != kNoTensor;
    std::vector<double> factor(gain.size());
    Tensor bias(DType::f32, {static_cast<std::int64_t>(gain.size())});
    const auto b = bias.writable<float>();
    for (std::size_t c = 0; c < factor.size(); ++c) {
      factor[c] = static_cast<double>(gain[c]) / std::sqrt(static_cast<double>(variance[c]) + epsilon);
      const float old = has_bias ? draft_.tensor(into.inputs[2]).constant->values<float>()[c] : 0.0f;
      b[c] = static_cast<float>((static_cast<double>(old) - static_cast<double>(mean[c])) * factor[c] +
                                static_cast<double>(beta[c]));
    }
    Tensor weight = scaled(*draft_.tensor(into.inputs[1]).constant, channel_axis(into), factor);
    replace_input(into, 1, std::move(weight), into.name + ".weight");
    draft_.batch_norm_folded[static_cast<std::size_t>(into.inputs[1])] = true;
    replace_input(into, 2, std::move(bias), into.name + ".bias");
  }

  /// Mean beta and deviation |g| sqrt(v / (v + e)): what the running mean m and variance v become.
  std::optional<ChannelNormal> normal_of(const Node& norm) const {
    const auto values = [&](std::size_t i) { return draft_.tensor(norm.inputs[i]).constant->values<float>(); };
    return batch_norm_output(values(1), values(2), values(4), norm.number("epsilon", 1e-5f));
  }

  /// Changes a constant in place when this node alone reads it; else the node gets a tensor of its own.
  void replace_input(Node& node, std::size_t i, Tensor value, const std::string& new_name) {
    if (node.inputs.size() <= i) node.inputs.resize(i + 1, kNoTensor);
    TensorId& id = node.inputs[i];
    const bool sole_reader = id != kNoTensor && readers_[static_cast<std::size_t>(id)] == 1 && !draft_.is_output(id);
    if (!sole_reader) {
      std::string name = new_name;
      while (draft_.ids.contains(name)) name += "_folded";
      const TensorId old = id;
      id = draft_.add_tensor(name);
      readers_.push_back(1);
      producer_.push_back(nullptr);
      if (old != kNoTensor) {
        --readers_[static_cast<std::size_t>(old)];
        const auto origins = draft_.origins[static_cast<std::size_t>(old)];
        draft_.origins[static_cast<std::size_t>(id)] = origins;
      }
    }
    auto& tensor = draft_.tensor(id);
    tensor.dtype = value.dtype();
    tensor.shape = value.shape();
    tensor.constant = std::move(value);
  }

  Draft& draft_;
  std::vector<int> readers_;          ///< by TensorId
  std::vector<DraftNode*> producer_;  ///< by TensorId
};

}  // namespace

void fold_batch_norm(Draft& draft) { BatchNormFolder(draft).run(); }

}  // namespace bitplan
