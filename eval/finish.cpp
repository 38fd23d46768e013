#include "eval/finish.hpp"

#include <algorithm>
#include <map>

#include "core/error.hpp"
#include "eval/moment_passes.hpp"
#include "quant/layer_quantizer.hpp"

namespace bitplan {
namespace {

class Finisher {
 public:
  Finisher(const Executor& executor, ChunkedData& data, const Unfinished& network,
           std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop)
      : executor_(executor),
        net_(executor.network()),
        data_(data),
        from_(network),
        workspaces_(workspaces),
        stop_(stop) {
    candidate_.activations = network.activations;
    candidate_.by_parts = network.by_parts;
    candidate_.weights.resize(net_.layers.size());
    out_.weights.resize(net_.layers.size());
    for (const Layer& layer : net_.layers) pack(layer.id, from_.weight(layer.id));
  }

  void round(bool asymmetric) {
    asymmetric_ = asymmetric;
    std::vector<LayerId> layers;
    for (const Layer& layer : net_.layers)
      if (rounds(layer)) layers.push_back(layer.id);
    const std::size_t most = (layers.size() + kFinishPasses - 1) / kFinishPasses;
    for (std::size_t begin = 0; begin < layers.size();) {
      const std::size_t n = layers_of_pass(std::span(layers).subspan(begin), most);
      round(std::span(layers).subspan(begin, n));
      begin += n;
    }
  }

  void compensate() {
    const Compensated quantized{candidate_.activations, [&](LayerId layer) { return weight(layer).values; },
                                candidate_.by_parts};
    out_.biases = bitplan::compensate(executor_, data_, quantized, workspaces_, stop_);
  }

  Finish take() { return std::move(out_); }

 private:
  QuantizedWeight weight(LayerId layer) const {
    const auto& again = out_.weights[static_cast<std::size_t>(layer)];
    return again ? *again : from_.weight(layer);
  }

  bool rounds(const Layer& layer) const {
    const SiteId site = net_.weight_site[static_cast<std::size_t>(layer.id)];
    const Choice& choice = from_.choice(layer.id);
    return !choice.is_float && choice.needs_data() && net_.site(site).layers.size() == 1 && has_moments(net_, layer);
  }

  std::size_t layers_of_pass(std::span<const LayerId> layers, std::size_t most) const {
    std::size_t n = 0, bytes = 0;
    while (n < std::min(most, layers.size())) {
      // With cross moments 20 bytes in place of 8.
      bytes += 5 * pass_bytes(net_, net_.layer(layers[n]), workspaces_.size()) / 2;
      if (n > 0 && bytes > kPassBytes) break;
      ++n;
    }
    return n;
  }

  void round(std::span<const LayerId> layers) {
    if (stop_ != nullptr && *stop_) throw Interrupted("the final pass was stopped");
    std::vector<MomentsRequest> requests;
    std::map<LayerId, std::size_t> place;
    for (const LayerId id : layers)
      if (place.try_emplace(first_with_inputs(net_, id), requests.size()).second)
        requests.push_back(moments_request(net_, first_with_inputs(net_, id)));
    auto moments = collect_moments(executor_, data_, requests, &candidate_, workspaces_);
    for (LayerMoments& of_layer : moments)
      if (!asymmetric_) of_layer.cross.clear();
    for (const LayerId id : layers) {
      const Layer& layer = net_.layer(id);
      const Tensor values = net_.tensor(layer.weight).constant->cast(DType::f32);
      Choice choice = from_.choice(id);
      choice.bias = choice.bias && executor_.takes_bias(id);
      const LayerWeight asked{values.values<float>(),
                              WeightView::of(layer.weight_shape, layer.channel_axis, layer.groups),
                              &moments[place.at(first_with_inputs(net_, id))], static_cast<int>(workspaces_.size())};
      const auto made = std::make_shared<const QuantizedWeight>(quantize_layer(asked, choice));
      out_.weights[static_cast<std::size_t>(id)] = made;
      pack(id, *made);
    }
  }

  void pack(LayerId layer, const QuantizedWeight& weight) {
    if (!weight.values.empty())
      candidate_.weights[static_cast<std::size_t>(layer)] = executor_.pack(layer, weight.values, weight.bias);
  }

  const Executor& executor_;
  const Network& net_;
  ChunkedData& data_;
  const Unfinished& from_;
  std::span<Executor::WorkspacePtr> workspaces_;
  const std::atomic<bool>* stop_;
  Candidate candidate_;
  bool asymmetric_ = false;
  Finish out_;
};

}  // namespace

FinishSpec finish_named(std::span<const std::string> passes) {
  FinishSpec spec;
  for (const std::string& pass : passes) {
    const bool sequential = pass == "sequential", asymmetric = pass == "asymmetric";
    if (!sequential && !asymmetric && pass != "bias")
      throw InputError("'" + pass + "' is not a final pass; known: sequential, asymmetric, bias");
    if (pass == "bias") {
      spec.bias = true;
    } else if (spec.rounding != FinishSpec::Rounding::kept) {
      throw InputError("one of sequential and asymmetric, and once");
    } else {
      spec.rounding = asymmetric ? FinishSpec::Rounding::asymmetric : FinishSpec::Rounding::sequential;
    }
  }
  return spec;
}

Finish finish(const Executor& executor, ChunkedData& data, const Unfinished& network, const FinishSpec& spec,
              std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop) {
  Finisher finisher(executor, data, network, workspaces, stop);
  if (spec.rounding != FinishSpec::Rounding::kept) finisher.round(spec.rounding == FinishSpec::Rounding::asymmetric);
  if (spec.bias) finisher.compensate();
  return finisher.take();
}

}  // namespace bitplan
