#pragma once

#include <cstdint>
#include <memory>

#include "search/refine.hpp"

namespace bitplan {

/// Greedy allocation from measured single sensitivities, then measured for real.
///
///   1. Asks for the single sensitivities that the archive lacks (they do not count as evaluations). Weights and
///      activations are treated alike.
///   2. One batch of up to 8 plans, additive_plans(): the steps with the least loss per cost down, then up into the
///      slack, then exchanges, under all constraints at once, for several readings of the sensitivities.
///   3. The rest of `evaluations` as Refine: swaps around the best plan, from a model that is corrected by what was
///      measured, so that it can leave the additive plans where these are wrong (below 4 bits).
///
/// Settings: evaluations (plans measured in 2 and 3, default 40). Deterministic, uses no random numbers.
class Greedy final : public Searcher {
 public:
  Greedy(const Problem& problem, std::int64_t evaluations) : problem_(problem), evaluations_(evaluations) {}
  std::vector<Assignment> ask() override;
  void tell(std::span<const Assignment> asked, std::span<const Measurement> results) override;

 private:
  std::vector<Assignment> candidates() const;

  const Problem& problem_;
  std::int64_t evaluations_;
  std::unique_ptr<Refine> refine_;  ///< from step 3 on
};

std::unique_ptr<Searcher> make_greedy(const Yaml& stage, const Problem& problem);
std::int64_t planned_greedy(const Yaml& stage, const Problem& problem);

}  // namespace bitplan
