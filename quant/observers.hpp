#pragma once

#include <memory>

#include "quant/observer.hpp"

namespace bitplan {

/// [min, max] of all values.
std::unique_ptr<Observer> make_minmax_observer(const ObserverSpec& spec);

/// Exponential moving average of each batch's min and max, in the order of the batches:
///   m <- momentum m + (1 - momentum) min,  m = min of the first batch; max alike.
/// Keeps the extremes of every batch, 8 bytes each. PyTorch's averaging_constant is 1 - momentum.
std::unique_ptr<Observer> make_moving_average_observer(const ObserverSpec& spec);

/// The range which holds `percentile` per cent of the values, from a Histogram: bounds are outer bin edges, so that at
/// least as many lie inside. Symmetric: [-a, a]. Affine: half of the values outside lie below (rounded down), the rest
/// above.
std::unique_ptr<Observer> make_percentile_observer(const ObserverSpec& spec);

/// The range whose quantizer has the least squared error on a Histogram (mse_search.hpp).
std::unique_ptr<Observer> make_mse_observer(const ObserverSpec& spec);

}  // namespace bitplan
