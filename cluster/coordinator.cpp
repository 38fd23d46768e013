#include "cluster/coordinator.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>

#include "cluster/signals.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/units.hpp"

namespace bitplan {
namespace {

constexpr double kMailSeconds = 0.01;  ///< a unit's way there and back, generously
constexpr int kLeastPrefetch = 2, kMostPrefetch = 16;
constexpr double kCommitDelay = 0.1;  ///< results of an unfinished candidate wait so long for company
constexpr double kTick = 0.05;        ///< signals and deadlines are looked at as often
constexpr double kProgressPeriod = 0.1;
constexpr double kInterruptWait = 0.5;  ///< mpirun kills a second after SIGTERM

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void average(double& mean, double value) { mean = mean == 0 ? value : 0.9 * mean + 0.1 * value; }

std::string rank_text(int rank) { return "rank " + std::to_string(rank); }

Measured verdict(const std::vector<LossSums>& chunks) {
  Measured measured;
  for (const LossSums& chunk : chunks) measured.sums.add(chunk);
  const LossSums& s = measured.sums;
  if (s.invalid > 0) {
    measured.status = Measurement::Status::invalid;
    measured.reason =
        std::to_string(s.invalid) + " of " + std::to_string(s.samples) + " samples have NaN or infinite outputs";
  } else if (!std::isfinite(s.kl + s.jsd + s.mse + s.cosine + s.nll + s.signal + s.noise)) {
    measured.status = Measurement::Status::invalid;
    measured.reason = "a loss is not finite";
  }
  return measured;
}

}  // namespace

Coordinator::Coordinator(Mailbox& mail, RunStore& store, const ClusterOptions& options, MeasureUnit measure,
                         std::function<int(Role)> chunks)
    : mail_(mail),
      store_(store),
      options_(options),
      chunks_(std::move(chunks)),
      schedule_(mail.size(), {.retries = options.retries, .timeout = options.evaluation_timeout}),
      started_(mail.now()) {
  progress_.ranks = mail.size();
  progress_.in_flight.resize(static_cast<std::size_t>(mail.size()));
  worker_ = std::make_unique<Worker>(mail, std::move(measure), Hello{options.identity, std::max(1, options.threads)});
}

Coordinator::~Coordinator() = default;

std::vector<Measured> Coordinator::measure(std::span<const Assignment> assignments, Role role) {
  return measure(assignments, role, chunks_(role), true);
}

std::vector<Measured> Coordinator::measure_briefly(std::span<const Assignment> assignments) {
  return measure(assignments, Role::calibration, std::min(1, chunks_(Role::calibration)), false);
}

std::vector<Measured> Coordinator::measure(std::span<const Assignment> assignments, Role role, int chunks, bool timed) {
  std::map<Assignment, std::uint64_t> known;
  std::vector<std::uint64_t> answer_of;
  for (const Assignment& assignment : assignments) {
    const auto [it, is_new] = known.try_emplace(assignment, 0);
    if (is_new) it->second = open_task(assignment, role, chunks, timed);
    answer_of.push_back(it->second);
  }
  while (open_tasks_ > 0) {
    if (const char* signal = stop_signal()) interrupt(signal);
    hand_out();
    receive(kTick);
    apply_events();
    hand_out();  // before the commit, so that nobody waits for the disk
    if (commit_is_due()) commit();
    watch();
    report(false);
  }
  std::vector<Measured> answers;
  for (const auto id : answer_of) {
    const Task& task = tasks_.at(id);
    answers.push_back(task.failed ? Measured{Measurement::Status::failed, task.reason, {}} : verdict(task.sums));
  }
  tasks_.clear();
  report(true);
  return answers;
}

std::uint64_t Coordinator::open_task(const Assignment& assignment, Role role, int chunks, bool timed) {
  const auto id = next_task_++;
  Task& task = tasks_[id];
  task.assignment = assignment;
  task.role = role;
  if (const auto reason = store_.failure(assignment, role)) {
    task.failed = true;
    task.reason = *reason;
    return id;
  }
  const int shard = chunks_per_shard(chunks);
  task.sums.resize(static_cast<std::size_t>(chunks));
  const auto stored = store_.units(assignment, role);
  std::vector<ChunkRange> missing;
  for (int first = 0; first < chunks; first += shard) {
    const ChunkRange range{first, std::min(shard, chunks - first)};
    const auto unit = std::find_if(stored.begin(), stored.end(), [&](const RunStore::Unit& u) {
      return u.chunks.first == range.first && u.chunks.count == range.count;
    });
    if (unit == stored.end())
      missing.push_back(range);
    else
      std::copy(unit->sums.begin(), unit->sums.end(), task.sums.begin() + first);
    progress_.units_reused += unit != stored.end();
    ++progress_.units_total;
  }
  task.missing = task.shards = missing.size();
  if (missing.empty()) return id;
  ++open_tasks_;
  schedule_.add(id, assignment, role, shard, missing, timed);
  return id;
}

void Coordinator::receive(double seconds) {
  for (auto message = mail_.take(seconds); message; message = mail_.take(0)) {
    try {
      handle(*message);
    } catch (const std::runtime_error& error) {
      schedule_.give_up(message->rank, std::string("it sent what cannot be read: ") + error.what(), false);
    }
  }
}

void Coordinator::handle(const Message& message) {
  switch (static_cast<Tag>(message.tag)) {
    case Tag::hello: {
      const Hello hello = decode_hello(message.bytes);
      if (hello.identity != options_.identity)
        input_error_ = rank_text(message.rank) + " was set up with another experiment, model or data (" +
                       hello.identity + ") than rank 0 (" + options_.identity + ")";
      schedule_.join(message.rank, hello.threads);
      ++progress_.ranks_joined;
      break;
    }
    case Tag::result:
      handle_result(message.rank, decode_result(message.bytes));
      break;
    case Tag::departure: {
      const Departure departure = decode_departure(message.bytes);
      if (departure.input_error) input_error_ = rank_text(message.rank) + ": " + departure.text;
      schedule_.give_up(message.rank, departure.text, false);
      break;
    }
    default:
      throw std::runtime_error("tag " + std::to_string(message.tag));
  }
}

void Coordinator::handle_result(int rank, UnitResult result) {
  const auto landing = schedule_.land(result.id, mail_.now());
  if (!landing) return;
  switch (result.status) {
    case UnitResult::Status::done:
      if (result.sums.size() != static_cast<std::size_t>(landing->unit.chunks.count))
        throw std::runtime_error(std::to_string(result.sums.size()) + " sums for " +
                                 std::to_string(landing->unit.chunks.count) + " chunks");
      take_sums(*landing, result);
      break;
    case UnitResult::Status::failed:
      schedule_.retry(*landing, rank_text(rank) + ": " + result.text);
      break;
    case UnitResult::Status::cancelled:
      schedule_.retry(*landing, rank_text(rank) + " stopped by itself: " + result.text);
      break;
    case UnitResult::Status::input_error:
      input_error_ = result.text;
      break;
  }
}

void Coordinator::take_sums(const Schedule::Landing& landing, const UnitResult& result) {
  const ChunkRange all = landing.unit.chunks;
  average(unit_seconds_, result.seconds);
  for (int first = all.first; first < all.first + all.count; first += landing.shard) {
    RunStore::Unit unit{.assignment = landing.unit.assignment, .role = landing.unit.role};
    unit.chunks = {first, std::min(landing.shard, all.first + all.count - first)};
    const auto begin = result.sums.begin() + (first - all.first);
    unit.sums.assign(begin, begin + unit.chunks.count);
    unit.rank = landing.rank;
    unit.seconds = result.seconds * unit.chunks.count / all.count;
    unit.attempts = landing.attempts;
    if (arrived_.empty()) arrived_since_ = mail_.now();
    arrived_.push_back(std::move(unit));
    arrived_for_.push_back(landing.candidate);
    const auto task = tasks_.find(landing.candidate);
    if (task != tasks_.end() && ++task->second.arrived >= task->second.shards) answer_waits_ = true;
  }
}

bool Coordinator::commit_is_due() const {
  return answer_waits_ || !input_error_.empty() || (!arrived_.empty() && mail_.now() - arrived_since_ > kCommitDelay);
}

void Coordinator::commit() {
  if (!arrived_.empty()) {
    const auto begin = std::chrono::steady_clock::now();
    for (const auto& alarm : store_.add_units(arrived_)) log_warning(alarm);
    average(commit_seconds_, seconds_since(begin));
    tune_prefetch();
  }
  for (std::size_t i = 0; i < arrived_.size(); ++i) {
    const RunStore::Unit& unit = arrived_[i];
    ++progress_.units_done;
    if (!schedule_.mark_done(arrived_for_[i], unit.chunks)) continue;  // a duplicate, or its question is answered
    Task& task = tasks_.at(arrived_for_[i]);
    std::copy(unit.sums.begin(), unit.sums.end(), task.sums.begin() + unit.chunks.first);
    if (--task.missing > 0) continue;
    schedule_.close(arrived_for_[i]);
    --open_tasks_;
  }
  arrived_.clear();
  arrived_for_.clear();
  answer_waits_ = false;
  if (!input_error_.empty()) throw InputError(input_error_);
}

void Coordinator::tune_prefetch() {
  const double waiting = (kMailSeconds + 2 * commit_seconds_) / std::max(unit_seconds_, 1e-4);
  schedule_.set_prefetch(
      std::clamp(1 + static_cast<int>(std::ceil(std::min(waiting, 100.0))), kLeastPrefetch, kMostPrefetch));
}

void Coordinator::watch() {
  for (int rank = 1; rank < mail_.size(); ++rank) {
    if (mail_.given_up(rank)) continue;
    const bool silent = mail_.now() - mail_.last_heard(rank) > options_.silence();
    if (!silent && mail_.reachable(rank)) continue;
    mail_.give_up(rank);
    schedule_.give_up(
        rank, silent ? "nothing was heard from it for " + format_seconds(options_.silence()) : "MPI cannot reach it",
        true);
  }
  schedule_.check_deadlines(mail_.now());
  apply_events();
  if (schedule_.any_usable()) return;
  commit();
  throw std::runtime_error("no rank is left that can evaluate; what was measured is stored, --resume goes on");
}

void Coordinator::hand_out() {
  for (const auto& [rank, unit] : schedule_.dispatch(mail_.now())) mail_.post(rank, Tag::unit, encode(unit));
}

void Coordinator::apply_events() {
  const auto events = schedule_.take_events();
  for (const auto& cancel : events.cancels) mail_.post(cancel.rank, Tag::cancel, encode_id(cancel.unit));
  for (const auto& lost : events.lost) {
    ++progress_.ranks_lost;
    log_warning(rank_text(lost.rank) + " is given up: " + lost.reason);
  }
  for (const auto& failure : events.failures) {
    Task& task = tasks_.at(failure.candidate);
    store_.add_failure(task.assignment, task.role, failure.reason);
    log_warning("a candidate could not be measured: " + failure.reason);
    task.failed = true;
    task.reason = failure.reason;
    progress_.units_total -= static_cast<std::int64_t>(task.missing);
    ++progress_.candidates_failed;
    --open_tasks_;
  }
}

void Coordinator::interrupt(const std::string& signal) {
  schedule_.cancel_all();
  const double deadline = mail_.now() + kInterruptWait;
  do {
    apply_events();
    receive(kTick);
    commit();
  } while (schedule_.in_flight() > 0 && mail_.now() < deadline);
  throw Interrupted(signal + " came; " + std::to_string(store_.counts().units) +
                    " measured units are stored, --resume goes on from there");
}

void Coordinator::report(bool now) {
  const double time = mail_.now() - started_;
  if (!on_progress || (!now && time - reported_ < kProgressPeriod)) return;
  reported_ = time;
  progress_.seconds = time;
  progress_.units_retried = schedule_.retried();
  for (int rank = 0; rank < mail_.size(); ++rank)
    progress_.in_flight[static_cast<std::size_t>(rank)] = schedule_.in_flight(rank);
  on_progress(progress_);
}

}  // namespace bitplan
