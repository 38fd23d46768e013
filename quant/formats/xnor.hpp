#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitplan {

/// Signs of the rows of a matrix, 64 to a word: bit 1 for x >= 0, the first element in the lowest bit. What fills up
/// the last word of a row is 0. 1 bit an element instead of 32.
struct SignRows {
  std::int64_t rows = 0, length = 0, words_per_row = 0;
  std::vector<std::uint64_t> words;
};
SignRows pack_signs(std::span<const float> values, std::int64_t rows, std::int64_t length);

/// out[i, j] = sum over k of sign(a[i, k]) sign(b[j, k]) = length - 2 popcount(a[i] xor b[j]): Rastegari et al. 2016
/// (XNOR-Net), arXiv:1603.05279, section 3.2. The network multiplies it with mean |a[i]| mean |b[j]|. Both have rows of
/// the same length. O(rows a × rows b × length / 64); popcount by CPU: instruction, vector instruction, or plain code.
void xnor_products(const SignRows& a, const SignRows& b, std::span<std::int32_t> out);
/// By the definition, a bit at a time.
void xnor_products_ref(const SignRows& a, const SignRows& b, std::span<std::int32_t> out);

/// Instruction sets that count bits.
enum class BitCount : std::uint8_t { plain, popcnt, vector };
/// Those that this CPU has, slowest first.
std::span<const BitCount> usable_bit_counts();
void xnor_products_on(BitCount how, const SignRows& a, const SignRows& b, std::span<std::int32_t> out);

}  // namespace bitplan
