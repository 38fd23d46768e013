#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/tensor.hpp"

namespace bitplan {

/// The dimension that `axis` means, counted from 0; negative ones count from the last. None when there is no such
/// dimension; a scalar has one of length 1.
std::optional<int> channel_axis(int axis, const Shape& shape);
/// What to say then: the axis, the file with its shape, and what is allowed.
std::string no_such_axis(int axis, const std::filesystem::path& file, const Shape& shape);

}  // namespace bitplan
