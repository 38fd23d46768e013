#pragma once

#include <atomic>
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "eval/executor.hpp"
#include "quant/choice.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// The weight of a site under a choice that is not float. Layers that share the tensor share its values, so the view is
/// that of the site's first layer.
QuantizedWeight quantize_site(const Network& network, SiteId site, const Choice& choice);

/// Packed quantized weights by (layer, choice), kept within a bound: the least recently asked for go first. What a
/// candidate holds stays alive until it is done. One caller at a time.
class WeightCache {
 public:
  WeightCache(const Executor& executor, const ChoiceTable& choices, std::size_t keep_bytes)
      : executor_(executor), choices_(choices), keep_bytes_(keep_bytes) {}

  using Packed = std::shared_ptr<const PackedWeight>;
  /// By LayerId, null for float. Missing ones are quantized on `threads` threads. Throws Interrupted when *stop becomes
  /// true.
  std::vector<Packed> get(const Assignment& assignment, int threads, const std::atomic<bool>* stop);
  std::size_t kept_bytes() const { return kept_bytes_; }

 private:
  using Key = std::pair<LayerId, ChoiceId>;
  struct Entry {
    Key key;
    Packed weight;
  };
  void keep(Key key, const Packed& weight);

  const Executor& executor_;
  const ChoiceTable& choices_;
  std::size_t keep_bytes_, kept_bytes_ = 0;
  std::list<Entry> entries_;  ///< the most recently used first
  std::map<Key, std::list<Entry>::iterator> index_;
};

}  // namespace bitplan
