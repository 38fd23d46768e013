#include <algorithm>
#include <numeric>

#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/strided_copy.hpp"
#include "eval/kernels/strided_operand.hpp"

// Slice, Pad, Concat, Split, Expand: boxes of one array copied into another, in blocked layouts where those allow it.
namespace bitplan {

namespace {

struct Piece {
  TensorId tensor;
  Region region;
};

/// The jobs of all pieces when the target has `layout` and sources keep theirs; nothing when they do not fit together.
std::optional<std::vector<StridedCopyStep::Part>> parts_in(ProgramBuilder& builder, const std::vector<Piece>& pieces,
                                                           const Layout& layout) {
  const auto target = placement_of(layout);
  std::vector<StridedCopyStep::Part> parts;
  for (const Piece& piece : pieces) {
    const Operand source = builder.native(piece.tensor);
    const auto from = placement_of(builder.value(source.value).layout);
    const bool apart = from && target && from->blocked_dim >= 0 && target->blocked_dim >= 0 &&
                       from->blocked_dim != target->blocked_dim;
    if (!from || !target || apart || from->dims.size() != target->dims.size()) return std::nullopt;
    auto jobs = copy_jobs(*from, *target, piece.region);
    if (!jobs) return std::nullopt;
    parts.push_back({source, std::move(*jobs)});
  }
  return parts;
}

std::vector<StridedCopyStep::Part> plain_parts(ProgramBuilder& builder, const std::vector<Piece>& pieces,
                                               const Shape& shape) {
  std::vector<StridedCopyStep::Part> parts;
  for (const Piece& piece : pieces) {
    if (builder.is_float(piece.tensor) && !builder.is_blocked(piece.tensor)) {
      const StridedOperand source = builder.strided(piece.tensor);
      if (source.dims.size() == shape.size() &&
          std::ranges::all_of(source.repeats, [](std::int64_t r) { return r == 1; })) {
        auto jobs = *copy_jobs({source.dims, source.strides}, plain_placement(shape), piece.region);
        for (CopyJob& job : jobs) job.from += source.offset;
        parts.push_back({source.base, std::move(jobs)});
        continue;
      }
    }
    const Placement from = plain_placement(builder.network().tensor(piece.tensor).shape);
    // Dimensions that Expand adds in front: the source does not move along them.
    Placement aligned{Dims(shape.size() - from.dims.size(), 1), Dims(shape.size() - from.dims.size(), 0)};
    aligned.dims.insert(aligned.dims.end(), from.dims.begin(), from.dims.end());
    aligned.strides.insert(aligned.strides.end(), from.strides.begin(), from.strides.end());
    parts.push_back({builder.plain(piece.tensor), *copy_jobs(aligned, plain_placement(shape), piece.region)});
  }
  return parts;
}

/// Copies pieces into a new value for `out`, in the layout of the first piece where possible. `fill`: what gaps hold.
bool copy_pieces(ProgramBuilder& builder, const std::vector<Piece>& pieces, TensorId out, std::optional<float> fill) {
  const TensorInfo& info = builder.network().tensor(out);
  if (fill && info.dtype != DType::f32) return false;
  std::optional<std::vector<StridedCopyStep::Part>> parts;
  std::optional<Layout> layout;
  if (builder.is_float(out) && builder.is_float(pieces[0].tensor) && builder.is_blocked(pieces[0].tensor)) {
    const Layout first = builder.value(builder.native(pieces[0].tensor).value).layout;
    layout = layout_like(first, info.shape);
    // Padding must be 0, and other gaps too then.
    if (layout && has_padding(*layout) && fill.value_or(0) != 0) layout.reset();
    if (layout) parts = parts_in(builder, pieces, *layout);
    if (parts && has_padding(*layout)) fill = 0;
  }
  const ValueId target = parts ? builder.make(*layout) : builder.make(info.dtype, info.shape);
  if (!parts) parts = plain_parts(builder, pieces, info.shape);
  std::vector<Operand> reads;
  for (const auto& part : *parts) reads.push_back(part.source);
  builder.add(std::make_unique<StridedCopyStep>(std::move(*parts), target, size_of(info.dtype), fill), reads, {target});
  builder.define(out, target);
  return true;
}

/// A box of a row-major tensor, seen in place.
bool see_piece(ProgramBuilder& builder, TensorId in, const Region& region, TensorId out) {
  if (!builder.is_float(in) || !builder.is_float(out) || builder.constant(in) || builder.is_blocked(in)) return false;
  const auto seen = builder.strided(in).sliced(region.from, region.step, region.count);
  if (seen) builder.define_strided(out, *seen);
  return seen.has_value();
}

/// The integers of an input; nothing when it is given but not constant.
std::optional<std::vector<std::int64_t>> integers_at(const ProgramBuilder& builder, const Node& node, std::size_t i,
                                                     std::vector<std::int64_t> fallback) {
  if (i >= node.inputs.size() || node.inputs[i] == kNoTensor) return fallback;
  const Tensor* values = builder.constant(node.inputs[i]);
  if (!values) return std::nullopt;
  return values->integers();
}

std::vector<std::int64_t> leading_axes(std::size_t n) {
  std::vector<std::int64_t> axes(n);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

std::size_t axis_in(std::int64_t axis, std::size_t rank) {
  return static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis);
}

Region whole(const Shape& shape) {
  return {shape, Dims(shape.size(), 0), Dims(shape.size(), 1), Dims(shape.size(), 0)};
}

}  // namespace

bool compile_slice(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Shape &x = net.tensor(node.inputs[0]).shape, &y = net.tensor(node.outputs[0]).shape;
  const auto starts = integers_at(builder, node, 1, {});
  if (builder.constant(node.inputs[0]) || !starts || starts->empty()) return false;
  const auto axes = integers_at(builder, node, 3, leading_axes(starts->size()));
  const auto steps = integers_at(builder, node, 4, std::vector<std::int64_t>(starts->size(), 1));
  if (!axes || !steps) return false;
  Region region = whole(y);
  for (std::size_t i = 0; i < starts->size(); ++i) {
    const std::size_t d = axis_in((*axes)[i], x.size());
    const std::int64_t start = (*starts)[i] < 0 ? (*starts)[i] + x[d] : (*starts)[i];
    region.step[d] = (*steps)[i];
    region.from[d] = std::clamp<std::int64_t>(start, 0, region.step[d] < 0 ? x[d] - 1 : x[d]);
  }
  return see_piece(builder, node.inputs[0], region, node.outputs[0]) ||
         copy_pieces(builder, {{node.inputs[0], region}}, node.outputs[0], std::nullopt);
}

bool compile_pad(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Shape& x = net.tensor(node.inputs[0]).shape;
  const auto pads = integers_at(builder, node, 1, {});
  const auto axes = integers_at(builder, node, 3, leading_axes(x.size()));
  if (node.text("mode", "constant") != "constant" || !builder.is_float(node.inputs[0]) ||
      builder.constant(node.inputs[0]) || !pads || pads->empty() || !axes ||
      std::ranges::any_of(*pads, [](std::int64_t p) { return p < 0; }))
    return false;
  float fill = 0;
  if (node.inputs.size() > 2 && node.inputs[2] != kNoTensor) {
    const Tensor* value = builder.constant(node.inputs[2]);
    if (!value || value->size() != 1) return false;
    fill = value->values<float>()[0];
  }
  Region region = whole(x);
  for (std::size_t i = 0; i < axes->size(); ++i) region.to[axis_in((*axes)[i], x.size())] = (*pads)[i];
  return copy_pieces(builder, {{node.inputs[0], region}}, node.outputs[0], fill);
}

bool compile_concat(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const std::size_t axis = axis_in(node.integer("axis", 0), net.tensor(node.outputs[0]).shape.size());
  std::vector<Piece> pieces;
  std::int64_t at = 0;
  for (const TensorId tensor : node.inputs) {
    Region region = whole(net.tensor(tensor).shape);
    region.to[axis] = at;
    at += region.count[axis];
    pieces.push_back({tensor, region});
  }
  return copy_pieces(builder, pieces, node.outputs[0], std::nullopt);
}

bool compile_split(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  if (builder.constant(node.inputs[0])) return false;
  const std::size_t axis = axis_in(node.integer("axis", 0), net.tensor(node.inputs[0]).shape.size());
  std::int64_t at = 0;
  for (const TensorId out : node.outputs) {
    if (out == kNoTensor) return false;
    Region region = whole(net.tensor(out).shape);
    region.from[axis] = at;
    at += region.count[axis];
    if (!see_piece(builder, node.inputs[0], region, out))
      copy_pieces(builder, {{node.inputs[0], region}}, out, std::nullopt);
  }
  return true;
}

bool compile_expand(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const Shape &x = net.tensor(node.inputs[0]).shape, &y = net.tensor(node.outputs[0]).shape;
  if (builder.is_float(node.inputs[0]) && builder.is_float(node.outputs[0])) {
    builder.define_strided(node.outputs[0], builder.strided(node.inputs[0]).expanded(y));
    return true;
  }
  Region region = whole(y);
  for (std::size_t d = 0; d < y.size(); ++d)
    if (d + x.size() < y.size() || x[d + x.size() - y.size()] == 1) region.step[d] = 0;
  return copy_pieces(builder, {{node.inputs[0], region}}, node.outputs[0], std::nullopt);
}

}  // namespace bitplan
