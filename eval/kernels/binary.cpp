#include <algorithm>
#include <array>
#include <cassert>

#include "eval/kernels/kernel_table.hpp"

namespace bitplan {

namespace {

using dnnl::algorithm;

/// Two operands of a binary node: `full` has the shape of the result, `part` is broadcast to it.
struct Operands {
  TensorId full, part;
  bool swapped;  ///< full is the node's second input
};

std::optional<Operands> operands_of(const Network& net, const Node& node) {
  const TensorId a = node.inputs[0], b = node.inputs[1];
  const Shape& y = net.tensor(node.outputs[0]).shape;
  const bool prefer_b = net.tensor(a).constant.has_value();
  if (net.tensor(b).shape == y && (prefer_b || net.tensor(a).shape != y)) return Operands{b, a, true};
  if (net.tensor(a).shape == y) return Operands{a, b, false};
  return std::nullopt;
}

void add_linear(ProgramBuilder& builder, TensorId in, TensorId out, algorithm function, float alpha, float beta) {
  const Operand x = builder.native(in);
  const Layout layout = builder.value(x.value).layout;
  const dnnl::eltwise_forward::desc desc(dnnl::prop_kind::forward_inference, function, layout, alpha, beta);
  const dnnl::eltwise_forward::primitive_desc pd(desc, workspace_attributes(), builder.engine());
  const Shape& shape = builder.network().tensor(out).shape;
  const ValueId y = builder.dies(in) ? builder.overwrite(x.value, shape) : builder.make(layout);
  builder.add(dnnl::eltwise_forward(pd), pd.scratchpad_desc(), {{DNNL_ARG_SRC, x}}, {{DNNL_ARG_DST, {.value = y}}});
  builder.define(out, y);
}

/// A constant of one element: y = alpha x + beta, or alpha / x.
bool with_scalar(ProgramBuilder& builder, const Node& node, const Operands& ops, algorithm op) {
  const Tensor* constant = builder.constant(ops.part);
  if (!constant || constant->size() != 1) return false;
  const float c = constant->values<float>()[0];
  const TensorId out = node.outputs[0];
  switch (op) {
    case algorithm::binary_add:
      add_linear(builder, ops.full, out, algorithm::eltwise_linear, 1, c);
      return true;
    case algorithm::binary_mul:
      add_linear(builder, ops.full, out, algorithm::eltwise_linear, c, 0);
      return true;
    case algorithm::binary_sub:
      if (ops.swapped)
        add_linear(builder, ops.full, out, algorithm::eltwise_linear, -1, c);
      else
        add_linear(builder, ops.full, out, algorithm::eltwise_linear, 1, -c);
      return true;
    default:
      return false;
  }
}

/// Equal shapes: one oneDNN primitive, in place when one of the two is not needed any more.
bool with_equal(ProgramBuilder& builder, const Node& node, algorithm op) {
  TensorId first = node.inputs[0], second = node.inputs[1];
  const bool commutes = op == algorithm::binary_add || op == algorithm::binary_mul;
  const bool second_is_better = builder.constant(first) || (!builder.dies(first) && builder.dies(second));
  if (commutes && second_is_better) std::swap(first, second);
  const Operand a = builder.native(first);
  const Layout layout = builder.value(a.value).layout;
  const Operand b = builder.as(second, layout);
  const dnnl::binary::desc desc(op, layout, layout, layout);
  const dnnl::binary::primitive_desc pd(desc, workspace_attributes(), builder.engine(), true);
  if (!pd) return false;
  const bool in_place = builder.dies(first) && !builder.share_storage(b, a.value);
  const Shape& shape = builder.network().tensor(node.outputs[0]).shape;
  const ValueId y = in_place ? builder.overwrite(a.value, shape) : builder.make(layout);
  builder.add(dnnl::binary(pd), pd.scratchpad_desc(), {{DNNL_ARG_SRC_0, a}, {DNNL_ARG_SRC_1, b}},
              {{DNNL_ARG_DST, {.value = y}}});
  builder.define(node.outputs[0], y);
  return true;
}

/// One loop of a broadcast: `part` stands still where its stride is 0.
struct Loop {
  std::int64_t count, full, part;
};

/// y = f(x, p) where p is broadcast, over physical positions: any layout, padding included.
class BroadcastStep final : public Step {
 public:
  BroadcastStep(algorithm op, bool swapped, const Operand& full, const Operand& part, ValueId target,
                std::vector<Loop> loops, const OnStore& store)
      : op_(op),
        swapped_(swapped),
        full_(full),
        part_(part),
        target_(target),
        loops_(std::move(loops)),
        store_(store) {}

  void run(Frame& frame) const override {
    switch (op_) {
      case algorithm::binary_add:
        return all(frame, [](float a, float b) { return a + b; });
      case algorithm::binary_mul:
        return all(frame, [](float a, float b) { return a * b; });
      case algorithm::binary_sub:
        if (swapped_) return all(frame, [](float a, float b) { return b - a; });
        return all(frame, [](float a, float b) { return a - b; });
      case algorithm::binary_min:
        return all(frame, [](float a, float b) { return (a != a) | (a < b) ? a : b; });
      default:
        if (swapped_) return all(frame, [](float a, float b) { return b / a; });
        return all(frame, [](float a, float b) { return a / b; });
    }
  }

 private:
  template <class F>
  void all(Frame& frame, const F& f) const {
    const auto* x = reinterpret_cast<const float*>(frame.read(full_));
    const auto* p = reinterpret_cast<const float*>(frame.read(part_));
    auto* y = reinterpret_cast<float*>(frame.write(target_));
    const auto unit = static_cast<std::size_t>(loops_[0].full);  // dense: the outermost loop covers all
    store_.in_parts(frame, static_cast<std::size_t>(loops_[0].count) * unit, unit,
                    [&](std::size_t first, std::size_t count) {
                      const float* from = p + static_cast<std::int64_t>(first / unit) * loops_[0].part;
                      walk(0, static_cast<std::int64_t>(count / unit), x + first, from, y + first, f);
                    });
  }

  template <class F>
  void walk(std::size_t depth, std::int64_t count, const float* x, const float* p, float* y, const F& f) const {
    const Loop& loop = loops_[depth];
    if (depth + 1 < loops_.size()) {
      for (std::int64_t i = 0; i < count; ++i)
        walk(depth + 1, loops_[depth + 1].count, x + i * loop.full, p + i * loop.part, y + i * loop.full, f);
    } else if (loop.part == 0) {
      const float b = *p;
      for (std::int64_t i = 0; i < count; ++i) y[i] = f(x[i], b);
    } else {
      for (std::int64_t i = 0; i < count; ++i) y[i] = f(x[i], p[i * loop.part]);
    }
  }

  algorithm op_;
  bool swapped_;
  Operand full_, part_;
  ValueId target_;
  std::vector<Loop> loops_;  ///< outermost first; the innermost is dense in x and y
  OnStore store_;
};

/// The physical loops over `full` with the strides of `part` beside them, neighbours that run on joined.
std::vector<Loop> broadcast_loops(const Placement& full, const Placement& part) {
  std::vector<Loop> loops;
  for (std::size_t d = 0; d < full.dims.size(); ++d) {
    const bool repeats = part.dims[d] == 1;
    const bool blocked = static_cast<int>(d) == full.blocked_dim;
    const std::int64_t count = blocked ? (full.dims[d] + full.block - 1) / full.block : full.dims[d];
    loops.push_back({count, full.strides[d], repeats ? 0 : part.strides[d]});
    if (blocked) loops.push_back({full.block, 1, repeats ? 0 : 1});
  }
  std::erase_if(loops, [](const Loop& loop) { return loop.count == 1; });
  if (loops.empty()) return {{1, 1, 0}};
  std::ranges::stable_sort(loops, std::greater(), &Loop::full);
  std::vector<Loop> joined{loops[0]};
  for (std::size_t i = 1; i < loops.size(); ++i) {
    Loop& outer = joined.back();
    const Loop& inner = loops[i];
    if (outer.full == inner.full * inner.count && outer.part == inner.part * inner.count)
      outer = {outer.count * inner.count, inner.full, inner.part};
    else
      joined.push_back(inner);
  }
  return joined;
}

/// `part` broadcast along some dimensions, in the layout of `full` where the two fit, row-major otherwise.
bool with_broadcast(ProgramBuilder& builder, const Node& node, const Operands& ops, algorithm op) {
  const Network& net = builder.network();
  const Shape& y = net.tensor(node.outputs[0]).shape;
  Dims part_dims(y.size() - net.tensor(ops.part).shape.size(), 1);
  part_dims.insert(part_dims.end(), net.tensor(ops.part).shape.begin(), net.tensor(ops.part).shape.end());
  if (y.empty() || part_dims.size() != y.size()) return false;
  Operand x = builder.native(ops.full), p;
  const auto like = layout_like(builder.value(x.value).layout, part_dims);
  const bool same_rank = part_dims == net.tensor(ops.part).shape;
  // Padding: 0 / 0 would leave NaN there; a constant that is repeated over channels would fill it.
  const auto fits = [&](const Placement& f) {
    return f.blocked_dim < 0 || part_dims[static_cast<std::size_t>(f.blocked_dim)] != 1;
  };
  const auto placement = placement_of(builder.value(x.value).layout);
  const bool keep = like && same_rank && placement && fits(*placement) && op != algorithm::binary_div;
  if (keep) {
    p = builder.as(ops.part, *like);
  } else {
    x = builder.plain(ops.full);
    p = builder.view(builder.plain(ops.part), part_dims);
  }
  const Layout layout = builder.value(x.value).layout;
  const bool in_place =
      x.value == builder.native(ops.full).value && builder.dies(ops.full) && !builder.share_storage(p, x.value);
  const ValueId out = in_place ? builder.overwrite(x.value, y) : builder.make(layout);
  auto loops = broadcast_loops(*placement_of(layout), *placement_of(builder.value(p.value).layout));
  if (loops.back().full != 1) return false;
  const OnStore store = builder.on_store(node.outputs[0], out);
  builder.add(std::make_unique<BroadcastStep>(op, ops.swapped, x, p, out, std::move(loops), store), {x, p}, {out},
              store);
  builder.define(node.outputs[0], out);
  return true;
}

bool compile_binary(ProgramBuilder& builder, const Group& group, algorithm op) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  if (!builder.is_float(node.outputs[0])) return false;
  const auto ops = operands_of(net, node);
  if (!ops || builder.constant(ops->full)) return compile_nary(builder, group);
  if (with_scalar(builder, node, *ops, op)) return true;
  if (net.tensor(ops->part).shape == net.tensor(ops->full).shape) return with_equal(builder, node, op);
  return with_broadcast(builder, node, *ops, op);
}

}  // namespace

bool compile_add(ProgramBuilder& builder, const Group& group) {
  return compile_binary(builder, group, algorithm::binary_add);
}
bool compile_sub(ProgramBuilder& builder, const Group& group) {
  return compile_binary(builder, group, algorithm::binary_sub);
}
bool compile_mul(ProgramBuilder& builder, const Group& group) {
  return compile_binary(builder, group, algorithm::binary_mul);
}
bool compile_div(ProgramBuilder& builder, const Group& group) {
  return compile_binary(builder, group, algorithm::binary_div);
}

/// A bound for each channel keeps the layout that it is given.
bool compile_min(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const bool two = node.inputs.size() == 2 && builder.is_float(node.outputs[0]);
  const auto ops = two ? operands_of(net, node) : std::nullopt;
  if (!ops || !builder.constant(ops->part) || builder.constant(ops->full)) return compile_nary(builder, group);
  const bool smaller = net.tensor(ops->part).shape != net.tensor(ops->full).shape;
  return (smaller && with_broadcast(builder, node, *ops, algorithm::binary_min)) || compile_nary(builder, group);
}

}  // namespace bitplan
