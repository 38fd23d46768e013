#include "eval/compensation.hpp"

#include "core/error.hpp"
#include "eval/layer_moments.hpp"
#include "eval/moment_passes.hpp"
#include "quant/layer_quantizer.hpp"

namespace bitplan {
namespace {

std::vector<LayerId> layers_with_bias(const Executor& executor) {
  const Network& network = executor.network();
  std::vector<LayerId> layers;
  for (const Layer& layer : network.layers)
    if (executor.takes_bias(layer.id) && has_moments(network, layer)) layers.push_back(layer.id);
  return layers;
}

}  // namespace

Biases compensate(const Executor& executor, ChunkedData& data, const Compensated& quantized,
                  std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop) {
  const Network& network = executor.network();
  Candidate candidate;
  candidate.activations = quantized.activations;
  candidate.by_parts = quantized.by_parts;
  candidate.weights.resize(network.layers.size());
  std::vector<std::vector<float>> values(network.layers.size());
  for (const Layer& layer : network.layers) {
    const auto l = static_cast<std::size_t>(layer.id);
    values[l] = quantized.values(layer.id);
    if (!values[l].empty()) candidate.weights[l] = executor.pack(layer.id, values[l]);
  }
  const std::vector<LayerId> layers = layers_with_bias(executor);
  // The float network's means do not change as the quantized one is compensated.
  const std::vector<LayerMoments> floating = collect_means(executor, data, layers, {}, workspaces);
  Biases biases(network.layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerId id = layers[i];
    if (stop != nullptr && *stop) throw Interrupted("the compensation was stopped");
    const auto l = static_cast<std::size_t>(id);
    const Layer& layer = network.layer(id);
    LayerMoments means = collect_means(executor, data, std::span(&id, 1), candidate, workspaces).front();
    means.float_mean = floating[i].mean;
    const Tensor weight = network.tensor(layer.weight).constant->cast(DType::f32);
    const auto floats = weight.values<float>();
    const WeightView view = WeightView::of(layer.weight_shape, layer.channel_axis);
    biases[l] = mean_difference(view, floats, values[l].empty() ? floats : std::span<const float>(values[l]), means);
    candidate.weights[l] = executor.pack(id, values[l].empty() ? floats : std::span<const float>(values[l]), biases[l]);
  }
  return biases;
}

}  // namespace bitplan
