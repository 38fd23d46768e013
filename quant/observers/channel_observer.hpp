#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "quant/observers/observer.hpp"

namespace bitplan {

/// One Observer a channel. Values are [outer, channels, inner], row-major: element (o, c, i) stands at
/// (o channels + c) inner + i. For axis a of a tensor, outer is the product of the dimensions before it and inner of
/// those behind it.
///
/// Memory: a tensor may have thousands of channels, so each has histograms of kChannelBins bins instead of
/// ObserverSpec::bins: 8 kB a channel, and 4 or 8 kB more where extreme values are kept. Merging as Observer says.
class ChannelObserver {
 public:
  static constexpr int kChannelBins = 512;

  /// Throws InputError as the table's makers do. channels >= 1.
  ChannelObserver(const ObserverSpec& spec, std::int64_t channels);

  /// One batch; its size is a multiple of channels x inner. NaN and infinite values throw InputError naming the index
  /// in `values`; then nothing was added.
  void observe(std::span<const float> values, std::int64_t inner);
  void merge(const ChannelObserver& later);  ///< of the same spec and channels

  std::int64_t channels() const { return static_cast<std::int64_t>(observers_.size()); }
  const Observer& channel(std::int64_t c) const { return *observers_[static_cast<std::size_t>(c)]; }
  /// By channel.
  std::vector<Affine> quantizers(int bits, bool symmetric, bool narrow) const;

 private:
  std::vector<std::unique_ptr<Observer>> observers_;
};

/// Dynamic quantizers, one a token: each row of values [tokens, length] is the only batch of an observer of its own
/// (kChannelBins bins), so there is nothing to calibrate. NaN and infinite values throw InputError naming the index.
std::vector<Affine> token_quantizers(const ObserverSpec& spec, std::span<const float> values, std::int64_t length,
                                     int bits, bool symmetric, bool narrow);

/// fake_quantize of values [outer, parts, inner] with one quantizer a part, to the bit: channels, or tokens (outer 1,
/// inner their length). x and out may be the same.
void fake_quantize_parts(std::span<const Affine> parts, std::int64_t inner, std::span<const float> x,
                         std::span<float> out);

}  // namespace bitplan
