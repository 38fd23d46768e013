#include "quant/math/isa.hpp"

#include <array>

namespace bitplan {
namespace {

constexpr std::array kIsas{Isa::generic, Isa::avx2, Isa::avx512};

Isa detect() {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::generic;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return avx512 ? Isa::avx512 : Isa::avx2;
#else
  return Isa::generic;
#endif
}

}  // namespace

Isa best_isa() {
  static const Isa best = detect();
  return best;
}

std::span<const Isa> usable_isas() { return std::span(kIsas).first(static_cast<std::size_t>(best_isa()) + 1); }

}  // namespace bitplan
