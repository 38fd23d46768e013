#include "quant/roundings/gptq_levels.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "core/error.hpp"
#include "core/parallel_chunks.hpp"
#include "quant/math/matmul.hpp"
#include "quant/roundings/gptq.hpp"
#include "quant/roundings/level_rows.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kTile = 64, kBlock = 128;

/// What all rows of a group share; columns in the order of the sweep.
struct Sweep {
  const LevelRows& rows;
  const RoundingProblem& problem;
  std::int64_t first_row;                   ///< the problem's, in `rows`
  std::vector<std::int64_t> order;          ///< column by position
  std::vector<float> upper;                 ///< U
  std::vector<PackedMatrix<float>> behind;  ///< by block: its rows of U, the columns behind it
};

Sweep prepared(const LevelRows& rows, const RoundingProblem& problem, std::int64_t first,
               const GptqLevelsSettings& settings) {
  const std::int64_t k = problem.columns;
  Sweep sweep{rows, problem, first, std::vector<std::int64_t>(static_cast<std::size_t>(k)), {}, {}};
  std::iota(sweep.order.begin(), sweep.order.end(), 0);
  const auto energy = [&](std::int64_t c) { return problem.gram[static_cast<std::size_t>(c * (k + 1))]; };
  if (settings.activation_order)
    std::stable_sort(sweep.order.begin(), sweep.order.end(), [&](auto a, auto b) { return energy(a) > energy(b); });
  sweep.upper = gptq_factor(problem, sweep.order, settings.damping);
  for (std::int64_t begin = 0; begin < k; begin += kBlock) {
    const std::int64_t width = std::min(kBlock, k - begin);
    sweep.behind.emplace_back(MatrixView<float>{sweep.upper.data() + begin * k + begin + width, k, 1}, width,
                              k - begin - width);
  }
  return sweep;
}

/// Weights in the order of the sweep, moved by -d H^-1 = -(d U^T) U when the inputs drift.
std::vector<float> starting_weights(const Sweep& sweep, std::span<const float> drift) {
  const std::int64_t k = sweep.problem.columns, n = sweep.problem.rows;
  const auto reordered = [&](std::span<const float> from) {
    std::vector<float> to(from.size());
    for (std::int64_t r = 0; r < n; ++r)
      for (std::int64_t p = 0; p < k; ++p)
        to[static_cast<std::size_t>(r * k + p)] =
            from[static_cast<std::size_t>(r * k + sweep.order[static_cast<std::size_t>(p)])];
    return to;
  };
  std::vector<float> start = reordered(sweep.problem.weights);
  if (drift.empty()) return start;
  const std::vector<float> moved = reordered(drift);
  std::vector<float> half(start.size());
  add_product(1.0F, {moved.data(), k, 1}, n, PackedMatrix<float>({sweep.upper.data(), 1, k}, k, k), half.data(), k);
  add_product(-1.0F, {half.data(), k, 1}, n, PackedMatrix<float>({sweep.upper.data(), k, 1}, k, k), start.data(), k);
  return start;
}

/// Rounds `n` rows from `first` of the group; weights [n, columns] by position are used up, values and codes by column.
void sweep_rows(const Sweep& sweep, std::int64_t first, std::int64_t n, float* weights, float* values,
                std::int16_t* codes) {
  const std::int64_t k = sweep.problem.columns;
  std::vector<float> errors(static_cast<std::size_t>(kBlock * n));
  for (std::int64_t begin = 0; begin < k; begin += kBlock) {
    check_stop(sweep.problem);
    const std::int64_t end = std::min(k, begin + kBlock);
    for (std::int64_t r = 0; r < n; ++r) {
      float* row = weights + r * k;
      for (std::int64_t p = begin; p < end; ++p) {
        const float* u = sweep.upper.data() + p * k;
        const std::int64_t column = sweep.order[static_cast<std::size_t>(p)];
        const Grid& grid = sweep.rows.grid(sweep.first_row + first + r, column);
        values[r * k + column] = grid.value(row[p]);
        codes[r * k + column] = grid.code(row[p]);
        const float error = (row[p] - values[r * k + column]) / u[p];
        for (std::int64_t l = p + 1; l < end; ++l) row[l] -= error * u[l];
        errors[static_cast<std::size_t>((p - begin) * n + r)] = error;
      }
    }
    add_product(-1.0F, {errors.data(), 1, n}, n, sweep.behind[static_cast<std::size_t>(begin / kBlock)], weights + end,
                k);
  }
}

/// Rounds the channels of one group; those that gain by it go to `out`.
void round_group(const LevelRows& rows, const RoundingProblem& problem, std::int64_t first, const WeightView& view,
                 const GptqLevelsSettings& settings, QuantizedWeight& out) {
  const std::int64_t k = problem.columns;
  const Sweep sweep = prepared(rows, problem, first, settings);
  const LayerLoss loss(problem);
  std::vector<float> weights = starting_weights(sweep, loss.drift()), values(weights.size());
  std::vector<std::int16_t> codes(weights.size());
  parallel_chunks(problem.rows, kTile, problem.threads, [&](std::int64_t begin, std::int64_t count, int) {
    const std::int64_t at = begin * k;
    sweep_rows(sweep, begin, count, weights.data() + at, values.data() + at, codes.data() + at);
  });
  const auto width = static_cast<std::size_t>(k), at = static_cast<std::size_t>(first) * width;
  const auto before = loss.of_rows(std::span(rows.nearest_values).subspan(at, values.size()));
  const auto after = loss.of_rows(values);
  for (std::size_t r = 0; r < after.size(); ++r)
    if (after[r] < before[r])
      put_row(view, first + static_cast<std::int64_t>(r), std::span(values).subspan(r * width, width),
              std::span(codes).subspan(r * width, width), out);
}

}  // namespace

QuantizedWeight gptq_levels(std::span<const float> weights, const WeightView& view, const Choice& choice,
                            const LayerMoments& moments, std::span<const float> importance,
                            const GptqLevelsSettings& settings) {
  return gptq_levels(weights, view, choice, level_rows(weights, view, choice, importance), moments, settings);
}

QuantizedWeight gptq_levels(std::span<const float> weights, const WeightView& view, const Choice& choice,
                            const LevelRows& rows, const LayerMoments& moments, const GptqLevelsSettings& settings) {
  assert(settings.damping >= 0 && settings.damping <= 10);
  if (choice.family == FormatFamily::binary_stochastic)
    throw InputError(std::string(choice.format) + " draws its signs at random: gptq would choose them");
  QuantizedWeight out = rows.nearest;
  if (weights.empty()) return out;
  for_each_group(rows, moments, settings.threads, settings.stop, [&](const RoundingProblem& problem, auto first) {
    round_group(rows, problem, first, view, settings, out);
  });
  set_mse(weights, out);
  return out;
}

}  // namespace bitplan
