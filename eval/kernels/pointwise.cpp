#include "eval/kernels/pointwise.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "quant/math/affine.hpp"

#define BITPLAN_BODY "eval/kernels/pointwise.inc"
#include "quant/math/each_isa.inc"

namespace bitplan {

namespace {

#define BITPLAN_EACH(f) \
  { isa_generic::f, isa_avx2::f, isa_avx512::f }

constexpr std::array kUnary{
    Unary{"Erf", BITPLAN_EACH(map_erf), true},           Unary{"Exp", BITPLAN_EACH(map_exp), false},
    Unary{"Sqrt", BITPLAN_EACH(map_sqrt), true},         Unary{"Reciprocal", BITPLAN_EACH(map_reciprocal), false},
    Unary{"Neg", BITPLAN_EACH(map_neg), true},           Unary{"Abs", BITPLAN_EACH(map_abs), true},
    Unary{"Floor", BITPLAN_EACH(map_floor), true},       Unary{"Ceil", BITPLAN_EACH(map_ceil), true},
    Unary{"Round", BITPLAN_EACH(map_round), true},       Unary{"Sign", BITPLAN_EACH(map_sign), true},
    Unary{"Log", BITPLAN_EACH(map_log), false},          Unary{"Sin", BITPLAN_EACH(map_sin), true},
    Unary{"Cos", BITPLAN_EACH(map_cos), false},          Unary{"Softplus", BITPLAN_EACH(map_softplus), false},
    Unary{"Softsign", BITPLAN_EACH(map_softsign), true}, Unary{"Mish", BITPLAN_EACH(map_mish), true},
    Unary{"Selu", BITPLAN_EACH(map_selu), true},         Unary{"Pow", BITPLAN_EACH(map_pow), false},
    Unary{"Gelu", BITPLAN_EACH(map_gelu), true},
};

constexpr DType kFloat = DType::f32, kInt = DType::i64, kBool = DType::boolean;

constexpr std::array kNary{
    Nary{"Add", 2, {kFloat, kFloat}, kFloat, BITPLAN_EACH(pairs_add)},
    Nary{"Sub", 2, {kFloat, kFloat}, kFloat, BITPLAN_EACH(pairs_sub)},
    Nary{"Mul", 2, {kFloat, kFloat}, kFloat, BITPLAN_EACH(pairs_mul)},
    Nary{"Div", 2, {kFloat, kFloat}, kFloat, BITPLAN_EACH(pairs_div)},
    Nary{"Pow", 2, {kFloat, kFloat}, kFloat, BITPLAN_EACH(pairs_pow)},
    Nary{"Min", 2, {kFloat, kFloat}, kFloat, BITPLAN_EACH(pairs_min)},
    Nary{"Max", 2, {kFloat, kFloat}, kFloat, BITPLAN_EACH(pairs_max)},
    Nary{"PRelu", 2, {kFloat, kFloat}, kFloat, BITPLAN_EACH(pairs_prelu)},
    Nary{"Equal", 2, {kFloat, kFloat}, kBool, BITPLAN_EACH(pairs_equal<float>)},
    Nary{"Less", 2, {kFloat, kFloat}, kBool, BITPLAN_EACH(pairs_less<float>)},
    Nary{"Greater", 2, {kFloat, kFloat}, kBool, BITPLAN_EACH(pairs_greater<float>)},
    Nary{"LessOrEqual", 2, {kFloat, kFloat}, kBool, BITPLAN_EACH(pairs_less_or_equal<float>)},
    Nary{"GreaterOrEqual", 2, {kFloat, kFloat}, kBool, BITPLAN_EACH(pairs_greater_or_equal<float>)},
    Nary{"Equal", 2, {kInt, kInt}, kBool, BITPLAN_EACH(pairs_equal<std::int64_t>)},
    Nary{"Less", 2, {kInt, kInt}, kBool, BITPLAN_EACH(pairs_less<std::int64_t>)},
    Nary{"Greater", 2, {kInt, kInt}, kBool, BITPLAN_EACH(pairs_greater<std::int64_t>)},
    Nary{"LessOrEqual", 2, {kInt, kInt}, kBool, BITPLAN_EACH(pairs_less_or_equal<std::int64_t>)},
    Nary{"GreaterOrEqual", 2, {kInt, kInt}, kBool, BITPLAN_EACH(pairs_greater_or_equal<std::int64_t>)},
    Nary{"Where", 3, {kBool, kFloat, kFloat}, kFloat, BITPLAN_EACH(select_floats)},
};

#undef BITPLAN_EACH

}  // namespace

const Unary* find_unary(std::string_view op) {
  const auto found = std::ranges::find(kUnary, op, &Unary::op);
  return found == kUnary.end() ? nullptr : &*found;
}

const Nary* find_nary(std::string_view op, DType first) {
  const auto found = std::ranges::find_if(kNary, [&](const Nary& f) { return f.op == op && f.in[0] == first; });
  return found == kNary.end() ? nullptr : &*found;
}

}  // namespace bitplan
