#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace bitplan {

/// Activations of runs that stopped half-way, kept within a number of bytes; shared by threads.
///
/// A key is exact: the chunk of data and all choices that the steps before the place look at (Checkpoints::choices), so
/// what is found is what would have been computed, to the bit.
///
/// What is kept:
/// - Second sight. A prefix is worth storing when a second candidate has it: what only one candidate has never pushes
///   out what is shared. See first_seen().
/// - Fair shares. Candidates are measured on all chunks in turn, again and again. When the data are larger than the
///   cache, evicting the least recently used entry of all would drop each one right before it is asked for: no hits at
///   all. So of n chunks seen each owns 1/n of the bytes, and may borrow what is free. Within its share a chunk takes
///   room from the chunk that holds most; beyond it only its own entries make room, else nothing is stored. The least
///   recently used entry of the chunk goes first. Then a scan over data k times as large as the cache still finds 1/k.
class PrefixCache {
 public:
  explicit PrefixCache(std::size_t keep_bytes) : keep_bytes_(keep_bytes) {}

  using Snapshot = std::shared_ptr<const std::byte[]>;

  /// Null when it is not there.
  Snapshot find(std::uint64_t chunk, std::string_view prefix);
  /// Bytes that entries of this chunk may hold together just now, those that it holds included.
  std::size_t allowance(std::uint64_t chunk) const;
  /// Keeps it, unless the rules above leave no room.
  void keep(std::uint64_t chunk, std::string_view prefix, Snapshot snapshot, std::size_t bytes);

  /// True when an evaluation other than this one (any number that its runs have in common) asked about this prefix
  /// before. Remembers the last 2^15 to 2^16 prefixes by a 64-bit hash: an error costs a copy, never a result.
  bool seen_before(std::uint64_t evaluation, std::string_view prefix);

  struct Counts {
    std::uint64_t finds = 0, hits = 0, kept = 0, evicted = 0;
    std::size_t bytes = 0;  ///< held now
  };
  Counts counts() const;
  /// One more run that asked, and whether it began from a stored prefix.
  void count_run(bool hit);

 private:
  struct Entry {
    std::string prefix;
    Snapshot snapshot;
    std::size_t bytes;
  };
  struct Share {
    std::list<Entry> entries;  ///< the most recently used first
    std::map<std::string_view, std::list<Entry>::iterator> index;
    std::size_t bytes = 0;
  };
  std::size_t share_bytes() const { return keep_bytes_ / (shares_.empty() ? 1 : shares_.size()); }
  std::size_t allowance(const Share& share) const;
  void drop_last(Share& share);
  Share& largest();

  const std::size_t keep_bytes_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Share> shares_;  ///< by chunk
  Counts counts_;
  std::unordered_map<std::uint64_t, std::uint64_t> seen_, seen_earlier_;  ///< hash of prefix → first evaluation
};

}  // namespace bitplan
