#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quant/math/isa.hpp"

namespace bitplan {

/// Element (r, c) stands at data[r * row_stride + c * column_stride]: a transpose is the strides exchanged.
template <class T>
struct MatrixView {
  const T* data = nullptr;
  std::ptrdiff_t row_stride = 0, column_stride = 1;
};

/// A right-hand matrix B [inner, columns] copied into panels of two vectors' width, each contiguous over inner, so that
/// a product reads it in order. Packed once, it serves any number of products, from any thread.
template <class T>
class PackedMatrix {
 public:
  static constexpr std::ptrdiff_t kWidth = 128 / sizeof(T);  ///< columns of a panel
  PackedMatrix(MatrixView<T> b, std::ptrdiff_t inner, std::ptrdiff_t columns);
  std::ptrdiff_t inner() const { return inner_; }
  std::ptrdiff_t columns() const { return columns_; }
  const T* panel(std::ptrdiff_t index) const { return data_.data() + index * inner_ * kWidth; }

 private:
  std::ptrdiff_t inner_, columns_;
  std::vector<T> data_;
};

/// The part of a product that is wanted: inner indices begin … end - 1, columns of C first … last - 1, all of them by
/// default. begin has to be a multiple of 256, first and last of 32 (or the ends): whole panels are computed.
struct ProductRange {
  std::ptrdiff_t begin = 0, end = PTRDIFF_MAX, first = 0, last = PTRDIFF_MAX;
};

/// C += factor * A B for rows of A; C is row-major with c_stride.
///
/// Each element of C gets sums of 256 products, added in the order of the inner index by fused multiply-adds: its bits
/// do not depend on the instruction set, nor on how rows are split over calls or threads. rows * inner * columns
/// multiply-adds; one core with AVX-512 runs 16 rows at 70 % of its peak in float while B is in its caches (512 x 512)
/// and at 48 % beyond them (4096 x 4096, 64 rows 55 %). Without FMA (CPUs before 2013) the C library's is a hundred
/// times slower.
template <class T>
void add_product(T factor, MatrixView<T> a, std::ptrdiff_t rows, const PackedMatrix<T>& b, T* c,
                 std::ptrdiff_t c_stride, const ProductRange& range = {}, Isa isa = best_isa());

/// The definition of add_product, one element at a time, in the same order of operations.
template <class T>
void add_product_ref(T factor, MatrixView<T> a, std::ptrdiff_t rows, MatrixView<T> b, std::ptrdiff_t inner,
                     std::ptrdiff_t columns, T* c, std::ptrdiff_t c_stride);

extern template class PackedMatrix<float>;
extern template class PackedMatrix<double>;

}  // namespace bitplan
