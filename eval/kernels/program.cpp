#include "eval/kernels/program.hpp"

#include <atomic>

namespace bitplan {

const Affine* Frame::quantizer(SiteId site) const {
  if (site < 0 || static_cast<std::size_t>(site) >= candidate.activations.size()) return nullptr;
  const auto& chosen_affine = candidate.activations[static_cast<std::size_t>(site)];
  return chosen_affine ? &*chosen_affine : nullptr;
}

const PackedWeight& Frame::weight(LayerId layer) const {
  const auto i = static_cast<std::size_t>(layer);
  if (i < candidate.weights.size() && candidate.weights[i]) return *candidate.weights[i];
  return *program.layers[i].weight;
}

const std::byte* Frame::read(const Operand& operand) const {
  assert(operand.weight < 0);
  const auto value = static_cast<std::size_t>(chosen(operand));
  const Value& v = program.values[value];
  if (v.constant) return v.constant.get();
  return v.lent >= 0 ? inputs[static_cast<std::size_t>(v.lent)].bytes() : arena + program.offsets[value];
}

std::byte* Frame::write(ValueId value) const { return arena + program.offsets[static_cast<std::size_t>(value)]; }

dnnl_memory_t Frame::memory(const Operand& operand) const {
  if (operand.weight >= 0) return weight(operand.weight).memory.get();
  if (operand.bias >= 0 && weight(operand.bias).bias) return weight(operand.bias).bias.get();
  return memories[static_cast<std::size_t>(chosen(operand))].get();
}

Tensor Frame::tensor(const Operand& operand) const {
  const Value& value = program.values[static_cast<std::size_t>(operand.value)];
  assert(value.plain);
  // The arena outlives the step, so the owner keeps nothing alive.
  return Tensor(value.dtype, value.shape, read(operand), std::shared_ptr<const void>(std::shared_ptr<void>(), arena));
}

std::uint64_t PackedWeight::next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

std::shared_ptr<PackedWeight> pack_weight(const Packing& packing, const dnnl::engine& engine,
                                          std::span<const float> values) {
  auto weight = std::make_shared<PackedWeight>();
  if (!packing.reorder) {
    weight->plain = Tensor::of(packing.shape, values);
    weight->bytes = weight->plain.byte_size();
    return weight;
  }
  weight->engine = engine;
  weight->memory = dnnl::memory(packing.packed, engine);
  weight->bytes = packing.packed.get_size();
  std::vector<float> scaled;
  if (packing.factor != 1) {
    scaled.assign(values.begin(), values.end());
    for (float& v : scaled) v *= packing.factor;
    values = scaled;
  }
  // oneDNN's memory handles are not const, but the source of a reorder is only read.
  dnnl::memory source(packing.onnx, engine, const_cast<float*>(values.data()));
  dnnl::memory scratch(packing.scratch, engine);
  dnnl::stream stream(engine);
  packing.reorder.execute(stream,
                          {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, weight->memory}, {DNNL_ARG_SCRATCHPAD, scratch}});
  stream.wait();
  return weight;
}

}  // namespace bitplan
