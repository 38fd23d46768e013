#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/tensor.hpp"

namespace bitplan {

using Strides = std::vector<std::int64_t>;  ///< elements between neighbours along each axis

/// Row-major strides of a shape.
Strides strides_of(const Shape& shape);

/// Strides which read a tensor of shape `from` as if it were broadcast to `to`: 0 along repeated axes.
Strides broadcast_strides(const Shape& from, const Shape& to);

/// out[i0, i1, …] = in[offset + i0 s0 + i1 s1 + …], any element type: what Transpose, Slice, Expand, Split and Tile
/// are.
Tensor strided_copy(const Tensor& in, const Shape& out_shape, const Strides& strides, std::int64_t offset = 0);

/// Walks the indices of `shape` in row-major order while N cursors follow with strides of their own. Calls
/// row(cursors, steps, count) once for each innermost row; axes that all cursors cross evenly are joined first.
template <std::size_t N, class Row>
void walk_rows(const Shape& shape, const std::array<Strides, N>& strides, const Row& row) {
  struct Axis {
    std::int64_t size;
    std::array<std::int64_t, N> steps;
  };
  std::vector<Axis> axes;  // outermost first
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0) return;
    if (shape[d] == 1) continue;
    Axis axis{shape[d], {}};
    bool joins = !axes.empty();
    for (std::size_t n = 0; n < N; ++n) {
      axis.steps[n] = strides[n][d];
      joins = joins && axes.back().steps[n] == axis.steps[n] * axis.size;
    }
    if (joins)
      axis.size *= axes.back().size, axes.back() = axis;
    else
      axes.push_back(axis);
  }
  Axis inner{1, {}};
  if (!axes.empty()) inner = axes.back(), axes.pop_back();
  std::array<std::int64_t, N> cursors{};
  std::vector<std::int64_t> index(axes.size(), 0);
  for (;;) {
    row(cursors, inner.steps, inner.size);
    std::size_t d = axes.size();
    for (; d > 0; --d) {
      const Axis& axis = axes[d - 1];
      for (std::size_t n = 0; n < N; ++n) cursors[n] += axis.steps[n];
      if (++index[d - 1] < axis.size) break;
      index[d - 1] = 0;
      for (std::size_t n = 0; n < N; ++n) cursors[n] -= axis.steps[n] * axis.size;
    }
    if (d == 0) return;
  }
}

}  // namespace bitplan
