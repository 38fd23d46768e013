#include "eval/kernels/codes_step.hpp"

namespace bitplan {

void CodesStep::run(Frame& frame) const {
  const Affine* quantizer = frame.quantizer(site_);
  assert(quantizer && "an integer layer's input is quantized");
  const auto* from = reinterpret_cast<const float*>(frame.read(values_));
  auto* to = reinterpret_cast<std::uint8_t*>(frame.write(codes_));
  if (!quantize_codes(*quantizer, {from, elements_}, {to, elements_})) *frame.invalid = true;
}

}  // namespace bitplan
