#pragma once

#include <filesystem>

#include "core/tensor.hpp"

namespace bitplan {

/// The .npy file as float32. Throws InputError naming the file when it holds other values than floating point, or none,
/// or a finite one beyond float32. NaN and infinities pass.
Tensor read_floats(const std::filesystem::path& file);

}  // namespace bitplan
