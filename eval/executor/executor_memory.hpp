#pragma once

#include <cstddef>
#include <vector>

namespace bitplan {

struct Program;

/// A block of memory that is used from step `first` to step `last`, both included.
struct Lifetime {
  int first = 0, last = 0;
  std::size_t bytes = 0;
};

struct ArenaPlan {
  std::vector<std::size_t> offsets;  ///< one for each lifetime, multiples of 64
  std::size_t bytes = 0;
};

/// Places blocks so that those alive at the same time do not overlap. Greedy by size (Pisarchyk & Lee 2020,
/// arXiv:2001.03288): the largest block first, each into the smallest gap that holds it, else behind all others that it
/// meets. O(n^2 log n) for n blocks.
ArenaPlan plan_arena(const std::vector<Lifetime>& blocks);

/// Gives every value of the program its place.
void plan_memory(Program& program);

}  // namespace bitplan
