#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "model/operators/declarations.hpp"

namespace bitplan {
namespace {

constexpr int kMany = kManyTensors;
constexpr std::string_view kConvAttributes = "auto_pad dilations group kernel_shape pads strides";
constexpr std::string_view kPoolAttributes = "auto_pad ceil_mode dilations kernel_shape pads storage_order strides";
constexpr std::string_view kReduceAttributes = "axes keepdims noop_with_empty_axes";

/// Every operator, by name: inputs least and most, outputs most, its two functions, its attributes.
constexpr std::array kOperators{
    Operator{"Abs", 1, 1, 1, infer_unary_number, evaluate_abs, ""},
    Operator{"Add", 2, 2, 1, infer_arithmetic, evaluate_add, ""},
    Operator{"And", 2, 2, 1, infer_logic, evaluate_and, ""},
    Operator{"AveragePool", 1, 1, 1, infer_average_pool, evaluate_average_pool,
             "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"},
    Operator{"BatchNormalization", 5, 5, 5, infer_batch_normalization, evaluate_batch_normalization,
             "epsilon momentum training_mode"},
    Operator{"Cast", 1, 1, 1, infer_cast, evaluate_cast, "saturate to"},
    Operator{"Ceil", 1, 1, 1, infer_unary_float, evaluate_ceil, ""},
    Operator{"Clip", 1, 3, 1, infer_clip, evaluate_clip, ""},
    Operator{"Concat", 1, kMany, 1, infer_concat, evaluate_concat, "axis"},
    Operator{"Constant", 0, 0, 1, infer_constant, evaluate_constant,
             "value value_float value_floats value_int value_ints value_string value_strings"},
    Operator{"ConstantOfShape", 1, 1, 1, infer_constant_of_shape, evaluate_constant_of_shape, "value"},
    Operator{"Conv", 2, 3, 1, infer_conv, evaluate_conv, kConvAttributes},
    Operator{"ConvTranspose", 2, 3, 1, infer_conv_transpose, evaluate_conv_transpose,
             "auto_pad dilations group kernel_shape output_padding output_shape pads strides"},
    Operator{"Cos", 1, 1, 1, infer_unary_float, evaluate_cos, ""},
    Operator{"CumSum", 2, 2, 1, infer_cum_sum, evaluate_cum_sum, "exclusive reverse"},
    Operator{"Div", 2, 2, 1, infer_arithmetic, evaluate_div, ""},
    Operator{"Dropout", 1, 3, 2, infer_dropout, evaluate_dropout, "ratio seed"},
    Operator{"Elu", 1, 1, 1, infer_unary_float, evaluate_elu, "alpha"},
    Operator{"Equal", 2, 2, 1, infer_equal, evaluate_equal, ""},
    Operator{"Erf", 1, 1, 1, infer_unary_float, evaluate_erf, ""},
    Operator{"Exp", 1, 1, 1, infer_unary_float, evaluate_exp, ""},
    Operator{"Expand", 2, 2, 1, infer_expand, evaluate_expand, ""},
    Operator{"Flatten", 1, 1, 1, infer_flatten, evaluate_flatten, "axis"},
    Operator{"Floor", 1, 1, 1, infer_unary_float, evaluate_floor, ""},
    Operator{"Gather", 2, 2, 1, infer_gather, evaluate_gather, "axis"},
    Operator{"GatherElements", 2, 2, 1, infer_gather_elements, evaluate_gather_elements, "axis"},
    Operator{"GatherND", 2, 2, 1, infer_gather_nd, evaluate_gather_nd, "batch_dims"},
    Operator{"Gelu", 1, 1, 1, infer_gelu, evaluate_gelu, "approximate"},
    Operator{"Gemm", 2, 3, 1, infer_gemm, evaluate_gemm, "alpha beta transA transB"},
    Operator{"GlobalAveragePool", 1, 1, 1, infer_global_pool, evaluate_global_average_pool, ""},
    Operator{"GlobalMaxPool", 1, 1, 1, infer_global_pool, evaluate_global_max_pool, ""},
    Operator{"Greater", 2, 2, 1, infer_compare, evaluate_greater, ""},
    Operator{"GreaterOrEqual", 2, 2, 1, infer_compare, evaluate_greater_or_equal, ""},
    Operator{"HardSigmoid", 1, 1, 1, infer_unary_float, evaluate_hard_sigmoid, "alpha beta"},
    Operator{"HardSwish", 1, 1, 1, infer_unary_float, evaluate_hard_swish, ""},
    Operator{"Identity", 1, 1, 1, infer_identity, evaluate_identity, ""},
    Operator{"LayerNormalization", 2, 3, 3, infer_layer_normalization, evaluate_layer_normalization,
             "axis epsilon stash_type"},
    Operator{"LeakyRelu", 1, 1, 1, infer_unary_float, evaluate_leaky_relu, "alpha"},
    Operator{"Less", 2, 2, 1, infer_compare, evaluate_less, ""},
    Operator{"LessOrEqual", 2, 2, 1, infer_compare, evaluate_less_or_equal, ""},
    Operator{"Log", 1, 1, 1, infer_unary_float, evaluate_log, ""},
    Operator{"LogSoftmax", 1, 1, 1, infer_softmax, evaluate_log_softmax, "axis"},
    Operator{"MatMul", 2, 2, 1, infer_matmul, evaluate_matmul, ""},
    Operator{"Max", 1, kMany, 1, infer_min_max, evaluate_max, ""},
    Operator{"MaxPool", 1, 1, 2, infer_max_pool, evaluate_max_pool, kPoolAttributes},
    Operator{"Min", 1, kMany, 1, infer_min_max, evaluate_min, ""},
    Operator{"Mod", 2, 2, 1, infer_mod, evaluate_mod, "fmod"},
    Operator{"Mul", 2, 2, 1, infer_arithmetic, evaluate_mul, ""},
    Operator{"Neg", 1, 1, 1, infer_unary_number, evaluate_neg, ""},
    Operator{"Not", 1, 1, 1, infer_not, evaluate_not, ""},
    Operator{"Or", 2, 2, 1, infer_logic, evaluate_or, ""},
    Operator{"PRelu", 2, 2, 1, infer_prelu, evaluate_prelu, ""},
    Operator{"Pad", 2, 4, 1, infer_pad, evaluate_pad, "mode"},
    Operator{"Pow", 2, 2, 1, infer_pow, evaluate_pow, ""},
    Operator{"Range", 3, 3, 1, infer_range, evaluate_range, ""},
    Operator{"Reciprocal", 1, 1, 1, infer_unary_float, evaluate_reciprocal, ""},
    Operator{"ReduceL2", 1, 2, 1, infer_reduce, evaluate_reduce_l2, kReduceAttributes},
    Operator{"ReduceMax", 1, 2, 1, infer_reduce, evaluate_reduce_max, kReduceAttributes},
    Operator{"ReduceMean", 1, 2, 1, infer_reduce, evaluate_reduce_mean, kReduceAttributes},
    Operator{"ReduceMin", 1, 2, 1, infer_reduce, evaluate_reduce_min, kReduceAttributes},
    Operator{"ReduceProd", 1, 2, 1, infer_reduce, evaluate_reduce_prod, kReduceAttributes},
    Operator{"ReduceSum", 1, 2, 1, infer_reduce, evaluate_reduce_sum, kReduceAttributes},
    Operator{"Relu", 1, 1, 1, infer_unary_number, evaluate_relu, ""},
    Operator{"Reshape", 2, 2, 1, infer_reshape, evaluate_reshape, "allowzero"},
    Operator{"Resize", 1, 4, 1, infer_resize, evaluate_resize,
             "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value "
             "keep_aspect_ratio_policy mode nearest_mode"},
    Operator{"Round", 1, 1, 1, infer_unary_float, evaluate_round, ""},
    Operator{"Shape", 1, 1, 1, infer_shape, evaluate_shape, "end start"},
    Operator{"Sigmoid", 1, 1, 1, infer_unary_float, evaluate_sigmoid, ""},
    Operator{"Sign", 1, 1, 1, infer_unary_number, evaluate_sign, ""},
    Operator{"Sin", 1, 1, 1, infer_unary_float, evaluate_sin, ""},
    Operator{"Size", 1, 1, 1, infer_size, evaluate_size, ""},
    Operator{"Slice", 3, 5, 1, infer_slice, evaluate_slice, ""},
    Operator{"Softmax", 1, 1, 1, infer_softmax, evaluate_softmax, "axis"},
    Operator{"Softplus", 1, 1, 1, infer_unary_float, evaluate_softplus, ""},
    Operator{"Split", 1, 2, kMany, infer_split, evaluate_split, "axis num_outputs split"},
    Operator{"Sqrt", 1, 1, 1, infer_unary_float, evaluate_sqrt, ""},
    Operator{"Squeeze", 1, 2, 1, infer_squeeze, evaluate_squeeze, "axes"},
    Operator{"Sub", 2, 2, 1, infer_arithmetic, evaluate_sub, ""},
    Operator{"Tanh", 1, 1, 1, infer_unary_float, evaluate_tanh, ""},
    Operator{"Tile", 2, 2, 1, infer_tile, evaluate_tile, ""},
    Operator{"Transpose", 1, 1, 1, infer_transpose, evaluate_transpose, "perm"},
    Operator{"Trilu", 1, 2, 1, infer_trilu, evaluate_trilu, "upper"},
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
