#pragma once

#include <cstdint>
#include <functional>

#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// What learned roundings have in common: learn(first, count, out) writes codes, and scales where it has other ones, of
/// count rows, from several threads; then, if `descending`, a coordinate descent over all codes. Rows that nearest
/// rounding does better are rounded to nearest.
RoundedWeight learn_rows(const RoundingProblem& problem, const LayerLoss& loss, bool descending,
                         const std::function<void(std::int64_t first, std::int64_t count, RoundedWeight& out)>& learn);

}  // namespace bitplan
