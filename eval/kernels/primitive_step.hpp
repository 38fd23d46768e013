#pragma once

#include <vector>

#include "eval/kernels/builder.hpp"

namespace bitplan {

/// Runs one oneDNN primitive.
class PrimitiveStep final : public Step {
 public:
  PrimitiveStep(dnnl::primitive primitive, std::vector<ProgramBuilder::Argument> arguments)
      : primitive_(std::move(primitive)), arguments_(std::move(arguments)) {}
  void run(Frame& frame) const override;

 private:
  dnnl::primitive primitive_;
  std::vector<ProgramBuilder::Argument> arguments_;
};

}  // namespace bitplan
