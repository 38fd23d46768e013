#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/yaml.hpp"
#include "hwmodels/cost_model.hpp"
#include "search/archive.hpp"
#include "search/constraints.hpp"
#include "search/space.hpp"

namespace bitplan {

/// All that a searcher may know. Lives longer than the searcher.
struct Problem {
  const Network& network;
  const ChoiceTable& choices;
  const Space& space;
  const CostModel& costs;
  const std::vector<Constraint>& constraints;
  const Archive& archive;  ///< all that earlier stages (and this one) measured
  std::uint64_t seed = 1;
};

/// A strategy over the space. It proposes and learns; it never evaluates, prints or communicates, and it is a
/// deterministic function of (problem, settings, what it was told), so that a run is resumed by asking again.
class Searcher {
 public:
  virtual ~Searcher() = default;
  /// Assignments to measure next; none when the search is over. The size of a batch never depends on the machine.
  /// Assignments measured before cost nothing. They may be infeasible or outside the space (sensitivities).
  virtual std::vector<Assignment> ask() = 0;
  /// The measurements of the last ask(), in its order.
  virtual void tell(std::span<const Assignment> asked, std::span<const Measurement> results) = 0;
};

struct SearcherEntry {
  std::string_view name, summary;
  /// Reads its settings from the stage's YAML (all keys but `method`), strictly.
  std::unique_ptr<Searcher> (*make)(const Yaml& stage, const Problem& problem);
  /// How many assignments it will ask for at most, for the remaining time; 0 = not known.
  std::int64_t (*planned)(const Yaml& stage, const Problem& problem);
};
/// Every searcher. A new one is a new file and a new row.
std::span<const SearcherEntry> searchers();
const SearcherEntry& find_searcher(const Yaml& stage);  ///< by its `method`

}  // namespace bitplan
