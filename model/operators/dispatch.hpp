#pragma once

#include <utility>

#include "core/tensor.hpp"

namespace bitplan {

/// Calls visit(T{}) with the C++ type of a number; infer has refused bool and the 16-bit floats before.
template <class Visit>
decltype(auto) visit_number(DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::f64:
      return visit(double{});
    case DType::i8:
      return visit(std::int8_t{});
    case DType::u8:
      return visit(std::uint8_t{});
    case DType::i16:
      return visit(std::int16_t{});
    case DType::u16:
      return visit(std::uint16_t{});
    case DType::i32:
      return visit(std::int32_t{});
    case DType::u32:
      return visit(std::uint32_t{});
    case DType::i64:
      return visit(std::int64_t{});
    case DType::u64:
      return visit(std::uint64_t{});
    default:
      assert(dtype == DType::f32);
      return visit(float{});
  }
}

}  // namespace bitplan
