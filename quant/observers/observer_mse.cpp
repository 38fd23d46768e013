#include "quant/observers/observer_histogram.hpp"
#include "quant/observers/observers.hpp"
#include "quant/ranges/mse_search.hpp"

namespace bitplan {
namespace {

class MseObserver final : public HistogramBasedObserver {
 public:
  using HistogramBasedObserver::HistogramBasedObserver;
  Range range(int bits, bool symmetric, bool narrow) const override {
    return mse_range(histogram(), bits, symmetric, narrow);
  }
};

}  // namespace

std::unique_ptr<Observer> make_mse_observer(const ObserverSpec& spec) {
  return std::make_unique<MseObserver>(spec.bins);
}

}  // namespace bitplan
