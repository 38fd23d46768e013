#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "model/operators/declarations.hpp"

namespace bitplan {
namespace {

constexpr int kMany = kManyTensors;
constexpr std::string_view kConvAttributes = "auto_pad dilations group kernel_shape pads strides";
constexpr std::string_view kPoolAttributes = "auto_pad ceil_mode dilations kernel_shape pads storage_order strides";
constexpr std::string_view kReduceAttributes = "axes keepdims noop_with_empty_axes@18";
constexpr std::string_view kReduceSumAttributes = "axes keepdims noop_with_empty_axes@13";
constexpr std::string_view kArgAttributes = "axis keepdims select_last_index@12";

/// Every operator, by name: inputs least and most, outputs most, its two functions, its attributes ("name@18": since
/// opset 18), the opset that brought it when that is later than 11.
constexpr std::array kOperators{
    Operator{"Abs", 1, 1, 1, infer_unary_number, evaluate_abs, ""},
    Operator{"Acos", 1, 1, 1, infer_unary_float, evaluate_acos, ""},
    Operator{"Acosh", 1, 1, 1, infer_unary_float, evaluate_acosh, ""},
    Operator{"Add", 2, 2, 1, infer_arithmetic, evaluate_add, ""},
    Operator{"And", 2, 2, 1, infer_logic, evaluate_and, ""},
    Operator{"ArgMax", 1, 1, 1, infer_arg_max, evaluate_arg_max, kArgAttributes},
    Operator{"ArgMin", 1, 1, 1, infer_arg_max, evaluate_arg_min, kArgAttributes},
    Operator{"Asin", 1, 1, 1, infer_unary_float, evaluate_asin, ""},
    Operator{"Asinh", 1, 1, 1, infer_unary_float, evaluate_asinh, ""},
    Operator{"Atan", 1, 1, 1, infer_unary_float, evaluate_atan, ""},
    Operator{"Atanh", 1, 1, 1, infer_unary_float, evaluate_atanh, ""},
    Operator{"Attention", 3, 6, 4, infer_attention, evaluate_attention,
             "is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap softmax_precision", 23},
    Operator{"AveragePool", 1, 1, 1, infer_average_pool, evaluate_average_pool,
             "auto_pad ceil_mode count_include_pad dilations@19 kernel_shape pads strides"},
    Operator{"BatchNormalization", 5, 5, 5, infer_batch_normalization, evaluate_batch_normalization,
             "epsilon momentum training_mode@14"},
    Operator{"BitShift", 2, 2, 1, infer_bit_shift, evaluate_bit_shift, "direction"},
    Operator{"BitwiseAnd", 2, 2, 1, infer_bitwise, evaluate_bitwise_and, "", 18},
    Operator{"BitwiseNot", 1, 1, 1, infer_bitwise_not, evaluate_bitwise_not, "", 18},
    Operator{"BitwiseOr", 2, 2, 1, infer_bitwise, evaluate_bitwise_or, "", 18},
    Operator{"BitwiseXor", 2, 2, 1, infer_bitwise, evaluate_bitwise_xor, "", 18},
    Operator{"Cast", 1, 1, 1, infer_cast, evaluate_cast, "saturate@19 to"},
    Operator{"CastLike", 2, 2, 1, infer_cast_like, evaluate_cast_like, "saturate@19", 15},
    Operator{"Ceil", 1, 1, 1, infer_unary_float, evaluate_ceil, ""},
    Operator{"Celu", 1, 1, 1, infer_unary_float, evaluate_celu, "alpha", 12},
    Operator{"Clip", 1, 3, 1, infer_clip, evaluate_clip, ""},
    Operator{"Col2Im", 3, 3, 1, infer_col2im, evaluate_col2im, "dilations pads strides", 18},
    Operator{"Concat", 1, kMany, 1, infer_concat, evaluate_concat, "axis"},
    Operator{"Constant", 0, 0, 1, infer_constant, evaluate_constant,
             "value value_float@12 value_floats@12 value_int@12 value_ints@12 value_string@12 value_strings@12"},
    Operator{"ConstantOfShape", 1, 1, 1, infer_constant_of_shape, evaluate_constant_of_shape, "value"},
    Operator{"Conv", 2, 3, 1, infer_conv, evaluate_conv, kConvAttributes},
    Operator{"ConvTranspose", 2, 3, 1, infer_conv_transpose, evaluate_conv_transpose,
             "auto_pad dilations group kernel_shape output_padding output_shape pads strides"},
    Operator{"Cos", 1, 1, 1, infer_unary_float, evaluate_cos, ""},
    Operator{"Cosh", 1, 1, 1, infer_unary_float, evaluate_cosh, ""},
    Operator{"CumSum", 2, 2, 1, infer_cum_sum, evaluate_cum_sum, "exclusive reverse"},
    Operator{"DepthToSpace", 1, 1, 1, infer_depth_to_space, evaluate_depth_to_space, "blocksize mode"},
    Operator{"Div", 2, 2, 1, infer_arithmetic, evaluate_div, ""},
    Operator{"Dropout", 1, 3, 2, infer_dropout, evaluate_dropout, "ratio seed@12"},
    Operator{"Einsum", 1, kMany, 1, infer_einsum, evaluate_einsum, "equation", 12},
    Operator{"Elu", 1, 1, 1, infer_unary_float, evaluate_elu, "alpha"},
    Operator{"Equal", 2, 2, 1, infer_equal, evaluate_equal, ""},
    Operator{"Erf", 1, 1, 1, infer_unary_float, evaluate_erf, ""},
    Operator{"Exp", 1, 1, 1, infer_unary_float, evaluate_exp, ""},
    Operator{"Expand", 2, 2, 1, infer_expand, evaluate_expand, ""},
    Operator{"EyeLike", 1, 1, 1, infer_eye_like, evaluate_eye_like, "dtype k"},
    Operator{"Flatten", 1, 1, 1, infer_flatten, evaluate_flatten, "axis"},
    Operator{"Floor", 1, 1, 1, infer_unary_float, evaluate_floor, ""},
    Operator{"Gather", 2, 2, 1, infer_gather, evaluate_gather, "axis"},
    Operator{"GatherElements", 2, 2, 1, infer_gather_elements, evaluate_gather_elements, "axis"},
    Operator{"GatherND", 2, 2, 1, infer_gather_nd, evaluate_gather_nd, "batch_dims@12"},
    Operator{"Gelu", 1, 1, 1, infer_gelu, evaluate_gelu, "approximate", 20},
    Operator{"Gemm", 2, 3, 1, infer_gemm, evaluate_gemm, "alpha beta transA transB"},
    Operator{"GlobalAveragePool", 1, 1, 1, infer_global_pool, evaluate_global_average_pool, ""},
    Operator{"GlobalLpPool", 1, 1, 1, infer_global_pool, evaluate_global_lp_pool, "p"},
    Operator{"GlobalMaxPool", 1, 1, 1, infer_global_pool, evaluate_global_max_pool, ""},
    Operator{"Greater", 2, 2, 1, infer_compare, evaluate_greater, ""},
    Operator{"GreaterOrEqual", 2, 2, 1, infer_compare, evaluate_greater_or_equal, "", 12},
    Operator{"GroupNormalization", 3, 3, 1, infer_group_normalization, evaluate_group_normalization,
             "epsilon num_groups stash_type@21", 18},
    Operator{"HardSigmoid", 1, 1, 1, infer_unary_float, evaluate_hard_sigmoid, "alpha beta"},
    Operator{"HardSwish", 1, 1, 1, infer_unary_float, evaluate_hard_swish, "", 14},
    Operator{"Hardmax", 1, 1, 1, infer_softmax, evaluate_hardmax, "axis"},
    Operator{"Identity", 1, 1, 1, infer_identity, evaluate_identity, ""},
    Operator{"InstanceNormalization", 3, 3, 1, infer_group_normalization, evaluate_group_normalization, "epsilon"},
    Operator{"IsInf", 1, 1, 1, infer_classify, evaluate_is_inf, "detect_negative detect_positive"},
    Operator{"IsNaN", 1, 1, 1, infer_classify, evaluate_is_nan, ""},
    Operator{"LRN", 1, 1, 1, infer_lrn, evaluate_lrn, "alpha beta bias size"},
    Operator{"LayerNormalization", 2, 3, 3, infer_layer_normalization, evaluate_layer_normalization,
             "axis epsilon stash_type", 17},
    Operator{"LeakyRelu", 1, 1, 1, infer_unary_float, evaluate_leaky_relu, "alpha"},
    Operator{"Less", 2, 2, 1, infer_compare, evaluate_less, ""},
    Operator{"LessOrEqual", 2, 2, 1, infer_compare, evaluate_less_or_equal, "", 12},
    Operator{"Log", 1, 1, 1, infer_unary_float, evaluate_log, ""},
    Operator{"LogSoftmax", 1, 1, 1, infer_softmax, evaluate_log_softmax, "axis"},
    Operator{"LpNormalization", 1, 1, 1, infer_lp_normalization, evaluate_lp_normalization, "axis p"},
    Operator{"LpPool", 1, 1, 1, infer_lp_pool, evaluate_lp_pool,
             "auto_pad ceil_mode@18 dilations@18 kernel_shape p pads strides"},
    Operator{"MatMul", 2, 2, 1, infer_matmul, evaluate_matmul, ""},
    Operator{"Max", 1, kMany, 1, infer_min_max, evaluate_max, ""},
    Operator{"MaxPool", 1, 1, 2, infer_max_pool, evaluate_max_pool, kPoolAttributes},
    Operator{"Mean", 1, kMany, 1, infer_sum, evaluate_mean, ""},
    Operator{"Min", 1, kMany, 1, infer_min_max, evaluate_min, ""},
    Operator{"Mish", 1, 1, 1, infer_unary_float, evaluate_mish, "", 18},
    Operator{"Mod", 2, 2, 1, infer_mod, evaluate_mod, "fmod"},
    Operator{"Mul", 2, 2, 1, infer_arithmetic, evaluate_mul, ""},
    Operator{"Neg", 1, 1, 1, infer_unary_number, evaluate_neg, ""},
    Operator{"NonZero", 1, 1, 1, infer_non_zero, evaluate_non_zero, ""},
    Operator{"Not", 1, 1, 1, infer_not, evaluate_not, ""},
    Operator{"OneHot", 3, 3, 1, infer_one_hot, evaluate_one_hot, "axis"},
    Operator{"Or", 2, 2, 1, infer_logic, evaluate_or, ""},
    Operator{"PRelu", 2, 2, 1, infer_prelu, evaluate_prelu, ""},
    Operator{"Pad", 2, 4, 1, infer_pad, evaluate_pad, "mode"},
    Operator{"Pow", 2, 2, 1, infer_pow, evaluate_pow, ""},
    Operator{"RMSNormalization", 2, 2, 1, infer_layer_normalization, evaluate_layer_normalization,
             "axis epsilon stash_type", 23},
    Operator{"Range", 3, 3, 1, infer_range, evaluate_range, ""},
    Operator{"Reciprocal", 1, 1, 1, infer_unary_float, evaluate_reciprocal, ""},
    Operator{"ReduceL1", 1, 2, 1, infer_reduce, evaluate_reduce_l1, kReduceAttributes},
    Operator{"ReduceL2", 1, 2, 1, infer_reduce, evaluate_reduce_l2, kReduceAttributes},
    Operator{"ReduceLogSum", 1, 2, 1, infer_reduce, evaluate_reduce_log_sum, kReduceAttributes},
    Operator{"ReduceLogSumExp", 1, 2, 1, infer_reduce, evaluate_reduce_log_sum_exp, kReduceAttributes},
    Operator{"ReduceMax", 1, 2, 1, infer_reduce, evaluate_reduce_max, kReduceAttributes},
    Operator{"ReduceMean", 1, 2, 1, infer_reduce, evaluate_reduce_mean, kReduceAttributes},
    Operator{"ReduceMin", 1, 2, 1, infer_reduce, evaluate_reduce_min, kReduceAttributes},
    Operator{"ReduceProd", 1, 2, 1, infer_reduce, evaluate_reduce_prod, kReduceAttributes},
    Operator{"ReduceSum", 1, 2, 1, infer_reduce, evaluate_reduce_sum, kReduceSumAttributes},
    Operator{"ReduceSumSquare", 1, 2, 1, infer_reduce, evaluate_reduce_sum_square, kReduceAttributes},
    Operator{"Relu", 1, 1, 1, infer_unary_number, evaluate_relu, ""},
    Operator{"Reshape", 2, 2, 1, infer_reshape, evaluate_reshape, "allowzero@14"},
    Operator{"Resize", 1, 4, 1, infer_resize, evaluate_resize,
             "antialias@18 axes@18 coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value "
             "keep_aspect_ratio_policy@18 mode nearest_mode"},
    Operator{"ReverseSequence", 2, 2, 1, infer_reverse_sequence, evaluate_reverse_sequence, "batch_axis time_axis"},
    Operator{"RotaryEmbedding", 3, 4, 1, infer_rotary_embedding, evaluate_rotary_embedding,
             "interleaved num_heads rotary_embedding_dim", 23},
    Operator{"Round", 1, 1, 1, infer_unary_float, evaluate_round, ""},
    Operator{"ScatterElements", 3, 3, 1, infer_scatter_elements, evaluate_scatter_elements, "axis reduction@16"},
    Operator{"ScatterND", 3, 3, 1, infer_scatter_nd, evaluate_scatter_nd, "reduction@16"},
    Operator{"Selu", 1, 1, 1, infer_unary_float, evaluate_selu, "alpha gamma"},
    Operator{"Shape", 1, 1, 1, infer_shape, evaluate_shape, "end@15 start@15"},
    Operator{"Shrink", 1, 1, 1, infer_unary_float, evaluate_shrink, "bias lambd"},
    Operator{"Sigmoid", 1, 1, 1, infer_unary_float, evaluate_sigmoid, ""},
    Operator{"Sign", 1, 1, 1, infer_unary_number, evaluate_sign, ""},
    Operator{"Sin", 1, 1, 1, infer_unary_float, evaluate_sin, ""},
    Operator{"Sinh", 1, 1, 1, infer_unary_float, evaluate_sinh, ""},
    Operator{"Size", 1, 1, 1, infer_size, evaluate_size, ""},
    Operator{"Slice", 3, 5, 1, infer_slice, evaluate_slice, ""},
    Operator{"Softmax", 1, 1, 1, infer_softmax, evaluate_softmax, "axis"},
    Operator{"Softplus", 1, 1, 1, infer_unary_float, evaluate_softplus, ""},
    Operator{"Softsign", 1, 1, 1, infer_unary_float, evaluate_softsign, ""},
    Operator{"SpaceToDepth", 1, 1, 1, infer_space_to_depth, evaluate_space_to_depth, "blocksize"},
    Operator{"Split", 1, 2, kMany, infer_split, evaluate_split, "axis num_outputs@18 split"},
    Operator{"Sqrt", 1, 1, 1, infer_unary_float, evaluate_sqrt, ""},
    Operator{"Squeeze", 1, 2, 1, infer_squeeze, evaluate_squeeze, "axes"},
    Operator{"Sub", 2, 2, 1, infer_arithmetic, evaluate_sub, ""},
    Operator{"Sum", 1, kMany, 1, infer_sum, evaluate_sum, ""},
    Operator{"Tan", 1, 1, 1, infer_unary_float, evaluate_tan, ""},
    Operator{"Tanh", 1, 1, 1, infer_unary_float, evaluate_tanh, ""},
    Operator{"ThresholdedRelu", 1, 1, 1, infer_unary_float, evaluate_thresholded_relu, "alpha"},
    Operator{"Tile", 2, 2, 1, infer_tile, evaluate_tile, ""},
    Operator{"TopK", 2, 2, 2, infer_top_k, evaluate_top_k, "axis largest sorted"},
    Operator{"Transpose", 1, 1, 1, infer_transpose, evaluate_transpose, "perm"},
    Operator{"Trilu", 1, 2, 1, infer_trilu, evaluate_trilu, "upper", 14},
    Operator{"Unsqueeze", 1, 2, 1, infer_unsqueeze, evaluate_unsqueeze, "axes"},
    Operator{"Where", 3, 3, 1, infer_where, evaluate_where, ""},
    Operator{"Xor", 2, 2, 1, infer_logic, evaluate_xor, ""},
};

constexpr bool kSorted = std::is_sorted(kOperators.begin(), kOperators.end(),
                                        [](const Operator& a, const Operator& b) { return a.name < b.name; });
static_assert(kSorted, "find_operator searches by bisection");

}  // namespace

std::span<const Operator> operators() { return kOperators; }

const Operator* find_operator(std::string_view op) {
  const auto row = std::lower_bound(kOperators.begin(), kOperators.end(), op,
                                    [](const Operator& a, std::string_view name) { return a.name < name; });
  return row != kOperators.end() && row->name == op ? &*row : nullptr;
}

void fail_node(const Node& node, const std::string& problem) {
  throw InputError("node '" + node.name + "' (" + node.op + ", opset " + std::to_string(node.opset) + "): " + problem);
}

}  // namespace bitplan
