#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bitplan {

/// A weight [rows, columns] of 1 bit whose salient columns have a second one: Huang et al. 2024 (BiLLM),
/// arXiv:2402.04291, sections 3.2 and 3.3, its salient-column part: neither error compensation nor the split of the
/// other weights by magnitude.
///
///   saliency of column j = sum over rows w[i, j]^2 / [H^-1]_jj^2,   H the Hessian of the layer's output error
///   salient columns      x' = a1 b1 + a2 b2,  b1 = sign(w), a1 = mean |w|,  b2 and a2 alike of the rest w - a1 b1
///   other columns        x' = a b,            b = sign(w),  a = mean |w|;   means by row, sign(0) = 1
struct BinaryResidual {
  std::vector<std::int64_t> salient;        ///< columns, ascending
  std::vector<double> saliency;             ///< by column
  std::vector<double> first, second, rest;  ///< a1, a2 and a by row
  std::vector<float> values;
  /// 1 bit a weight, 1 more in salient columns, 3 scales of 32 bits a row, 1 bit a column that says which are salient.
  std::int64_t stored_bits = 0;
};

/// inverse_diagonal: of H^-1, positive; `salient` of the columns get two bits. Weights are finite. O(rows × columns).
BinaryResidual binarize_with_residual(std::span<const float> weights, std::int64_t rows, std::int64_t columns,
                                      std::span<const double> inverse_diagonal, std::int64_t salient);

/// The diagonal of H^-1, H = 2 X^T X + damping mean(diag(2 X^T X)) I, of inputs X [samples, columns]. O(columns^3).
/// Throws InputError when H is not positive definite (inputs that are all zero).
std::vector<double> inverse_hessian_diagonal(std::span<const float> inputs, std::int64_t samples, std::int64_t columns,
                                             double damping = 0.01);

}  // namespace bitplan
