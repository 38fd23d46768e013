#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/affine.hpp"

namespace bitplan {

/// Learns the values of one activation tensor from calibration batches in one pass and bounded memory, and says the
/// quantizer for a number of bits. Parts observed apart (by threads, by ranks) are merged in the order of their
/// batches; the result is the same, bit for bit, however the batches were split.
///
/// Distributions are kept as counts in bins of width 2^e aligned to multiples of 2^e; e grows when a larger value
/// comes, and pairs of bins then become one: integer counts, so neither order nor splitting matters.
class Observer {
 public:
  virtual ~Observer() = default;
  /// One batch of values (one chunk of samples). NaN or infinite values throw InputError.
  virtual void observe(std::span<const float> values) = 0;
  /// Takes over what `later` saw, an observer of the same kind and spec whose batches come after ours.
  virtual void merge(const Observer& later) = 0;
  /// The quantizer for 2…8 bits. Without any value observed: the quantizer of [0, 0].
  virtual Affine quantizer(int bits, bool symmetric, bool narrow) const = 0;
};

/// What an observer needs to know. Percentile 50 … 100, momentum 0 … 1.
struct ObserverSpec {
  std::string name = "mse";   ///< minmax, moving_average, percentile, mse
  double percentile = 99.99;  ///< per cent of values inside, percentile only
  double momentum = 0.9;      ///< moving_average only
};

struct ObserverEntry {
  std::string_view name, summary;
  std::unique_ptr<Observer> (*make)(const ObserverSpec&);  ///< throws InputError when the spec is out of its limits
};
/// Every observer, for `list` and the tests.
std::span<const ObserverEntry> observers();
/// Throws InputError listing the known names.
const ObserverEntry& find_observer(std::string_view name);

}  // namespace bitplan
