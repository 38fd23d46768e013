#include <numeric>

#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/row_kernels.hpp"

namespace bitplan {

namespace {

/// Along the last axis, row by row while the row is in cache.
class SoftmaxStep final : public Step {
 public:
  SoftmaxStep(const Operand& source, ValueId target, std::int64_t rows, std::int64_t columns, const OnStore& store)
      : source_(source),
        target_(target),
        elements_(static_cast<std::size_t>(rows * columns)),
        columns_(static_cast<std::size_t>(columns)),
        store_(store),
        isa_(best_isa()) {}

  bool reads_anywhere() const override { return true; }
  void run(Frame& frame) const override {
    const auto* x = reinterpret_cast<const float*>(frame.read(source_));
    auto* y = reinterpret_cast<float*>(frame.write(target_));
    store_.in_parts(frame, elements_, columns_, [&](std::size_t first, std::size_t count) {
      for (std::size_t i = first; i < first + count; i += columns_) softmax_row(isa_, x + i, nullptr, y + i, columns_);
    });
  }

 private:
  Operand source_;
  ValueId target_;
  std::size_t elements_, columns_;
  OnStore store_;
  Isa isa_;
};

void add_rows(ProgramBuilder& builder, TensorId in, TensorId out, std::int64_t rows, std::int64_t columns) {
  const Operand x = builder.plain(in);
  const Shape& shape = builder.network().tensor(out).shape;
  const bool in_place = x.value == builder.native(in).value && builder.dies(in);
  const ValueId y = in_place ? builder.overwrite(x.value, shape) : builder.make(DType::f32, shape);
  const OnStore store = builder.on_store(out, y);
  builder.add(std::make_unique<SoftmaxStep>(x, y, rows, columns, store), {x}, {y}, store);
  builder.define(out, y);
}

/// Along one axis; before opset 13 along all from `axis` on. Forward: oneDNN's softmax (not of the last axis) or
/// logsoftmax.
template <class Forward>
bool compile_forward(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const TensorId in = node.inputs[0];
  const Shape& shape = net.tensor(in).shape;
  if (!builder.is_float(in) || builder.constant(in) || shape.empty()) return false;
  const bool flattens = node.opset < 13;
  std::int64_t axis = node.integer("axis", flattens ? 1 : -1);
  if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
  const auto product = [&](std::int64_t from, std::int64_t to) {
    return std::accumulate(shape.begin() + from, shape.begin() + to, std::int64_t{1}, std::multiplies());
  };
  const auto rank = static_cast<std::int64_t>(shape.size());
  const Dims dims = flattens ? Dims{product(0, axis), product(axis, rank), 1}
                             : Dims{product(0, axis), shape[static_cast<std::size_t>(axis)], product(axis + 1, rank)};
  if (std::is_same_v<Forward, dnnl::softmax_forward> && dims[2] == 1 && element_count(shape) > 0) {
    add_rows(builder, in, node.outputs[0], dims[0], dims[1]);
    return true;
  }
  const Layout layout = plain_layout(dims);
  const typename Forward::desc desc(dnnl::prop_kind::forward_inference, layout, 1);
  const typename Forward::primitive_desc pd(desc, workspace_attributes(), builder.engine(), true);
  if (!pd) return false;
  const Operand x = builder.view(builder.plain(in), dims);
  const ValueId y = builder.make(layout);
  builder.add(Forward(pd), pd.scratchpad_desc(), {{DNNL_ARG_SRC, x}}, {{DNNL_ARG_DST, {.value = y}}});
  builder.define(node.outputs[0], builder.view(y, shape));
  return true;
}

}  // namespace

bool compile_softmax(ProgramBuilder& builder, const Group& group) {
  return compile_forward<dnnl::softmax_forward>(builder, group);
}
bool compile_log_softmax(ProgramBuilder& builder, const Group& group) {
  return compile_forward<dnnl::logsoftmax_forward>(builder, group);
}

}  // namespace bitplan
