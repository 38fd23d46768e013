#include "eval/held_run.hpp"

#include <cassert>
#include <cstring>

#include "eval/executor_checkpoints.hpp"

namespace bitplan {

void hold(const Program& program, std::size_t step, const std::byte* arena, HeldRun& held) {
  const std::vector<ArenaRange> alive = alive_before(program, step);
  std::size_t bytes = 0;
  for (const ArenaRange& range : alive) bytes += range.bytes;
  held = {&program, step, {}};
  held.alive.reserve(bytes);  // what is held is counted by its size
  for (const ArenaRange& range : alive)
    held.alive.insert(held.alive.end(), arena + range.offset, arena + range.offset + range.bytes);
}

void take_up(const HeldRun& held, const Program& program, std::byte* arena) {
  assert(held.program == &program);
  static_cast<void>(program);
  const std::byte* from = held.alive.data();
  for (const ArenaRange& range : alive_before(*held.program, held.step)) {
    std::memcpy(arena + range.offset, from, range.bytes);
    from += range.bytes;
  }
}

}  // namespace bitplan
