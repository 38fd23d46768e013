#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace bitplan {

/// The float network's outputs of chunks, kept while they fit into a bound: the first ones that come stay, later ones
/// are computed anew each time they are asked for. The logits of a language model are large (512 windows of 128 tokens
/// and 4,096 classes: 1 GiB; 128,000 classes: 32 GiB), and no shorter form gives the same losses to the bit. A forward
/// pass of the float network gives the same values each time, so losses do not depend on what is kept. Thread-safe.
class References {
 public:
  explicit References(std::size_t keep_bytes) : keep_bytes_(keep_bytes) {}

  using Values = std::shared_ptr<const std::vector<float>>;
  /// The outputs of a chunk of a role (any numbers): as kept, or compute()d. Two threads may compute the same.
  template <class Compute>
  Values get(int role, int chunk, const Compute& compute) {
    if (const auto kept = find({role, chunk})) return kept;
    auto values = std::make_shared<const std::vector<float>>(compute());
    keep({role, chunk}, values);
    return values;
  }
  std::size_t kept_bytes() const;

 private:
  using Key = std::pair<int, int>;
  Values find(Key key) const;
  void keep(Key key, const Values& values);

  std::size_t keep_bytes_, kept_bytes_ = 0;
  mutable std::mutex mutex_;
  std::map<Key, Values> kept_;
};

}  // namespace bitplan
