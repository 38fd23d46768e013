#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/tensor.hpp"
#include "quant/math/isa.hpp"

namespace bitplan {

/// y[i] = f(x[i]) for i < n; `alpha` and `beta` are parameters of the function. y may be x.
using UnaryFunction = void(const float* x, float* y, std::size_t n, float alpha, float beta);

struct Unary {
  std::string_view op;
  UnaryFunction* run[3];  ///< by Isa
  bool keeps_zero;        ///< f(0) = 0, so the padding of blocked layouts stays 0
};
/// A function of one float, by the name of its ONNX operator; "Pow": x^alpha. Null: not here.
const Unary* find_unary(std::string_view op);

/// y[i] = f(a[i * a_step], b[i * b_step], ...) for i < n; all arrays hold elements of the types below.
struct Line {
  const std::byte* in[3];
  std::int64_t step[3];
  std::byte* out;
  std::size_t n;
};
using LineFunction = void(const Line& line);

struct Nary {
  std::string_view op;
  std::size_t inputs;
  DType in[3];  ///< types of the inputs
  DType out;
  LineFunction* run[3];  ///< by Isa
};
/// A function of two or three tensors, the first input being of type `first`. Null: not here.
const Nary* find_nary(std::string_view op, DType first);

}  // namespace bitplan
