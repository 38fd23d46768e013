#include "search/archive.hpp"

#include <limits>
#include <stdexcept>

#include "tests/catch.hpp"

using namespace bitplan;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Measurement measured(double loss, std::vector<std::int64_t> costs, bool feasible = true) {
  Measurement m;
  m.loss = loss;
  m.costs = std::move(costs);
  m.feasible = feasible;
  return m;
}

std::vector<std::int64_t> ids(const std::vector<const Trial*>& trials) {
  std::vector<std::int64_t> ids;
  for (const Trial* trial : trials) ids.push_back(trial->id);
  return ids;
}

}  // namespace

TEST_CASE("trials are numbered in the order of the question and found by their assignment") {
  Archive archive;
  archive.add("random", {1, 2}, measured(3, {1}));
  archive.add("random", {2, 1}, measured(2, {1}));
  REQUIRE(archive.trials().size() == 2);
  CHECK(archive.find({2, 1})->id == 1);
  CHECK(archive.find({1, 2})->measurement.loss == 3);
  CHECK(archive.find({1, 1}) == nullptr);
}

TEST_CASE("an assignment cannot be added twice") {
  Archive archive;
  archive.add("random", {1}, measured(3, {1}));
  CHECK_THROWS_AS(archive.add("random", {1}, measured(2, {1})), std::logic_error);
}

TEST_CASE("the best trial has the lowest loss, then the lower costs in metric order, then the smaller assignment") {
  Archive archive;
  CHECK(archive.best() == nullptr);
  archive.add("s", {5}, measured(1.0, {4, 4}));
  archive.add("s", {4}, measured(2.0, {1, 1}));
  CHECK(archive.best()->id == 0);
  archive.add("s", {9}, measured(1.0, {4, 3}));
  CHECK(archive.best()->id == 2);
  archive.add("s", {8}, measured(1.0, {3, 9}));
  CHECK(archive.best()->id == 3);
  archive.add("s", {7}, measured(1.0, {3, 9}));
  CHECK(archive.best()->id == 4);
  archive.add("s", {1}, measured(0.5, {9, 9}));
  CHECK(archive.best()->id == 5);
}

TEST_CASE("infeasible, failed, invalid and infinite trials never become best nor stand on the front") {
  Archive archive;
  archive.add("s", {1}, measured(0.1, {1}, false));
  Measurement failed = measured(0.1, {1});
  failed.status = Measurement::Status::failed;
  archive.add("s", {2}, failed);
  Measurement invalid = measured(0.1, {1});
  invalid.status = Measurement::Status::invalid;
  archive.add("s", {3}, invalid);
  archive.add("s", {4}, measured(kInfinity, {1}));
  CHECK(archive.best() == nullptr);
  CHECK(archive.front({0}).empty());
  archive.add("s", {5}, measured(7.0, {9}));
  CHECK(archive.best()->id == 4);
  CHECK(ids(archive.front({0})) == std::vector<std::int64_t>{4});
}

TEST_CASE("the front holds the trials that no other one equals or beats in loss and all costs, by rising cost") {
  Archive archive;
  archive.add("s", {0}, measured(1.0, {5, 1}));  // on the front: no other has loss 1 so cheap in the second cost
  archive.add("s", {1}, measured(1.0, {4, 2}));  // on the front: cheaper in the first cost
  archive.add("s", {2}, measured(2.0, {4, 2}));  // beaten by 1
  archive.add("s", {3}, measured(3.0, {1, 1}));  // on the front: cheapest
  archive.add("s", {4}, measured(0.5, {9, 9}));  // on the front: lowest loss
  archive.add("s", {5}, measured(0.5, {9, 9}));  // equals 4, larger assignment
  CHECK(ids(archive.front({0, 1})) == std::vector<std::int64_t>{3, 1, 0, 4});
  CHECK(ids(archive.front({0})) == std::vector<std::int64_t>{3, 1, 4});
  CHECK(ids(archive.front({})) == std::vector<std::int64_t>{4});
}

TEST_CASE("the hash of a trace sees stages, assignments, costs, statuses and order, and losses only when asked") {
  const auto hash = [](const std::string& stage, ChoiceId choice, std::int64_t cost, double loss, bool losses) {
    Archive archive;
    archive.add(stage, {choice, 1}, measured(loss, {cost}));
    return trace_hash(archive, losses);
  };
  const auto base = hash("a", 1, 2, 3, true);
  CHECK(hash("a", 1, 2, 3, true) == base);
  CHECK(hash("b", 1, 2, 3, true) != base);
  CHECK(hash("a", 2, 2, 3, true) != base);
  CHECK(hash("a", 1, 3, 3, true) != base);
  CHECK(hash("a", 1, 2, 4, true) != base);
  CHECK(hash("a", 1, 2, 4, false) == hash("a", 1, 2, 3, false));

  Archive forth, back, other;
  forth.add("s", {1}, measured(1, {1}));
  forth.add("s", {2}, measured(1, {1}));
  back.add("s", {2}, measured(1, {1}));
  back.add("s", {1}, measured(1, {1}));
  CHECK(trace_hash(forth, false) != trace_hash(back, false));
  Measurement failed = measured(1, {1});
  failed.status = Measurement::Status::failed;
  other.add("s", {1}, measured(1, {1}));
  other.add("s", {2}, failed);
  CHECK(trace_hash(forth, false) != trace_hash(other, false));
}
