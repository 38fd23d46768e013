#pragma once

#include <vector>

#include "quant/ranges/extremes.hpp"
#include "quant/ranges/histogram.hpp"

namespace bitplan {

/// Counts of values in even cells from the smallest to the largest value, the layout in which PyTorch and AIMET search.
/// A cell holds its lower edge; the last one both.
struct EvenCells {
  double low = 0, width = 0;  ///< width 0: no values, or all equal
  std::vector<double> counts;

  double edge(std::size_t i) const { return low + width * static_cast<double>(i); }
};

/// Exact as far as the extremes reach from either end; between them values are spread evenly over the bins of the
/// histogram (exact zeros stay at 0), so counts need not be whole. A function of the set of values, as both are.
EvenCells even_cells(const Histogram& histogram, const Extremes& extremes, std::size_t cells);

}  // namespace bitplan
