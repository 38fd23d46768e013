#include "search/archive.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>
#include <tuple>

#include "core/hash.hpp"

namespace bitplan {

const Trial* Archive::find(const Assignment& assignment) const {
  const auto found = index_.find(assignment);
  return found == index_.end() ? nullptr : &trials_[found->second];
}

const Trial& Archive::add(const std::string& stage, const Assignment& assignment, Measurement measurement) {
  if (!index_.emplace(assignment, trials_.size()).second)
    throw std::logic_error("archive: an assignment was added twice");
  trials_.push_back({static_cast<std::int64_t>(trials_.size()), stage, assignment, std::move(measurement)});
  return trials_.back();
}

const Trial* Archive::best() const {
  const Trial* best = nullptr;
  for (const Trial& trial : trials_)
    if (eligible(trial) && (!best || better(trial, *best))) best = &trial;
  return best;
}

bool Archive::eligible(const Trial& trial) {
  const Measurement& m = trial.measurement;
  return m.feasible && m.status == Measurement::Status::ok && std::isfinite(m.loss);
}

bool Archive::better(const Trial& a, const Trial& b) {
  return std::tie(a.measurement.loss, a.measurement.costs, a.assignment) <
         std::tie(b.measurement.loss, b.measurement.costs, b.assignment);
}

namespace {

/// a is at least as good as b in loss and every cost.
bool covers(const Trial& a, const Trial& b, const std::vector<std::size_t>& metrics) {
  if (a.measurement.loss > b.measurement.loss) return false;
  return std::all_of(metrics.begin(), metrics.end(),
                     [&](std::size_t m) { return a.measurement.costs[m] <= b.measurement.costs[m]; });
}

template <class T>
void append(std::string& bytes, const T& value) {
  const auto* first = reinterpret_cast<const char*>(&value);
  bytes.append(first, sizeof value);
}

}  // namespace

std::vector<const Trial*> Archive::front(const std::vector<std::size_t>& metrics) const {
  std::vector<const Trial*> sorted;
  for (const Trial& trial : trials_)
    if (eligible(trial)) sorted.push_back(&trial);
  // In this order a trial can only be beaten by an earlier one, or equal it.
  std::sort(sorted.begin(), sorted.end(), [&](const Trial* a, const Trial* b) {
    for (const std::size_t m : metrics)
      if (a->measurement.costs[m] != b->measurement.costs[m]) return a->measurement.costs[m] < b->measurement.costs[m];
    return better(*a, *b);
  });
  std::vector<const Trial*> front;
  for (const Trial* trial : sorted)
    if (std::none_of(front.begin(), front.end(), [&](const Trial* f) { return covers(*f, *trial, metrics); }))
      front.push_back(trial);
  return front;
}

std::uint64_t trace_hash(const Archive& archive, bool with_losses) {
  std::uint64_t hash = 0;
  for (const Trial& trial : archive.trials()) {
    std::string bytes = trial.stage + '\n';
    for (const ChoiceId choice : trial.assignment) append(bytes, choice);
    for (const std::int64_t cost : trial.measurement.costs) append(bytes, cost);
    append(bytes, trial.measurement.status);
    if (with_losses) append(bytes, trial.measurement.loss);
    hash = hash64(std::string_view(bytes), hash);
  }
  return hash;
}

}  // namespace bitplan
