#pragma once

#include <cstdint>
#include <memory>
#include <set>

#include "search/searcher.hpp"

namespace bitplan {

/// Random points that hold all constraints: the baseline that a searcher has to beat.
///
/// Point i comes from the stream (seed, "random", i): an option of every variable, uniform. When a constraint is
/// violated it walks back: variables in random order go down one option at a time until all constraints hold; where
/// even the lowest options do not hold (a cost that falls with more bits), variables in random order take the option of
/// feasible_point(). So a tight budget gives as many points as a loose one, though no longer uniform ones.
/// Points differ from each other and from all that was measured before (a second random stage goes on where the first
/// ended); after kAttempts draws without a new one the search is over: the space is exhausted.
///
/// Settings: evaluations (points, default 100). Batches of 16.
class RandomSearch final : public Searcher {
 public:
  static constexpr std::size_t kBatch = 16;
  static constexpr int kAttempts = 1000;

  RandomSearch(const Problem& problem, std::int64_t evaluations) : problem_(problem), evaluations_(evaluations) {}
  std::vector<Assignment> ask() override;
  void tell(std::span<const Assignment>, std::span<const Measurement>) override {}

 private:
  const Problem& problem_;
  std::int64_t evaluations_;
  std::uint64_t drawn_ = 0;  ///< streams used
  std::set<Point> proposed_;
  bool exhausted_ = false;
};

/// One point of stream (seed, "random", index).
Point random_feasible_point(const Problem& problem, std::uint64_t index);

std::unique_ptr<Searcher> make_random(const Yaml& stage, const Problem& problem);
std::int64_t planned_random(const Yaml& stage, const Problem& problem);

}  // namespace bitplan
