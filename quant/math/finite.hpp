#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace bitplan {

inline bool is_finite(float x) { return (std::bit_cast<std::uint32_t>(x) & 0x7f800000U) != 0x7f800000U; }

/// Without an early exit, so that it vectorises.
inline bool all_finite(std::span<const float> values) {
  std::uint32_t bad = 0;
  for (const float x : values) bad |= static_cast<std::uint32_t>(!is_finite(x));
  return bad == 0;
}

}  // namespace bitplan
