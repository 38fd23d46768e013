#include <cstring>
#include <numeric>

#include "core/error.hpp"
#include "eval/kernels/kernel_table.hpp"
#include "model/operator.hpp"

namespace bitplan {

namespace {

/// Y[o, i, :] = data[o, index[i], :]: rows of an embedding table, or of any tensor along one axis.
class GatherStep final : public Step {
 public:
  struct Plan {
    Operand data, indices;  ///< data: a layer's weight, or a value
    DType index_type;
    std::size_t outer, count, row_bytes;
    std::int64_t axis_size;
  };
  GatherStep(const Node& node, const Plan& plan, ValueId target) : node_(node), p_(plan), target_(target) {}

  void run(Frame& frame) const override {
    const std::byte* data = p_.data.weight >= 0 ? frame.weight(p_.data.weight).plain.bytes() : frame.read(p_.data);
    const std::byte* indices = frame.read(p_.indices);
    std::byte* to = frame.write(target_);
    for (std::size_t o = 0; o < p_.outer; ++o, data += p_.row_bytes * static_cast<std::size_t>(p_.axis_size))
      for (std::size_t i = 0; i < p_.count; ++i, to += p_.row_bytes)
        std::memcpy(to, data + index(indices, i) * p_.row_bytes, p_.row_bytes);
  }

 private:
  std::size_t index(const std::byte* indices, std::size_t i) const {
    const std::int64_t given = p_.index_type == DType::i32 ? reinterpret_cast<const std::int32_t*>(indices)[i]
                                                           : reinterpret_cast<const std::int64_t*>(indices)[i];
    if (given < -p_.axis_size || given >= p_.axis_size)
      fail_node(node_, "index " + std::to_string(given) + " is outside an axis of " + std::to_string(p_.axis_size));
    return static_cast<std::size_t>(given < 0 ? given + p_.axis_size : given);
  }

  const Node& node_;
  Plan p_;
  ValueId target_;
};

}  // namespace

bool compile_gather(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  const TensorInfo &data = net.tensor(node.inputs[0]), &indices = net.tensor(node.inputs[1]),
                   &out = net.tensor(node.outputs[0]);
  if (data.shape.empty() || element_count(out.shape) == 0 ||
      (indices.dtype != DType::i64 && indices.dtype != DType::i32))
    return false;
  std::int64_t axis = node.integer("axis", 0);
  axis += axis < 0 ? static_cast<std::int64_t>(data.shape.size()) : 0;
  const auto product = [](auto from, auto to) {
    return static_cast<std::size_t>(std::accumulate(from, to, std::int64_t{1}, std::multiplies()));
  };
  const Layer* layer = builder.layer_of(group.nodes[0]);
  const bool weights = layer && layer->weight == node.inputs[0];
  if (weights) builder.keep_plain(layer->id);
  const GatherStep::Plan plan{weights ? ProgramBuilder::weight(layer->id) : builder.plain(node.inputs[0]),
                              builder.plain(node.inputs[1]),
                              indices.dtype,
                              product(data.shape.begin(), data.shape.begin() + axis),
                              static_cast<std::size_t>(element_count(indices.shape)),
                              product(data.shape.begin() + axis + 1, data.shape.end()) * size_of(data.dtype),
                              data.shape[static_cast<std::size_t>(axis)]};
  const ValueId target = builder.make(out.dtype, out.shape);
  builder.add(std::make_unique<GatherStep>(node, plan, target), {plan.data, plan.indices}, {target});
  builder.define(node.outputs[0], target);
  return true;
}

}  // namespace bitplan
