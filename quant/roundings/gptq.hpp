#pragma once

#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// GPTQ: Frantar et al. 2023, arXiv:2210.17323 (IST-DASLab/gptq, GPTQModel, llm-compressor). Columns are rounded one
/// after the other; the error of each is made up for by the columns still to come, as the output error asks:
///
///   H = G + damping mean(diag G) I,   U upper triangular with U^T U = H^-1
///   for j = 0, 1, …:  q_j = nearest(w_j),  err = (w_j - w'_j) / U_jj,   w_l -= err U_jl  for l > j
///
/// Blocks of 128 columns: inside a block updates are immediate, the columns behind it get the block's updates at once
/// as a matrix product. Rows are independent; they are taken by 64, each tile on one thread, with the same result for
/// any number of threads. rows * columns^2 multiply-adds in float, 2/3 columns^3 in double for U.
///
/// Activation order: columns by descending G_jj (ties: by index), groups stay those of the original columns.
/// Dynamic groups (`group_range`): group p / group of position p in the sweep gets its scale when the sweep reaches it,
/// from the weights as of the last block boundary; updates inside the block are not yet in it, as in the original.
///
/// On purpose other than the reference: a dead input channel (G_jj = 0) is rounded to nearest, where the reference sets
/// its weights to 0; a pivot that is not positive raises the damping tenfold, from .01 up to 10, before the InputError
/// (the reference's Cholesky raises an exception, GPTQModel raises it in small steps); with cross moments the sweep
/// starts from the weights w - d H^-1, which make up for the drift of the inputs best. Rows that end with a
/// larger output error than nearest rounding on the same grid take nearest rounding.
struct GptqSettings {
  double damping = 0.01;  ///< of the mean of G's diagonal; 0 … 10
  std::int64_t block = 128;
  bool activation_order = false;
  std::int64_t group = 0;  ///< of dynamic groups
  FindPart group_range;      ///< the grid of one part, for dynamic groups; empty: the problem's grid
};

/// problem.gram must be given; with dynamic groups only q_min and q_max of problem.grid are read. Throws InputError for
/// non-finite input and for moments that no damping makes positive definite.
RoundedWeight round_gptq(const RoundingProblem& problem, const GptqSettings& settings);
RoundedWeight round_gptq(const RoundingProblem& problem);

/// U [columns, columns] of problem.gram with `damping`, columns and rows in the given order: row p is position p of the
/// sweep. A dead channel has a zero row and column in G: any pivot leaves it alone. Damping and errors as above.
std::vector<float> gptq_factor(const RoundingProblem& problem, std::span<const std::int64_t> order, double damping);

}  // namespace bitplan
