#pragma once

#include "eval/executor/executor_fusion.hpp"
#include "eval/kernels/builder.hpp"

namespace bitplan {

/// What a layer's primitive does besides its product, as oneDNN attributes.
struct FusedOutput {
  enum class Addend { none, in_place, operand };

  dnnl::primitive_attr attributes;
  Addend addend = Addend::none;
  TensorId tensor = kNoTensor;  ///< what is added
  int position = 0;             ///< of the addition among the post-ops
  std::vector<std::pair<int, TensorId>> caps{};  ///< bounds by channel, with their positions
};

/// The attributes for a group whose output has `layout`. The addend of a residual sum is overwritten when that is
/// possible, that is when nobody reads it later and it has the layout already (or must be copied into it anyway) and
/// `source`, the kernel's input, lies elsewhere; otherwise it is one more input.
FusedOutput fuse_output(ProgramBuilder& builder, const Group& group, const Layout& layout, const Operand& source);

/// Binds a fused output: returns the value that the primitive writes and appends the addend to its arguments.
ValueId bind_output(ProgramBuilder& builder, const Group& group, const FusedOutput& fused, const Layout& layout,
                    std::vector<ProgramBuilder::Argument>& arguments);

/// The tensor that a group makes.
TensorId output_of(const ProgramBuilder& builder, const Group& group);

}  // namespace bitplan
