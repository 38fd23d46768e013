#pragma once

#include <cstddef>

namespace bitplan::test {

/// From now on the largest block that anyone asks `new` for is remembered. Returns false, and nothing is, under
/// sanitizers, which watch `new` themselves.
bool watch_allocations();
std::size_t largest_allocation();

}  // namespace bitplan::test
