#include "quant/observers.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "core/error.hpp"

namespace bitplan {
namespace {

/// Every observer. A new one is a new file and a new line here.
constexpr std::array kObservers{
    ObserverEntry{"minmax", "smallest to largest value", make_minmax_observer},
    ObserverEntry{"moving_average", "moving average of each batch's smallest and largest value",
                  make_moving_average_observer},
    ObserverEntry{"percentile", "the given per cent of the values, both tails cut alike", make_percentile_observer},
    ObserverEntry{"mse", "least squared error of the quantizer", make_mse_observer},
};

}  // namespace

std::span<const ObserverEntry> observers() { return kObservers; }

const ObserverEntry& find_observer(std::string_view name) {
  const auto found =
      std::find_if(kObservers.begin(), kObservers.end(), [&](const auto& entry) { return entry.name == name; });
  if (found != kObservers.end()) return *found;
  std::string known;
  for (const auto& entry : kObservers) known.append(known.empty() ? "" : ", ").append(entry.name);
  throw InputError("'" + std::string(name) + "' is not an observer; known: " + known);
}

}  // namespace bitplan
