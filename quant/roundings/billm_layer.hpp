#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/moments/input_moments.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// BiLLM: Huang et al. 2024, arXiv:2402.04291, algorithm 1, on a layer with second moments. Blocks of columns one after
/// the other, U as in gptq.hpp; in each block, on the weights as the blocks before have moved them:
///
///   salient     the m columns of largest sum over rows of w_ij^2 / U_jj^2 (as the authors' code has it):
///               x' = +-a1 +-a2, two bits (billm.hpp)
///   others      x' = +-b; split: +-b1 where |w| is small, +-b2 where it is large, one bit that says which. b1 and b2
///               are those of least squared error in the row (the paper tries thresholds for a block at once)
///   errors      passed on to later columns as GPTQ does, in the block too (the authors': between blocks alone)
///
/// m is a fixed share of a block, where the paper searches for it, so that stored bits do not depend on data.
struct BillmSettings {
  std::int64_t block = 128;
  double salient = 1.0 / 16;  ///< of a block's columns, rounded; 0 … 1
  bool split = true;
  double damping = 0.01;                    ///< of the mean of G's diagonal
  int threads = 0;                          ///< results do not depend on it
  const std::atomic<bool>* stop = nullptr;  ///< when it becomes true, Interrupted is thrown
};

struct BillmWeight {
  /// codes: index of the level among those of the weight's kind, ascending. scales: a1, a2, b1, b2 by row and block (0
  /// where there is none).
  QuantizedWeight weight;
  std::vector<std::int32_t> salient;  ///< group * columns + column, ascending
};

/// No row has a larger L than the same levels without passing errors on, nor than `one_bit` where that is given: values
/// +-a in the weight's order, a the same in a row and block (BWN's), which a1 = b1 = b2 = a and a2 = 0 make, too. rows *
/// columns^2 multiply-adds. Throws
/// InputError on NaN or infinite weights and moments, for moments that no damping makes positive definite, and when L
/// overflows.
BillmWeight quantize_billm(std::span<const float> weights, const WeightView& view, const LayerMoments& moments,
                           const BillmSettings& settings = {}, std::span<const float> one_bit = {});

/// 1 bit a weight, 1 more in salient columns and, with split, in the others; 1 bit a column that says which are salient
/// (by group of a grouped convolution); scales of 32 bits by row and block.
std::int64_t billm_stored_bits(const WeightView& view, std::int64_t groups, const BillmSettings& settings = {});

}  // namespace bitplan
