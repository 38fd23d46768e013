#include "quant/roundings/layer_loss.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "core/parallel_chunks.hpp"

namespace bitplan {

LayerLoss::LayerLoss(const RoundingProblem& problem)
    : problem_(problem), gram_({problem.gram.data(), problem.columns, 1}, problem.columns, problem.columns) {
  assert(!problem.gram.empty());
  if (problem.cross.empty()) return;
  const std::int64_t k = problem.columns;
  std::vector<float> difference(problem.gram.begin(), problem.gram.end());  // G - C^T
  for (std::int64_t r = 0; r < k; ++r)
    for (std::int64_t c = 0; c < k; ++c)
      difference[static_cast<std::size_t>(r * k + c)] -= problem.cross[static_cast<std::size_t>(c * k + r)];
  const PackedMatrix<float> packed({difference.data(), k, 1}, k, k);
  drift_.resize(problem.weights.size());
  add_product(1.0F, {problem.weights.data(), k, 1}, problem.rows, packed, drift_.data(), k);
}

void LayerLoss::half_gradient(std::int64_t first, std::span<const float> values, std::span<float> half) const {
  const auto at = static_cast<std::size_t>(first * problem_.columns);
  std::vector<float> errors(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) errors[i] = values[i] - problem_.weights[at + i];
  half_gradient_of_errors(first, errors, half);
}

void LayerLoss::half_gradient_of_errors(std::int64_t first, std::span<const float> errors,
                                        std::span<float> half) const {
  const std::int64_t k = problem_.columns;
  if (drift_.empty())
    std::fill(half.begin(), half.end(), 0.0F);
  else
    std::copy_n(drift_.begin() + first * k, half.size(), half.begin());
  if (k > 0)
    add_product(1.0F, {errors.data(), k, 1}, static_cast<std::ptrdiff_t>(errors.size()) / k, gram_, half.data(), k);
}

double LayerLoss::of_row(std::int64_t row, std::span<const float> values, std::span<const float> half) const {
  const auto at = static_cast<std::size_t>(row * problem_.columns);
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double drift = drift_.empty() ? 0.0 : static_cast<double>(drift_[at + i]);
    sum += static_cast<double>(values[i] - problem_.weights[at + i]) * (static_cast<double>(half[i]) + drift);
  }
  return sum;
}

std::vector<double> LayerLoss::of_rows(std::span<const float> values) const {
  constexpr std::int64_t kBlock = 256;
  const std::int64_t k = problem_.columns;
  std::vector<double> out(static_cast<std::size_t>(problem_.rows));
  const auto add_rows = [&](std::int64_t first, std::int64_t rows, std::vector<float>& error,
                            std::vector<float>& moved) {
    const auto at = static_cast<std::size_t>(first * k), size = static_cast<std::size_t>(rows * k);
    error.resize(size);
    for (std::size_t i = 0; i < size; ++i) error[i] = values[at + i] - problem_.weights[at + i];
    moved.assign(size, 0);
    for (std::int64_t p = 0; p < k; p += kBlock) {  // e G e = sum of e_p G_pp e_p + 2 e_p G_pq e_q, p before q
      add_product(1.0F, {error.data(), k, 1}, rows, gram_, moved.data(), k,
                  {p, p + kBlock, p, std::min(k, p + kBlock)});
      add_product(2.0F, {error.data(), k, 1}, rows, gram_, moved.data(), k, {p, p + kBlock, p + kBlock, k});
    }
    std::size_t i = 0;
    for (std::int64_t r = first; r < first + rows; ++r)
      for (std::int64_t c = 0; c < k; ++c, ++i) {
        const double drift = drift_.empty() ? 0.0 : static_cast<double>(drift_[at + i]);
        out[static_cast<std::size_t>(r)] += static_cast<double>(error[i]) * (static_cast<double>(moved[i]) + 2 * drift);
      }
  };
  const int threads = problem_.threads > 0 ? problem_.threads : default_threads();
  // G comes from memory once for so many rows; fewer of them where there is not enough for all threads.
  const std::int64_t together = std::clamp<std::int64_t>((problem_.rows / threads + 7) / 8 * 8, 16, 64);
  std::vector<std::vector<float>> error(static_cast<std::size_t>(threads)), moved(error.size());
  parallel_chunks(problem_.rows, together, threads, [&](std::int64_t first, std::int64_t rows, int worker) {
    const auto own = static_cast<std::size_t>(worker);
    add_rows(first, rows, error[own], moved[own]);
  });
  for (std::size_t r = 0; r < out.size(); ++r)
    if (!std::isfinite(out[r]))
      throw InputError("the output error of channel " +
                       std::to_string(problem_.first_row + static_cast<std::int64_t>(r)) +
                       " overflows: its weights, or the layer's inputs, are too large for float32");
  return out;
}

double LayerLoss::of(std::span<const float> values) const {
  double sum = 0;
  for (const double row : of_rows(values)) sum += row;
  return sum;
}

void for_rows_together(const RoundingProblem& problem,
                       const std::function<void(std::int64_t first, std::int64_t rows)>& body) {
  parallel_chunks(problem.rows, kRowsTogether, problem.threads,
                  [&](std::int64_t first, std::int64_t rows, int) { body(first, rows); });
}

}  // namespace bitplan
