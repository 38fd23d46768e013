#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace bitplan {

/// How values are cut into parts with a scale of their own.
struct Granularity {
  enum class Kind : std::uint8_t { tensor, channel, group, token };  ///< weights: no token; activations: no group
  Kind kind = Kind::channel;
  int group = 0;  ///< elements along the reduction that share a scale (group only)
  bool operator==(const Granularity&) const = default;
};

/// Formats that are computed alike; quant/formats/weight_formats.cpp has one member for each but the first two.
enum class FormatFamily : std::uint8_t {
  floating,           ///< float32 itself
  integer,            ///< x' = s (q - z), quant/math/affine.hpp
  scaled,             ///< x' = s L[q], L fixed levels, s float32: fp8, fp6, fp4, nf4, pot, apot
  block,              ///< x' = 2^e L[q], 32 elements share e of 8 bits: the MX formats of OCP
  nvfp4,              ///< x' = t s L[q], 16 elements share s in FP8 E4M3, the tensor t in float32
  microexponent,      ///< 16 elements share an exponent of 8 bits, pairs of them a shift of 1 bit
  vector,             ///< x' = g v q, a vector shares the integer v, a channel the float32 g (VSQuant)
  codebook,           ///< x' = C[q], C found by k-means
  logarithmic,        ///< x' = +-2^(e + k) or 0, e of 8 bits
  power,              ///< x' = sign(q) (|q| s)^(1/a), s float32, a of 8 bits
  binary,             ///< x' = +-s
  binary_stochastic,  ///< x' = +-s, the sign drawn at random
  ternary,            ///< x' = -s, 0 or s
  ternary_two,        ///< x' = -n, 0 or p
};

/// How a format is cut into parts.
enum class Cut : std::uint8_t {
  as_asked,   ///< the granularity of the choice or, if it says none, of the experiment
  preferred,  ///< that of the choice or, if it says none, the format's own
  fixed,      ///< the format's own
};

/// A number format of weights; of activations too where the family is integer. One row of the table of formats.
struct FormatEntry {
  std::string_view name, summary;
  int bits;  ///< of a code
  FormatFamily family = FormatFamily::integer;
  Cut cut = Cut::as_asked;
  Granularity granularity{};  ///< unless as_asked
};

std::span<const FormatEntry> formats();
/// Null when there is none of this name.
const FormatEntry* find_format(std::string_view name);

}  // namespace bitplan
