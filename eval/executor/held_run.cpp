#include "eval/executor/held_run.hpp"

#include <cassert>

#include "eval/executor/executor_checkpoints.hpp"

namespace bitplan {

void hold(const Program& program, std::size_t step, const std::byte* arena, HeldRun& held) {
  const std::vector<ArenaRange> alive = alive_before(program, step);
  held = {&program, step, std::vector<std::byte>(bytes_of(alive))};
  copy_out(alive, arena, held.alive.data());
}

void take_up(const HeldRun& held, const Program& program, std::byte* arena) {
  assert(held.program == &program);
  copy_back(alive_before(program, held.step), held.alive.data(), arena);
}

}  // namespace bitplan
