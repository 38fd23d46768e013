#include "model/operators/strided.hpp"

namespace bitplan {

Strides strides_of(const Shape& shape) {
  Strides strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

Strides broadcast_strides(const Shape& from, const Shape& to) {
  assert(from.size() <= to.size());
  const Strides own = strides_of(from);
  Strides strides(to.size(), 0);
  const std::size_t lead = to.size() - from.size();
  for (std::size_t d = 0; d < from.size(); ++d)
    if (from[d] != 1) strides[lead + d] = own[d];
  return strides;
}

namespace {

template <class Element>
void copy_rows(const Tensor& in, Tensor& out, const Strides& strides, std::int64_t offset) {
  const auto* from = reinterpret_cast<const Element*>(in.bytes()) + offset;
  auto* to = reinterpret_cast<Element*>(out.mutable_bytes());
  walk_rows<1>(out.shape(), {strides}, [&](const auto& cursors, const auto& steps, std::int64_t count) {
    const Element* source = from + cursors[0];
    if (steps[0] == 1) {
      std::memcpy(to, source, static_cast<std::size_t>(count) * sizeof(Element));
      to += count;
    } else {
      for (std::int64_t k = 0; k < count; ++k) *to++ = source[k * steps[0]];
    }
  });
}

}  // namespace

Tensor strided_copy(const Tensor& in, const Shape& out_shape, const Strides& strides, std::int64_t offset) {
  assert(strides.size() == out_shape.size());
  Tensor out(in.dtype(), out_shape);
  switch (size_of(in.dtype())) {
    case 1:
      copy_rows<std::uint8_t>(in, out, strides, offset);
      break;
    case 2:
      copy_rows<std::uint16_t>(in, out, strides, offset);
      break;
    case 4:
      copy_rows<std::uint32_t>(in, out, strides, offset);
      break;
    default:
      copy_rows<std::uint64_t>(in, out, strides, offset);
      break;
  }
  return out;
}

}  // namespace bitplan
