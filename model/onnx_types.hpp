#pragma once

#include <cstdint>
#include <optional>

#include "core/tensor.hpp"

namespace bitplan {

/// The element type of a TensorProto.DataType number; nothing for those we have not (strings, complex, float8, 4 and
/// 2 bits).
std::optional<DType> dtype_of_onnx(std::int64_t number);

/// The type in which we compute: float16 and bfloat16 become float32.
DType computed_type(DType dtype);

}  // namespace bitplan
