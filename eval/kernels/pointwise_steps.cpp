#include <algorithm>

#include "eval/executor/graph_patterns.hpp"
#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/pointwise.hpp"
#include "eval/kernels/strided_operand.hpp"

// Element-wise operators that oneDNN lacks, or computes less accurately.
namespace bitplan {

namespace {

class UnaryStep final : public Step {
 public:
  UnaryStep(const Unary& function, const Operand& source, ValueId target, std::size_t elements, float alpha, float beta,
            const OnStore& store)
      : run_(function.run[static_cast<std::size_t>(best_isa())]),
        source_(source),
        target_(target),
        elements_(elements),
        alpha_(alpha),
        beta_(beta),
        store_(store) {}

  bool reads_anywhere() const override { return true; }
  void run(Frame& frame) const override {
    const auto* x = reinterpret_cast<const float*>(frame.read(source_));
    auto* y = reinterpret_cast<float*>(frame.write(target_));
    store_.in_parts(frame, elements_, 1,
                    [&](std::size_t first, std::size_t count) { run_(x + first, y + first, count, alpha_, beta_); });
  }

 private:
  UnaryFunction* run_;
  Operand source_;
  ValueId target_;
  std::size_t elements_;  ///< padding included
  float alpha_, beta_;
  OnStore store_;
};

bool add_unary(ProgramBuilder& builder, const Unary& function, TensorId in, TensorId out, float alpha, float beta) {
  if (!builder.is_float(in) || !builder.is_float(out) || builder.constant(in)) return false;
  const Operand x = function.keeps_zero ? builder.native(in) : builder.plain(in);
  const Value value = builder.value(x.value);
  const bool in_place = x.value == builder.native(in).value && builder.dies(in);
  const ValueId y =
      in_place ? builder.overwrite(x.value, builder.network().tensor(out).shape) : builder.make(value.layout);
  const bool same_shape = in_place || value.shape == builder.network().tensor(out).shape;
  const ValueId seen = same_shape ? y : builder.view(y, builder.network().tensor(out).shape);
  const OnStore store = builder.on_store(out, seen);
  const std::size_t elements = value.bytes / sizeof(float);
  builder.add(std::make_unique<UnaryStep>(function, x, y, elements, alpha, beta, store), {x}, {y}, store);
  builder.define(out, seen);
  return true;
}

/// Nested loops over the result; the innermost is a line.
class NaryStep final : public Step {
 public:
  struct Loop {
    std::int64_t count, target;
    std::int64_t from[3];  ///< steps in elements
  };
  struct Plan {
    const Nary* function;
    std::vector<StridedOperand> sources;  ///< of the result's shape
    ValueId target;
    std::vector<Loop> loops;
  };
  explicit NaryStep(Plan plan) : p_(std::move(plan)), run_(p_.function->run[static_cast<std::size_t>(best_isa())]) {}

  bool reads_anywhere() const override { return true; }
  void run(Frame& frame) const override {
    Line line{{}, {}, frame.write(p_.target), 0};
    for (std::size_t i = 0; i < p_.sources.size(); ++i)
      line.in[i] = frame.read(p_.sources[i].base) + offset(i, p_.sources[i].offset);
    walk(0, line);
  }

 private:
  std::ptrdiff_t offset(std::size_t i, std::int64_t elements) const {
    return static_cast<std::ptrdiff_t>(elements) * static_cast<std::ptrdiff_t>(size_of(p_.function->in[i]));
  }

  void walk(std::size_t depth, Line line) const {
    const Loop& loop = p_.loops[depth];
    if (depth + 1 == p_.loops.size()) {
      std::copy(std::begin(loop.from), std::end(loop.from), std::begin(line.step));
      line.n = static_cast<std::size_t>(loop.count);
      return run_(line);
    }
    const auto bytes = static_cast<std::int64_t>(size_of(p_.function->out));
    for (std::int64_t k = 0; k < loop.count; ++k) {
      walk(depth + 1, line);
      line.out += loop.target * bytes;
      for (std::size_t i = 0; i < p_.sources.size(); ++i) line.in[i] += offset(i, loop.from[i]);
    }
  }

  Plan p_;
  LineFunction* run_;
};

/// Loops over `shape`, neighbours that run on in all arrays joined.
std::vector<NaryStep::Loop> loops_over(const Shape& shape, const std::vector<StridedOperand>& sources) {
  std::vector<NaryStep::Loop> loops;
  const Dims target = plain_placement(shape).strides;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    NaryStep::Loop loop{shape[d], target[d], {}};
    for (std::size_t i = 0; i < sources.size(); ++i) loop.from[i] = sources[i].strides[d];
    bool joins = !loops.empty() && loops.back().target == loop.target * loop.count;
    for (std::size_t i = 0; i < sources.size() && joins; ++i) joins = loops.back().from[i] == loop.from[i] * loop.count;
    if (joins) {
      loop.count *= loops.back().count;
      loops.back() = loop;
    } else {
      loops.push_back(loop);
    }
  }
  if (loops.empty()) loops.push_back({1, 1, {}});
  return loops;
}

/// A tensor broadcast to `shape`, without a copy where its view has no repeated indices.
StridedOperand spread(ProgramBuilder& builder, TensorId tensor, const Shape& shape) {
  const Shape& own = builder.network().tensor(tensor).shape;
  StridedOperand place = builder.is_float(tensor) ? builder.strided(tensor) : whole_operand(builder.plain(tensor), own);
  if (!std::ranges::all_of(place.repeats, [](std::int64_t r) { return r == 1; }))
    place = whole_operand(builder.plain(tensor), own);
  return place.expanded(shape);
}

}  // namespace

bool compile_unary(ProgramBuilder& builder, const Group& group) {
  const Node& node = builder.network().node(group.nodes[0]);
  const bool selu = node.op == "Selu";
  return add_unary(builder, *find_unary(node.op), node.inputs[0], node.outputs[0],
                   selu ? node.number("alpha", 1.67326319217681884765625F) : 0,
                   selu ? node.number("gamma", 1.05070102214813232421875F) : 0);
}

bool compile_gelu(ProgramBuilder& builder, const Group& group) {
  const Node& node = builder.network().node(group.nodes[0]);
  if (node.text("approximate", "none") == "tanh") return compile_eltwise(builder, group);
  return add_unary(builder, *find_unary("Gelu"), node.inputs[0], node.outputs[0], 0, 0);
}

bool compile_gelu_pattern(ProgramBuilder& builder, const Group& group) {
  const auto pattern = match_gelu(builder.network(), group.nodes.back());
  if (!pattern) return false;
  if (pattern->tanh) return compile_tanh_gelu_pattern(builder, group);
  return add_unary(builder, *find_unary("Gelu"), pattern->input, group.output, 0, 0);
}

bool compile_pow(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const auto exponent = scalar_constant(net, node.inputs[1]);
  if (exponent && net.tensor(node.inputs[0]).shape == net.tensor(node.outputs[0]).shape &&
      add_unary(builder, *find_unary("Pow"), node.inputs[0], node.outputs[0], *exponent, 0))
    return true;
  return compile_nary(builder, group);
}

bool compile_nary(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const TensorInfo& out = net.tensor(node.outputs[0]);
  const Nary* function = find_nary(node.op, net.tensor(node.inputs[0]).dtype);
  if (!function || node.inputs.size() != function->inputs || out.dtype != function->out ||
      element_count(out.shape) == 0 || out.shape.size() > DNNL_MAX_NDIMS)
    return false;
  for (std::size_t i = 0; i < node.inputs.size(); ++i)
    if (net.tensor(node.inputs[i]).dtype != function->in[i]) return false;
  NaryStep::Plan plan{function, {}, kNoValue, {}};
  std::vector<Operand> reads;
  for (const TensorId in : node.inputs) {
    plan.sources.push_back(spread(builder, in, out.shape));
    reads.push_back(plan.sources.back().base);
  }
  plan.target = builder.make(out.dtype, out.shape);
  plan.loops = loops_over(out.shape, plan.sources);
  const ValueId target = plan.target;
  builder.add(std::make_unique<NaryStep>(std::move(plan)), reads, {target});
  builder.define(node.outputs[0], target);
  return true;
}

}  // namespace bitplan
