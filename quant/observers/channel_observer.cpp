#include "quant/observers/channel_observer.hpp"

#include <algorithm>
#include <cassert>

namespace bitplan {
namespace {

ObserverSpec of_one_part(ObserverSpec spec) {
  spec.bins = std::min(spec.bins, ChannelObserver::kChannelBins);
  return spec;
}

/// One row [parts, inner] of short parts at once: what quantize_all of affine.cpp does, with a quantizer an element.
class RowQuantizer {
 public:
  RowQuantizer(std::span<const Affine> parts, std::size_t inner) {
    for (const Affine& q : parts) {
      inverse_.insert(inverse_.end(), inner, 1 / q.scale);
      scale_.insert(scale_.end(), inner, q.scale);
      low_.insert(low_.end(), inner, static_cast<float>(q.q_min - q.zero_point));
      high_.insert(high_.end(), inner, static_cast<float>(q.q_max - q.zero_point));
    }
  }
  void operator()(const float* x, float* out) const {
    const float *inverse = inverse_.data(), *scale = scale_.data(), *low = low_.data(), *high = high_.data();
    const std::size_t n = scale_.size();
    BITPLAN_NO_OVERLAP
    for (std::size_t i = 0; i < n; ++i) {
      float t = x[i] * inverse[i];
      t = low[i] > t ? low[i] : t;
      t = high[i] < t ? high[i] : t;
      out[i] = scale[i] * ((t + kRounder) - kRounder);
    }
  }

 private:
  std::vector<float> inverse_, scale_, low_, high_;
};

}  // namespace

ChannelObserver::ChannelObserver(const ObserverSpec& spec, std::int64_t channels) {
  assert(channels >= 1);
  const auto& entry = find_observer(spec.name);
  for (std::int64_t c = 0; c < channels; ++c) observers_.push_back(entry.make(of_one_part(spec)));
}

void ChannelObserver::observe(std::span<const float> values, std::int64_t inner) {
  constexpr std::size_t kTogether = 16;  // channels gathered in one pass: their elements share cache lines
  const std::size_t run = static_cast<std::size_t>(inner), channels = observers_.size();
  assert(inner >= 1 && values.size() % (channels * run) == 0);
  range_of(values);  // so that a NaN is named by its place here, not within its channel
  const std::size_t outer = values.size() / (channels * run), size = outer * run;
  std::vector<float> gathered(std::min(kTogether, channels) * size);
  for (std::size_t first = 0; first < channels; first += kTogether) {
    const std::size_t count = std::min(kTogether, channels - first);
    for (std::size_t o = 0; o < outer; ++o)
      for (std::size_t c = 0; c < count; ++c)
        std::copy_n(values.begin() + static_cast<std::ptrdiff_t>((o * channels + first + c) * run), run,
                    gathered.begin() + static_cast<std::ptrdiff_t>(c * size + o * run));
    for (std::size_t c = 0; c < count; ++c) observers_[first + c]->observe(std::span(gathered).subspan(c * size, size));
  }
}

void ChannelObserver::merge(const ChannelObserver& later) {
  assert(observers_.size() == later.observers_.size());
  for (std::size_t c = 0; c < observers_.size(); ++c) observers_[c]->merge(*later.observers_[c]);
}

std::vector<Affine> ChannelObserver::quantizers(int bits, bool symmetric, bool narrow) const {
  std::vector<Affine> quantizers;
  for (const auto& observer : observers_) quantizers.push_back(observer->quantizer(bits, symmetric, narrow));
  return quantizers;
}

std::vector<Affine> token_quantizers(const ObserverSpec& spec, std::span<const float> values, std::int64_t length,
                                     int bits, bool symmetric, bool narrow) {
  const auto row = static_cast<std::size_t>(length);
  assert(length >= 1 && values.size() % row == 0);
  range_of(values);
  const auto& entry = find_observer(spec.name);
  std::vector<Affine> quantizers;
  for (std::size_t begin = 0; begin < values.size(); begin += row) {
    const auto observer = entry.make(of_one_part(spec));
    observer->observe(values.subspan(begin, row));
    quantizers.push_back(observer->quantizer(bits, symmetric, narrow));
  }
  return quantizers;
}

void fake_quantize_parts(std::span<const Affine> parts, std::int64_t inner, std::span<const float> x,
                         std::span<float> out) {
  const auto run = static_cast<std::size_t>(inner);
  assert(!parts.empty() && inner >= 1 && x.size() == out.size() && x.size() % (parts.size() * run) == 0);
  constexpr std::size_t kShort = 16;  // a call for each part costs more than its elements
  if (run < kShort) {
    const RowQuantizer quantize(parts, run);
    for (std::size_t begin = 0; begin < x.size(); begin += parts.size() * run) quantize(&x[begin], &out[begin]);
    return;
  }
  for (std::size_t begin = 0, part = 0; begin < x.size(); begin += run, part = part + 1 == parts.size() ? 0 : part + 1)
    fake_quantize(parts[part], x.subspan(begin, run), out.subspan(begin, run));
}

}  // namespace bitplan
