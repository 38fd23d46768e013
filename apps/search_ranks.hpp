#pragma once

#include <functional>

#include "apps/commands.hpp"
#include "apps/search_run.hpp"

namespace bitplan {

/// A whole search on all ranks of the job (one without mpirun). Rank 0 calls `done` with the result once everything is
/// written. Returns the exit status of this rank, the same on all; what went wrong is printed by rank 0.
int search_on_ranks(const SearchOptions& options, const std::function<void(const SearchResult&)>& done);

}  // namespace bitplan
