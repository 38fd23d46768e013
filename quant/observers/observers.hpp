#pragma once

#include <memory>

#include "quant/observers/observer.hpp"

namespace bitplan {

// Ranges of one pass over the values. "Affine" and "symmetric" are what the quantizer is asked to be.

/// [min, max] of all values. Range 8 bytes. Also what "max of batches" is: min of the batches' minima, max of maxima.
std::unique_ptr<Observer> make_minmax_observer(const ObserverSpec& spec);

/// Mean, or median (of an even number: mean of the two in the middle), of each batch's min and of each batch's max;
/// NNCF's MeanAggregator and MedianAggregator. Keeps the extremes of every batch, 8 bytes each.
std::unique_ptr<Observer> make_batch_mean_observer(const ObserverSpec& spec);
std::unique_ptr<Observer> make_batch_median_observer(const ObserverSpec& spec);

/// Exponential moving average of each batch's min and max, in the order of the batches:
///   m <- momentum m + (1 - momentum) min,  m = min of the first batch; max alike.
/// Keeps the extremes of every batch, 8 bytes each. PyTorch's averaging_constant is 1 - momentum.
std::unique_ptr<Observer> make_moving_average_observer(const ObserverSpec& spec);
/// The same average of each batch's max |x|, as optimum-quanto's Calibration: [-a, a], affine cut to what was seen.
std::unique_ptr<Observer> make_absmax_average_observer(const ObserverSpec& spec);

/// The range which holds `percentile` per cent of the n values. Symmetric: [-a, a]. Affine: of the values outside half
/// lie below, the rest above.
///   percentile          at least as many lie inside: a is the magnitude of rank ceil(n p); of the n - ceil(n p) values
///                       outside half, rounded down, lie below
///   percentile:nearest  brevitas: a has rank floor(n p + 1/2); with t = (1 - p) / 2 the ends have the ranks
///                       max(1, ceil(n t)) and floor(n (1 - t) + 1/2)
/// Exact when fewer than ObserverSpec::bins values lie outside on a side, else the outer edge of a bin.
std::unique_ptr<Observer> make_percentile_observer(const ObserverSpec& spec);
std::unique_ptr<Observer> make_percentile_nearest_observer(const ObserverSpec& spec);

/// The range whose quantizer has the least squared error on a Histogram (mse_search.hpp).
std::unique_ptr<Observer> make_mse_observer(const ObserverSpec& spec);

/// Thresholds t of |x| from bins of magnitudes (magnitude_search.hpp); symmetric [-t, t], affine cut to what was seen.
///   entropy       least Kullback-Leibler divergence (TensorRT); exact zeros do not count; t is at least bins / 32 bins
///                 beyond the smallest magnitude, since keeping that one alone would diverge by nothing
///   mse:modelopt  the centre of a bin with the least squared error, all values at the centres of their bins
std::unique_ptr<Observer> make_entropy_observer(const ObserverSpec& spec);
std::unique_ptr<Observer> make_mse_modelopt_observer(const ObserverSpec& spec);

/// Clipping point of Sakr et al. 2022, arXiv:2206.06501: the minimum of k s^2 #{0 < |x| <= s} + sum (|x| - s)^2 over
/// |x| > s, which is the fixed point of their Newton iteration
///   s = sum |x| 1[|x| > s] / (k #{0 < |x| <= s} + #{|x| > s}),  k = 4^-b / 3; affine and on one side of 0: 4^-b / 12
/// The derivative grows with s, so there is one; it is found by a descending scan of the largest magnitudes, and among
/// bins when more than ObserverSpec::bins values lie beyond it. Symmetric [-s, s], affine cut to what was seen.
std::unique_ptr<Observer> make_octav_observer(const ObserverSpec& spec);

// Searches over bins / 2 even_cells, exact up to 4 x bins values, which 2 x bins extremes at either end hold.

/// torch.ao's HistogramObserver: both tails are trimmed by quantiles in steps of 1e-5, the end whose next quantile is
/// more cells away first, as long as the L2 error of 2^b even levels over the range falls (values spread evenly in each
/// cell). The number of bits counts, symmetric does not.
std::unique_ptr<Observer> make_histogram_observer(const ObserverSpec& spec);

/// AIMET's SqnrEncodingAnalyzer (2.42): least squared error with clipped values counting three times, values at the
/// centres of cells, over scales k/16 of min-max's, k = 1 … 17, times 21 zero points and that of min-max,
/// cut to what was seen; symmetric: k/100 of 2 max|x| / (2^b - 1), k = 1 … 101.
std::unique_ptr<Observer> make_sqnr_observer(const ObserverSpec& spec);

}  // namespace bitplan
