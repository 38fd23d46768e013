#include "quant/mse_search.hpp"
#include "quant/observers.hpp"

namespace bitplan {
namespace {

class MseObserver final : public Observer {
 public:
  void observe(std::span<const float> values) override { histogram_.add(values); }
  void merge(const Observer& later) override { histogram_.merge(dynamic_cast<const MseObserver&>(later).histogram_); }
  Affine quantizer(int bits, bool symmetric, bool narrow) const override {
    return mse_quantizer(histogram_, bits, symmetric, narrow);
  }

 private:
  Histogram histogram_;
};

}  // namespace

std::unique_ptr<Observer> make_mse_observer(const ObserverSpec&) { return std::make_unique<MseObserver>(); }

}  // namespace bitplan
