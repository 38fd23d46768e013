#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/executor/executor.hpp"

namespace bitplan {

struct Program;

/// Bytes of the arena.
struct ArenaRange {
  std::size_t offset, bytes;
};
/// What was made before step `step`, or is an input, and is used from there on. O(values + steps).
std::vector<ArenaRange> alive_before(const Program& program, std::size_t step);
std::size_t bytes_of(std::span<const ArenaRange> ranges);
/// Copies ranges of an arena one after the other, and back: bytes_of(ranges) bytes.
void copy_out(std::span<const ArenaRange> ranges, const std::byte* arena, std::byte* to);
void copy_back(std::span<const ArenaRange> ranges, const std::byte* from, std::byte* arena);

/// Places between two steps of a program where a run may be stored and another one may begin, for candidates that do
/// not differ before that place.
///
/// A place k (before step k) is worth having only where step k is the first to look at some weight or quantizer: every
/// candidate that differs from an evaluated one differs first at such a place. Among those the chosen ones minimise
///
///   sum over places p of [ copy(k) + work(k … p) ]  +  sum over chosen k of copy(k),      k the last chosen one <= p
///
/// that is the time of a sweep over everything that a candidate decides, one question each, where copy(k) is the time
/// to copy the bytes alive at k and work that of the steps between. So places lie where tensors are small compared with
/// the work behind them: block ends in residual networks, narrow tensors between expanded ones in mobile ones; cheap
/// layers share one. Times are estimates (see the .cpp): they decide speed, never results.
/// O(places^2) at construction.
///
/// Alive at k are blocks of the arena that were used before k (inputs too) and are used at k or later: values that
/// share memory (views, in-place sums) count once, constants and scratch memory never.
class Checkpoints {
 public:
  explicit Checkpoints(const Program& program);

  std::size_t count() const { return points_.size(); }
  /// The step before which point i lies; rises with i.
  std::size_t step(std::size_t i) const { return points_[i].step; }
  /// Bytes alive at point i.
  std::size_t bytes(std::size_t i) const { return points_[i].bytes; }

  /// All that the steps look at in a candidate, in the order of the first that does: the serial number of this program,
  /// then for each layer the serial number of its packed weight (0: float), for each site its quantizer and the serial
  /// number of that by parts (0: none). Exact: two candidates have the same first prefix_length(i) bytes if and only if
  /// steps 0 … step(i) - 1 do the same to the bit.
  std::string choices(const Candidate& candidate) const;
  std::size_t prefix_length(std::size_t i) const { return points_[i].prefix_length; }

  /// Copies what is alive at point i out of an arena, and back: bytes(i) bytes.
  void save(std::size_t i, const std::byte* arena, std::byte* to) const;
  void restore(std::size_t i, const std::byte* from, std::byte* arena) const;

 private:
  struct Dependency {
    LayerId layer;  ///< or -1:
    SiteId site;
  };
  struct Point {
    std::size_t step, bytes, prefix_length;
    std::vector<ArenaRange> alive;
  };
  class Planner;

  std::uint64_t serial_;
  std::vector<Dependency> order_;
  std::vector<Point> points_;
};

}  // namespace bitplan
