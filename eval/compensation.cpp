#include "eval/compensation.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "eval/moments/layer_moments.hpp"
#include "eval/moments/moment_passes.hpp"
#include "model/operator.hpp"
#include "quant/layer_quantizer.hpp"

namespace bitplan {
namespace {

class Compensator {
 public:
  Compensator(const Executor& executor, ChunkedData& data, Candidate candidate, const QuantizedValues& values,
              std::span<Executor::WorkspacePtr> workspaces)
      : executor_(executor),
        net_(executor.network()),
        data_(data),
        candidate_(std::move(candidate)),
        values_(values),
        workspaces_(workspaces),
        biases_(net_.layers.size()) {
    candidate_.weights.resize(net_.layers.size());
  }

  Biases run(BiasPer per, const std::atomic<bool>* stop) {
    std::vector<LayerId> layers, by_channel, by_element;
    for (const Layer& layer : net_.layers) {
      if (!executor_.takes_bias(layer.id) || !has_moments(net_, layer)) continue;
      layers.push_back(layer.id);
      (per == BiasPer::element && has_positions(layer) ? by_element : by_channel).push_back(layer.id);
    }
    // The float network's means do not change as the quantized one is compensated.
    const auto means = collect_means(executor_, data_, by_channel, {}, workspaces_);
    const auto inputs = collect_mean_inputs(executor_, data_, by_element, {}, workspaces_);
    // Zeros first: then all runs are of one program.
    for (const LayerId id : by_element) pack(id, std::vector<float>(elements_of(id)));
    std::size_t channel = 0, element = 0;
    for (const LayerId id : layers) {
      if (stop != nullptr && *stop) throw Interrupted("the compensation was stopped");
      const bool elements = element < by_element.size() && by_element[element] == id;
      auto& bias = biases_[static_cast<std::size_t>(id)];
      bias = elements ? element_bias(id, inputs[element++]) : channel_bias(id, means[channel++].mean);
      pack(id, bias);
    }
    return std::move(biases_);
  }

 private:
  std::size_t elements_of(LayerId id) const { return static_cast<std::size_t>(executor_.element_biases(id)); }

  /// More elements than channels.
  bool has_positions(const Layer& layer) const {
    return executor_.element_biases(layer.id) > WeightView::of(layer.weight_shape, layer.channel_axis).channels;
  }

  Tensor float_weight(LayerId id) const { return net_.tensor(net_.layer(id).weight).constant->cast(DType::f32); }

  /// What the network computes with.
  std::vector<float> weight(LayerId id) const {
    std::vector<float> values = values_(id);
    if (!values.empty()) return values;
    const Tensor weight = float_weight(id);
    return {weight.values<float>().begin(), weight.values<float>().end()};
  }

  std::vector<float> channel_bias(LayerId id, const std::vector<std::vector<float>>& float_mean) const {
    LayerMoments means = collect_means(executor_, data_, std::span(&id, 1), candidate_, workspaces_).front();
    means.float_mean = float_mean;
    const Layer& layer = net_.layer(id);
    return mean_difference(WeightView::of(layer.weight_shape, layer.channel_axis), float_weight(id).values<float>(),
                           weight(id), means);
  }

  std::vector<float> element_bias(LayerId id, const std::vector<float>& float_input) const {
    const auto input = collect_mean_inputs(executor_, data_, std::span(&id, 1), candidate_, workspaces_).front();
    const Tensor y = output(id, float_weight(id), float_input);
    const Tensor made = output(id, Tensor::of<float>(net_.tensor(net_.layer(id).weight).shape, weight(id)), input);
    std::vector<float> bias(y.size());
    std::ranges::transform(y.values<float>(), made.values<float>(), bias.begin(), std::minus());
    return bias;
  }

  /// The layer's output for one sample, without its bias.
  Tensor output(LayerId id, const Tensor& weight, const std::vector<float>& input) const {
    const Layer& layer = net_.layer(id);
    Shape shape = net_.tensor(layer.input).shape;
    shape[0] = 1;
    const Tensor x = Tensor::of<float>(shape, input);
    const std::vector<const Tensor*> operands{&x, &weight};
    const Node& node = net_.node(layer.node);
    return find_operator(node.op)->evaluate(node, operands).front();
  }

  void pack(LayerId id, const std::vector<float>& bias) {
    candidate_.weights[static_cast<std::size_t>(id)] = executor_.pack(id, weight(id), bias);
  }

  const Executor& executor_;
  const Network& net_;
  ChunkedData& data_;
  Candidate candidate_;
  const QuantizedValues& values_;
  std::span<Executor::WorkspacePtr> workspaces_;
  Biases biases_;
};

}  // namespace

Biases compensate(const Executor& executor, ChunkedData& data, Candidate candidate, const QuantizedValues& values,
                  BiasPer per, std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop) {
  return Compensator(executor, data, std::move(candidate), values, workspaces).run(per, stop);
}

}  // namespace bitplan
