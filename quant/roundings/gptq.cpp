#include "quant/roundings/gptq.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <string>

#include "core/error.hpp"
#include "core/parallel_chunks.hpp"
#include "quant/math/affine.hpp"
#include "quant/math/cholesky.hpp"
#include "quant/math/isa.hpp"
#include "quant/math/matmul.hpp"
#include "quant/roundings/layer_loss.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kTile = 64;  // rows: 4 AVX-512 registers of floats

/// What one column's rounding needs of 64 rows: x' = s (q - whole - part).
struct ColumnGrid {
  float scale[kTile], whole[kTile], fraction[kTile];
};

/// Rounds column j of a block [width, 64] and passes its error on inside the block.
BITPLAN_KERNEL void round_column(const ColumnGrid& grid, float q_min, float q_max, const float* u, std::int64_t width,
                                 float* block, float* codes, float* errors) {
  const float diagonal = u[0];
  BITPLAN_NO_OVERLAP
  for (std::int64_t r = 0; r < kTile; ++r) {
    const float low = q_min - grid.whole[r], high = q_max - grid.whole[r];
    float t = block[r] / grid.scale[r] + grid.fraction[r];
    t = t > low ? t : low;  // NaN, of overflow, too
    t = high < t ? high : t;
    const float level = (t + kRounder) - kRounder;
    codes[r] = level + grid.whole[r];
    errors[r] = (block[r] - grid.scale[r] * (level - grid.fraction[r])) / diagonal;
  }
  for (std::int64_t l = 1; l < width; ++l) {
    float* column = block + l * kTile;
    BITPLAN_NO_OVERLAP
    for (std::int64_t r = 0; r < kTile; ++r) column[r] -= errors[r] * u[l];
  }
}

using RoundColumn = void (*)(const ColumnGrid&, float, float, const float*, std::int64_t, float*, float*, float*);
void column_generic(const ColumnGrid& g, float l, float h, const float* u, std::int64_t w, float* b, float* c,
                    float* e) {
  round_column(g, l, h, u, w, b, c, e);
}
BITPLAN_AVX2 void column_avx2(const ColumnGrid& g, float l, float h, const float* u, std::int64_t w, float* b, float* c,
                              float* e) {
  round_column(g, l, h, u, w, b, c, e);
}
BITPLAN_AVX512 void column_avx512(const ColumnGrid& g, float l, float h, const float* u, std::int64_t w, float* b,
                                  float* c, float* e) {
  round_column(g, l, h, u, w, b, c, e);
}

/// The sweep over all columns, in the order of the sweep.
struct Sweep {
  const RoundingProblem& problem;
  const GptqSettings& settings;
  std::vector<std::int64_t> order;          // original column by position
  std::vector<float> upper;                 // U, by position
  std::vector<PackedMatrix<float>> behind;  // by block: its rows of U, the columns behind it
  bool dynamic() const { return static_cast<bool>(settings.group_range); }
  std::int64_t columns() const { return problem.columns; }
};

/// Weights [rows, columns] in the order of the sweep, moved by -d H^-1 = -(d U^T) U when the inputs drift.
std::vector<float> starting_weights(const Sweep& sweep, std::span<const float> drift) {
  const std::int64_t k = sweep.columns(), rows = sweep.problem.rows;
  std::vector<float> start(sweep.problem.weights.size());
  const auto reorder = [&](std::span<const float> from, std::vector<float>& to) {
    parallel_for(static_cast<std::size_t>(rows), sweep.problem.threads, [&](std::size_t r, int) {
      const std::size_t at = r * static_cast<std::size_t>(k);
      for (std::size_t c = 0; c < static_cast<std::size_t>(k); ++c)
        to[at + c] = from[at + static_cast<std::size_t>(sweep.order[c])];
    });
  };
  reorder(sweep.problem.weights, start);
  if (drift.empty()) return start;
  std::vector<float> moved(start.size()), half(start.size());
  reorder(drift, moved);
  add_product(1.0F, {moved.data(), k, 1}, rows, PackedMatrix<float>({sweep.upper.data(), 1, k}, k, k), half.data(), k);
  add_product(-1.0F, {half.data(), k, 1}, rows, PackedMatrix<float>({sweep.upper.data(), k, 1}, k, k), start.data(), k);
  return start;
}

/// Scales of the group that begins at `position`, for the rows of a tile.
void find_group(const Sweep& sweep, std::int64_t first_row, std::int64_t rows, std::int64_t position,
                const float* weights, RoundingGrid& grid) {
  const std::int64_t k = sweep.columns(), size = std::min(sweep.settings.group, k - position);
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto [scale, zero] = sweep.settings.group_range({weights + r * k + position, static_cast<std::size_t>(size)});
    const auto part = static_cast<std::size_t>((first_row + r) * grid.groups + position / sweep.settings.group);
    grid.scales[part] = scale;
    grid.zero_points[part] = zero;
  }
}

void gather_grid(const RoundingGrid& grid, std::int64_t first_row, std::int64_t rows, std::int64_t column,
                 ColumnGrid& out) {
  for (std::int64_t r = 0; r < kTile; ++r) {
    const std::size_t part = grid.part(first_row + std::min(r, rows - 1), column);
    out.scale[r] = grid.scales[part];
    out.whole[r] = (grid.zero_points[part] + kRounder) - kRounder;
    out.fraction[r] = grid.zero_points[part] - out.whole[r];
  }
}

/// Rounds the rows first_row … of at most kTile; weights [rows, columns] are used up.
void sweep_tile(const Sweep& sweep, std::int64_t first_row, std::int64_t rows, float* weights, RoundingGrid& grid,
                std::int16_t* codes) {
  constexpr RoundColumn kernels[] = {column_generic, column_avx2, column_avx512};
  const RoundColumn round = kernels[static_cast<std::size_t>(best_isa())];
  const std::int64_t k = sweep.columns(), block = sweep.settings.block;
  std::vector<float> values(static_cast<std::size_t>(block * kTile)), errors(values.size());
  float rounded_codes[kTile];
  ColumnGrid column_grid;
  for (std::int64_t begin = 0; begin < k; begin += block) {
    check_stop(sweep.problem);
    const std::int64_t width = std::min(block, k - begin);
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < width; ++c)
        values[static_cast<std::size_t>(c * kTile + r)] = weights[r * k + begin + c];
    for (std::int64_t c = 0; c < width; ++c) {
      const std::int64_t position = begin + c, column = sweep.order[static_cast<std::size_t>(position)];
      if (sweep.dynamic() && position % sweep.settings.group == 0)
        find_group(sweep, first_row, rows, position, weights, grid);
      gather_grid(grid, first_row, rows, column, column_grid);
      round(column_grid, static_cast<float>(grid.q_min), static_cast<float>(grid.q_max),
            sweep.upper.data() + position * (k + 1), width - c, values.data() + c * kTile, rounded_codes,
            errors.data() + c * kTile);
      for (std::int64_t r = 0; r < rows; ++r) codes[r * k + column] = static_cast<std::int16_t>(rounded_codes[r]);
    }
    add_product(-1.0F, {errors.data(), 1, kTile}, rows, sweep.behind[static_cast<std::size_t>(begin / block)],
                weights + begin + width, k);
  }
}

std::vector<std::int64_t> sweep_order(const RoundingProblem& problem, bool by_activation) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(problem.columns));
  std::iota(order.begin(), order.end(), 0);
  const auto energy = [&](std::int64_t c) { return problem.gram[static_cast<std::size_t>(c * (problem.columns + 1))]; };
  if (by_activation)
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return energy(a) > energy(b); });
  return order;
}

RoundingGrid grid_of(const Sweep& sweep) {
  RoundingGrid grid = sweep.problem.grid;
  if (!sweep.dynamic()) return grid;
  const std::int64_t k = sweep.columns();
  grid.groups = (k + sweep.settings.group - 1) / sweep.settings.group;
  grid.group_of.resize(static_cast<std::size_t>(k));
  for (std::int64_t p = 0; p < k; ++p)
    grid.group_of[static_cast<std::size_t>(sweep.order[static_cast<std::size_t>(p)])] =
        static_cast<std::int32_t>(p / sweep.settings.group);
  grid.scales.assign(static_cast<std::size_t>(sweep.problem.rows * grid.groups), 1.0F);
  grid.zero_points.assign(grid.scales.size(), 0.0F);
  return grid;
}

}  // namespace

std::vector<float> gptq_factor(const RoundingProblem& problem, std::span<const std::int64_t> order, double damping) {
  const std::int64_t k = problem.columns;
  const auto energy = [&](std::int64_t c) {
    return static_cast<double>(problem.gram[static_cast<std::size_t>(c * (k + 1))]);
  };
  double mean = 0;
  for (const std::int64_t c : order) mean += energy(c) / static_cast<double>(k);
  double added = 0;
  for (double strength = damping; strength <= 10; strength = strength > 0 ? 10 * strength : 0.01) {
    std::vector<double> h(problem.gram.size());
    parallel_for(static_cast<std::size_t>(k), problem.threads, [&](std::size_t r, int) {
      const float* row = problem.gram.data() + order[r] * k;
      double* to = h.data() + r * static_cast<std::size_t>(k);
      for (std::int64_t c = 0; c < k; ++c) to[c] = static_cast<double>(row[order[static_cast<std::size_t>(c)]]);
      if (to[r] == 0) to[r] = mean > 0 ? mean : 1;
      to[r] += strength * mean;
    });
    added = strength;
    if (auto upper = inverse_cholesky_upper(std::move(h), k, problem.threads)) return std::move(*upper);
  }
  throw InputError("gptq: the second moments of the inputs are not positive definite, even with " +
                   std::to_string(added) + " times their mean diagonal added");
}

RoundedWeight round_gptq(const RoundingProblem& problem, const GptqSettings& settings) {
  assert(!problem.gram.empty() && settings.block > 0 && settings.damping >= 0 && settings.damping <= 10);
  assert(!settings.group_range || settings.group > 0);
  if (settings.group_range) {
    RoundingProblem bare = problem;  // its scales are found on the way
    bare.grid.groups = 1;
    bare.grid.group_of = neighbour_groups(problem.columns, 0);
    bare.grid.scales.assign(static_cast<std::size_t>(problem.rows), 1.0F);
    bare.grid.zero_points.assign(static_cast<std::size_t>(problem.rows), 0.0F);
    check(bare);
  } else {
    check(problem);
  }
  const std::int64_t k = problem.columns;
  if (problem.weights.empty()) return rounded(problem, problem.grid, {});
  Sweep sweep{problem, settings, sweep_order(problem, settings.activation_order), {}, {}};
  sweep.upper = gptq_factor(problem, sweep.order, settings.damping);
  for (std::int64_t begin = 0; begin < k; begin += settings.block) {
    const std::int64_t width = std::min(settings.block, k - begin), rest = k - begin - width;
    sweep.behind.emplace_back(MatrixView<float>{sweep.upper.data() + begin * k + begin + width, k, 1}, width, rest);
  }
  const LayerLoss loss(problem);
  std::vector<float> weights = starting_weights(sweep, loss.drift());
  std::vector<std::int16_t> codes(weights.size());
  RoundingGrid grid = grid_of(sweep);
  parallel_chunks(problem.rows, kTile, problem.threads, [&](std::int64_t first, std::int64_t rows, int) {
    sweep_tile(sweep, first, rows, weights.data() + first * k, grid, codes.data() + first * k);
  });
  RoundingProblem found = problem;
  found.grid = grid;
  return accepted(found, loss, rounded(found, grid, std::move(codes)));
}

RoundedWeight round_gptq(const RoundingProblem& problem) { return round_gptq(problem, {}); }

}  // namespace bitplan
