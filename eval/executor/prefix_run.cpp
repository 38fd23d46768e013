#include "eval/executor/prefix_run.hpp"

namespace bitplan {

PrefixRun::PrefixRun(const Checkpoints& checkpoints, const Candidate& candidate, const PrefixReuse* reuse,
                     std::byte* arena)
    : checkpoints_(checkpoints), reuse_(reuse), arena_(arena) {
  if (!reuse_) return;
  choices_ = checkpoints_.choices(candidate);
  // Prefixes are nested: what was seen of a long one was seen of the shorter ones.
  while (end_ < checkpoints_.count() && reuse_->cache->seen_before(reuse_->evaluation, prefix(end_))) ++end_;
  for (std::size_t i = end_; i < checkpoints_.count(); ++i) reuse_->cache->seen_before(reuse_->evaluation, prefix(i));
  for (std::size_t i = end_; i-- > 0 && first_step_ == 0;) {
    const PrefixCache::Snapshot found = reuse_->cache->find(reuse_->chunk, prefix(i));
    if (!found) continue;
    checkpoints_.restore(i, found.get(), arena_);
    first_step_ = checkpoints_.step(i);
    next_ = i + 1;
  }
  reuse_->cache->count_run(first_step_ > 0);
  plan();
}

/// Of the points that could be stored the last ones that fit: they save the most work.
void PrefixRun::plan() {
  std::size_t room = reuse_->cache->allowance(reuse_->chunk), first = end_;
  while (first > next_ && checkpoints_.bytes(first - 1) <= room) room -= checkpoints_.bytes(--first);
  next_ = first;
}

std::string_view PrefixRun::prefix(std::size_t point) const {
  return std::string_view(choices_).substr(0, checkpoints_.prefix_length(point));
}

void PrefixRun::before(std::size_t step) {
  if (next_ >= end_ || checkpoints_.step(next_) != step) return;
  const std::size_t bytes = checkpoints_.bytes(next_);
  std::shared_ptr<std::byte[]> snapshot(new std::byte[bytes]);  // not zeroed, unlike make_shared
  checkpoints_.save(next_, arena_, snapshot.get());
  reuse_->cache->keep(reuse_->chunk, prefix(next_), std::move(snapshot), bytes);
  ++next_;
}

}  // namespace bitplan
