#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "quant/math/affine.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {

/// Learns the values of one activation tensor (or of one channel of it, channel_observer.hpp) from calibration batches
/// in one pass and bounded memory, and says the quantizer for a number of bits. Parts observed apart (by threads, by
/// ranks) are merged in the order of their batches; the result is the same, bit for bit, however the batches were
/// split.
///
/// Distributions are kept as counts in bins of width 2^e aligned to multiples of 2^e (histogram.hpp), with the extreme
/// values besides where ranks or sums have to be exact (extremes.hpp): both are functions of the set of values, so
/// neither order nor splitting matters. What an average over batches needs is kept for each batch.
class Observer {
 public:
  virtual ~Observer() = default;
  /// One batch of values (one chunk of samples). NaN or infinite values throw InputError.
  virtual void observe(std::span<const float> values) = 0;
  /// Takes over what `later` saw, an observer of the same kind and spec whose batches come after ours.
  virtual void merge(const Observer& later) = 0;
  /// The range to be quantized with 2…8 bits; [0, 0] when nothing was observed. Of symmetric ranges the farther end
  /// counts.
  virtual Range range(int bits, bool symmetric, bool narrow) const = 0;

  Affine quantizer(int bits, bool symmetric, bool narrow) const {
    const Range found = range(bits, symmetric, narrow);
    return affine_from_range(found.low, found.high, bits, symmetric, narrow);
  }
};

/// What an observer needs to know. Percentile 50 … 100, momentum 0 … 1.
struct ObserverSpec {
  std::string name = "mse";   ///< one of observers()
  double percentile = 99.99;  ///< per cent of values inside, percentile only
  double momentum = 0.9;      ///< moving averages only
  int bins = 4096;  ///< of histograms, and exact values kept at either end (observers.hpp): a power of two, 64 to 4096
};

struct ObserverEntry {
  std::string_view name, summary;
  std::unique_ptr<Observer> (*make)(const ObserverSpec&);  ///< throws InputError when the spec is out of its limits
  bool takes_percentile = false, takes_momentum = false;   ///< which settings it reads
};
/// Every observer, for `list` and the tests.
std::span<const ObserverEntry> observers();
/// Throws InputError listing the known names.
const ObserverEntry& find_observer(std::string_view name);
/// "percentile, percentile:nearest": the observers that read a setting, for messages.
std::string observers_that(bool ObserverEntry::*takes);

}  // namespace bitplan
