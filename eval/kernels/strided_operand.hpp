#pragma once

#include <optional>
#include <vector>

#include "eval/kernels/program.hpp"
#include "eval/kernels/strided_copy.hpp"

namespace bitplan {

/// A float tensor seen in the memory of a row-major value, so that moving data costs nothing until somebody needs them
/// dense: element (i0, i1, ...) lies at
///
///   offset + sum over d of strides[d] * (i[d] / repeats[d])        in elements, / rounds down
///
/// A stride of 0 repeats a whole dimension (Expand), repeats > 1 each index of it (the heads of grouped attention).
struct StridedOperand {
  Operand base;
  std::int64_t offset = 0;
  Dims dims, strides, repeats;

  /// Row-major without gaps, from the first element of the value on.
  bool dense() const;
  /// Dimension d of the result is dimension order[d].
  StridedOperand permuted(const std::vector<std::int64_t>& order) const;
  /// Indices from + i * step, 0 <= i < count, of each dimension. Nothing when that cuts into repeated indices.
  std::optional<StridedOperand> sliced(const Dims& from, const Dims& step, const Dims& count) const;
  /// The same elements in row-major order under another shape. Nothing when that needs a copy.
  std::optional<StridedOperand> reshaped(const Shape& shape) const;
  /// Broadcast as ONNX does.
  StridedOperand expanded(const Shape& shape) const;
  /// The loops that copy it into a row-major array.
  CopyJob copy_job() const;
};

/// A row-major value as it is.
StridedOperand whole_operand(const Operand& base, const Shape& shape);

}  // namespace bitplan
