#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "eval/kernels/integer_layer.hpp"

namespace bitplan {

/// The programs of one network: the float one, and one for each pattern of integer layers that candidates ask for.
/// Programs share the packed float weights. The patterns least recently asked for go, beyond a number of them.
/// Thread-safe.
class ExecutorPrograms {
 public:
  explicit ExecutorPrograms(std::shared_ptr<const Network> network, bool fuse);
  ~ExecutorPrograms();

  const Program& floats() const { return *floats_; }
  /// The one whose integer layers are those with 8-bit codes among the candidate's weights, and whose biases by element
  /// are the candidate's. Compiles it when it is new: tens of milliseconds for a deep network.
  std::shared_ptr<const Program> of(const Candidate& candidate);

  /// Null for a layer without an integer kernel.
  const IntegerLayer* integer_layer(LayerId layer) const;

 private:
  using Layers = std::vector<std::optional<IntegerLayer>>;
  struct Pattern {
    std::vector<IntegerForm> forms;  ///< by LayerId
    bool full_bytes = false;
    bool parts = false;
    std::vector<bool> elements;  ///< by LayerId; empty: none
    bool operator==(const Pattern&) const = default;
  };
  struct Entry {
    Pattern pattern;
    std::shared_ptr<const Program> program;
  };

  bool full_bytes(const Candidate& candidate) const;
  std::shared_ptr<const Program> compile(const Pattern& pattern) const;

  std::shared_ptr<const Network> network_;
  bool fuse_;
  std::shared_ptr<const Layers> layers_;
  std::vector<Clamp> clamps_;  ///< by SiteId
  std::shared_ptr<const Program> floats_;
  std::mutex mutex_;
  std::list<Entry> entries_;  ///< the most recently used first
};

}  // namespace bitplan
