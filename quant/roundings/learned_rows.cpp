#include "quant/roundings/learned_rows.hpp"

#include "quant/roundings/descent.hpp"

namespace bitplan {

RoundedWeight learn_rows(const RoundingProblem& problem, const LayerLoss& loss, bool descending,
                         const std::function<void(std::int64_t first, std::int64_t count, RoundedWeight& out)>& learn) {
  RoundedWeight out{std::vector<std::int16_t>(problem.weights.size()), problem.grid, {}, 0, 0};
  for_rows_together(problem, [&](std::int64_t first, std::int64_t count) { learn(first, count, out); });
  out = rounded(problem, out.grid, std::move(out.codes));
  if (descending) out = descend(problem, loss, std::move(out));
  return accepted(problem, loss, std::move(out));
}

}  // namespace bitplan
