#include "quant/observers/observers.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "core/error.hpp"

namespace bitplan {
namespace {

/// Every observer. A new one is a new line here and a new file, or a variant in the file of its kind.
constexpr std::array kObservers{
    ObserverEntry{"minmax", "smallest to largest value", make_minmax_observer},
    ObserverEntry{"batch_max", "least of the batches' minima to largest of their maxima: minmax", make_minmax_observer},
    ObserverEntry{"batch_mean", "mean of each batch's smallest and largest value", make_batch_mean_observer},
    ObserverEntry{"batch_median", "median of each batch's smallest and largest value", make_batch_median_observer},
    ObserverEntry{"moving_average", "moving average of each batch's smallest and largest value",
                  make_moving_average_observer, false, true},
    ObserverEntry{"absmax_average", "moving average of each batch's largest magnitude (quanto)",
                  make_absmax_average_observer, false, true},
    ObserverEntry{"percentile", "the given per cent of the values, both tails cut alike", make_percentile_observer,
                  true, false},
    ObserverEntry{"percentile:nearest", "the same with ranks rounded to the nearest (brevitas)",
                  make_percentile_nearest_observer, true, false},
    ObserverEntry{"mse", "least squared error of the quantizer", make_mse_observer},
    ObserverEntry{"mse:modelopt", "least squared error over centres of bins of magnitudes (ModelOpt)",
                  make_mse_modelopt_observer},
    ObserverEntry{"sqnr", "least squared error, clipped values counted three times (AIMET)", make_sqnr_observer},
    ObserverEntry{"entropy", "least Kullback-Leibler divergence of the magnitudes (TensorRT)", make_entropy_observer},
    ObserverEntry{"octav", "the clipping point where clipping and rounding noise balance (OCTAV)", make_octav_observer},
    ObserverEntry{"histogram", "tails trimmed while the squared error falls (PyTorch)", make_histogram_observer},
};

/// Names of the entries for which `wanted` holds, comma-separated.
template <class Wanted>
std::string names_of(Wanted wanted) {
  std::string names;
  for (const auto& entry : kObservers)
    if (wanted(entry)) names.append(names.empty() ? "" : ", ").append(entry.name);
  return names;
}

}  // namespace

std::span<const ObserverEntry> observers() { return kObservers; }

const ObserverEntry& find_observer(std::string_view name) {
  const auto found =
      std::find_if(kObservers.begin(), kObservers.end(), [&](const auto& entry) { return entry.name == name; });
  if (found != kObservers.end()) return *found;
  throw InputError("'" + std::string(name) +
                   "' is not an observer; known: " + names_of([](const auto&) { return true; }));
}

std::string observers_that(bool ObserverEntry::*takes) {
  return names_of([&](const auto& entry) { return entry.*takes; });
}

}  // namespace bitplan
