#pragma once

#include <memory>

#include "eval/kernels/integer_layer.hpp"

namespace bitplan {

/// Lays out a network: groups of nodes in topological order, each by the kernel of its first node, by the kernels of
/// its nodes one by one where that kernel declines, by the operators' references where those have none.
Program compile_program(std::shared_ptr<const Network> network, bool fuse, const IntegerPattern& integers);

}  // namespace bitplan
