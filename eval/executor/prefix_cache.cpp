#include "eval/executor/prefix_cache.hpp"

#include <algorithm>
#include <cassert>

#include "core/hash.hpp"

namespace bitplan {

namespace {

constexpr std::size_t kSeen = std::size_t{1} << 15;

}  // namespace

PrefixCache::Snapshot PrefixCache::find(std::uint64_t chunk, std::string_view prefix) {
  const std::scoped_lock lock(mutex_);
  Share& share = shares_[chunk];
  const auto found = share.index.find(prefix);
  if (found == share.index.end()) return nullptr;
  share.entries.splice(share.entries.begin(), share.entries, found->second);
  return found->second->snapshot;
}

std::size_t PrefixCache::allowance(const Share& share) const {
  return std::max(share_bytes(), share.bytes + (keep_bytes_ - counts_.bytes));
}

std::size_t PrefixCache::allowance(std::uint64_t chunk) const {
  const std::scoped_lock lock(mutex_);
  const auto found = shares_.find(chunk);
  return found == shares_.end() ? keep_bytes_ / (shares_.size() + 1) : allowance(found->second);
}

void PrefixCache::keep(std::uint64_t chunk, std::string_view prefix, Snapshot snapshot, std::size_t bytes) {
  const std::scoped_lock lock(mutex_);
  Share& share = shares_[chunk];
  if (share.index.contains(prefix) || bytes > allowance(share)) return;
  while (share.bytes + bytes > allowance(share)) drop_last(share);
  while (counts_.bytes + bytes > keep_bytes_) drop_last(largest());
  share.entries.push_front({std::string(prefix), std::move(snapshot), bytes});
  share.index.emplace(share.entries.front().prefix, share.entries.begin());
  share.bytes += bytes;
  counts_.bytes += bytes;
  ++counts_.kept;
}

void PrefixCache::drop_last(Share& share) {
  assert(!share.entries.empty());
  const Entry& last = share.entries.back();
  share.bytes -= last.bytes;
  counts_.bytes -= last.bytes;
  share.index.erase(last.prefix);
  share.entries.pop_back();
  ++counts_.evicted;
}

PrefixCache::Share& PrefixCache::largest() {
  return std::ranges::max_element(shares_, {}, [](const auto& s) { return s.second.bytes; })->second;
}

bool PrefixCache::seen_before(std::uint64_t evaluation, std::string_view prefix) {
  const std::uint64_t hash = hash64(prefix);
  const std::scoped_lock lock(mutex_);
  if (const auto found = seen_.find(hash); found != seen_.end()) return found->second != evaluation;
  if (seen_.size() >= kSeen) {
    seen_earlier_ = std::move(seen_);
    seen_.clear();
  }
  const auto earlier = seen_earlier_.find(hash);
  const std::uint64_t first = earlier == seen_earlier_.end() ? evaluation : earlier->second;
  seen_.emplace(hash, first);
  return first != evaluation;
}

PrefixCache::Counts PrefixCache::counts() const {
  const std::scoped_lock lock(mutex_);
  return counts_;
}

void PrefixCache::count_run(bool hit) {
  const std::scoped_lock lock(mutex_);
  ++counts_.finds;
  counts_.hits += hit ? 1 : 0;
}

}  // namespace bitplan
