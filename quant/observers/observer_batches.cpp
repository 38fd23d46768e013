#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.hpp"
#include "quant/observers/observer_histogram.hpp"
#include "quant/observers/observers.hpp"

namespace bitplan {
namespace {

/// One end of each batch's range, in the order of the batches, made into one value.
using Average = double (*)(std::vector<double> of_batches, double momentum);

double mean(std::vector<double> values, double) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double median(std::vector<double> values, double) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double moving_average(std::vector<double> values, double momentum) {
  double average = values.front();
  for (const double value : std::span(values).subspan(1)) average = momentum * average + (1 - momentum) * value;
  return average;
}

/// Keeps every batch's range and averages when asked, so that parts merged in order give what one stream gives.
class BatchObserver final : public Observer {
 public:
  BatchObserver(Average average, double momentum, bool magnitudes)
      : average_(average), momentum_(momentum), magnitudes_(magnitudes) {}

  void observe(std::span<const float> values) override {
    if (!values.empty()) batches_.push_back(range_of(values));
  }
  void merge(const Observer& later) override {
    const auto& batches = dynamic_cast<const BatchObserver&>(later).batches_;
    batches_.insert(batches_.end(), batches.begin(), batches.end());
  }
  Range range(int, bool symmetric, bool) const override {
    if (batches_.empty()) return {};
    std::vector<double> lows, highs, magnitudes;
    Range seen;
    for (const Range& batch : batches_) {
      lows.push_back(batch.low);
      highs.push_back(batch.high);
      magnitudes.push_back(std::max(std::abs(batch.low), std::abs(batch.high)));
      seen = {std::min(seen.low, batch.low), std::max(seen.high, batch.high)};
    }
    if (magnitudes_)
      return magnitude_range(seen, static_cast<float>(average_(std::move(magnitudes), momentum_)), symmetric);
    return {static_cast<float>(average_(std::move(lows), momentum_)),
            static_cast<float>(average_(std::move(highs), momentum_))};
  }

 private:
  Average average_;
  double momentum_;
  bool magnitudes_;
  std::vector<Range> batches_;
};

std::unique_ptr<Observer> moving(const ObserverSpec& spec, bool magnitudes) {
  if (!(spec.momentum >= 0 && spec.momentum <= 1)) throw InputError("momentum must be 0 to 1");
  return std::make_unique<BatchObserver>(moving_average, spec.momentum, magnitudes);
}

}  // namespace

std::unique_ptr<Observer> make_batch_mean_observer(const ObserverSpec&) {
  return std::make_unique<BatchObserver>(mean, 0, false);
}
std::unique_ptr<Observer> make_batch_median_observer(const ObserverSpec&) {
  return std::make_unique<BatchObserver>(median, 0, false);
}
std::unique_ptr<Observer> make_moving_average_observer(const ObserverSpec& spec) { return moving(spec, false); }
std::unique_ptr<Observer> make_absmax_average_observer(const ObserverSpec& spec) { return moving(spec, true); }

}  // namespace bitplan
