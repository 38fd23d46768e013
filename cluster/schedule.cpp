#include "cluster/schedule.hpp"

#include <algorithm>
#include <utility>

#include "core/units.hpp"

namespace bitplan {
namespace {

int ceil_div(int a, int b) { return (a + b - 1) / b; }

std::string list_of(const std::set<int>& ranks) {
  std::string text;
  for (const int rank : ranks) text += (text.empty() ? "" : ", ") + std::to_string(rank);
  return text;
}

}  // namespace

Schedule::Schedule(int ranks, const ScheduleRules& rules) : rules_(rules), ranks_(static_cast<std::size_t>(ranks)) {}

void Schedule::join(int rank, int threads) {
  auto& r = ranks_[static_cast<std::size_t>(rank)];
  r.joined = true;
  r.threads = std::max(1, threads);
}

void Schedule::add(std::uint64_t candidate, const Assignment& assignment, Role role, int shard,
                   const std::vector<ChunkRange>& missing, bool timed) {
  Candidate& c = candidates_[candidate];
  c = {.assignment = assignment, .role = role, .shard = shard, .timed = timed, .missing = {}, .died = {}};
  for (const ChunkRange& range : missing) {
    c.missing.insert(range.first);
    Piece* last = queue_.empty() ? nullptr : &queue_.back();
    if (last && last->candidate == candidate && last->chunks.first + last->chunks.count == range.first) {
      last->chunks.count += range.count;
      queued_chunks_ += range.count;
    } else {
      push({.candidate = candidate, .chunks = range, .avoid = {}}, false);
    }
  }
}

void Schedule::close(std::uint64_t candidate) {
  if (candidates_.erase(candidate) == 0) return;
  for (const Piece& piece : queue_)
    if (piece.candidate == candidate) queued_chunks_ -= piece.chunks.count;
  std::erase_if(queue_, [&](const Piece& piece) { return piece.candidate == candidate; });
  for (auto& [id, flight] : flights_)
    if (flight.piece.candidate == candidate) cancel(flight, now_);
}

bool Schedule::mark_done(std::uint64_t candidate, ChunkRange shard) {
  const auto it = candidates_.find(candidate);
  return it != candidates_.end() && it->second.missing.erase(shard.first) > 0;
}

bool Schedule::finished(std::uint64_t candidate) const {
  const auto it = candidates_.find(candidate);
  return it == candidates_.end() || it->second.missing.empty();
}

void Schedule::push(Piece piece, bool front) {
  queued_chunks_ += piece.chunks.count;
  if (front)
    queue_.push_front(std::move(piece));
  else
    queue_.push_back(std::move(piece));
}

/// As many shards as give each thread of the rank a chunk, but not more than its share of what is queued.
int Schedule::shards_for(int rank, int shard) const {
  int idle = 0;
  for (const Rank& r : ranks_) idle += r.joined && !r.given_up && r.units.empty();
  const int wanted = ceil_div(ranks_[static_cast<std::size_t>(rank)].threads, shard);
  const auto share = (queued_chunks_ + shard - 1) / shard / std::max(1, idle);
  return static_cast<int>(std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(1, share)));
}

/// Not on a rank where it went wrong, and not on rank 0, which must live on, what another rank died of; unless no other
/// rank is left.
bool Schedule::may_take(const Piece& piece, int rank) const {
  const bool deadly = !candidates_.at(piece.candidate).died.empty();
  const auto avoids = [&](int r) { return piece.avoid.contains(r) || (deadly && r == 0); };
  if (!avoids(rank)) return true;
  for (int other = 0; other < static_cast<int>(ranks_.size()); ++other)
    if (ranks_[static_cast<std::size_t>(other)].joined && usable(other) && !avoids(other)) return false;
  return true;
}

/// Takes from the queue what `rank` measures next, without shards that a late result has filled.
std::optional<Schedule::Piece> Schedule::next_piece(int rank) {
  for (auto it = queue_.begin(); it != queue_.end();) {
    const Candidate& c = candidates_.at(it->candidate);
    while (it->chunks.count > 0 && !c.missing.contains(it->chunks.first)) {
      const int done = std::min(c.shard, it->chunks.count);
      it->chunks = {it->chunks.first + done, it->chunks.count - done};
      queued_chunks_ -= done;
    }
    if (it->chunks.count == 0) {
      it = queue_.erase(it);
      continue;
    }
    if (!may_take(*it, rank)) {
      ++it;
      continue;
    }
    Piece piece = *it;
    piece.chunks.count = std::min(piece.chunks.count, shards_for(rank, c.shard) * c.shard);
    it->chunks = {it->chunks.first + piece.chunks.count, it->chunks.count - piece.chunks.count};
    queued_chunks_ -= piece.chunks.count;
    if (it->chunks.count == 0) queue_.erase(it);
    return piece;
  }
  return std::nullopt;
}

std::vector<Schedule::Handout> Schedule::dispatch(double now) {
  now_ = now;
  std::vector<Handout> handouts;
  for (int depth = 0; depth < rules_.prefetch; ++depth) {  // everyone gets a first unit before anyone a second
    for (int rank = 0; rank < static_cast<int>(ranks_.size()); ++rank) {
      Rank& r = ranks_[static_cast<std::size_t>(rank)];
      if (!r.joined || r.given_up || static_cast<int>(r.units.size()) > depth) continue;
      auto piece = next_piece(rank);
      if (!piece) continue;
      const Candidate& c = candidates_.at(piece->candidate);
      Flight flight{.piece = std::move(*piece), .unit = {.id = next_id_++}, .rank = rank, .shard = c.shard};
      flight.unit.assignment = c.assignment;
      flight.unit.role = c.role;
      flight.unit.chunks = flight.piece.chunks;
      flight.started = now;  // counts from when it comes to the head: land() sets it again
      handouts.push_back({rank, flight.unit});
      r.units.push_back(flight.unit.id);
      flights_.emplace(flight.unit.id, std::move(flight));
    }
  }
  return handouts;
}

std::optional<Schedule::Landing> Schedule::land(std::uint64_t unit, double now) {
  now_ = now;
  const auto it = flights_.find(unit);
  if (it == flights_.end()) return std::nullopt;
  Flight& flight = it->second;
  Rank& rank = ranks_[static_cast<std::size_t>(flight.rank)];
  const bool head = !rank.units.empty() && rank.units.front() == unit;
  std::erase(rank.units, unit);
  if (head && !rank.units.empty()) flights_.at(rank.units.front()).started = now;
  Landing landing{.candidate = flight.piece.candidate,
                  .unit = std::move(flight.unit),
                  .rank = flight.rank,
                  .shard = flight.shard,
                  .attempts = flight.piece.attempts,
                  .avoid = std::move(flight.piece.avoid),
                  .wanted = !flight.abandoned && candidates_.contains(flight.piece.candidate)};
  flights_.erase(it);
  return landing;
}

void Schedule::retry(const Landing& landing, const std::string& reason) {
  if (!landing.wanted || !candidates_.contains(landing.candidate)) return;
  if (landing.attempts > rules_.retries) {
    fail(landing.candidate,
         reason + " (attempt " + std::to_string(landing.attempts) + " of " + std::to_string(rules_.retries + 1) + ")");
    return;
  }
  ++retried_;
  Piece piece{landing.candidate, landing.unit.chunks, landing.attempts + 1, landing.avoid};
  piece.avoid.insert(landing.rank);
  push(std::move(piece), true);
}

void Schedule::fail(std::uint64_t candidate, const std::string& reason) {
  events_.failures.push_back({candidate, reason});
  close(candidate);
}

void Schedule::cancel(Flight& flight, double now) {
  flight.abandoned = true;
  if (flight.cancelled >= 0 || !usable(flight.rank)) return;
  flight.cancelled = now;
  events_.cancels.push_back({flight.rank, flight.unit.id});
}

void Schedule::cancel_all() {
  for (auto& [id, flight] : flights_) cancel(flight, now_);
}

bool Schedule::is_timed(std::uint64_t candidate) const {
  const auto found = candidates_.find(candidate);
  return found == candidates_.end() || found->second.timed;
}

void Schedule::check_deadlines(double now) {
  now_ = now;
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    if (ranks_[r].given_up || ranks_[r].units.empty()) continue;
    Flight& head = flights_.at(ranks_[r].units.front());
    const int rank = head.rank;
    if (head.cancelled >= 0) {
      if (now - std::max(head.cancelled, head.started) > rules_.cancel_grace)
        give_up(rank, "an evaluation does not stop", false);
    } else if (now - head.started > rules_.timeout && is_timed(head.piece.candidate)) {
      const Landing landing{.candidate = head.piece.candidate,
                            .unit = head.unit,
                            .rank = rank,
                            .shard = head.shard,
                            .attempts = head.piece.attempts,
                            .avoid = head.piece.avoid};
      cancel(head, now);
      retry(landing, "rank " + std::to_string(rank) +
                         ": an evaluation took longer than evaluation_timeout = " + format_seconds(rules_.timeout));
    }
  }
}

void Schedule::give_up(int rank, const std::string& reason, bool died) {
  Rank& r = ranks_[static_cast<std::size_t>(rank)];
  if (r.given_up) return;
  r.given_up = true;
  events_.lost.push_back({rank, reason});
  const auto units = std::exchange(r.units, {});
  for (const auto id : units) {
    Flight& flight = flights_.at(id);  // stays known: a late result is taken
    const bool running = id == units.front();
    const bool wanted = !std::exchange(flight.abandoned, true);
    const auto it = candidates_.find(flight.piece.candidate);
    if (!wanted || it == candidates_.end()) continue;
    Piece piece = flight.piece;
    if (running && died) {
      it->second.died.insert(rank);
      piece.avoid.insert(rank);
      if (static_cast<int>(it->second.died.size()) >= rules_.deadly) {
        fail(piece.candidate, std::to_string(rules_.deadly) + " ranks died while they measured it (ranks " +
                                  list_of(it->second.died) + "; last: " + reason + ")");
        continue;
      }
    }
    ++retried_;
    push(std::move(piece), true);
  }
}

bool Schedule::any_usable() const {
  return std::any_of(ranks_.begin(), ranks_.end(), [](const Rank& r) { return !r.given_up; });
}

int Schedule::in_flight() const {
  int count = 0;
  for (const Rank& rank : ranks_) count += static_cast<int>(rank.units.size());
  return count;
}

Schedule::Events Schedule::take_events() { return std::exchange(events_, {}); }

}  // namespace bitplan
