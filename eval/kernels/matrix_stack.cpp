#include "eval/kernels/matrix_stack.hpp"

#include <algorithm>

namespace bitplan {

namespace {

/// Offsets of all index combinations of the leading dimensions, row-major.
std::vector<std::int64_t> stack_offsets(const StridedOperand& place) {
  std::vector<std::int64_t> offsets{place.offset};
  for (std::size_t d = 0; d + 2 < place.dims.size(); ++d) {
    std::vector<std::int64_t> next;
    next.reserve(offsets.size() * static_cast<std::size_t>(place.dims[d]));
    for (const std::int64_t base : offsets)
      for (std::int64_t i = 0; i < place.dims[d]; ++i) next.push_back(base + i / place.repeats[d] * place.strides[d]);
    offsets = std::move(next);
  }
  return offsets;
}

}  // namespace

Dims stack_dims(const Shape& shape) { return {shape.begin(), shape.end() - 2}; }

std::optional<MatrixStack> MatrixStack::of(const StridedOperand& place, const Dims& stack) {
  Dims shape = stack;
  shape.insert(shape.end(), place.dims.end() - 2, place.dims.end());
  const StridedOperand wide = place.expanded(shape);
  const std::size_t r = shape.size() - 2, c = r + 1;
  if (wide.repeats[r] != 1 || wide.repeats[c] != 1) return std::nullopt;
  // A dimension of one element may have any stride.
  const std::int64_t rows = shape[r], columns = shape[c];
  const bool by_rows = columns == 1 || wide.strides[c] == 1, by_columns = rows == 1 || wide.strides[r] == 1;
  if (by_rows && (rows == 1 || wide.strides[r] >= columns))
    return MatrixStack{place.base, stack_offsets(wide), false, std::max(wide.strides[r], columns)};
  if (by_columns && (columns == 1 || wide.strides[c] >= rows))
    return MatrixStack{place.base, stack_offsets(wide), true, std::max(wide.strides[c], rows)};
  return std::nullopt;
}

MatrixStack stack_of(ProgramBuilder& builder, TensorId tensor, NodeId product, const Dims& stack) {
  if (auto seen = MatrixStack::of(builder.strided(tensor, product), stack)) return *seen;
  const Operand copy = builder.plain(tensor);  // no site: those are dense already
  return *MatrixStack::of(whole_operand(copy, builder.network().tensor(tensor).shape), stack);
}

void multiply(const Multiplication& size, const MatrixStack& a, const float* a_data, const MatrixStack& b,
              const float* b_data, float* c, std::int64_t c_leading) {
  dnnl::error::wrap_c_api(dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', size.m, size.n, size.k,
                                     size.alpha, a_data, a.leading, b_data, b.leading, 0, c, c_leading),
                          "could not multiply two matrices");
}

}  // namespace bitplan
