#include <vector>

#include "core/error.hpp"
#include "quant/observers.hpp"
#include "quant/value_range.hpp"

namespace bitplan {
namespace {

class MovingAverageObserver final : public Observer {
 public:
  explicit MovingAverageObserver(double momentum) : momentum_(momentum) {}

  void observe(std::span<const float> values) override {
    if (!values.empty()) batches_.push_back(range_of(values));
  }
  void merge(const Observer& later) override {
    const auto& batches = dynamic_cast<const MovingAverageObserver&>(later).batches_;
    batches_.insert(batches_.end(), batches.begin(), batches.end());
  }
  Affine quantizer(int bits, bool symmetric, bool narrow) const override {
    if (batches_.empty()) return affine_from_range(0, 0, bits, symmetric, narrow);
    double low = batches_.front().low, high = batches_.front().high;
    for (const Range& batch : std::span(batches_).subspan(1)) {
      low = momentum_ * low + (1 - momentum_) * batch.low;
      high = momentum_ * high + (1 - momentum_) * batch.high;
    }
    return affine_from_range(static_cast<float>(low), static_cast<float>(high), bits, symmetric, narrow);
  }

 private:
  double momentum_;
  std::vector<Range> batches_;
};

}  // namespace

std::unique_ptr<Observer> make_moving_average_observer(const ObserverSpec& spec) {
  if (!(spec.momentum >= 0 && spec.momentum <= 1)) throw InputError("momentum must be 0 to 1");
  return std::make_unique<MovingAverageObserver>(spec.momentum);
}

}  // namespace bitplan
