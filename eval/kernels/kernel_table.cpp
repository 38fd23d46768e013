#include "eval/kernels/kernel_table.hpp"

#include <algorithm>
#include <array>

namespace bitplan {

namespace {

constexpr std::array kKernels{
    Kernel{"Conv", compile_convolution},
    Kernel{"Gemm", compile_gemm},
    Kernel{"MatMul", compile_matmul},
    Kernel{"Relu", compile_eltwise},
    Kernel{"LeakyRelu", compile_eltwise},
    Kernel{"Elu", compile_eltwise},
    Kernel{"Clip", compile_eltwise},
    Kernel{"Sigmoid", compile_eltwise},
    Kernel{"HardSigmoid", compile_eltwise},
    Kernel{"HardSwish", compile_eltwise},
    Kernel{"Tanh", compile_eltwise},
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
    Kernel{"Reshape", compile_view},
    Kernel{"Flatten", compile_view},
    Kernel{"Squeeze", compile_view},
    Kernel{"Unsqueeze", compile_view},
    Kernel{"Identity", compile_view},
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
