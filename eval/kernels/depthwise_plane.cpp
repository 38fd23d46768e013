#include "eval/kernels/depthwise_plane.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <limits>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#define BITPLAN_BODY "eval/kernels/depthwise_plane.inc"
#include "quant/math/each_isa.inc"

namespace bitplan {

namespace {

constexpr std::int64_t kBufferBytes = 16 << 10;  ///< a third of the L1 cache, or half of it

}  // namespace

std::int64_t DepthwiseShape::buffer_width() const {
  return std::max((out_width - 1) * stride_w + kernel_w, pad_left + width);
}

void plan_strips(DepthwiseShape& s) {
  const auto buffered = [&](std::int64_t strip) {
    return std::bit_ceil(static_cast<std::uint64_t>((strip - 1) * s.stride_h + s.kernel_h));
  };
  const auto row_bytes = static_cast<std::uint64_t>(s.buffer_width() * kDepthwiseBlock) * sizeof(float);
  s.strip = 1;
  while (s.strip < s.out_height && buffered(std::min(2 * s.strip, s.out_height)) * row_bytes <= kBufferBytes)
    s.strip = std::min(2 * s.strip, s.out_height);
  s.buffer_rows = static_cast<std::int64_t>(buffered(s.strip));
}

void depthwise_plane(Isa isa, const DepthwiseShape& shape, const DepthwisePlane& plane, float* buffer) {
  assert(shape.stride_w == 1 || shape.stride_w == 2);
  constexpr decltype(&isa_generic::depthwise_plane) kernels[]{isa_generic::depthwise_plane, isa_avx2::depthwise_plane,
                                                              isa_avx512::depthwise_plane};
  kernels[static_cast<std::size_t>(isa)](shape, plane, buffer);
}

}  // namespace bitplan
