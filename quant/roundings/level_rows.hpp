#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "quant/formats/levels.hpp"
#include "quant/moments/input_moments.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// A weight as rows, one a channel, with the grids that its format has fitted: what roundings of formats other than
/// integers work on. Each value goes to the nearest level of its grid, whatever bounds the format rounds by (a ternary
/// threshold, the logarithm): those are for weights alone, here the error is that of the layer's output.
struct LevelRows {
  std::int64_t rows = 0, columns = 0;
  std::vector<float> weights;         ///< [rows, columns]
  std::vector<Grid> grids;            ///< in the order of QuantizedWeight::scales
  std::int64_t grids_per_row = 0;     ///< 0: one grid for all rows
  std::vector<std::int32_t> grid_of;  ///< by column, in its row
  QuantizedWeight nearest;            ///< as quantize_weight makes it
  std::vector<float> nearest_values;  ///< [rows, columns]

  std::size_t grid_index(std::int64_t row, std::int64_t column) const {
    return static_cast<std::size_t>(row * grids_per_row + grid_of[static_cast<std::size_t>(column)]);
  }
  const Grid& grid(std::int64_t row, std::int64_t column) const { return grids[grid_index(row, column)]; }
};

/// choice: neither float nor integer; its gain is in the scales. O(weights) besides quantize_weight; errors as there.
LevelRows level_rows(std::span<const float> weights, const WeightView& view, const Choice& choice,
                     std::span<const float> importance);

/// Where element `column` of channel `row` stands in the tensor.
inline std::size_t element_at(const WeightView& view, std::int64_t row, std::int64_t column) {
  return static_cast<std::size_t>((column / view.inner * view.channels + row) * view.inner + column % view.inner);
}

/// The rows alone, without grids.
LevelRows plain_rows(std::span<const float> weights, const WeightView& view);

/// Values and codes of one channel into the tensor's order.
void put_row(const WeightView& view, std::int64_t row, std::span<const float> values,
             std::span<const std::int16_t> codes, QuantizedWeight& out);
/// The mean squared error of out.values.
void set_mse(std::span<const float> weights, QuantizedWeight& out);

/// G and C of a problem with share times the mean of G's diagonal added to both diagonals: the drift of the inputs
/// stays.
struct ShrunkMoments {
  std::vector<float> gram, cross;  ///< cross: empty where the problem has none
};
ShrunkMoments shrunk_moments(const RoundingProblem& problem, double share);

/// Calls each(problem, first row) for the channels of each group of a grouped convolution, one group otherwise. The
/// problem's grid means nothing. Throws InputError when weights or moments are not finite, or a mean square is
/// negative; asserts that the moments are of this weight. `threads` and `stop` become the problem's.
void for_each_group(const LevelRows& rows, const LayerMoments& moments, int threads, const std::atomic<bool>* stop,
                    const std::function<void(const RoundingProblem& problem, std::int64_t first)>& each);

}  // namespace bitplan
