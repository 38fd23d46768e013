#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <span>

#include "core/parallel.hpp"
#include "eval/executor/executor.hpp"

namespace bitplan {

/// Chunks 0 … chunks - 1, as many at a time as there are workspaces: run(chunk, slot, workspace) in parallel, then
/// reduce(chunk, slot) one after the other in the order of the chunks, so that sums do not depend on the number of
/// threads. Results wait in slots 0 … workspaces.size() - 1. Missing workspaces are made.
template <class Run, class Reduce>
void for_chunks(const Executor& executor, int chunks, std::span<Executor::WorkspacePtr> workspaces, const Run& run,
                const Reduce& reduce) {
  const int wave = static_cast<int>(workspaces.size());
  assert(wave > 0);
  for (int begin = 0; begin < chunks; begin += wave) {
    const auto count = static_cast<std::size_t>(std::min(wave, chunks - begin));
    parallel_for(count, wave, [&](std::size_t slot, int worker) {
      auto& workspace = workspaces[static_cast<std::size_t>(worker)];
      if (!workspace) workspace = executor.make_workspace();
      run(begin + static_cast<int>(slot), slot, *workspace);
    });
    for (std::size_t slot = 0; slot < count; ++slot) reduce(begin + static_cast<int>(slot), slot);
  }
}

}  // namespace bitplan
