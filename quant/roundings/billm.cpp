#include "quant/roundings/billm.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "core/error.hpp"

namespace bitplan {
namespace {

std::vector<double> saliency_of(std::span<const float> weights, std::int64_t rows, std::int64_t columns,
                                std::span<const double> inverse_diagonal) {
  std::vector<double> saliency(static_cast<std::size_t>(columns));
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < saliency.size(); ++j) {
      const double scaled = weights[static_cast<std::size_t>(i * columns) + j] / inverse_diagonal[j];
      saliency[j] += scaled * scaled;
    }
  return saliency;
}

/// The columns of largest saliency, ascending; of equal ones the first.
std::vector<std::int64_t> largest(const std::vector<double>& saliency, std::int64_t count) {
  std::vector<std::int64_t> order(saliency.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return saliency[static_cast<std::size_t>(a)] > saliency[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

double sign(double value) { return value >= 0 ? 1 : -1; }

}  // namespace

BinaryResidual binarize_with_residual(std::span<const float> weights, std::int64_t rows, std::int64_t columns,
                                      std::span<const double> inverse_diagonal, std::int64_t salient) {
  assert(static_cast<std::int64_t>(weights.size()) == rows * columns && salient >= 0 && salient <= columns);
  assert(static_cast<std::int64_t>(inverse_diagonal.size()) == columns);
  BinaryResidual out;
  out.saliency = saliency_of(weights, rows, columns, inverse_diagonal);
  out.salient = largest(out.saliency, salient);
  std::vector<bool> is_salient(static_cast<std::size_t>(columns));
  for (const std::int64_t j : out.salient) is_salient[static_cast<std::size_t>(j)] = true;
  out.values.resize(weights.size());
  const auto mean = [](double sum, std::int64_t n) { return n == 0 ? 0 : sum / static_cast<double>(n); };
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::span row = weights.subspan(static_cast<std::size_t>(i * columns), static_cast<std::size_t>(columns));
    double first = 0, second = 0, rest = 0;
    for (std::size_t j = 0; j < row.size(); ++j)
      (is_salient[j] ? first : rest) += std::abs(static_cast<double>(row[j]));
    first = mean(first, salient);
    rest = mean(rest, columns - salient);
    for (std::size_t j = 0; j < row.size(); ++j)
      if (is_salient[j]) second += std::abs(row[j] - first * sign(row[j]));
    second = mean(second, salient);
    for (std::size_t j = 0; j < row.size(); ++j) {
      const double coarse = (is_salient[j] ? first : rest) * sign(row[j]);
      const double fine = is_salient[j] ? second * sign(row[j] - coarse) : 0;
      out.values[static_cast<std::size_t>(i * columns) + j] = static_cast<float>(coarse + fine);
    }
    out.first.push_back(first);
    out.second.push_back(second);
    out.rest.push_back(rest);
  }
  out.stored_bits = rows * columns + rows * salient + rows * 3 * 32 + columns;
  return out;
}

std::vector<double> inverse_hessian_diagonal(std::span<const float> inputs, std::int64_t samples, std::int64_t columns,
                                             double damping) {
  assert(static_cast<std::int64_t>(inputs.size()) == samples * columns);
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::MatrixXd x = Eigen::Map<const Rows>(inputs.data(), samples, columns).cast<double>();
  Eigen::MatrixXd hessian = 2 * (x.transpose() * x);
  hessian.diagonal().array() += damping * hessian.diagonal().mean();
  const Eigen::LLT<Eigen::MatrixXd> factor(hessian);
  if (factor.info() != Eigen::Success)
    throw InputError("the Hessian of " + std::to_string(samples) + " inputs of " + std::to_string(columns) +
                     " elements is not positive definite");
  const Eigen::VectorXd diagonal = factor.solve(Eigen::MatrixXd::Identity(columns, columns)).diagonal();
  return {diagonal.data(), diagonal.data() + diagonal.size()};
}

}  // namespace bitplan
