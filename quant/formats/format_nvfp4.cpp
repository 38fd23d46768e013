#include <algorithm>
#include <cmath>

#include "quant/formats/weight_format.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kBlockScaleBits = 8, kTensorScaleBits = 32;

/// Two levels of scales, as torchao's nvfp4_quantize with a per-tensor scale:
///
///   t = max |x| of the tensor / (6 * 448),   s = e4m3(clip(max |x| of the block / 6 / t, 2^-6, 448)),   x' = t s e2m1
///
/// 6 is the largest E2M1, 448 the largest E4M3, 2^-6 the smallest normal one. nvfp4:block has t = 1, torchao's one
/// level: blocks whose largest value is below 6 / 64 then lose levels.
class Nvfp4Format final : public WeightFormat {
 public:
  void fit(const WeightRow& row, std::int64_t part, const Choice& choice, std::vector<Grid>& grids) const override {
    const auto elements = levels_of_format("fp4"), scales = levels_of_format("fp8");
    const float tensor_scale =
        has_tensor_scale(choice) ? row.tensor_absmax / (elements->largest() * scales->largest()) : 1;
    for_each_part(row, part, [&](std::span<const float> values, std::span<const float>) {
      grids.push_back({elements, 0});
      if (!(tensor_scale > 0)) return;
      const float block = absmax_of(values) / elements->largest() / tensor_scale;
      grids.back().scale = Grid{scales, 1}.value(std::clamp(block, 0x1p-6F, scales->largest())) * tensor_scale;
    });
  }
  std::int64_t overhead_bits(const RowShape& shape, const Choice& choice) const override {
    if (shape.parts() == 0) return 0;
    return shape.parts() * kBlockScaleBits + (has_tensor_scale(choice) ? kTensorScaleBits : 0);
  }

 private:
  static bool has_tensor_scale(const Choice& choice) { return choice.format == "nvfp4"; }
};

}  // namespace

const WeightFormat& nvfp4_format() {
  static const Nvfp4Format format;
  return format;
}

}  // namespace bitplan
