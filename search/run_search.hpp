#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/yaml.hpp"
#include "search/archive.hpp"
#include "search/searcher.hpp"

namespace bitplan {

/// The sums of assignments on selection data, result i for assignment i. Threads and ranks hide behind it.
struct Measured {
  Measurement::Status status = Measurement::Status::ok;
  std::string reason;
  LossSums sums;
};
using BatchMeasure = std::function<std::vector<Measured>(std::span<const Assignment>)>;

/// Runs the stages one after the other: asks, measures what the archive has not, adds it in the order of the question,
/// tells. First the uniform plans of the space are measured (stage "uniform"), so that every run knows them.
/// `on_stage` and `on_batch` are the caller's progress.
struct SearchEvents {
  std::function<void(const std::string& stage, std::int64_t planned)> on_stage;
  std::function<void(const Archive&)> on_batch;
};
void run_search(const Problem& problem, Archive& archive, const Metric& objective, const std::vector<Yaml>& stages,
                const BatchMeasure& measure, const SearchEvents& events);

/// Every uniform plan of the space: for each pair (weight choice, activation choice) that is offered anywhere, the
/// point where each variable takes it, or, when it is not offered there (rules), the next option with more bits (else
/// its largest).
std::vector<Point> uniform_points(const Space& space, const ChoiceTable& choices);

}  // namespace bitplan
