#include "search/replay.hpp"

#include <utility>

namespace bitplan {

void Replay::add(Transition transition) {
  if (transitions_.size() < capacity_) {
    transitions_.push_back(std::move(transition));
    return;
  }
  transitions_[oldest_] = std::move(transition);
  oldest_ = (oldest_ + 1) % capacity_;
}

}  // namespace bitplan
