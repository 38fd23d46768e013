#pragma once

#include <algorithm>
#include <cstdint>

#include "core/parallel.hpp"

namespace bitplan {

/// Calls body(first, count, worker) for the whole of 0 … n - 1 in pieces of `size`, the last of which may be shorter;
/// otherwise as parallel_for.
template <class Body>
void parallel_chunks(std::int64_t n, std::int64_t size, int threads, const Body& body) {
  parallel_for(static_cast<std::size_t>((n + size - 1) / size), threads, [&](std::size_t chunk, int worker) {
    const std::int64_t first = static_cast<std::int64_t>(chunk) * size;
    body(first, std::min(size, n - first), worker);
  });
}

}  // namespace bitplan
