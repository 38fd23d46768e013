#pragma once

#include "eval/kernels/program.hpp"

namespace bitplan {

/// Turns an activation into the codes that integer layers read: u = q - q_min, 0 … 255. The physical order stays.
class CodesStep final : public Step {
 public:
  CodesStep(SiteId site, Operand values, ValueId codes, std::size_t elements)
      : site_(site), values_(values), codes_(codes), elements_(elements) {}
  void run(Frame& frame) const override;

 private:
  SiteId site_;
  Operand values_;
  ValueId codes_;
  std::size_t elements_;
};

}  // namespace bitplan
