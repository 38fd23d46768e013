#include "quant/observers/channel_observer.hpp"

#include <limits>

#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// Channel c of values [outer, channels, inner].
std::vector<float> channel_of(const std::vector<float>& values, std::size_t channels, std::size_t inner,
                              std::size_t c) {
  std::vector<float> out;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (i / inner % channels == c) out.push_back(values[i]);
  return out;
}

}  // namespace

TEST_CASE("each channel has the quantizer that an observer of its values alone finds") {
  constexpr std::size_t kOuter = 5;
  for (const auto& entry : observers())
    for (const auto& [channels, inner] : {std::pair<std::size_t, std::size_t>{3, 40}, {37, 1}, {1, 7}, {16, 4}}) {
      const ObserverSpec spec{.name = std::string(entry.name), .bins = ChannelObserver::kChannelBins};
      ChannelObserver whole(spec, static_cast<std::int64_t>(channels)),
          merged = ChannelObserver(spec, whole.channels());
      std::vector<std::unique_ptr<Observer>> alone;
      for (std::size_t c = 0; c < channels; ++c) alone.push_back(entry.make(spec));
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        const auto values = sample("heavy", kOuter * channels * inner, seed);
        whole.observe(values, static_cast<std::int64_t>(inner));
        ChannelObserver part(spec, whole.channels());
        part.observe(values, static_cast<std::int64_t>(inner));
        merged.merge(part);
        for (std::size_t c = 0; c < channels; ++c) alone[c]->observe(channel_of(values, channels, inner, c));
      }
      CAPTURE(entry.name, channels, inner);
      const auto quantizers = whole.quantizers(4, false, false);
      CHECK(merged.quantizers(4, false, false) == quantizers);
      for (std::size_t c = 0; c < channels; ++c) CHECK(quantizers[c] == alone[c]->quantizer(4, false, false));
    }
}

TEST_CASE("a NaN among channels is named by its place in the batch, and nothing is added") {
  ChannelObserver observer({.name = "minmax"}, 2);
  std::vector<float> values{1, 2, 3, 4, 5, std::numeric_limits<float>::quiet_NaN(), 7, 8};
  CHECK_THROWS_WITH(observer.observe(values, 2), "value 5 of 8 is NaN; only finite values can be quantized");
  CHECK(observer.quantizers(8, false, false)[0] == Affine{1, 0, 0, 255});
}

TEST_CASE("a token's quantizer comes from its own row") {
  const std::vector<float> values{0, 1, 2, 3, /**/ 0, 10, 20, 30, /**/ 0, 0, 0, 0};
  const auto quantizers = token_quantizers({.name = "minmax"}, values, 4, 8, false, false);
  REQUIRE(quantizers.size() == 3);
  CHECK(quantizers[0] == affine_from_range(0, 3, 8, false, false));
  CHECK(quantizers[1] == affine_from_range(0, 30, 8, false, false));
  CHECK(quantizers[2] == Affine{1, 0, 0, 255});
  CHECK_THROWS_WITH(
      token_quantizers({.name = "minmax"}, std::vector<float>{1, 2, std::numeric_limits<float>::infinity(), 4}, 2, 8,
                       true, false),
      "value 2 of 4 is infinite; only finite values can be quantized");
}

TEST_CASE("fake quantization by parts is that of each part with its quantizer, bit for bit, long or short") {
  std::vector<Affine> parts;
  for (const float scale : {0.1F, 0.2F, 0.03F}) parts.push_back({scale, 3, -8, 7});
  for (const std::size_t inner : {1, 5, 40}) {
    auto x = sample("heavy", 2 * parts.size() * inner);
    x[1] = -0.0F;
    x[2] = std::numeric_limits<float>::infinity();
    std::vector<float> out(x.size()), expected(x.size());
    fake_quantize_parts(parts, static_cast<std::int64_t>(inner), x, out);
    for (std::size_t i = 0; i < x.size(); ++i)
      fake_quantize(parts[i / inner % 3], std::span(x).subspan(i, 1), std::span(expected).subspan(i, 1));
    CHECK(same_bits(out, expected));
    fake_quantize_parts(parts, static_cast<std::int64_t>(inner), x, x);
    CHECK(same_bits(x, expected));
  }
}
