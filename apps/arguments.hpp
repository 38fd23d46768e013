#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/tensor.hpp"
#include "eval/finish.hpp"

namespace bitplan {

struct NameValue {
  std::string name, value;
};
/// "NAME=VALUE"; throws UsageError that names the option.
NameValue split_assignment(const std::string& text, const std::string& option);

/// "1x3x32x32", "Nx3x32x32" or "1,3,32,32" (N = -1, the free batch). Throws UsageError.
Shape parse_shape(const std::string& text, const std::string& whole);

/// --finish asymmetric,bias. Throws UsageError.
FinishSpec parse_finish(const std::vector<std::string>& passes);

}  // namespace bitplan
