#include "quant/matmul.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "quant/isa.hpp"

namespace bitplan {
namespace {

constexpr std::ptrdiff_t kInner = 256, kRows = 4;  // a panel's 256 rows are 32 KB: they stay in the first cache

/// 64 bytes of T; narrower instruction sets take several registers for it.
template <class T>
struct Lanes {
  typedef T type __attribute__((vector_size(64)));
  static constexpr std::ptrdiff_t kCount = 64 / sizeof(T);
  BITPLAN_KERNEL static type load(const T* from) {
    type v;
    std::memcpy(&v, from, sizeof v);
    return v;
  }
};

/// out [4, width of a panel] = the products' sums of four rows of A (packed [inner, 4]) and one panel of B.
template <class T>
BITPLAN_KERNEL void tile(const T* a, const T* b, std::ptrdiff_t inner, T* out) {
  using V = typename Lanes<T>::type;
  constexpr std::ptrdiff_t n = Lanes<T>::kCount;
  V s00{}, s01{}, s10{}, s11{}, s20{}, s21{}, s30{}, s31{};
  for (std::ptrdiff_t p = 0; p < inner; ++p, a += kRows, b += 2 * n) {
    const V b0 = Lanes<T>::load(b), b1 = Lanes<T>::load(b + n);
    s00 += a[0] * b0, s01 += a[0] * b1;
    s10 += a[1] * b0, s11 += a[1] * b1;
    s20 += a[2] * b0, s21 += a[2] * b1;
    s30 += a[3] * b0, s31 += a[3] * b1;
  }
  const V sums[] = {s00, s01, s10, s11, s20, s21, s30, s31};
  std::memcpy(out, sums, sizeof sums);
}

/// The operands of one call: A packed for one block of inner indices.
template <class T>
struct Block {
  T sign;
  const T* a;
  std::ptrdiff_t rows, begin, inner;
  const PackedMatrix<T>* b;
  T* c;
  std::ptrdiff_t c_stride, first, last;  // panels begin at multiples of their width
};

template <class T>
BITPLAN_KERNEL void multiply(const Block<T>& block) {
  constexpr std::ptrdiff_t width = PackedMatrix<T>::kWidth;
  T sums[kRows * width];
  for (std::ptrdiff_t panel = block.first / width; panel * width < block.last; ++panel) {
    const T* b = block.b->panel(panel) + block.begin * width;
    const std::ptrdiff_t used = std::min(width, block.last - panel * width);
    for (std::ptrdiff_t row = 0; row < block.rows; row += kRows) {
      tile(block.a + row * block.inner, b, block.inner, sums);
      const std::ptrdiff_t last = std::min(kRows, block.rows - row);
      for (std::ptrdiff_t r = 0; r < last; ++r) {
        T* c = block.c + (row + r) * block.c_stride + panel * width;
        for (std::ptrdiff_t i = 0; i < used; ++i) c[i] += block.sign * sums[r * width + i];
      }
    }
  }
}

template <class T>
void multiply_generic(const Block<T>& block) {
  multiply(block);
}
template <class T>
BITPLAN_AVX2 void multiply_avx2(const Block<T>& block) {
  multiply(block);
}
template <class T>
BITPLAN_AVX512 void multiply_avx512(const Block<T>& block) {
  multiply(block);
}

/// Rows of A by fours: element (r, p) at ((r / 4) * inner + p) * 4 + r % 4; missing rows are zeros.
template <class T>
void pack_rows(MatrixView<T> a, std::ptrdiff_t rows, std::ptrdiff_t begin, std::ptrdiff_t inner, std::vector<T>& out) {
  out.assign(static_cast<std::size_t>((rows + kRows - 1) / kRows * kRows * inner), T{});
  for (std::ptrdiff_t r = 0; r < rows; ++r) {
    const T* from = a.data + r * a.row_stride + begin * a.column_stride;
    T* to = out.data() + (r / kRows) * kRows * inner + r % kRows;
    for (std::ptrdiff_t p = 0; p < inner; ++p) to[p * kRows] = from[p * a.column_stride];
  }
}

}  // namespace

template <class T>
PackedMatrix<T>::PackedMatrix(MatrixView<T> b, std::ptrdiff_t inner, std::ptrdiff_t columns)
    : inner_(inner),
      columns_(columns),
      data_(static_cast<std::size_t>((columns + kWidth - 1) / kWidth * kWidth * inner)) {
  T* to = data_.data();
  for (std::ptrdiff_t first = 0; first < columns; first += kWidth) {
    const std::ptrdiff_t used = std::min(kWidth, columns - first);
    for (std::ptrdiff_t p = 0; p < inner; ++p, to += kWidth) {
      const T* from = b.data + p * b.row_stride + first * b.column_stride;
      for (std::ptrdiff_t i = 0; i < used; ++i) to[i] = from[i * b.column_stride];
    }
  }
}

template <class T>
void add_product(T sign, MatrixView<T> a, std::ptrdiff_t rows, const PackedMatrix<T>& b, T* c, std::ptrdiff_t c_stride,
                 const ProductRange& range) {
  constexpr decltype(&multiply_generic<T>) kernels[] = {multiply_generic<T>, multiply_avx2<T>, multiply_avx512<T>};
  const std::ptrdiff_t end = std::min(range.end, b.inner()), last = std::min(range.last, b.columns());
  assert(range.begin % kInner == 0 && range.first % PackedMatrix<T>::kWidth == 0);
  assert(last == b.columns() || last % PackedMatrix<T>::kWidth == 0);
  std::vector<T> packed;
  for (std::ptrdiff_t begin = range.begin; begin < end; begin += kInner) {
    const std::ptrdiff_t inner = std::min(kInner, end - begin);
    pack_rows(a, rows, begin, inner, packed);
    kernels[static_cast<std::size_t>(best_isa())](
        {sign, packed.data(), rows, begin, inner, &b, c, c_stride, range.first, last});
  }
}

template <class T>
void add_product_ref(T sign, MatrixView<T> a, std::ptrdiff_t rows, MatrixView<T> b, std::ptrdiff_t inner,
                     std::ptrdiff_t columns, T* c, std::ptrdiff_t c_stride) {
  for (std::ptrdiff_t r = 0; r < rows; ++r)
    for (std::ptrdiff_t i = 0; i < columns; ++i)
      for (std::ptrdiff_t begin = 0; begin < inner; begin += kInner) {
        T sum{};
        for (std::ptrdiff_t p = begin; p < std::min(inner, begin + kInner); ++p)
          sum += a.data[r * a.row_stride + p * a.column_stride] * b.data[p * b.row_stride + i * b.column_stride];
        c[r * c_stride + i] += sign * sum;
      }
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template void add_product(float, MatrixView<float>, std::ptrdiff_t, const PackedMatrix<float>&, float*, std::ptrdiff_t,
                          const ProductRange&);
template void add_product(double, MatrixView<double>, std::ptrdiff_t, const PackedMatrix<double>&, double*,
                          std::ptrdiff_t, const ProductRange&);
template void add_product_ref(float, MatrixView<float>, std::ptrdiff_t, MatrixView<float>, std::ptrdiff_t,
                              std::ptrdiff_t, float*, std::ptrdiff_t);
template void add_product_ref(double, MatrixView<double>, std::ptrdiff_t, MatrixView<double>, std::ptrdiff_t,
                              std::ptrdiff_t, double*, std::ptrdiff_t);

}  // namespace bitplan
