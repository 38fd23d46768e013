#include "cluster/schedule.hpp"

#include "tests/catch.hpp"

using namespace bitplan;

namespace {

const Assignment kAny{1, 2, 3};

std::vector<ChunkRange> shards(int count, int size = 1) {
  std::vector<ChunkRange> ranges;
  for (int i = 0; i < count; ++i) ranges.push_back({i * size, size});
  return ranges;
}

/// A schedule whose ranks have joined with one thread each.
Schedule make(int ranks, ScheduleRules rules = {}, int threads = 1) {
  Schedule schedule(ranks, rules);
  for (int rank = 0; rank < ranks; ++rank) schedule.join(rank, threads);
  return schedule;
}

void finish(Schedule& schedule, const Schedule::Landing& landing) {
  const int end = landing.unit.chunks.first + landing.unit.chunks.count;
  for (int first = landing.unit.chunks.first; first < end; first += landing.shard)
    schedule.mark_done(landing.candidate, {first, std::min(landing.shard, end - first)});
}

std::vector<int> ranks_of(const std::vector<Schedule::Handout>& handouts) {
  std::vector<int> ranks;
  for (const auto& handout : handouts) ranks.push_back(handout.rank);
  return ranks;
}

}  // namespace

TEST_CASE("every rank gets a first unit before any gets a second, and each has prefetch units at most") {
  Schedule schedule = make(3);
  schedule.add(1, kAny, Role::selection, 1, shards(20));
  CHECK(ranks_of(schedule.dispatch(0)) == std::vector<int>{0, 1, 2, 0, 1, 2});
  CHECK(schedule.dispatch(0).empty());
  CHECK(schedule.in_flight() == 6);
}

TEST_CASE("ranks that have not joined get nothing") {
  Schedule schedule(2, {});
  schedule.add(1, kAny, Role::selection, 1, shards(2));
  CHECK(schedule.dispatch(0).empty());
  schedule.join(1, 1);
  CHECK(ranks_of(schedule.dispatch(0)) == std::vector<int>{1, 1});
}

TEST_CASE("units cover all missing shards once, in the order of the candidates") {
  Schedule schedule = make(2);
  schedule.add(1, kAny, Role::selection, 3, {{0, 3}, {6, 3}, {9, 1}});
  schedule.add(2, kAny, Role::holdout, 1, {{0, 1}});
  std::vector<std::pair<std::uint64_t, int>> order;
  for (;;) {
    const auto handouts = schedule.dispatch(0);
    if (handouts.empty()) break;
    for (const auto& handout : handouts) {
      const auto landing = schedule.land(handout.unit.id, 0);
      REQUIRE(landing);
      order.emplace_back(landing->candidate, landing->unit.chunks.first);
      finish(schedule, *landing);
    }
  }
  CHECK(order == std::vector<std::pair<std::uint64_t, int>>{{1, 0}, {1, 6}, {1, 9}, {2, 0}});
  CHECK(schedule.finished(1));
  CHECK(schedule.finished(2));
}

TEST_CASE("a rank with many threads gets several neighbouring shards, but not more than its share") {
  Schedule one = make(1, {}, 4);
  one.add(1, kAny, Role::selection, 2, {{0, 2}, {2, 2}, {4, 2}, {6, 1}});
  const auto handouts = one.dispatch(0);
  REQUIRE(handouts.size() == 2);
  CHECK(handouts[0].unit.chunks.first == 0);
  CHECK(handouts[0].unit.chunks.count == 4);
  CHECK(handouts[1].unit.chunks.first == 4);
  CHECK(handouts[1].unit.chunks.count == 3);

  Schedule four = make(4, {}, 16);
  four.add(1, kAny, Role::selection, 1, shards(8));
  for (const auto& handout : four.dispatch(0)) CHECK(handout.unit.chunks.count == 2);
}

TEST_CASE("a failed unit goes to another rank, and its candidate fails after all retries") {
  Schedule schedule = make(2, {.prefetch = 1, .retries = 2});
  schedule.add(1, kAny, Role::selection, 1, shards(1));
  auto handouts = schedule.dispatch(0);
  std::vector<int> ranks;
  for (int attempt = 1; attempt <= 3; ++attempt) {
    REQUIRE(handouts.size() == 1);
    ranks.push_back(handouts[0].rank);
    const auto landing = schedule.land(handouts[0].unit.id, 0);
    REQUIRE(landing);
    CHECK(landing->attempts == attempt);
    schedule.retry(*landing, "broken");
    handouts = schedule.dispatch(0);
  }
  CHECK(ranks == std::vector<int>{0, 1, 0});
  CHECK(handouts.empty());
  const auto events = schedule.take_events();
  REQUIRE(events.failures.size() == 1);
  CHECK(events.failures[0].reason == "broken (attempt 3 of 3)");
  CHECK(schedule.take_events().failures.empty());
}

TEST_CASE("a unit of a candidate without a timeout may take as long as it likes") {
  Schedule schedule = make(2, {.prefetch = 1, .timeout = 5});
  schedule.add(1, kAny, Role::calibration, 1, shards(1), false);
  const auto first = schedule.dispatch(0);
  schedule.check_deadlines(1000);
  CHECK(schedule.take_events().cancels.empty());
  CHECK(schedule.land(first[0].unit.id, 1001)->wanted);
}

TEST_CASE("a unit that takes too long is cancelled and handed to another rank") {
  Schedule schedule = make(2, {.prefetch = 1, .timeout = 5});
  schedule.add(1, kAny, Role::selection, 1, shards(1));
  const auto first = schedule.dispatch(0);
  schedule.check_deadlines(4.9);
  CHECK(schedule.take_events().cancels.empty());
  schedule.check_deadlines(5.1);
  const auto events = schedule.take_events();
  REQUIRE(events.cancels.size() == 1);
  CHECK(events.cancels[0].unit == first[0].unit.id);
  const auto second = schedule.dispatch(5.1);
  REQUIRE(second.size() == 1);
  CHECK(second[0].rank == 1);
  // The first one comes back late all the same: its result counts, the retry is a duplicate.
  const auto late = schedule.land(first[0].unit.id, 6);
  REQUIRE(late);
  CHECK_FALSE(late->wanted);
  CHECK(schedule.mark_done(late->candidate, late->unit.chunks));
  CHECK(schedule.finished(1));
  CHECK_FALSE(schedule.mark_done(1, second[0].unit.chunks));
}

TEST_CASE("the time of a unit counts from when it comes to the head of its rank") {
  Schedule schedule = make(1, {.prefetch = 2, .timeout = 5});
  schedule.add(1, kAny, Role::selection, 1, shards(2));
  const auto handouts = schedule.dispatch(0);
  schedule.land(handouts[0].unit.id, 4);
  schedule.check_deadlines(8.9);
  CHECK(schedule.take_events().cancels.empty());
  schedule.check_deadlines(9.1);
  CHECK(schedule.take_events().cancels.size() == 1);
}

TEST_CASE("a rank whose evaluation does not stop is given up, and its waiting units go to others") {
  Schedule schedule = make(2, {.prefetch = 2, .timeout = 5, .cancel_grace = 10});
  schedule.add(1, kAny, Role::selection, 1, shards(4));
  const auto handouts = schedule.dispatch(0);
  REQUIRE(handouts.size() == 4);
  schedule.land(handouts[1].unit.id, 1);
  schedule.land(handouts[3].unit.id, 1);
  schedule.check_deadlines(5.1);
  const auto retried = schedule.dispatch(5.1);
  REQUIRE(retried.size() == 1);
  finish(schedule, *schedule.land(retried[0].unit.id, 6));
  schedule.check_deadlines(15.2);
  const auto events = schedule.take_events();
  REQUIRE(events.lost.size() == 1);
  CHECK(events.lost[0].rank == 0);
  CHECK(events.lost[0].reason == "an evaluation does not stop");
  CHECK(events.failures.empty());
  const auto again = schedule.dispatch(15.2);
  REQUIRE(again.size() == 1);
  CHECK(again[0].rank == 1);
  CHECK(again[0].unit.chunks.first == handouts[2].unit.chunks.first);
}

TEST_CASE("what a dead rank had is measured by others, and its late result is still taken") {
  Schedule schedule = make(3, {.prefetch = 1});
  schedule.add(1, kAny, Role::selection, 1, shards(3));
  const auto handouts = schedule.dispatch(0);
  schedule.give_up(1, "silent", true);
  CHECK(schedule.dispatch(1).empty());  // ranks 0 and 2 are busy
  schedule.land(handouts[2].unit.id, 2);
  const auto again = schedule.dispatch(2);
  REQUIRE(again.size() == 1);
  CHECK(again[0].rank == 2);
  CHECK(again[0].unit.chunks.first == handouts[1].unit.chunks.first);
  const auto late = schedule.land(handouts[1].unit.id, 3);
  REQUIRE(late);
  CHECK(schedule.mark_done(late->candidate, late->unit.chunks));
}

TEST_CASE("a candidate on which two ranks died fails, and the search goes on") {
  Schedule schedule = make(4, {.prefetch = 1, .retries = 9});
  schedule.add(7, kAny, Role::selection, 1, shards(1));
  schedule.add(8, kAny, Role::selection, 1, shards(3));
  schedule.dispatch(0);  // 7 on rank 0, 8 on the others
  schedule.give_up(0, "silent", true);
  CHECK(schedule.take_events().failures.empty());
  schedule.land(2, 0);  // rank 1 is free and gets 7
  const auto second = schedule.dispatch(1);
  REQUIRE(second.size() == 1);
  CHECK(second[0].rank == 1);
  schedule.give_up(1, "silent", true);
  const auto events = schedule.take_events();
  REQUIRE(events.failures.size() == 1);
  CHECK(events.failures[0].candidate == 7);
  CHECK(events.failures[0].reason == "2 ranks died while they measured it (ranks 0, 1; last: silent)");
  CHECK_FALSE(schedule.finished(8));
}

TEST_CASE("only the unit that ran is blamed for the death of its rank") {
  Schedule schedule = make(3, {.prefetch = 2});
  schedule.add(1, kAny, Role::selection, 1, shards(3));
  schedule.add(2, kAny, Role::selection, 1, shards(3));  // waits behind on every rank
  schedule.dispatch(0);
  schedule.give_up(1, "silent", true);
  schedule.give_up(2, "silent", true);
  const auto events = schedule.take_events();
  REQUIRE(events.failures.size() == 1);
  CHECK(events.failures[0].candidate == 1);
}

TEST_CASE("rank 0 does not measure what another rank died of while there are others") {
  Schedule schedule = make(3, {.prefetch = 1});
  schedule.add(1, kAny, Role::selection, 1, shards(3));
  const auto handouts = schedule.dispatch(0);
  schedule.give_up(2, "silent", true);
  finish(schedule, *schedule.land(handouts[0].unit.id, 1));
  CHECK(schedule.dispatch(1).empty());  // rank 0 is free, but rank 1 shall do it
  finish(schedule, *schedule.land(handouts[1].unit.id, 1));
  CHECK(ranks_of(schedule.dispatch(1)) == std::vector<int>{1});
}

TEST_CASE("a closed candidate is cancelled where it runs and never handed out again") {
  Schedule schedule = make(1, {.prefetch = 2});
  schedule.add(1, kAny, Role::selection, 1, shards(5));
  const auto handouts = schedule.dispatch(0);
  schedule.close(1);
  CHECK(schedule.take_events().cancels.size() == 2);
  for (const auto& handout : handouts) {
    const auto landing = schedule.land(handout.unit.id, 1);
    REQUIRE(landing);
    CHECK_FALSE(landing->wanted);
    schedule.retry(*landing, "told to stop");
  }
  CHECK(schedule.dispatch(1).empty());
  CHECK(schedule.retried() == 0);
}

TEST_CASE("an unknown unit lands nowhere, and without ranks nothing is usable") {
  Schedule schedule = make(1);
  CHECK_FALSE(schedule.land(99, 0));
  CHECK(schedule.any_usable());
  schedule.give_up(0, "stuck", false);
  CHECK_FALSE(schedule.any_usable());
}
