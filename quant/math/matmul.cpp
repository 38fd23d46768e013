#include "quant/math/matmul.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#endif

namespace bitplan {
namespace {

constexpr std::ptrdiff_t kInner = 256, kRows = 8;  // a panel's 256 rows are 32 KB: they stay in the first cache

/// The operands of one call: A packed for one block of inner indices.
template <class T>
struct Block {
  T factor;
  const T* a;
  std::ptrdiff_t rows, begin, inner;
  const PackedMatrix<T>* b;
  T* c;
  std::ptrdiff_t c_stride, first, last;  // panels begin at multiples of their width
};

}  // namespace
}  // namespace bitplan

#define BITPLAN_BODY "quant/math/matmul_tile.inc"
#include "quant/math/each_isa.inc"

namespace bitplan {
namespace {

/// Rows of A by eights: element (r, p) at ((r / 8) * inner + p) * 8 + r % 8; missing rows are zeros.
template <class T>
void pack_rows(MatrixView<T> a, std::ptrdiff_t rows, std::ptrdiff_t begin, std::ptrdiff_t inner, std::vector<T>& out) {
  out.resize(static_cast<std::size_t>((rows + kRows - 1) / kRows * kRows * inner));
  T* to = out.data();
  for (std::ptrdiff_t row = 0; row < rows; row += kRows) {
    const std::ptrdiff_t used = std::min(kRows, rows - row);
    const T* from = a.data + row * a.row_stride + begin * a.column_stride;
    for (std::ptrdiff_t p = 0; p < inner; ++p, from += a.column_stride, to += kRows)
      for (std::ptrdiff_t r = 0; r < kRows; ++r) to[r] = r < used ? from[r * a.row_stride] : T{};
  }
}

}  // namespace

template <class T>
PackedMatrix<T>::PackedMatrix(MatrixView<T> b, std::ptrdiff_t inner, std::ptrdiff_t columns)
    : inner_(inner),
      columns_(columns),
      data_(static_cast<std::size_t>((columns + kWidth - 1) / kWidth * kWidth * inner)) {
  constexpr std::ptrdiff_t kTogether = 32;  // rows whose pages stay known while all panels take their part of them
  for (std::ptrdiff_t begin = 0; begin < inner; begin += kTogether)
    for (std::ptrdiff_t first = 0; first < columns; first += kWidth) {
      const std::ptrdiff_t used = std::min(kWidth, columns - first);
      T* to = data_.data() + first * inner + begin * kWidth;
      for (std::ptrdiff_t p = begin; p < std::min(inner, begin + kTogether); ++p, to += kWidth) {
        const T* from = b.data + p * b.row_stride + first * b.column_stride;
        for (std::ptrdiff_t i = 0; i < used; ++i) to[i] = from[i * b.column_stride];
      }
    }
}

template <class T>
void add_product(T factor, MatrixView<T> a, std::ptrdiff_t rows, const PackedMatrix<T>& b, T* c,
                 std::ptrdiff_t c_stride, const ProductRange& range, Isa isa) {
  constexpr decltype(&isa_generic::multiply<T>) kernels[] = {isa_generic::multiply<T>, isa_avx2::multiply<T>,
                                                             isa_avx512::multiply<T>};
  const std::ptrdiff_t end = std::min(range.end, b.inner()), last = std::min(range.last, b.columns());
  assert(range.begin % kInner == 0 && range.first % PackedMatrix<T>::kWidth == 0);
  assert(last == b.columns() || last % PackedMatrix<T>::kWidth == 0);
  std::vector<T> packed;
  for (std::ptrdiff_t begin = range.begin; begin < end; begin += kInner) {
    const std::ptrdiff_t inner = std::min(kInner, end - begin);
    pack_rows(a, rows, begin, inner, packed);
    kernels[static_cast<std::size_t>(isa)](
        {factor, packed.data(), rows, begin, inner, &b, c, c_stride, range.first, last});
  }
}

template <class T>
void add_product_ref(T factor, MatrixView<T> a, std::ptrdiff_t rows, MatrixView<T> b, std::ptrdiff_t inner,
                     std::ptrdiff_t columns, T* c, std::ptrdiff_t c_stride) {
  for (std::ptrdiff_t r = 0; r < rows; ++r)
    for (std::ptrdiff_t i = 0; i < columns; ++i)
      for (std::ptrdiff_t begin = 0; begin < inner; begin += kInner) {
        T sum{};
        for (std::ptrdiff_t p = begin; p < std::min(inner, begin + kInner); ++p)
          sum = std::fma(a.data[r * a.row_stride + p * a.column_stride], b.data[p * b.row_stride + i * b.column_stride],
                         sum);
        c[r * c_stride + i] += factor * sum;
      }
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template void add_product(float, MatrixView<float>, std::ptrdiff_t, const PackedMatrix<float>&, float*, std::ptrdiff_t,
                          const ProductRange&, Isa);
template void add_product(double, MatrixView<double>, std::ptrdiff_t, const PackedMatrix<double>&, double*,
                          std::ptrdiff_t, const ProductRange&, Isa);
template void add_product_ref(float, MatrixView<float>, std::ptrdiff_t, MatrixView<float>, std::ptrdiff_t,
                              std::ptrdiff_t, float*, std::ptrdiff_t);
template void add_product_ref(double, MatrixView<double>, std::ptrdiff_t, MatrixView<double>, std::ptrdiff_t,
                              std::ptrdiff_t, double*, std::ptrdiff_t);

}  // namespace bitplan
