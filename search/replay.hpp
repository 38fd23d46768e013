#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace bitplan {

/// One step of an episode, as it was executed.
struct Transition {
  std::vector<float> state, next_state;
  float action = 0;
  float reward = 0;
  bool terminal = false;  ///< next_state means nothing
};

/// The last `capacity` transitions, the oldest overwritten first.
class Replay {
 public:
  explicit Replay(std::size_t capacity) : capacity_(capacity) {}
  void add(Transition transition);
  std::size_t size() const { return transitions_.size(); }
  const Transition& operator[](std::size_t i) const { return transitions_[i]; }

 private:
  std::size_t capacity_, oldest_ = 0;
  std::vector<Transition> transitions_;
};

}  // namespace bitplan
