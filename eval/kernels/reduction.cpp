#include <algorithm>
#include <numeric>

#include "eval/kernels/kernel_table.hpp"

namespace bitplan {

namespace {

/// y[o, i] = scale * sum over r of x[o, r, i], summed in the order of r.
class ReductionStep final : public Step {
 public:
  ReductionStep(const Operand& source, ValueId target, std::int64_t outer, std::int64_t reduced, std::int64_t inner,
                float scale)
      : source_(source), target_(target), outer_(outer), reduced_(reduced), inner_(inner), scale_(scale) {}

  void run(Frame& frame) const override {
    const auto* x = reinterpret_cast<const float*>(frame.read(source_));
    auto* y = reinterpret_cast<float*>(frame.write(target_));
    for (std::int64_t o = 0; o < outer_; ++o, x += reduced_ * inner_, y += inner_) {
      if (inner_ == 1)
        *y = scale_ * sum(x);
      else
        sum_rows(x, y);
    }
  }

 private:
  /// Eight partial sums: fewer rounding errors and no chain of dependent additions.
  float sum(const float* x) const {
    float parts[8] = {};
    std::int64_t r = 0;
    for (; r + 8 <= reduced_; r += 8)
      for (int k = 0; k < 8; ++k) parts[k] += x[r + k];
    for (int k = 0; r < reduced_; ++r, ++k) parts[k] += x[r];
    return ((parts[0] + parts[1]) + (parts[2] + parts[3])) + ((parts[4] + parts[5]) + (parts[6] + parts[7]));
  }

  void sum_rows(const float* x, float* y) const {
    std::fill(y, y + inner_, 0.0F);
    for (std::int64_t r = 0; r < reduced_; ++r)
      for (std::int64_t i = 0; i < inner_; ++i) y[i] += x[r * inner_ + i];
    for (std::int64_t i = 0; i < inner_; ++i) y[i] *= scale_;
  }

  Operand source_;
  ValueId target_;
  std::int64_t outer_, reduced_, inner_;
  float scale_;
};

/// The reduced axes, rising: an attribute before opset `since`, an input from then on, all when absent.
std::optional<std::vector<std::int64_t>> reduced_axes(const ProgramBuilder& builder, const Node& node, int since) {
  const auto rank = static_cast<std::int64_t>(builder.network().tensor(node.inputs[0]).shape.size());
  std::vector<std::int64_t> axes;
  if (node.opset < since) {
    axes = node.integers("axes", {});
  } else if (node.inputs.size() > 1 && node.inputs[1] != kNoTensor) {
    const Tensor* given = builder.constant(node.inputs[1]);
    if (!given) return std::nullopt;
    axes = given->integers();
  }
  if (axes.empty()) {
    if (node.integer("noop_with_empty_axes", 0) != 0) return std::nullopt;
    axes.resize(static_cast<std::size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
  }
  for (auto& axis : axes) axis += axis < 0 ? rank : 0;
  std::ranges::sort(axes);
  return axes;
}

bool compile_reduction(ProgramBuilder& builder, const Group& group, bool mean, int since) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const TensorId in = node.inputs[0], out = node.outputs[0];
  const Shape &x = net.tensor(in).shape, &y = net.tensor(out).shape;
  const auto axes = reduced_axes(builder, node, since);
  if (!axes || !builder.is_float(in) || x.empty()) return false;
  const auto first = axes->front(), last = axes->back();
  if (last - first + 1 != static_cast<std::int64_t>(axes->size())) return false;  // not side by side
  const auto rank = static_cast<std::int64_t>(x.size());
  if (mean && first == 2 && last == rank - 1 && !builder.value(builder.native(in).value).plain) {
    if (const auto pooled = add_global_average(builder, in)) {  // keeps the blocked layout
      builder.define(out, y.size() == x.size() ? *pooled : builder.view(builder.to_plain(*pooled), y));
      return true;
    }
  }
  const auto product = [&](std::int64_t from, std::int64_t to) {
    return std::accumulate(x.begin() + from, x.begin() + to, std::int64_t{1}, std::multiplies());
  };
  const std::int64_t reduced = product(first, last + 1);
  const Operand source = builder.plain(in);
  const ValueId target = builder.make(DType::f32, y);
  const float scale = mean ? 1.0F / static_cast<float>(reduced) : 1.0F;
  builder.add(
      std::make_unique<ReductionStep>(source, target, product(0, first), reduced, product(last + 1, rank), scale),
      {source}, {target});
  builder.define(out, target);
  return true;
}

}  // namespace

bool compile_reduce_mean(ProgramBuilder& builder, const Group& group) {
  return compile_reduction(builder, group, true, 18);
}
bool compile_reduce_sum(ProgramBuilder& builder, const Group& group) {
  return compile_reduction(builder, group, false, 13);
}

}  // namespace bitplan
