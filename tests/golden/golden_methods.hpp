#pragma once

#include <span>
#include <string_view>

#include "tests/golden/golden_case.hpp"

namespace bitplan::test {

/// Checks one case of a method against this library.
using GoldenCheck = Outcome (*)(const GoldenCase& golden);

/// Every method folder and what checks its cases. A check says `skip(reason)` for habits that are not worth having
/// (the reasons stand in docs/choices.md too) and `fail` for parameters that it does not know.
struct GoldenMethod {
  std::string_view folder;
  GoldenCheck check;
};
std::span<const GoldenMethod> golden_methods();

/// Folders of methods that are not built yet: their cases count as not taken.
std::span<const std::string_view> later_folders();

}  // namespace bitplan::test
