#pragma once

#include <cstdint>

namespace bitplan {

/// Whether layers are computed in 8-bit integers where that gives the same (Executor::integer_form): where the CPU can,
/// nowhere, or with an error when the CPU cannot. Automatic also leaves candidates in float that have less than half of
/// their multiplications in integers (one site quantized alone): they gain little, and may begin where the float
/// network was (eval/executor/prefix_cache.hpp).
enum class Arithmetic : std::uint8_t { automatic, floating, integer };

}  // namespace bitplan
