#include "eval/executor/executor_memory.hpp"

#include "core/rng.hpp"
#include "tests/catch.hpp"

namespace bitplan::test {

TEST_CASE("blocks that are alive together do not overlap, others share memory") {
  const std::vector<Lifetime> blocks{{0, 1, 100}, {1, 2, 200}, {2, 3, 100}};
  const ArenaPlan plan = plan_arena(blocks);
  CHECK(plan.offsets == std::vector<std::size_t>{256, 0, 256});  // 200 bytes take 256
  CHECK(plan.bytes == 384);
}

TEST_CASE("a block goes into the smallest gap that holds it") {
  // Three pillars live for ever at 0, 1024 and 1344 after two that die; the last block fits both gaps they leave.
  const std::vector<Lifetime> blocks{{0, 9, 1024}, {0, 1, 640}, {0, 9, 576}, {0, 1, 512}, {0, 9, 448}, {5, 6, 384}};
  const ArenaPlan plan = plan_arena(blocks);
  CHECK(plan.offsets[1] == 1024);
  CHECK(plan.offsets[3] == plan.offsets[2] + 576);
  CHECK(plan.offsets[5] == plan.offsets[3]);
}

TEST_CASE("an arena plan of random lifetimes never overlaps and never wastes more than the sum") {
  Rng rng(1, "arena");
  for (int round = 0; round < 20; ++round) {
    std::vector<Lifetime> blocks;
    std::size_t sum = 0;
    for (int i = 0; i < 60; ++i) {
      const int first = static_cast<int>(rng.below(40));
      blocks.push_back({first, first + static_cast<int>(rng.below(8)), 1 + rng.below(5000)});
      sum += (blocks.back().bytes + 63) / 64 * 64;
    }
    const ArenaPlan plan = plan_arena(blocks);
    CHECK(plan.bytes < sum);
    for (std::size_t a = 0; a < blocks.size(); ++a) {
      CHECK(plan.offsets[a] % 64 == 0);
      CHECK(plan.offsets[a] + blocks[a].bytes <= plan.bytes);
      for (std::size_t b = 0; b < a; ++b) {
        const bool together = blocks[a].first <= blocks[b].last && blocks[b].first <= blocks[a].last;
        const bool apart = plan.offsets[a] + blocks[a].bytes <= plan.offsets[b] ||
                           plan.offsets[b] + blocks[b].bytes <= plan.offsets[a];
        CHECK((!together || apart));
      }
    }
  }
}

}  // namespace bitplan::test
