#pragma once

#include <cstddef>

namespace bitplan::test {

/// From now on the largest block that anyone asks `new` for is remembered.
void watch_allocations();
std::size_t largest_allocation();

}  // namespace bitplan::test
