#pragma once

#include <span>
#include <string_view>

#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// A way to choose codes (and sometimes the grid) for a weight; one function from problem to codes.
struct Rounding {
  std::string_view name, summary;
  bool needs_gram;  ///< second moments of the inputs must be given
  /// What becomes of the problem's grid.
  enum class Grid : std::uint8_t {
    kept,
    scales,      ///< parts get other scales (and zero points, if they have any)
    zero_points  ///< the method finds its own, between codes, whatever the problem's grid
  } grid;
  RoundedWeight (*round)(const RoundingProblem& problem);
};

/// Every rounding. With moments all fill in both losses, and none but hqq:legacy is worse than nearest rounding on the
/// problem's grid.
std::span<const Rounding> roundings();
/// Null when there is none of this name.
const Rounding* rounding_named(std::string_view name);
/// By name. Throws InputError "'x' is not a rounding; known: …".
const Rounding& find_rounding(std::string_view name);

/// problem's weights by `rounding`; an empty weight gives no codes. Throws InputError when it needs moments and the
/// problem has none.
RoundedWeight round_with(const Rounding& rounding, const RoundingProblem& problem);

}  // namespace bitplan
