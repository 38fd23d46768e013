#pragma once

#include "quant/roundings/hqq.hpp"
#include "quant/roundings/hqq_variants.hpp"
#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// HQQ (hqq.hpp) as a rounding: the problem's parts get scales and zero points of their own, its q_min … q_max stay;
/// the problem's scales do not matter. The zero points lie between codes, whatever the problem's were. Moments are used
/// for the losses alone: plain HQQ takes nearest rounding on the problem's grid for rows which that serves better.
/// Throws InputError for non-finite weights, and asserts that a group's columns are neighbours.
RoundedWeight round_hqq(const RoundingProblem& problem);              ///< zero points
RoundedWeight round_hqq_grid(const RoundingProblem& problem);         ///< scales by grid search, then zero points
RoundedWeight round_hqq_alternating(const RoundingProblem& problem);  ///< zero points and scales in turn
RoundedWeight round_hqq_legacy(const RoundingProblem& problem);       ///< as the package: no acceptance by moments

}  // namespace bitplan
