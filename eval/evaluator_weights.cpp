#include "eval/evaluator_weights.hpp"

#include "core/error.hpp"
#include "core/parallel.hpp"

namespace bitplan {

QuantizedWeight quantize_site(const Network& network, SiteId id, const Choice& choice) {
  const auto& site = network.site(id);
  const auto& layer = network.layer(site.layers.front());
  const auto values = network.tensor(site.tensor).constant->cast(DType::f32);
  try {
    return quantize_weight(values.values<float>(), WeightView::of(layer.weight_shape, layer.channel_axis), choice);
  } catch (const InputError& e) {
    throw InputError("weight '" + site.name + "': " + e.what());
  }
}

std::vector<WeightCache::Packed> WeightCache::get(const Assignment& assignment, int threads,
                                                  const std::atomic<bool>* stop) {
  const auto& network = executor_.network();
  std::vector<Packed> weights(network.layers.size());
  std::vector<SiteId> missing;
  for (const auto& site : network.sites) {
    const auto choice = assignment[static_cast<std::size_t>(site.id)];
    if (site.kind != Site::Kind::weight || choices_[choice].is_float) continue;
    bool complete = true;
    for (const auto layer : site.layers) {
      const auto found = index_.find({layer, choice});
      complete = complete && found != index_.end();
      if (found == index_.end()) continue;
      entries_.splice(entries_.begin(), entries_, found->second);
      weights[static_cast<std::size_t>(layer)] = found->second->weight;
    }
    if (!complete) missing.push_back(site.id);
  }
  parallel_for(missing.size(), threads, [&](std::size_t i, int) {
    if (stop != nullptr && *stop) throw Interrupted("the evaluation was stopped");
    const auto& site = network.site(missing[i]);
    const auto quantized = quantize_site(network, site.id, choices_[assignment[static_cast<std::size_t>(site.id)]]);
    for (const auto layer : site.layers)
      weights[static_cast<std::size_t>(layer)] = executor_.pack(layer, quantized.values);
  });
  for (const auto id : missing)
    for (const auto layer : network.site(id).layers)
      keep({layer, assignment[static_cast<std::size_t>(id)]}, weights[static_cast<std::size_t>(layer)]);
  return weights;
}

void WeightCache::keep(Key key, const Packed& weight) {
  if (const auto old = index_.find(key); old != index_.end()) {
    kept_bytes_ -= Executor::bytes(*old->second->weight);
    entries_.erase(old->second);
    index_.erase(old);
  }
  entries_.push_front({key, weight});
  index_[key] = entries_.begin();
  kept_bytes_ += Executor::bytes(*weight);
  while (kept_bytes_ > keep_bytes_) {
    const auto& last = entries_.back();
    kept_bytes_ -= Executor::bytes(*last.weight);
    index_.erase(last.key);
    entries_.pop_back();
  }
}

}  // namespace bitplan
