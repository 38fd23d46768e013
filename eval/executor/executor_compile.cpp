#include "eval/executor/executor_compile.hpp"

#include "eval/executor/executor_fusion.hpp"
#include "eval/kernels/kernel_table.hpp"

namespace bitplan {

namespace {

void lay_out(ProgramBuilder& builder, const Group& group) {
  const std::string_view name = group.pattern.empty() ? builder.network().node(group.nodes[0]).op : group.pattern;
  const Kernel* kernel = find_kernel(name);
  builder.mark(group.nodes, true);
  if (kernel && kernel->compile(builder, group)) return;
  if (group.nodes.size() == 1) return compile_reference(builder, group.nodes[0]);
  builder.mark(group.nodes, false);
  for (const NodeId node : group.nodes) lay_out(builder, {{node}, {}, kNoTensor});
}

}  // namespace

Program compile_program(std::shared_ptr<const Network> network, bool fuse, const IntegerPattern& integers) {
  ProgramBuilder builder(network, integers);
  for (const Group& group : group_nodes(*network, fuse, integers.elements)) lay_out(builder, group);
  return builder.finish();
}

}  // namespace bitplan
