#include "search/run_search.hpp"

#include <cmath>
#include <limits>
#include <set>
#include <stdexcept>

#include "core/error.hpp"
#include "search/uniform.hpp"

namespace bitplan {

namespace {

/// The stages of one run share this: what is measured, and how a measurement is judged.
class Loop {
 public:
  Loop(const Problem& problem, Archive& archive, const Metric& objective, const BatchMeasure& measure,
       const SearchEvents& events)
      : problem_(problem), archive_(archive), objective_(objective), measure_(measure), events_(events) {}

  void run(const std::string& stage, std::int64_t planned, Searcher& searcher) {
    if (events_.on_stage) events_.on_stage(stage, planned);
    for (auto asked = searcher.ask(); !asked.empty(); asked = searcher.ask()) searcher.tell(asked, score(stage, asked));
  }

 private:
  /// The measurement of each assignment asked for; those that the archive lacks are measured in one batch.
  std::vector<Measurement> score(const std::string& stage, const std::vector<Assignment>& asked) {
    std::vector<Assignment> fresh;
    std::set<Assignment> seen;
    for (const Assignment& a : asked) {
      if (a.size() != problem_.network.sites.size()) throw std::logic_error("search: an assignment of another size");
      if (!archive_.find(a) && seen.insert(a).second) fresh.push_back(a);
    }
    if (!fresh.empty()) {
      const std::vector<Measured> measured = measure_(fresh);
      if (measured.size() != fresh.size()) throw std::logic_error("search: a batch came back with another size");
      for (std::size_t i = 0; i < fresh.size(); ++i) archive_.add(stage, fresh[i], judge(fresh[i], measured[i]));
      if (events_.on_batch) events_.on_batch(archive_);
    }
    std::vector<Measurement> results;
    for (const Assignment& a : asked) results.push_back(archive_.find(a)->measurement);
    return results;
  }

  Measurement judge(const Assignment& assignment, const Measured& measured) const {
    Measurement m;
    m.status = measured.status;
    m.reason = measured.reason;
    m.sums = measured.sums;
    m.costs = problem_.costs.costs(assignment);
    m.feasible = problem_.space.point(assignment).has_value() && holds(problem_.constraints, m.costs);
    if (m.status == Measurement::Status::ok) m.loss = objective_loss(objective_, m.sums);
    if (m.status == Measurement::Status::ok && !std::isfinite(m.loss)) {
      m.status = Measurement::Status::invalid;
      m.reason = "the loss is not finite";
    }
    if (m.status != Measurement::Status::ok) m.loss = std::numeric_limits<double>::infinity();
    return m;
  }

  const Problem& problem_;
  Archive& archive_;
  const Metric& objective_;
  const BatchMeasure& measure_;
  const SearchEvents& events_;
};

/// The last gate before a plan is reported, computed anew and not from what was remembered.
void check_best(const Problem& problem) {
  const Trial* best = problem.archive.best();
  if (!best) return;
  const auto costs = problem.costs.costs(best->assignment);
  if (!problem.space.point(best->assignment) || !holds(problem.constraints, costs) || costs != best->measurement.costs)
    throw std::logic_error("search: the best trial does not hold the constraints");
}

}  // namespace

void run_search(const Problem& problem, Archive& archive, const Metric& objective, const std::vector<Yaml>& stages,
                const BatchMeasure& measure, const SearchEvents& events) {
  if (&problem.archive != &archive) throw std::logic_error("search: the problem must see the archive of the run");
  // A mistake in the last stage must not show after hours of the first: all settings are read before any measurement.
  for (const Yaml& stage : stages) find_searcher(stage).planned(stage, problem);

  Loop loop(problem, archive, objective, measure, events);
  Uniform uniform(problem);
  loop.run("uniform", uniform.planned(), uniform);
  for (const Yaml& stage : stages) {
    const SearcherEntry& entry = find_searcher(stage);
    const auto searcher = entry.make(stage, problem);
    const auto planned = entry.planned(stage, problem);  // now less by what earlier stages measured
    loop.run(std::string(entry.name), planned, *searcher);
  }
  check_best(problem);
}

}  // namespace bitplan
