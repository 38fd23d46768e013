#pragma once

#include "core/tensor.hpp"

namespace bitplan {

/// A tensor seen as outer x length x inner around one axis (or `axes` neighbouring ones): line (o, i) has the elements
/// at o length inner + k inner + i for k = 0 … length - 1.
struct Lines {
  std::int64_t outer = 1, length = 1, inner = 1;

  static Lines of(const Shape& shape, std::size_t axis, std::size_t axes = 1) {
    Lines lines;
    for (std::size_t d = 0; d < shape.size(); ++d)
      (d < axis ? lines.outer : d < axis + axes ? lines.length : lines.inner) *= shape[d];
    return lines;
  }

  std::int64_t count() const { return outer * inner; }
  /// Offset of the first element of line n, lines counted in row-major order of (outer, inner).
  std::int64_t begin(std::int64_t n) const { return n / inner * length * inner + n % inner; }
};

}  // namespace bitplan
