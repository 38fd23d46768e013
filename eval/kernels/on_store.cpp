#include "eval/kernels/on_store.hpp"

namespace bitplan {

const Affine* OnStore::begin(Frame& frame) const {
  if (site < 0 || frame.tap || frame.keeps_floats) return nullptr;
  if (frame.program.quantized_by_reader[static_cast<std::size_t>(site)]) return nullptr;
  const Affine* quantizer = frame.quantizer(site);
  if (quantizer) frame.stored = site;
  return quantizer;
}

void OnStore::finish(const Affine& quantizer, const Frame& frame, std::size_t first, std::size_t count) const {
  const auto* x = reinterpret_cast<const float*>(frame.write(from)) + first;
  auto* y = reinterpret_cast<float*>(frame.write(to)) + first;
  fake_quantize(quantizer, {x, count}, {y, count});
}

}  // namespace bitplan
