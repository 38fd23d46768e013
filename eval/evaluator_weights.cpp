#include "eval/evaluator_weights.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/parallel.hpp"

namespace bitplan {

QuantizedWeight quantize_site(const Network& network, SiteId id, const Choice& choice) {
  const auto& site = network.site(id);
  const auto& layer = network.layer(site.layers.front());
  const auto values = network.tensor(site.tensor).constant->cast(DType::f32);
  try {
    return quantize_weight(values.values<float>(), WeightView::of(layer.weight_shape, layer.channel_axis, layer.groups), choice);
  } catch (const InputError& e) {
    throw InputError("weight '" + site.name + "': " + e.what());
  }
}

namespace {

/// The [rows, columns] matrix that lies in `from` as [columns, rows].
template <class T>
std::vector<T> transposed(const std::vector<T>& from, std::size_t rows, std::size_t columns) {
  std::vector<T> to(from.size());
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; !from.empty() && c < columns; ++c) to[r * columns + c] = from[c * rows + r];
  return to;
}

}  // namespace

QuantizedWeight in_layout_of(const Layer& layer, QuantizedWeight of_site) {
  if (!layer.weight_transposed) return of_site;
  const auto rows = static_cast<std::size_t>(layer.weight_shape[0]);
  const auto columns = static_cast<std::size_t>(layer.weight_shape[1]);
  of_site.values = transposed(of_site.values, rows, columns);
  of_site.codes = transposed(of_site.codes, rows, columns);
  return of_site;
}

namespace {

/// Layers that share a tensor share the scales of the first one's channels; those of another axis cannot use them in
/// integers (in float they use the values).
bool scales_fit(const Network& network, const Layer& layer) {
  const Layer& first =
      network.layer(network.site(network.weight_site[static_cast<std::size_t>(layer.id)]).layers.front());
  const bool turned = layer.weight_transposed != first.weight_transposed;
  return layer.channel_axis == (turned ? 1 - first.channel_axis : first.channel_axis);
}

}  // namespace

std::vector<IntegerForm> WeightCache::forms_of(const Assignment& assignment,
                                               std::span<const std::optional<Affine>> activations) const {
  const auto& network = executor_.network();
  std::vector<IntegerForm> forms(network.layers.size(), IntegerForm::none);
  if (arithmetic_ == Arithmetic::floating) return forms;
  std::int64_t all = 0, integer = 0;
  for (const Layer& layer : network.layers) {
    const auto l = static_cast<std::size_t>(layer.id);
    all += layer.macs;
    const SiteId input = network.input_site[l];
    if (input < 0 || !activations[static_cast<std::size_t>(input)]) continue;
    const Choice& choice = choices_[assignment[static_cast<std::size_t>(network.weight_site[l])]];
    if (!choice.is_integer() || choice.bits > 8 || choice.granularity.kind == Granularity::Kind::group) continue;
    if (choice.granularity.kind == Granularity::Kind::channel && !scales_fit(network, layer)) continue;
    forms[l] = executor_.integer_form(layer.id, *activations[static_cast<std::size_t>(input)]);
    if (forms[l] != IntegerForm::none) integer += layer.macs;
  }
  if (arithmetic_ == Arithmetic::automatic && 2 * integer < all) std::ranges::fill(forms, IntegerForm::none);
  return forms;
}

WeightCache::Packed WeightCache::pack(const Layer& layer, IntegerForm form, const QuantizedWeight& of_site) const {
  if (layer.weight_transposed) return pack_as(layer, form, in_layout_of(layer, of_site));
  return pack_as(layer, form, of_site);
}

WeightCache::Packed WeightCache::pack_as(const Layer& layer, IntegerForm form, const QuantizedWeight& weight) const {
  if (form != IntegerForm::none)
    if (auto codes = executor_.pack(layer.id, form, weight)) return codes;
  return executor_.pack(layer.id, weight.values, weight.bias);
}

std::vector<WeightCache::Packed> WeightCache::get(const Assignment& assignment,
                                                  std::span<const std::optional<Affine>> activations,
                                                  std::span<Executor::WorkspacePtr> workspaces,
                                                  const std::atomic<bool>* stop) {
  const auto& network = executor_.network();
  std::vector<Packed> weights(network.layers.size());
  const std::vector<IntegerForm> forms = forms_of(assignment, activations);
  std::vector<SiteId> missing, to_quantize;
  for (const auto& site : network.sites) {
    const auto choice = assignment[static_cast<std::size_t>(site.id)];
    if (site.kind != Site::Kind::weight || choices_[choice].is_float) continue;
    bool complete = true;
    for (const auto layer : site.layers) {
      const auto found = index_.find({layer, choice, forms[static_cast<std::size_t>(layer)]});
      complete = complete && found != index_.end();
      if (found == index_.end()) continue;
      entries_.splice(entries_.begin(), entries_, found->second);
      weights[static_cast<std::size_t>(layer)] = found->second->weight;
    }
    if (!complete) missing.push_back(site.id);
  }
  const auto pack_site = [&](const Site& site, const QuantizedWeight& quantized) {
    for (const auto layer : site.layers)
      weights[static_cast<std::size_t>(layer)] =
          pack(network.layer(layer), forms[static_cast<std::size_t>(layer)], quantized);
  };
  const auto choice_of = [&](SiteId site) -> const Choice& {
    return choices_[assignment[static_cast<std::size_t>(site)]];
  };
  for (const auto id : missing) {
    if (choice_of(id).is_prepared())
      pack_site(network.site(id), *prepared_.get(id, choice_of(id), workspaces, stop));
    else
      to_quantize.push_back(id);
  }
  parallel_for(to_quantize.size(), static_cast<int>(workspaces.size()), [&](std::size_t i, int) {
    if (stop != nullptr && *stop) throw Interrupted("the evaluation was stopped");
    pack_site(network.site(to_quantize[i]), quantize_site(network, to_quantize[i], choice_of(to_quantize[i])));
  });
  for (const auto id : missing)
    for (const auto layer : network.site(id).layers)
      keep({layer, assignment[static_cast<std::size_t>(id)], forms[static_cast<std::size_t>(layer)]},
           weights[static_cast<std::size_t>(layer)]);
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
