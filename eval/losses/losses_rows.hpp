#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quant/math/isa.hpp"

namespace bitplan {

/// Two rows of n numbers compared: z the float network's, y the candidate's. With e_c = exp(z_c - max z),
/// f_c = exp(y_c - max y), p_c = e_c / sum e, q_c = f_c / sum f:
///   kl      = sum_c p_c (log p_c - log q_c) = sum_c e_c (z_c - y_c) / sum e + log sum exp y - log sum exp z
///   jsd     = (KL(p || m) + KL(q || m)) / 2,  m = (p + q) / 2; from 0 to log 2. Term by term, with
///             a = max(p_c, q_c), b = min(p_c, q_c): a log(a / m) + b log(b / m) = -g (a + b) - b log(a / b),
///             g = log((a + b) / (2 a)), so that equal rows give exactly 0
/// Natural logarithms, in double from float32.
struct RowFigures {
  bool finite = true;  ///< neither row has a NaN or an infinite element; otherwise nothing below is set
  float max_z = 0, max_y = 0;
  double log_sum_z = 0, log_sum_y = 0;  ///< log sum_c exp(z_c), the largest taken out first
  double kl = 0, jsd = 0;
  bool agrees = false;     ///< the first of the largest elements stands at the same place
  std::int64_t rank = -1;  ///< elements of y that rank before the label: larger, or equal with a smaller index
  double zz = 0, yy = 0, zy = 0, noise = 0;  ///< sums of z^2, y^2, z y, (y - z)^2
};

/// Scratch of one thread, grown as needed.
using RowScratch = std::vector<double>;

/// All figures of a row of classes; `label` < 0: without rank. The exponentials are right to 1e-14 and 0 below 1e-307;
/// jsd is computed in float from differences taken in double, right to about 1e-6 of itself. The same to the bit for
/// every instruction set: sums run in eight lanes. O(n): two exponentials, a logarithm and a division an element.
RowFigures compare_classes(const float* z, const float* y, std::size_t n, std::int64_t label, RowScratch& scratch,
                           Isa isa);
/// zz, yy, zy, noise and finite only.
RowFigures compare_values(const float* z, const float* y, std::size_t n, Isa isa);

}  // namespace bitplan
