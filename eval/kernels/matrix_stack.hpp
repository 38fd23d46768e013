#pragma once

#include <optional>
#include <vector>

#include "eval/kernels/builder.hpp"

namespace bitplan {

/// A strided operand [..., rows, columns] as the matrices of its leading dimensions, each as BLAS takes it.
struct MatrixStack {
  Operand base;
  std::vector<std::int64_t> offsets;  ///< of each matrix, in row-major order of the leading dimensions
  bool transposed = false;            ///< stored column by column
  std::int64_t leading = 1;           ///< elements from one stored line to the next

  /// `place` broadcast to the leading dimensions `stack`. Nothing when neither rows nor columns are dense.
  static std::optional<MatrixStack> of(const StridedOperand& place, const Dims& stack);
  const float* at(const float* base_data, std::size_t i) const { return base_data + offsets[i]; }
};

/// The same of a tensor, which is copied when its strides do not fit. `product`: see ProgramBuilder::strided.
MatrixStack stack_of(ProgramBuilder& builder, TensorId tensor, NodeId product, const Dims& stack);

/// The leading dimensions of [..., rows, columns].
Dims stack_dims(const Shape& shape);

/// C [m, n] = alpha A [m, k] B [k, n], by oneDNN's sgemm on one thread. `c_leading`: elements between rows of C.
struct Multiplication {
  std::int64_t m, n, k;
  float alpha = 1;
};
void multiply(const Multiplication& size, const MatrixStack& a, const float* a_data, const MatrixStack& b,
              const float* b_data, float* c, std::int64_t c_leading);

/// Adds the step Y[i] = A[i] B[i] for each matrix of the stacks; returns Y, row-major of `shape` (stack_product.cpp).
ValueId add_stack_product(ProgramBuilder& builder, MatrixStack a, MatrixStack b, const Multiplication& size,
                          const Shape& shape);

}  // namespace bitplan
