#pragma once

#include <filesystem>
#include <string>

#include "apps/study.hpp"
#include "plan/plan.hpp"

namespace bitplan {

/// The end of a search as a person sees it: the plan beside float and the best uniform one, the constraints, each layer's
/// bits, and where to look next.
std::string result_text(const Study& study, const Plan& plan, const std::filesystem::path& directory);
/// The same for `search --json`.
std::string result_json(const Study& study, const Plan& plan, const std::filesystem::path& directory);

}  // namespace bitplan
