#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// The channels of a weight as rows [channels, per_channel], and back.
template <class T>
std::vector<T> to_rows(std::span<const T> tensor, const WeightView& view) {
  std::vector<T> rows;
  rows.reserve(tensor.size());
  for (std::int64_t c = 0; c < view.channels; ++c)
    for (std::int64_t o = 0; o < view.outer; ++o) {
      const auto run = tensor.subspan(static_cast<std::size_t>((o * view.channels + c) * view.inner),
                                      static_cast<std::size_t>(view.inner));
      rows.insert(rows.end(), run.begin(), run.end());
    }
  return rows;
}

template <class T>
std::vector<T> from_rows(const std::vector<T>& rows, const WeightView& view) {
  std::vector<T> tensor(rows.size());
  auto row = rows.begin();
  for (std::int64_t c = 0; c < view.channels && !rows.empty(); ++c)
    for (std::int64_t o = 0; o < view.outer; ++o, row += view.inner)
      std::copy_n(row, view.inner, tensor.begin() + (o * view.channels + c) * view.inner);
  return tensor;
}

/// Calls visit(array of `to`, array of `from`) for the arrays of a quantized weight that lie by row.
template <class Visit>
void visit_row_arrays(QuantizedWeight& to, const QuantizedWeight& from, const Visit& visit) {
  visit(to.codes, from.codes);
  visit(to.scales, from.scales);
  visit(to.zero_points, from.zero_points);
  visit(to.code_book, from.code_book);
  visit(to.offsets, from.offsets);
  visit(to.values, from.values);
}

}  // namespace bitplan
