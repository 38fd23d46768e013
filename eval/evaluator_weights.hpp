#pragma once

#include <atomic>
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "eval/executor/arithmetic.hpp"
#include "eval/executor/executor.hpp"
#include "eval/prepared_weights.hpp"
#include "quant/choice.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// The weight of a site under a choice that is neither float nor prepared. Layers that share the tensor share its values, so the view is
/// that of the site's first layer.
QuantizedWeight quantize_site(const Network& network, SiteId site, const Choice& choice);
/// The weight of a site in the layout of one of its layers: transposed where the layer uses a transposed copy (tied
/// embedding). Scales keep their order: they belong to the same numbers.
QuantizedWeight in_layout_of(const Layer& layer, QuantizedWeight of_site);

/// Packed quantized weights by (layer, choice, form), kept within a bound: the least recently asked for go first. What
/// a candidate holds stays alive until it is done. One caller at a time.
class WeightCache {
 public:
  WeightCache(const Executor& executor, const ChoiceTable& choices, PreparedWeights& prepared, Arithmetic arithmetic,
              std::size_t keep_bytes)
      : executor_(executor),
        choices_(choices),
        prepared_(prepared),
        arithmetic_(arithmetic),
        keep_bytes_(keep_bytes) {}

  using Packed = std::shared_ptr<const PackedWeight>;
  /// By LayerId, null for float; of codes where a layer can be computed in integers with the quantizer that its input
  /// has among `activations` (by SiteId). Missing ones are quantized on as many threads as there are workspaces. Throws
  /// Interrupted when *stop becomes true.
  std::vector<Packed> get(const Assignment& assignment, std::span<const std::optional<Affine>> activations,
                          std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop);
  std::size_t kept_bytes() const { return kept_bytes_; }

 private:
  using Key = std::tuple<LayerId, ChoiceId, IntegerForm>;
  struct Entry {
    Key key;
    Packed weight;
  };
  /// By LayerId.
  std::vector<IntegerForm> forms_of(const Assignment& assignment,
                                    std::span<const std::optional<Affine>> activations) const;
  Packed pack(const Layer& layer, IntegerForm form, const QuantizedWeight& of_site) const;
  /// `weight` in the layout of the layer.
  Packed pack_as(const Layer& layer, IntegerForm form, const QuantizedWeight& weight) const;
  void keep(Key key, const Packed& weight);

  const Executor& executor_;
  const ChoiceTable& choices_;
  PreparedWeights& prepared_;
  Arithmetic arithmetic_;
  std::size_t keep_bytes_, kept_bytes_ = 0;
  std::list<Entry> entries_;  ///< the most recently used first
  std::map<Key, std::list<Entry>::iterator> index_;
};

}  // namespace bitplan
