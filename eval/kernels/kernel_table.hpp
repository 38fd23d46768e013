#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "eval/executor/executor_fusion.hpp"
#include "eval/kernels/builder.hpp"

namespace bitplan {

/// A fast kernel for an ONNX operator. `compile` adds the steps of a group whose first node is that operator and
/// defines its output; it returns false, having defined nothing, when it has no fast way for these shapes, types or
/// attributes.
struct Kernel {
  std::string_view op;
  bool (*compile)(ProgramBuilder& builder, const Group& group);
};

/// All kernels; names with a blank are those of patterns (Group::pattern); operators that are not in the table run by
/// their reference in model/operators/.
std::span<const Kernel> kernels();
const Kernel* find_kernel(std::string_view op);

/// The kernel of last resort: the operator's `evaluate`, on row-major tensors.
void compile_reference(ProgramBuilder& builder, NodeId node);

/// The mean over all spatial positions, in the layout of `in`; nothing when oneDNN has no kernel for it.
std::optional<ValueId> add_global_average(ProgramBuilder& builder, TensorId in);

using CompileKernel = bool(ProgramBuilder& builder, const Group& group);
CompileKernel compile_convolution;                                                        // convolution.cpp
CompileKernel compile_gemm, compile_matmul;                                               // inner_product.cpp
CompileKernel compile_stack_product;                                                      // stack_product.cpp
CompileKernel compile_einsum;                                                             // einsum.cpp
CompileKernel compile_attention;                                                          // attention.cpp
CompileKernel compile_layer_normalization, compile_rms_normalization;                     // normalization.cpp
CompileKernel compile_norm_pattern;                                                       // normalization.cpp
CompileKernel compile_rotary_pattern;                                                     // rotary.cpp
CompileKernel compile_unary, compile_pow, compile_nary;                                   // pointwise_steps.cpp
CompileKernel compile_gather;                                                             // gather.cpp
CompileKernel compile_gelu, compile_gelu_pattern;                                         // pointwise_steps.cpp
CompileKernel compile_tanh_gelu_pattern;                                                  // eltwise.cpp
CompileKernel compile_eltwise;                                                            // eltwise.cpp
CompileKernel compile_add, compile_sub, compile_mul, compile_div, compile_min;            // binary.cpp
CompileKernel compile_max_pool, compile_average_pool, compile_global_average_pool;        // pooling.cpp
CompileKernel compile_reduce_mean, compile_reduce_sum;                                    // reduction.cpp
CompileKernel compile_batch_normalization;                                                // batch_normalization.cpp
CompileKernel compile_softmax, compile_log_softmax;                                       // softmax.cpp
CompileKernel compile_view, compile_cast;                                                 // view.cpp
CompileKernel compile_transpose, compile_depth_to_space, compile_space_to_depth;          // transpose.cpp
CompileKernel compile_conv_transpose;                                                     // deconvolution.cpp
CompileKernel compile_resize;                                                             // resize.cpp
CompileKernel compile_group_normalization;                                                // group_normalization.cpp
CompileKernel compile_slice, compile_pad, compile_concat, compile_split, compile_expand;  // regions.cpp

}  // namespace bitplan
