#include "eval/moments/moment_passes.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "eval/moments/patches.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kPositions = 32768, kPositionsPerColumn = 8;
constexpr std::size_t kPassBytes = std::size_t{128} << 20;
constexpr std::size_t kRowBytes = 4096;  ///< of rows that wait, a column

/// What a layer's moments take while they are gathered on so many threads, those weighted by tokens included.
std::size_t pass_bytes(const Network& network, const Layer& layer, std::size_t threads) {
  const Patches patches(network, layer);
  const std::int64_t columns = patches.columns();
  const bool has_tokens = !patches.is_convolution() && patches.rows_per_sample() > 1;
  return static_cast<std::size_t>(patches.groups() * columns * columns) * sizeof(double) * (has_tokens ? 2 : 1) +
         static_cast<std::size_t>(columns * patches.groups()) * kRowBytes +
         static_cast<std::size_t>(element_count(network.tensor(layer.input).shape)) * sizeof(float) * threads;
}

/// Whether linear layers that read the same tensor make the same rows of it.
bool same_rows(const Node& a, const Node& b) {
  return a.op == b.op && a.integer("transA", 0) == b.integer("transA", 0) &&
         a.number("alpha", 1) == b.number("alpha", 1);
}

}  // namespace

bool has_moments(const Network& network, const Layer& layer) try {
  const Patches patches(network, layer);
  return true;
} catch (const InputError&) {
  return false;
}

std::optional<LayerId> layer_with_moments(const Network& network, SiteId site) {
  for (const LayerId id : network.site(site).layers)
    if (has_moments(network, network.layer(id))) return id;
  return std::nullopt;
}

LayerId first_with_inputs(const Network& network, LayerId id) {
  const Layer& layer = network.layer(id);
  const Patches patches(network, layer);
  if (patches.is_convolution()) return id;
  for (const LayerId other : network.site(network.input_site[static_cast<std::size_t>(id)]).layers)
    if (same_rows(network.node(network.layer(other).node), network.node(layer.node)) &&
        has_moments(network, network.layer(other)))
      return other;
  return id;
}

MomentsRequest moments_request(const Network& network, LayerId layer) {
  const std::int64_t columns = Patches(network, network.layer(layer)).columns();
  return {layer, std::max(kPositions, kPositionsPerColumn * columns)};
}

std::vector<std::vector<MomentsRequest>> passes_over(const Network& network, std::size_t threads) {
  std::vector<std::vector<MomentsRequest>> passes;
  std::size_t bytes = kPassBytes;
  for (const Layer& layer : network.layers) {
    if (!has_moments(network, layer) || first_with_inputs(network, layer.id) != layer.id) continue;
    const std::size_t more = pass_bytes(network, layer, threads);
    if (bytes + more > kPassBytes) passes.emplace_back(), bytes = 0;
    passes.back().push_back(moments_request(network, layer.id));
    bytes += more;
  }
  return passes;
}

}  // namespace bitplan
