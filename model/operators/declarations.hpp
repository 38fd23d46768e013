#pragma once

#include "model/operators/arguments.hpp"

// The functions of all operators, one line for each file; model/operator_table.cpp makes the rows.
namespace bitplan {

using Infer = Facts(const Node& node, FactsIn inputs);
using Evaluate = std::vector<Tensor>(const Node& node, TensorsIn inputs);

// conv.cpp, conv_transpose.cpp, gemm.cpp, matmul.cpp
Infer infer_conv, infer_conv_transpose, infer_gemm, infer_matmul;
Evaluate evaluate_conv, evaluate_conv_transpose, evaluate_gemm, evaluate_matmul;
// unary.cpp
Infer infer_unary_float, infer_unary_number, infer_not, infer_gelu;
Evaluate evaluate_relu, evaluate_leaky_relu, evaluate_elu, evaluate_sigmoid, evaluate_hard_sigmoid, evaluate_hard_swish,
    evaluate_tanh, evaluate_erf, evaluate_sqrt, evaluate_exp, evaluate_log, evaluate_reciprocal, evaluate_floor,
    evaluate_ceil, evaluate_round, evaluate_sin, evaluate_cos, evaluate_neg, evaluate_abs, evaluate_sign, evaluate_not,
    evaluate_softplus, evaluate_gelu;
// binary.cpp
Infer infer_arithmetic, infer_pow, infer_prelu, infer_mod;
Evaluate evaluate_add, evaluate_sub, evaluate_mul, evaluate_div, evaluate_pow, evaluate_prelu, evaluate_mod;
// compare.cpp
Infer infer_compare, infer_equal, infer_logic;
Evaluate evaluate_equal, evaluate_less, evaluate_greater, evaluate_less_or_equal, evaluate_greater_or_equal,
    evaluate_and, evaluate_or, evaluate_xor;
// min_max.cpp, clip.cpp, where.cpp, cast.cpp
Infer infer_min_max, infer_clip, infer_where, infer_cast;
Evaluate evaluate_min, evaluate_max, evaluate_clip, evaluate_where, evaluate_cast;
// pool.cpp
Infer infer_max_pool, infer_average_pool, infer_global_pool;
Evaluate evaluate_max_pool, evaluate_average_pool, evaluate_global_average_pool, evaluate_global_max_pool;
// reduce.cpp
Infer infer_reduce;
Evaluate evaluate_reduce_sum, evaluate_reduce_mean, evaluate_reduce_max, evaluate_reduce_min, evaluate_reduce_prod,
    evaluate_reduce_l2;
// batch_normalization.cpp, layer_normalization.cpp, softmax.cpp
Infer infer_batch_normalization, infer_layer_normalization, infer_softmax;
Evaluate evaluate_batch_normalization, evaluate_layer_normalization, evaluate_softmax, evaluate_log_softmax;
// reshape.cpp
Infer infer_reshape, infer_flatten, infer_squeeze, infer_unsqueeze;
Evaluate evaluate_reshape, evaluate_flatten, evaluate_squeeze, evaluate_unsqueeze;
// transpose.cpp, concat.cpp, pad.cpp, slice.cpp, split.cpp, expand.cpp
Infer infer_transpose, infer_concat, infer_pad, infer_slice, infer_split, infer_expand, infer_tile;
Evaluate evaluate_transpose, evaluate_concat, evaluate_pad, evaluate_slice, evaluate_split, evaluate_expand,
    evaluate_tile;
// gather.cpp
Infer infer_gather, infer_gather_elements, infer_gather_nd;
Evaluate evaluate_gather, evaluate_gather_elements, evaluate_gather_nd;
// constant.cpp, shape.cpp, range.cpp, identity.cpp
Infer infer_constant, infer_constant_of_shape, infer_shape, infer_size, infer_range, infer_identity, infer_dropout;
Evaluate evaluate_constant, evaluate_constant_of_shape, evaluate_shape, evaluate_size, evaluate_range,
    evaluate_identity, evaluate_dropout;
// cum_sum.cpp, trilu.cpp, resize.cpp
Infer infer_cum_sum, infer_trilu, infer_resize;
Evaluate evaluate_cum_sum, evaluate_trilu, evaluate_resize;

}  // namespace bitplan
