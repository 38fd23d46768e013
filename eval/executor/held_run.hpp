#pragma once

#include <cstddef>

#include "eval/executor/executor.hpp"

namespace bitplan {

/// Leaves a run of `program` before step `step`: copies what later steps use of it out of the arena.
void hold(const Program& program, std::size_t step, const std::byte* arena, HeldRun& held);

/// Brings it into an arena. The program must be the same: candidates of one run have the same pattern of integer layers
/// and biases by element.
void take_up(const HeldRun& held, const Program& program, std::byte* arena);

}  // namespace bitplan
