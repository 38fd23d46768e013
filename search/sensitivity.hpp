#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "search/searcher.hpp"

namespace bitplan {

/// A figure for each variable and option: table[v][o].
using OptionTable = std::vector<std::vector<double>>;

/// Everything float but variable v, which takes its option o.
Assignment alone(const Problem& problem, std::size_t variable, std::size_t option);

/// The loss of all float, which must have been measured; 0 when that failed.
double float_loss(const Problem& problem);

/// What each variable × option costs alone: loss(alone) - loss(all float), at least 0 (a gain is noise, not merit).
/// Float options are 0 without being measured. A loss that could not be measured counts ten times the largest one
/// found. All rows must have been measured: see missing_sensitivities().
OptionTable sensitivity_table(const Problem& problem);

/// The assignments that sensitivity_table() still needs, all float first, then by variable and option. Variables with
/// one option are left out unless `all`: they decide nothing.
std::vector<Assignment> missing_sensitivities(const Problem& problem, bool all);

/// Measures the all-float base row and each variable × option alone (float options are the base row), in batches of 64.
/// They are rows of a table, not plans, and mostly outside the space. Settings: none.
class Sensitivity final : public Searcher {
 public:
  static constexpr std::size_t kBatch = 64;

  explicit Sensitivity(const Problem& problem) : problem_(problem) {}
  std::vector<Assignment> ask() override;
  void tell(std::span<const Assignment>, std::span<const Measurement>) override {}

 private:
  const Problem& problem_;
};

std::unique_ptr<Searcher> make_sensitivity(const Yaml& stage, const Problem& problem);
std::int64_t planned_sensitivity(const Yaml& stage, const Problem& problem);

}  // namespace bitplan
