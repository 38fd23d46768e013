#include "eval/kernels/kernel_table.hpp"

#include <algorithm>
#include <array>

namespace bitplan {

namespace {

constexpr std::array kKernels{
    Kernel{"Conv", compile_convolution},
    Kernel{"Gemm", compile_gemm},
    Kernel{"MatMul", compile_matmul},
    Kernel{"Einsum", compile_einsum},
    Kernel{"Attention pattern", compile_attention},
    Kernel{"Norm pattern", compile_norm_pattern},
    Kernel{"Rotary pattern", compile_rotary_pattern},
    Kernel{"Gelu pattern", compile_gelu_pattern},
    Kernel{"Gelu", compile_gelu},
    Kernel{"LayerNormalization", compile_layer_normalization},
    Kernel{"RMSNormalization", compile_rms_normalization},
    Kernel{"Relu", compile_eltwise},
    Kernel{"LeakyRelu", compile_eltwise},
    Kernel{"Elu", compile_eltwise},
    Kernel{"Clip", compile_eltwise},
    Kernel{"Sigmoid", compile_eltwise},
    Kernel{"HardSigmoid", compile_eltwise},
    Kernel{"HardSwish", compile_eltwise},
    Kernel{"Tanh", compile_eltwise},
    Kernel{"Erf", compile_unary},
    Kernel{"Exp", compile_unary},
    Kernel{"Sqrt", compile_unary},
    Kernel{"Reciprocal", compile_unary},
    Kernel{"Neg", compile_unary},
    Kernel{"Abs", compile_unary},
    Kernel{"Floor", compile_unary},
    Kernel{"Ceil", compile_unary},
    Kernel{"Round", compile_unary},
    Kernel{"Sign", compile_unary},
    Kernel{"Log", compile_unary},
    Kernel{"Sin", compile_unary},
    Kernel{"Cos", compile_unary},
    Kernel{"Softplus", compile_unary},
    Kernel{"Softsign", compile_unary},
    Kernel{"Mish", compile_unary},
    Kernel{"Selu", compile_unary},
    Kernel{"Pow", compile_pow},
    Kernel{"Min", compile_min},
    Kernel{"Max", compile_nary},
    Kernel{"PRelu", compile_nary},
    Kernel{"Equal", compile_nary},
    Kernel{"Less", compile_nary},
    Kernel{"Greater", compile_nary},
    Kernel{"LessOrEqual", compile_nary},
    Kernel{"GreaterOrEqual", compile_nary},
    Kernel{"Where", compile_nary},
    Kernel{"Gather", compile_gather},
    Kernel{"Add", compile_add},
    Kernel{"Sub", compile_sub},
    Kernel{"Mul", compile_mul},
    Kernel{"Div", compile_div},
    Kernel{"MaxPool", compile_max_pool},
    Kernel{"AveragePool", compile_average_pool},
    Kernel{"GlobalAveragePool", compile_global_average_pool},
    Kernel{"ReduceMean", compile_reduce_mean},
    Kernel{"ReduceSum", compile_reduce_sum},
    Kernel{"BatchNormalization", compile_batch_normalization},
    Kernel{"Softmax", compile_softmax},
    Kernel{"LogSoftmax", compile_log_softmax},
    Kernel{"GroupNormalization", compile_group_normalization},
    Kernel{"InstanceNormalization", compile_group_normalization},
    Kernel{"ConvTranspose", compile_conv_transpose},
    Kernel{"Resize", compile_resize},
    Kernel{"DepthToSpace", compile_depth_to_space},
    Kernel{"SpaceToDepth", compile_space_to_depth},
    Kernel{"Reshape", compile_view},
    Kernel{"Flatten", compile_view},
    Kernel{"Squeeze", compile_view},
    Kernel{"Unsqueeze", compile_view},
    Kernel{"Identity", compile_view},
    Kernel{"Cast", compile_cast},
    Kernel{"Transpose", compile_transpose},
    Kernel{"Slice", compile_slice},
    Kernel{"Pad", compile_pad},
    Kernel{"Concat", compile_concat},
    Kernel{"Split", compile_split},
    Kernel{"Expand", compile_expand},
};

}  // namespace

std::span<const Kernel> kernels() { return kKernels; }

const Kernel* find_kernel(std::string_view op) {
  const auto found = std::ranges::find(kKernels, op, &Kernel::op);
  return found == kKernels.end() ? nullptr : &*found;
}

}  // namespace bitplan
