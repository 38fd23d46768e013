#include "quant/formats/xnor.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "quant/math/isa.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#define BITPLAN_POPCNT [[gnu::target("popcnt")]]
#define BITPLAN_VPOPCNT [[gnu::target("avx512f,avx512vl,avx512vpopcntdq,prefer-vector-width=512")]]
#else
#define BITPLAN_POPCNT
#define BITPLAN_VPOPCNT
#endif

namespace bitplan {
namespace {

/// I rows of a with J rows of b, so that each word is loaded once for several products.
template <std::size_t I, std::size_t J>
BITPLAN_KERNEL void tile(const std::uint64_t* x, const std::uint64_t* y, std::size_t words, std::int32_t length,
                         std::int32_t* out, std::size_t columns) {
  std::uint64_t counts[I][J] = {};
  for (std::size_t k = 0; k < words; ++k)
    for (std::size_t i = 0; i < I; ++i)
      for (std::size_t j = 0; j < J; ++j)
        counts[i][j] += static_cast<std::uint64_t>(std::popcount(x[i * words + k] ^ y[j * words + k]));
  for (std::size_t i = 0; i < I; ++i)
    for (std::size_t j = 0; j < J; ++j) out[i * columns + j] = length - 2 * static_cast<std::int32_t>(counts[i][j]);
}

/// All rows of a with J rows of b, which stay in the first cache.
template <std::size_t J>
BITPLAN_KERNEL void column_block(const SignRows& a, const std::uint64_t* y, std::int32_t* out, std::size_t columns) {
  constexpr std::size_t kRows = 4;
  const auto words = static_cast<std::size_t>(a.words_per_row), rows = static_cast<std::size_t>(a.rows);
  const auto length = static_cast<std::int32_t>(a.length);
  const std::uint64_t* x = a.words.data();
  std::size_t i = 0;
  for (; i + kRows <= rows; i += kRows) tile<kRows, J>(x + i * words, y, words, length, out + i * columns, columns);
  for (; i < rows; ++i) tile<1, J>(x + i * words, y, words, length, out + i * columns, columns);
}

BITPLAN_KERNEL void products(const SignRows& a, const SignRows& b, std::int32_t* out) {
  constexpr std::size_t kColumns = 4;
  const auto words = static_cast<std::size_t>(a.words_per_row), columns = static_cast<std::size_t>(b.rows);
  const std::uint64_t* y = b.words.data();
  std::size_t j = 0;
  for (; j + kColumns <= columns; j += kColumns) column_block<kColumns>(a, y + j * words, out + j, columns);
  for (; j < columns; ++j) column_block<1>(a, y + j * words, out + j, columns);
}

void products_plain(const SignRows& a, const SignRows& b, std::int32_t* out) { products(a, b, out); }
BITPLAN_POPCNT void products_popcnt(const SignRows& a, const SignRows& b, std::int32_t* out) { products(a, b, out); }
BITPLAN_VPOPCNT void products_vector(const SignRows& a, const SignRows& b, std::int32_t* out) { products(a, b, out); }

BITPLAN_KERNEL std::uint64_t pack_word(const float* x, std::size_t n) {
  std::uint64_t word = 0;
  if (n == 64)  // a known count, so that it is vectorised
    for (std::size_t k = 0; k < 64; ++k) word |= static_cast<std::uint64_t>(x[k] >= 0) << k;
  else
    for (std::size_t k = 0; k < n; ++k) word |= static_cast<std::uint64_t>(x[k] >= 0) << k;
  return word;
}
std::uint64_t pack_plain(const float* x, std::size_t n) { return pack_word(x, n); }
BITPLAN_AVX2 std::uint64_t pack_avx2(const float* x, std::size_t n) { return pack_word(x, n); }
BITPLAN_AVX512 std::uint64_t pack_avx512(const float* x, std::size_t n) { return pack_word(x, n); }

constexpr std::array kAll{BitCount::plain, BitCount::popcnt, BitCount::vector};

std::size_t count_usable() {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("popcnt")) return 1;
  return best_isa() == Isa::avx512 && __builtin_cpu_supports("avx512vpopcntdq") ? 3 : 2;
#else
  return 1;
#endif
}

void check(const SignRows& a, const SignRows& b, std::span<std::int32_t> out) {
  assert(a.length == b.length && static_cast<std::int64_t>(out.size()) == a.rows * b.rows);
  (void)a, (void)b, (void)out;
}

}  // namespace

SignRows pack_signs(std::span<const float> values, std::int64_t rows, std::int64_t length) {
  assert(static_cast<std::int64_t>(values.size()) == rows * length);
  SignRows packed{rows, length, (length + 63) / 64, {}};
  packed.words.reserve(static_cast<std::size_t>(rows * packed.words_per_row));
  constexpr decltype(&pack_plain) kernels[] = {pack_plain, pack_avx2, pack_avx512};
  const auto pack = kernels[static_cast<std::size_t>(best_isa())];
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t k = 0; k < length; k += 64)
      packed.words.push_back(
          pack(values.data() + r * length + k, static_cast<std::size_t>(std::min<std::int64_t>(64, length - k))));
  return packed;
}

void xnor_products_ref(const SignRows& a, const SignRows& b, std::span<std::int32_t> out) {
  check(a, b, out);
  const auto sign = [](const SignRows& m, std::int64_t r, std::int64_t k) {
    return (m.words[static_cast<std::size_t>(r * m.words_per_row + k / 64)] >> (k % 64) & 1) != 0 ? 1 : -1;
  };
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t j = 0; j < b.rows; ++j) {
      std::int32_t sum = 0;
      for (std::int64_t k = 0; k < a.length; ++k) sum += sign(a, i, k) * sign(b, j, k);
      out[static_cast<std::size_t>(i * b.rows + j)] = sum;
    }
}

std::span<const BitCount> usable_bit_counts() {
  static const std::size_t count = count_usable();
  return std::span(kAll).first(count);
}

void xnor_products_on(BitCount how, const SignRows& a, const SignRows& b, std::span<std::int32_t> out) {
  check(a, b, out);
  constexpr decltype(&products_plain) kernels[] = {products_plain, products_popcnt, products_vector};
  kernels[static_cast<std::size_t>(how)](a, b, out.data());
}

void xnor_products(const SignRows& a, const SignRows& b, std::span<std::int32_t> out) {
  xnor_products_on(usable_bit_counts().back(), a, b, out);
}

}  // namespace bitplan
