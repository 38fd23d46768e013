#include "quant/formats/number_format.hpp"

#include <algorithm>

namespace bitplan {
namespace {

using enum FormatFamily;

constexpr Granularity kTensor{Granularity::Kind::tensor, 0};
constexpr Granularity group(int n) { return {Granularity::Kind::group, n}; }

/// Every number format.
constexpr FormatEntry kFormats[] = {
    {"float", "float32, not quantized", 32, floating},
    {"int1", "integers 0 and 1, affine", 1},
    {"int2", "integers of 2 bits", 2},
    {"int3", "integers of 3 bits", 3},
    {"int4", "integers of 4 bits", 4},
    {"int5", "integers of 5 bits", 5},
    {"int6", "integers of 6 bits", 6},
    {"int7", "integers of 7 bits", 7},
    {"int8", "integers of 8 bits", 8},
    {"int16", "integers of 16 bits, symmetric", 16},
    {"vsint3", "integers of 3 bits, vectors of 16 with an integer scale (VSQuant)", 3, vector, Cut::preferred,
     group(16)},
    {"vsint4", "integers of 4 bits, vectors of 16 with an integer scale (VSQuant)", 4, vector, Cut::preferred,
     group(16)},
    {"vsint6", "integers of 6 bits, vectors of 16 with an integer scale (VSQuant)", 6, vector, Cut::preferred,
     group(16)},
    {"vsint8", "integers of 8 bits, vectors of 16 with an integer scale (VSQuant)", 8, vector, Cut::preferred,
     group(16)},
    {"fp8", "FP8 E4M3, largest 448", 8, scaled},
    {"fp8:e5m2", "FP8 E5M2, largest 57344", 8, scaled},
    {"fp6", "FP6 E3M2, largest 28", 6, scaled},
    {"fp6:e2m3", "FP6 E2M3, largest 7.5", 6, scaled},
    {"fp4", "FP4 E2M1, largest 6", 4, scaled},
    {"fp4:bnb", "FP4 of bitsandbytes: 15 values of its own, groups of 64", 4, scaled, Cut::preferred, group(64)},
    {"nf4", "NormalFloat of 4 bits (QLoRA), groups of 64", 4, scaled, Cut::preferred, group(64)},
    {"pot3", "0 and +-2^0 to 2^-2", 3, scaled},
    {"pot4", "0 and +-2^0 to 2^-6", 4, scaled},
    {"pot5", "0 and +-2^0 to 2^-14", 5, scaled},
    {"apot3", "additive powers of two of 3 bits", 3, scaled},
    {"apot4", "additive powers of two of 4 bits", 4, scaled},
    {"apot5", "additive powers of two of 5 bits", 5, scaled},
    {"apot6", "additive powers of two of 6 bits", 6, scaled},
    {"apot7", "additive powers of two of 7 bits", 7, scaled},
    {"mxfp8", "OCP MX: FP8 E4M3, 32 share an exponent", 8, block, Cut::fixed, group(32)},
    {"mxfp8:e5m2", "OCP MX: FP8 E5M2, 32 share an exponent", 8, block, Cut::fixed, group(32)},
    {"mxfp6", "OCP MX: FP6 E3M2, 32 share an exponent", 6, block, Cut::fixed, group(32)},
    {"mxfp6:e2m3", "OCP MX: FP6 E2M3, 32 share an exponent", 6, block, Cut::fixed, group(32)},
    {"mxfp4", "OCP MX: FP4 E2M1, 32 share an exponent", 4, block, Cut::fixed, group(32)},
    {"mxint8", "OCP MX: k / 64, 32 share an exponent", 8, block, Cut::fixed, group(32)},
    {"mxint4", "k / 4, 32 share an exponent", 4, block, Cut::fixed, group(32)},
    {"mxfp8:away", "mxfp8, ties away from 0 (microxcaling's default)", 8, block, Cut::fixed, group(32)},
    {"mxfp8:e5m2:away", "mxfp8:e5m2, ties away from 0 (microxcaling's default)", 8, block, Cut::fixed, group(32)},
    {"mxfp6:away", "mxfp6, ties away from 0 (microxcaling's default)", 6, block, Cut::fixed, group(32)},
    {"mxfp6:e2m3:away", "mxfp6:e2m3, ties away from 0 (microxcaling's default)", 6, block, Cut::fixed, group(32)},
    {"mxfp4:away", "mxfp4, ties away from 0 (microxcaling's default)", 4, block, Cut::fixed, group(32)},
    {"mxint8:away", "mxint8, ties away from 0 (microxcaling's default)", 8, block, Cut::fixed, group(32)},
    {"mxint4:away", "mxint4, ties away from 0 (microxcaling's default)", 4, block, Cut::fixed, group(32)},
    {"nvfp4", "FP4 E2M1, 16 share a scale in FP8", 4, nvfp4, Cut::fixed, group(16)},
    {"nvfp4:block", "the same without a scale of the tensor (torchao's one level)", 4, nvfp4, Cut::fixed, group(16)},
    {"mx9", "shared micro-exponents: sign and 7 bits", 8, microexponent, Cut::fixed, group(16)},
    {"mx6", "shared micro-exponents: sign and 4 bits", 5, microexponent, Cut::fixed, group(16)},
    {"mx4", "shared micro-exponents: sign and 2 bits", 3, microexponent, Cut::fixed, group(16)},
    {"codebook1", "2 values found by k-means", 1, codebook, Cut::preferred, kTensor},
    {"codebook2", "4 values found by k-means", 2, codebook, Cut::preferred, kTensor},
    {"codebook3", "8 values found by k-means", 3, codebook, Cut::preferred, kTensor},
    {"codebook4", "16 values found by k-means", 4, codebook, Cut::preferred, kTensor},
    {"codebook5", "32 values found by k-means", 5, codebook, Cut::preferred, kTensor},
    {"codebook6", "64 values found by k-means", 6, codebook, Cut::preferred, kTensor},
    {"codebook8", "256 values found by k-means", 8, codebook, Cut::preferred, kTensor},
    {"log3", "powers of two, 3 exponents, rounded in the logarithm", 3, logarithmic},
    {"log4", "powers of two, 7 exponents, rounded in the logarithm", 4, logarithmic},
    {"log5", "powers of two, 15 exponents, rounded in the logarithm", 5, logarithmic},
    {"power2", "integers of 2 bits of a power of |x| (PowerQuant)", 2, power},
    {"power3", "integers of 3 bits of a power of |x| (PowerQuant)", 3, power},
    {"power4", "integers of 4 bits of a power of |x| (PowerQuant)", 4, power},
    {"power6", "integers of 6 bits of a power of |x| (PowerQuant)", 6, power},
    {"power8", "integers of 8 bits of a power of |x| (PowerQuant)", 8, power},
    {"binary", "sign and mean |x| (BWN)", 1, binary},
    {"binary:stochastic", "sign drawn with the probability of a hard sigmoid (BinaryConnect)", 1, binary_stochastic},
    {"ternary", "-s, 0, s with the threshold of TWN", 2, ternary},
    {"ttq", "-n, 0, p: two scales (start of trained ternary quantization)", 2, ternary_two},
};

}  // namespace

std::span<const FormatEntry> formats() { return kFormats; }

const FormatEntry* find_format(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kFormats), std::end(kFormats), [&](const auto& f) { return f.name == name; });
  return found == std::end(kFormats) ? nullptr : found;
}

}  // namespace bitplan
