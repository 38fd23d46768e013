#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "eval/executor/executor_checkpoints.hpp"
#include "eval/executor/prefix_cache.hpp"

namespace bitplan {

/// What one run of a program takes from the cache and gives to it. Without `reuse` it does nothing.
class PrefixRun {
 public:
  /// Looks for the longest stored prefix of the candidate and brings its activations into the arena.
  PrefixRun(const Checkpoints& checkpoints, const Candidate& candidate, const PrefixReuse* reuse, std::byte* arena);

  /// Where the run begins; 0: at the inputs, which are not in the arena yet.
  std::size_t first_step() const { return first_step_; }
  /// To be called before each step from there on: stores what other candidates have asked for too.
  void before(std::size_t step);
  /// Whether before() stores something when it is called for this step, the next one.
  bool stores_before(std::size_t step) const { return next_ < end_ && checkpoints_.step(next_) == step; }

 private:
  void plan();
  std::string_view prefix(std::size_t point) const;

  const Checkpoints& checkpoints_;
  const PrefixReuse* reuse_;
  std::byte* arena_;
  std::string choices_;
  std::size_t first_step_ = 0;
  std::size_t next_ = 0, end_ = 0;  ///< points to store
};

}  // namespace bitplan
