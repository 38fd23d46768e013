#include "hwmodels/cost_tables.hpp"

#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "model/site_channels.hpp"
#include "quant/site_quantizer.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {
namespace {

/// The cells value(layer, weight choice, activation choice) in their order.
template <class Value>
std::vector<std::int64_t> fill(const Network& network, const ChoiceTable& choices, Value&& value) {
  const auto n = static_cast<ChoiceId>(choices.size());
  std::vector<std::int64_t> cells;
  cells.reserve(network.layers.size() * choices.size() * choices.size());
  for (const Layer& layer : network.layers)
    for (ChoiceId w = 0; w < n; ++w)
      for (ChoiceId a = 0; a < n; ++a) cells.push_back(value(layer, w, a));
  return cells;
}

/// The layer that carries the bytes of a weight tensor: the first of those which share it.
bool stores_weight(const Network& network, const Layer& layer) {
  return network.site(network.weight_site[static_cast<std::size_t>(layer.id)]).layers.front() == layer.id;
}

bool is_embedding(const Network& network, const Layer& layer) {
  return network.input_site[static_cast<std::size_t>(layer.id)] < 0;
}

/// 1 where readers see no channels in common: nothing can be left out there.
std::int64_t channels_of(const Network& network, SiteId site) {
  const auto found = find_site_channels(network, site);
  return found ? found->channels : 1;
}

/// Stored or code bits of each layer's weight under each choice, by layer * choices + choice.
std::vector<std::int64_t> weight_bits(const Network& network, const ChoiceTable& choices,
                                      std::int64_t (*count)(const WeightView&, const Choice&)) {
  std::vector<std::int64_t> bits;
  for (const Layer& layer : network.layers) {
    const auto view = WeightView::of(layer.weight_shape, layer.channel_axis, layer.groups);
    for (ChoiceId c = 0; c < static_cast<ChoiceId>(choices.size()); ++c) bits.push_back(count(view, choices[c]));
  }
  return bits;
}

}  // namespace

std::span<const CostMetricEntry> cost_metrics() {
  static constexpr std::array kMetrics{
      CostMetricEntry{"weight_bytes", "bytes of all weights as stored: codes, scales, zero points", false},
      CostMetricEntry{"average_weight_bits", "8 weight_bytes / number of weights", false},
      CostMetricEntry{"average_code_bits", "bits of the codes alone / number of weights", false},
      CostMetricEntry{"bops", "sum over layers of MACs * weight bits * activation bits", false},
      CostMetricEntry{"peak_activation_bytes", "most bytes of activations alive at once, one sample", false},
      CostMetricEntry{"latency", "time of one sample on a machine, sum over layers", true},
      CostMetricEntry{"energy", "energy of one sample on a machine, sum over layers", true},
  };
  return kMetrics;
}

CostTables::CostTables(const Network& network, const ChoiceTable& choices,
                       const std::map<std::string, std::filesystem::path>& hardware)
    : choices_(choices.size()) {
  for (const Site& site : network.sites)
    if (site.kind == Site::Kind::weight) weights_ += site.elements;
  for (std::size_t c = 0; c < choices.size(); ++c) rows_.push_back(choices[static_cast<ChoiceId>(c)]);
  add_weight_metrics(network, choices);
  add_bops(network, choices);
  add_peak(network);
  for (const auto& [key, file] : hardware) add_hardware(key, file, network, choices);
}

void CostTables::add(CostMetric metric, Cells cells) {
  const std::size_t per_layer = choices_ * choices_;
  std::int64_t sum = 0;
  for (auto row = cells.begin(); row != cells.end(); row += static_cast<std::ptrdiff_t>(per_layer))
    if (__builtin_add_overflow(sum, *std::max_element(row, row + static_cast<std::ptrdiff_t>(per_layer)), &sum))
      throw InputError(metric.label() + ": the sum over all layers is too large to count");
  metrics_.push_back(std::move(metric));
  cells_.push_back(std::move(cells));
}

void CostTables::add_weight_metrics(const Network& network, const ChoiceTable& choices) {
  const auto weight_metric = [&](const std::vector<std::int64_t>& bits, std::int64_t divisor) {
    return fill(network, choices, [&, divisor](const Layer& layer, ChoiceId w, ChoiceId) -> std::int64_t {
      if (!stores_weight(network, layer)) return 0;
      const auto stored = bits[static_cast<std::size_t>(layer.id) * choices_ + static_cast<std::size_t>(w)];
      return (stored + divisor - 1) / divisor;
    });
  };
  const Cells bytes = weight_metric(weight_bits(network, choices, stored_bits), 8);
  add({"weight_bytes", ""}, bytes);
  add({"average_weight_bits", ""}, bytes);
  add({"average_code_bits", ""}, weight_metric(weight_bits(network, choices, code_bits), 1));
}

void CostTables::add_bops(const Network& network, const ChoiceTable& choices) {
  add({"bops", ""}, fill(network, choices, [&](const Layer& layer, ChoiceId w, ChoiceId a) -> std::int64_t {
        const SiteId input = network.input_site[static_cast<std::size_t>(layer.id)];
        const std::int64_t channels = choices[a].outliers > 0 && input >= 0 ? channels_of(network, input) : 1;
        const std::int64_t bits = choices[w].bits * activation_bits(choices[a], channels, channels);
        std::int64_t bops = 0;
        if (__builtin_mul_overflow(layer.macs, bits, &bops))
          throw InputError("layer '" + network.node(layer.node).name + "': too many MACs to count");
        return (bops + channels - 1) / channels;
      }));
}

void CostTables::add_hardware(const std::string& key, const std::filesystem::path& file, const Network& network,
                              const ChoiceTable& choices) {
  const auto model = load_hardware(file, network);
  const auto stored = weight_bits(network, choices, stored_bits);
  std::vector<LayerFacts> facts;
  for (const Layer& layer : network.layers) facts.push_back(LayerFacts::of(network, layer.id));
  const auto cells = [&](std::int64_t HardwareCost::*figure) {
    return fill(network, choices, [&, figure](const Layer& layer, ChoiceId w, ChoiceId a) {
      Precision precision{choices[w].bits, is_embedding(network, layer) ? 32 : choices[a].bits, 0};
      precision.stored_weight_bits =
          stored[static_cast<std::size_t>(layer.id) * choices_ + static_cast<std::size_t>(w)];
      return model->cost(facts[static_cast<std::size_t>(layer.id)], precision).*figure;
    });
  };
  hardware_.push_back(key);
  if (model->has_latency()) add({"latency", key}, cells(&HardwareCost::latency_ps));
  if (model->has_energy()) add({"energy", key}, cells(&HardwareCost::energy_fj));
}

namespace {

/// Operators whose output views its input: the same bytes under another shape.
bool is_view(const Node& node) {
  static constexpr std::array kViews{"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"};
  return std::find(kViews.begin(), kViews.end(), node.op) != kViews.end();
}

/// The activation site that decides how each tensor is kept in memory, or -1. A tensor that is read only through one
/// view, whose output is a site, is kept as that site.
std::vector<SiteId> storing_site(const Network& network) {
  std::vector<SiteId> site_of(network.tensors.size(), -1);
  for (const Site& site : network.sites)
    if (site.kind == Site::Kind::activation) site_of[static_cast<std::size_t>(site.tensor)] = site.id;
  for (const Site& site : network.sites) {
    if (site.kind != Site::Kind::activation) continue;
    for (NodeId n = network.tensor(site.tensor).producer; n >= 0 && is_view(network.node(n));) {
      const TensorId viewed = network.node(n).inputs.front();
      auto& owner = site_of[static_cast<std::size_t>(viewed)];
      if (owner >= 0 || network.tensor(viewed).consumers.size() != 1) break;
      owner = site.id;
      n = network.tensor(viewed).producer;
    }
  }
  return site_of;
}

/// Every number is float32 while the network runs, whatever float type the file says.
std::int64_t bits_in_memory(DType dtype) {
  const bool is_float = dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16;
  return is_float ? 32 : 8 * static_cast<std::int64_t>(size_of(dtype));
}

std::int64_t bytes_of(std::int64_t elements, std::int64_t bits) { return (elements * bits + 7) / 8; }

}  // namespace

void CostTables::add_peak(const Network& network) {
  const auto site_of = storing_site(network);
  const bool outliers = std::ranges::any_of(rows_, [](const Choice& c) { return c.activation && c.outliers > 0; });
  for (const MemoryCut& memory_cut : memory_cuts(network)) {
    Cut cut;
    for (const TensorId t : memory_cut.tensors) {
      const TensorInfo& tensor = network.tensor(t);
      const auto elements = (element_count(tensor.shape) + network.batch - 1) / network.batch;
      const SiteId site = site_of[static_cast<std::size_t>(t)];
      if (site >= 0)
        cut.sites.push_back({site, elements, outliers ? channels_of(network, site) : 1});
      else
        cut.fixed_bytes += bytes_of(elements, bits_in_memory(tensor.dtype));
    }
    cuts_.push_back(std::move(cut));
  }
  metrics_.push_back({"peak_activation_bytes", ""});
  cells_.emplace_back();
}

std::int64_t CostTables::peak_activation_bytes(const Assignment& assignment) const {
  std::int64_t peak = 0;
  for (const Cut& cut : cuts_) {
    std::int64_t bytes = cut.fixed_bytes;
    for (const auto& [site, elements, channels] : cut.sites) {
      const ChoiceId choice = assignment[static_cast<std::size_t>(site)];
      bytes += (activation_bits(rows_[static_cast<std::size_t>(choice)], elements, channels) + 7) / 8;
    }
    peak = std::max(peak, bytes);
  }
  return peak;
}

std::size_t CostTables::find(std::string_view name, std::string_view hardware) const {
  const auto entry =
      std::find_if(cost_metrics().begin(), cost_metrics().end(), [&](const auto& e) { return e.name == name; });
  if (entry == cost_metrics().end()) {
    std::string known;
    for (const auto& e : cost_metrics()) known += (known.empty() ? "" : ", ") + std::string(e.name);
    throw InputError("'" + std::string(name) + "' is not a metric; known: " + known);
  }
  std::string keys;
  for (const auto& key : hardware_) keys += (keys.empty() ? "" : ", ") + key;
  std::string_view key = hardware;
  if (!entry->on_hardware) {
    if (!hardware.empty()) throw InputError(std::string(name) + " does not depend on hardware; leave out 'on'");
  } else {
    if (hardware_.empty())
      throw InputError(std::string(name) + " needs a machine; the experiment has none under 'hardware'");
    if (hardware.empty() && hardware_.size() > 1) throw InputError(std::string(name) + " needs 'on', one of: " + keys);
    if (hardware.empty()) key = hardware_.front();
    if (std::find(hardware_.begin(), hardware_.end(), key) == hardware_.end())
      throw InputError("'" + std::string(key) + "' is not a machine of this experiment; known: " + keys);
  }
  for (std::size_t m = 0; m < metrics_.size(); ++m)
    if (metrics_[m].name == name && metrics_[m].hardware == key) return m;
  throw InputError("the hardware '" + std::string(key) + "' has no figures for " + std::string(name));
}

}  // namespace bitplan
