#include "eval/finish.hpp"

#include <map>

#include "core/error.hpp"
#include "eval/moments/expected_inputs.hpp"
#include "eval/moments/moment_passes.hpp"
#include "eval/moments/staged_moments.hpp"
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
    std::map<SiteId, std::vector<LayerId>> readers;
    MomentsOf of = asymmetric ? MomentsOf::cross : MomentsOf::inputs;
    for (const Layer& layer : net_.layers) {
      if (!rounds(layer)) continue;
      readers[net_.input_site[static_cast<std::size_t>(layer.id)]].push_back(layer.id);
      if (of == MomentsOf::inputs && reads_means(from_.choice(layer.id))) of = MomentsOf::both;
    }
    std::vector<SiteId> sites;
    for (const auto& [site, layers] : readers) sites.push_back(site);
    StagedMoments moments(executor_, data_, of, workspaces_);
    for (const SiteId site : moments.in_order(sites)) round(site, readers.at(site), moments);
  }

  void compensate(BiasPer per) {
    const QuantizedValues values = [&](LayerId layer) { return weight(layer).values; };
    out_.biases = bitplan::compensate(executor_, data_, candidate_, values, per, workspaces_, stop_);
    if (per == BiasPer::element) note_channels();
  }

  Finish take() { return std::move(out_); }

 private:
  QuantizedWeight weight(LayerId layer) const {
    const auto& again = out_.weights[static_cast<std::size_t>(layer)];
    return again ? *again : from_.weight(layer);
  }

  /// Which layers have a bias by channel though one by element was asked for.
  void note_channels() {
    std::vector<LayerId> layers;
    for (const Layer& layer : net_.layers)
      if (!out_.biases[static_cast<std::size_t>(layer.id)].empty() && executor_.element_biases(layer.id) == 0)
        layers.push_back(layer.id);
    if (layers.empty()) return;
    out_.notes.push_back("bias:element: layer '" + net_.layer(layers.front()).names.node + "'" +
                         (layers.size() == 1 ? "" : " and " + std::to_string(layers.size() - 1) + " more") +
                         " got a bias by channel: the leading dimension is not the batch of " +
                         std::to_string(net_.batch));
  }

  bool rounds(const Layer& layer) const {
    const SiteId site = net_.weight_site[static_cast<std::size_t>(layer.id)];
    const Choice& choice = from_.choice(layer.id);
    return !choice.is_float && choice.needs_data() && net_.site(site).layers.size() == 1 && has_moments(net_, layer);
  }

  /// Whether it looks at more of the float network's inputs than cross moments.
  static bool reads_means(const Choice& choice) {
    return choice.bias == BiasCorrection::empirical || choice.awq || choice.outliers > 0;
  }

  /// All layers that read one input.
  void round(SiteId site, std::span<const LayerId> layers, StagedMoments& staged) {
    if (stop_ != nullptr && *stop_) throw Interrupted("the final pass was stopped");
    std::vector<MomentsRequest> requests;
    std::map<LayerId, std::size_t> place;
    for (const LayerId id : layers)
      if (place.try_emplace(first_with_inputs(net_, id), requests.size()).second)
        requests.push_back(moments_request(net_, first_with_inputs(net_, id)));
    const std::vector<LayerMoments> moments = staged.collect(site, requests, candidate_);
    for (const LayerId id : layers) {
      const Layer& layer = net_.layer(id);
      const Tensor values = net_.tensor(layer.weight).constant->cast(DType::f32);
      Choice choice = from_.choice(id);
      const std::vector<float> expected = expected_of(layer, choice);
      const bool analytic = choice.bias == BiasCorrection::analytic;
      if (!executor_.takes_bias(id) || (analytic && expected.empty())) choice.bias = BiasCorrection::none;
      const LayerWeight asked{
          values.values<float>(), WeightView::of(layer.weight_shape, layer.channel_axis, layer.groups),
          &moments[place.at(first_with_inputs(net_, id))], static_cast<int>(workspaces_.size()), &expected, stop_};
      const auto made = std::make_shared<const QuantizedWeight>(quantize_layer(asked, choice));
      out_.weights[static_cast<std::size_t>(id)] = made;
      pack(id, *made);
    }
  }

  /// For an analytic bias; empty where it is another or nothing is known.
  std::vector<float> expected_of(const Layer& layer, const Choice& choice) {
    if (choice.bias != BiasCorrection::analytic) return {};
    if (!statistics_) statistics_.emplace(net_);
    return statistics_->of(layer).values;
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
  std::optional<ExpectedInputs> statistics_;  ///< made when a choice first asks
  Finish out_;
};

}  // namespace

FinishSpec finish_named(std::span<const std::string> passes) {
  using Rounding = FinishSpec::Rounding;
  FinishSpec spec;
  for (const std::string& pass : passes) {
    if (pass == "sequential" || pass == "asymmetric") {
      if (spec.rounding != Rounding::kept) throw InputError("one of sequential and asymmetric, and once");
      spec.rounding = pass == "asymmetric" ? Rounding::asymmetric : Rounding::sequential;
    } else if (pass == "bias" || pass == "bias:element") {
      if (spec.bias) throw InputError("one of bias and bias:element, and once");
      spec.bias = pass == "bias" ? BiasPer::channel : BiasPer::element;
    } else {
      throw InputError("'" + pass + "' is not a final pass; known: sequential, asymmetric, bias, bias:element");
    }
  }
  return spec;
}

Finish finish(const Executor& executor, ChunkedData& data, const Unfinished& network, const FinishSpec& spec,
              std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop) {
  Finisher finisher(executor, data, network, workspaces, stop);
  if (spec.rounding != FinishSpec::Rounding::kept) finisher.round(spec.rounding == FinishSpec::Rounding::asymmetric);
  if (spec.bias) finisher.compensate(*spec.bias);
  return finisher.take();
}

}  // namespace bitplan
