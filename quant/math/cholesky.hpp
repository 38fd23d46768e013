#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace bitplan {

/// U upper triangular with U^T U = H^-1, H [n, n] symmetric positive definite, row-major.
///
/// With J the reversal of rows and columns and J H J = L L^T (Cholesky), U = J L^-1 J: one factorisation and one
/// triangular inverse, 2/3 n^3 operations, where Cholesky, inverse and Cholesky again (the GPTQ code) take 4/3 n^3.
/// In double, in blocks of 128: Eigen factors and inverts those on the diagonal, all else is products (matmul.hpp).
/// Below the diagonal 0. h is used up. nullopt when a pivot is not positive: H is singular or indefinite in double
/// precision. The same bits for any number of threads.
std::optional<std::vector<float>> inverse_cholesky_upper(std::vector<double> h, std::int64_t n, int threads);

}  // namespace bitplan
