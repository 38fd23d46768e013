#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/choice.hpp"
#include "quant/math/affine.hpp"

namespace bitplan {

/// How an activation [outer, channels, inner], row-major, is fake-quantized:
///
/// - tensor: by one quantizer.
/// - channel: by one a channel, from the calibration data.
/// - token: by one for the channels at each place (outer, inner), dynamic: from the smallest to the largest of these
///   values (their largest magnitude when symmetric), as affine_from_range. For inner 1 (linear layers) that is a row
///   of the last axis. Yao et al. 2022 (ZeroQuant), arXiv:2206.01861.
///
/// The values of `float_channels` stay as they are, a token's range is that of its others: LLM.int8, Dettmers et al.
/// 2022, arXiv:2208.07339.
struct SiteQuantizer {
  Granularity::Kind kind = Granularity::Kind::tensor;
  int axis = 0;                                ///< of the channels, for the plan
  std::int64_t channels = 1, inner = 1;        ///< of no interest for tensor without float channels
  std::vector<Affine> parts{};                 ///< one, one a channel, or none for tokens
  int bits = 8;                                ///< token
  bool symmetric = false, narrow = false;      ///< token
  std::vector<std::int32_t> float_channels{};  ///< rising
  /// Of no other quantizer of this process but copies: by it runs know that they do the same (so a copy is not
  /// changed).
  std::uint64_t serial = next_serial();

  static SiteQuantizer of(const Affine& quantizer);
  /// One Affine says it all.
  bool is_plain() const { return kind == Granularity::Kind::tensor && float_channels.empty(); }

 private:
  static std::uint64_t next_serial();
};

/// x.size() is a multiple of channels x inner; x and out may be the same. NaN stays NaN; a token with NaN or infinite
/// values becomes NaN (the evaluator reports it). O(x).
void fake_quantize(const SiteQuantizer& quantizer, std::span<const float> x, std::span<float> out);

/// ceil(p k / 100) of k channels for outliers p: what layers keep of their weights (layer_quantizer.hpp).
std::int64_t float_channels(const Choice& choice, std::int64_t channels);
/// That many channels, those of the largest magnitude (of equal ones the first), rising.
std::vector<std::int32_t> largest_channels(std::span<const float> magnitudes, const Choice& choice);
/// Bits of an activation's elements, float channels with 16 each. Scales are not counted: there are few, or they are
/// made at run time.
std::int64_t activation_bits(const Choice& choice, std::int64_t elements, std::int64_t channels);

}  // namespace bitplan
