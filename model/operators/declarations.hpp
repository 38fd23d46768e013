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
// activation.cpp, trigonometry.cpp, classify.cpp
Infer infer_classify;
Evaluate evaluate_selu, evaluate_celu, evaluate_thresholded_relu, evaluate_shrink, evaluate_softsign, evaluate_mish,
    evaluate_tan, evaluate_asin, evaluate_acos, evaluate_atan, evaluate_sinh, evaluate_cosh, evaluate_asinh,
    evaluate_acosh, evaluate_atanh, evaluate_is_nan, evaluate_is_inf;
// bitwise.cpp
Infer infer_bitwise, infer_bitwise_not, infer_bit_shift;
Evaluate evaluate_bitwise_and, evaluate_bitwise_or, evaluate_bitwise_xor, evaluate_bitwise_not, evaluate_bit_shift;
// binary.cpp
Infer infer_arithmetic, infer_pow, infer_prelu, infer_mod;
Evaluate evaluate_add, evaluate_sub, evaluate_mul, evaluate_div, evaluate_pow, evaluate_prelu, evaluate_mod;
// compare.cpp
Infer infer_compare, infer_equal, infer_logic;
Evaluate evaluate_equal, evaluate_less, evaluate_greater, evaluate_less_or_equal, evaluate_greater_or_equal,
    evaluate_and, evaluate_or, evaluate_xor;
// min_max.cpp, clip.cpp, where.cpp, cast.cpp
Infer infer_min_max, infer_sum, infer_clip, infer_where, infer_cast, infer_cast_like;
Evaluate evaluate_min, evaluate_max, evaluate_sum, evaluate_mean, evaluate_clip, evaluate_where, evaluate_cast,
    evaluate_cast_like;
// pool.cpp
Infer infer_max_pool, infer_average_pool, infer_lp_pool, infer_global_pool;
Evaluate evaluate_max_pool, evaluate_average_pool, evaluate_lp_pool, evaluate_global_average_pool,
    evaluate_global_max_pool, evaluate_global_lp_pool;
// reduce.cpp
Infer infer_reduce;
Evaluate evaluate_reduce_sum, evaluate_reduce_mean, evaluate_reduce_max, evaluate_reduce_min, evaluate_reduce_prod,
    evaluate_reduce_l1, evaluate_reduce_l2, evaluate_reduce_sum_square, evaluate_reduce_log_sum,
    evaluate_reduce_log_sum_exp;
// arg_max.cpp, top_k.cpp, one_hot.cpp, eye_like.cpp, non_zero.cpp, reverse_sequence.cpp
Infer infer_arg_max, infer_top_k, infer_one_hot, infer_eye_like, infer_non_zero, infer_reverse_sequence;
Evaluate evaluate_arg_max, evaluate_arg_min, evaluate_top_k, evaluate_one_hot, evaluate_eye_like, evaluate_non_zero,
    evaluate_reverse_sequence;
// batch_normalization.cpp, layer_normalization.cpp, group_normalization.cpp, lp_normalization.cpp, lrn.cpp
Infer infer_batch_normalization, infer_layer_normalization, infer_group_normalization, infer_lp_normalization,
    infer_lrn;
Evaluate evaluate_batch_normalization, evaluate_layer_normalization, evaluate_group_normalization,
    evaluate_lp_normalization, evaluate_lrn;
// softmax.cpp, attention.cpp, rotary_embedding.cpp, einsum.cpp
Infer infer_softmax, infer_attention, infer_rotary_embedding, infer_einsum;
Evaluate evaluate_softmax, evaluate_log_softmax, evaluate_hardmax, evaluate_attention, evaluate_rotary_embedding,
    evaluate_einsum;
// reshape.cpp
Infer infer_reshape, infer_flatten, infer_squeeze, infer_unsqueeze;
Evaluate evaluate_reshape, evaluate_flatten, evaluate_squeeze, evaluate_unsqueeze;
// transpose.cpp, concat.cpp, pad.cpp, slice.cpp, split.cpp, expand.cpp
Infer infer_transpose, infer_concat, infer_pad, infer_slice, infer_split, infer_expand, infer_tile;
Evaluate evaluate_transpose, evaluate_concat, evaluate_pad, evaluate_slice, evaluate_split, evaluate_expand,
    evaluate_tile;
// depth_to_space.cpp
Infer infer_depth_to_space, infer_space_to_depth;
Evaluate evaluate_depth_to_space, evaluate_space_to_depth;
// scatter.cpp
Infer infer_scatter_elements, infer_scatter_nd;
Evaluate evaluate_scatter_elements, evaluate_scatter_nd;
// gather.cpp
Infer infer_gather, infer_gather_elements, infer_gather_nd;
Evaluate evaluate_gather, evaluate_gather_elements, evaluate_gather_nd;
// constant.cpp, shape.cpp, range.cpp, identity.cpp
Infer infer_constant, infer_constant_of_shape, infer_shape, infer_size, infer_range, infer_identity, infer_dropout;
Evaluate evaluate_constant, evaluate_constant_of_shape, evaluate_shape, evaluate_size, evaluate_range,
    evaluate_identity, evaluate_dropout;
// col2im.cpp, cum_sum.cpp, trilu.cpp, resize.cpp
Infer infer_col2im, infer_cum_sum, infer_trilu, infer_resize;
Evaluate evaluate_col2im, evaluate_cum_sum, evaluate_trilu, evaluate_resize;

}  // namespace bitplan
