#include "eval/evaluator_references.hpp"

namespace bitplan {

std::size_t References::kept_bytes() const {
  const std::scoped_lock lock(mutex_);
  return kept_bytes_;
}

References::Values References::find(Key key) const {
  const std::scoped_lock lock(mutex_);
  const auto found = kept_.find(key);
  return found == kept_.end() ? nullptr : found->second;
}

void References::keep(Key key, const Values& values) {
  const auto bytes = values->size() * sizeof(float);
  const std::scoped_lock lock(mutex_);
  if (kept_bytes_ + bytes > keep_bytes_ || !kept_.emplace(key, values).second) return;
  kept_bytes_ += bytes;
}

}  // namespace bitplan
