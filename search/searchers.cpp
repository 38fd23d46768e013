#include <array>
#include <string>

#include "search/ddpg.hpp"
#include "search/greedy.hpp"
#include "search/random_search.hpp"
#include "search/refine.hpp"
#include "search/searcher.hpp"
#include "search/sensitivity.hpp"
#include "search/uniform.hpp"

namespace bitplan {

namespace {

/// Every searcher. A new one is a new file and a new row.
constexpr std::array kSearchers{
    SearcherEntry{"uniform", "the uniform plans of the space", make_uniform, planned_uniform},
    SearcherEntry{"random", "random points that hold all constraints: the baseline", make_random, planned_random},
    SearcherEntry{"sensitivity", "each site and choice alone, everything else float", make_sensitivity,
                  planned_sensitivity},
    SearcherEntry{"greedy",
                  "best loss saved per cost spent under all constraints, from sensitivities; then measured swaps",
                  make_greedy, planned_greedy},
    SearcherEntry{"refine", "measured local search from the best plan so far", make_refine, planned_refine},
    SearcherEntry{"ddpg", "HAQ's actor-critic agent: one action a site, walked back into the budget", make_ddpg,
                  planned_ddpg},
};

}  // namespace

std::span<const SearcherEntry> searchers() { return kSearchers; }

const SearcherEntry& find_searcher(const Yaml& stage) {
  const Yaml method = stage.at("method");
  const std::string name = method.text();
  std::string known;
  for (const SearcherEntry& entry : kSearchers) {
    if (entry.name == name) return entry;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  method.fail("'" + name + "' is not a search method; known: " + known);
}

}  // namespace bitplan
