#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.hpp"
#include "quant/choice.hpp"

namespace bitplan {

/// A weight seen as [outer, channels, inner], row-major: element (o, c, i) stands at (o * channels + c) * inner + i.
/// Conv [O, I/g, h, w] axis 0 is {1, O, I/g*h*w}; MatMul [K, N] axis 1 is {K, N, 1}. The reduction of channel c is the
/// elements (o, c, i) in the order of o, then i; groups cut it into runs of `group`, the last one may be shorter.
struct WeightView {
  std::int64_t outer = 1, channels = 1, inner = 1;
  std::int64_t groups = 1;  ///< of a grouped convolution: what is kept by input channel is kept once a group
  static WeightView of(const Shape& shape, int channel_axis, std::int64_t groups = 1);
  std::int64_t per_channel() const { return outer * inner; }
  std::int64_t size() const { return outer * channels * inner; }
};

/// A weight tensor after quantization. A part is the whole tensor, a channel, or (channel * groups per channel +
/// group); a pair of elements where they share a shift (mx9, mx6, mx4).
struct QuantizedWeight {
  /// By element, the tensor's own order. Integers: q (affine int8 is 0 … 255). Other formats: bit pattern (fp…) or
  /// signed index of the level, as quant/formats/levels.hpp says.
  std::vector<std::int16_t> codes;
  std::vector<float> scales;              ///< by part
  std::vector<std::int32_t> zero_points;  ///< by part, integers only; all 0 when symmetric
  std::vector<float> code_book;           ///< levels by part, where each part has its own; value = scale * level
  // Of choices that need more than the weight (quant/layer_quantizer.hpp); empty where there is none:
  std::vector<float> offsets;               ///< by part, zero points between codes, in place of zero_points
  std::vector<float> column_scales;         ///< by element of the reduction (AWQ): value = scale (q - z) / column scale
  std::vector<std::int32_t> float_columns;  ///< elements of the reduction kept in float16, ascending
  std::vector<float> bias;                  ///< by channel, to be added to the layer's output
  std::vector<std::int32_t> salient;        ///< columns with two bits (billm): group * columns + column, ascending
  std::vector<float> values;                ///< what the network computes with
  std::int64_t stored_bits = 0;             ///< codes, scales, zero points, exponents, code books
  double mse = 0;                           ///< mean of (values - weights)^2; 0 when empty
};

/// Quantizes weights [outer, channels, inner]. Each part has the scale of its range method; a part of zeros is 0 in
/// each format. Integers and their ranges are defined in weight_range.hpp, other formats in weight_format.hpp. A float
/// choice gives the weights themselves and no codes. importance: for range wmse, E[x^2] of the input that each element
/// of the reduction is multiplied with (per_channel values). Groups longer than the reduction are the reduction. Gain:
/// with w' the values of a part, its scale is multiplied with <w, w> / <w', w> when <w', w> > 0. Deterministic; cost
/// O(elements × candidates of the range method). Rounding, awq, outliers and bias are not looked at, but for
/// stored_bits. Throws InputError on NaN or infinite weights, and on range wmse
/// without importance.
QuantizedWeight quantize_weight(std::span<const float> weights, const WeightView& view, const Choice& choice,
                                std::span<const float> importance = {});

/// Parts that a weight has: 1 (tensor), channels, or channels * ceil(per_channel / group); 0 when it is empty.
std::int64_t parts_of(const WeightView& view, const Granularity& granularity);
/// stored_bits of `choice` on a weight of this view, without quantizing; float counts 32 bits an element.
std::int64_t stored_bits(const WeightView& view, const Choice& choice);
/// Elements of the reduction that choice.outliers keeps in float.
std::int64_t float_columns(const WeightView& view, const Choice& choice);
/// bits of the codes alone.
std::int64_t code_bits(const WeightView& view, const Choice& choice);

}  // namespace bitplan
