#include "quant/site_quantizer.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

#include "quant/observers/channel_observer.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kFloatBits = 16;  ///< of an element of a float channel, as for weights

struct Extent {
  float low = 0, high = 0;
  bool finite = true;
};

/// The least range of the values that holds 0. In lanes, so that it vectorises.
Extent extent_of(std::span<const float> values) {
  constexpr std::size_t kLanes = 16;
  constexpr std::uint32_t kInfinite = 0x7f800000U;
  std::array<float, kLanes> low{}, high{};
  std::array<std::uint32_t, kLanes> bad{};
  const auto see = [&](std::size_t lane, float v) {
    low[lane] = v < low[lane] ? v : low[lane];
    high[lane] = v > high[lane] ? v : high[lane];
    bad[lane] |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(v) & kInfinite) == kInfinite);
  };
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) see(lane, values[i + lane]);
  for (; i < values.size(); ++i) see(0, values[i]);
  return {std::ranges::min(low), std::ranges::max(high), std::ranges::count(bad, 0U) == std::ssize(bad)};
}

/// Quantizes rows of channels that lie side by side, in place.
class Rows {
 public:
  explicit Rows(const SiteQuantizer& quantizer) : q_(quantizer), kept_(quantizer.float_channels.size()) {}

  void quantize(std::span<float> row) {
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      float& value = row[static_cast<std::size_t>(q_.float_channels[i])];
      kept_[i] = value;
      value = 0;  // which every range holds
    }
    if (q_.kind == Granularity::Kind::token)
      quantize_token(row);
    else
      fake_quantize(q_.parts.front(), row, row);
    for (std::size_t i = 0; i < kept_.size(); ++i) row[static_cast<std::size_t>(q_.float_channels[i])] = kept_[i];
  }

 private:
  void quantize_token(std::span<float> row) const {
    const Extent extent = extent_of(row);
    if (!extent.finite) return std::fill(row.begin(), row.end(), std::numeric_limits<float>::quiet_NaN());
    fake_quantize(affine_from_range(extent.low, extent.high, q_.bits, q_.symmetric, q_.narrow), row, row);
  }

  const SiteQuantizer& q_;
  std::vector<float> kept_;
};

/// The columns of a block [channels, inner] as rows, as many at a time as a cache line holds.
void quantize_columns(Rows& rows, std::span<float> block, std::size_t channels) {
  constexpr std::size_t kTile = 16;
  const std::size_t inner = block.size() / channels;
  std::vector<float> tile(kTile * channels);
  for (std::size_t first = 0; first < inner; first += kTile) {
    const std::size_t n = std::min(kTile, inner - first);
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t i = 0; i < n; ++i) tile[i * channels + c] = block[c * inner + first + i];
    for (std::size_t i = 0; i < n; ++i) rows.quantize(std::span(tile).subspan(i * channels, channels));
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t i = 0; i < n; ++i) block[c * inner + first + i] = tile[i * channels + c];
  }
}

/// The channels of a block [channels, inner] but those in float.
void quantize_others(const SiteQuantizer& q, std::span<float> block, std::size_t inner) {
  auto kept = q.float_channels.begin();
  for (std::int32_t c = 0; c < static_cast<std::int32_t>(q.channels); ++c) {
    if (kept != q.float_channels.end() && *kept == c) {
      ++kept;
      continue;
    }
    const auto channel = block.subspan(static_cast<std::size_t>(c) * inner, inner);
    fake_quantize(q.parts.front(), channel, channel);
  }
}

}  // namespace

std::uint64_t SiteQuantizer::next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

SiteQuantizer SiteQuantizer::of(const Affine& quantizer) {
  SiteQuantizer made;
  made.parts = {quantizer};
  return made;
}

void fake_quantize(const SiteQuantizer& q, std::span<const float> x, std::span<float> out) {
  if (q.is_plain()) return fake_quantize(q.parts.front(), x, out);
  if (q.kind == Granularity::Kind::channel) return fake_quantize_parts(q.parts, q.inner, x, out);
  const auto channels = static_cast<std::size_t>(q.channels), inner = static_cast<std::size_t>(q.inner);
  assert(x.size() == out.size() && x.size() % (channels * inner) == 0);
  if (x.data() != out.data()) std::ranges::copy(x, out.begin());
  Rows rows(q);
  for (std::size_t begin = 0; begin < out.size(); begin += channels * inner) {
    const auto block = out.subspan(begin, channels * inner);
    if (inner == 1)
      rows.quantize(block);
    else if (q.kind == Granularity::Kind::tensor)
      quantize_others(q, block, inner);
    else
      quantize_columns(rows, block, channels);
  }
}

std::int64_t float_channels(const Choice& choice, std::int64_t channels) {
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(channels) * choice.outliers / 100));
}

std::vector<std::int32_t> largest_channels(std::span<const float> magnitudes, const Choice& choice) {
  std::vector<std::int32_t> order(magnitudes.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::ranges::greater(),
                           [&](std::int32_t c) { return magnitudes[static_cast<std::size_t>(c)]; });
  order.resize(static_cast<std::size_t>(float_channels(choice, std::ssize(order))));
  std::ranges::sort(order);
  return order;
}

std::int64_t activation_bits(const Choice& choice, std::int64_t elements, std::int64_t channels) {
  if (!(choice.outliers > 0)) return elements * choice.bits;
  const std::int64_t in_float = elements / channels * float_channels(choice, channels);
  return (elements - in_float) * choice.bits + in_float * kFloatBits;
}

}  // namespace bitplan
