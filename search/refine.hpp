#pragma once

#include <cstdint>
#include <memory>

#include "search/local_model.hpp"

namespace bitplan {

/// Measured local search from the best plan so far. Needs single sensitivities: it first asks for those it lacks (these
/// do not count), and for additive_plans() when no plan holds the constraints yet.
///
/// Each batch of 8 (fixed), until `evaluations` plans were asked for or nothing new is left:
///   1. the centre is the best plan of the archive; a LocalModel is fitted to all that was measured;
///   2. proposals: allocations of the whole network under the model's mean and under its optimistic bound
///      (mean - b deviation), and for every variable v and option o the centre with v := o, the other variables lowered
///      and filled so that the constraints hold (Allocator::around) under the optimistic bound: exchanges of one step
///      up for one or more steps down, and the reverse;
///   3. the unmeasured ones with the least optimistic bound are asked for, whole-network allocations first.
/// b = 0.5, and 0.5 more for each batch in a row that brought no better plan: when the model's favourites fail, the
/// search turns to moves of which little is known.
///
/// Settings: evaluations (default 100). Deterministic, uses no random numbers.
class Refine final : public Searcher {
 public:
  static constexpr std::size_t kBatch = 8;

  Refine(const Problem& problem, std::int64_t evaluations) : problem_(problem), left_(evaluations) {}
  std::vector<Assignment> ask() override;
  void tell(std::span<const Assignment> asked, std::span<const Measurement> results) override;

 private:
  std::vector<Point> proposals(const Trial& centre) const;

  const Problem& problem_;
  std::int64_t left_;
  int failures_ = 0;          ///< batches in a row without a better plan
  std::int64_t centre_ = -1;  ///< trial id of the best plan at the last ask()
};

std::unique_ptr<Searcher> make_refine(const Yaml& stage, const Problem& problem);
std::int64_t planned_refine(const Yaml& stage, const Problem& problem);

}  // namespace bitplan
