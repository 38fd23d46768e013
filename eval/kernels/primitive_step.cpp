#include "eval/kernels/primitive_step.hpp"

namespace bitplan {

void PrimitiveStep::run(Frame& frame) const {
  // The C call takes an array that we keep; dnnl::primitive::execute would build a map and a vector at each run.
  frame.arguments.clear();
  for (const auto& argument : arguments_) frame.arguments.push_back({argument.slot, frame.memory(argument.operand)});
  dnnl::error::wrap_c_api(dnnl_primitive_execute(primitive_.get(), frame.stream.get(),
                                                 static_cast<int>(frame.arguments.size()), frame.arguments.data()),
                          "could not execute a primitive");
}

}  // namespace bitplan
