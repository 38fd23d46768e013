#pragma once

#include <cassert>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "hwmodels/cost_model.hpp"

namespace bitplan {

/// What CostModel looks up: a cell for each additive metric, layer, weight choice and activation choice, and the memory
/// cuts in the form in which their bytes are summed. Built once, O(metrics × layers × choices²) cells.
class CostTables {
 public:
  CostTables(const Network& network, const ChoiceTable& choices,
             const std::map<std::string, std::filesystem::path>& hardware);

  const std::vector<CostMetric>& metrics() const { return metrics_; }
  std::size_t find(std::string_view name, std::string_view hardware) const;
  /// Elements of all weight sites.
  std::int64_t weights() const { return weights_; }
  /// A cell of an additive metric; kNotGiven when a hardware table has it not.
  std::int64_t layer(std::size_t metric, LayerId layer, ChoiceId weight, ChoiceId activation) const {
    assert(static_cast<std::size_t>(weight) < choices_ && static_cast<std::size_t>(activation) < choices_);
    const auto row = static_cast<std::size_t>(layer) * choices_ + static_cast<std::size_t>(weight);
    return cells_[metric][row * choices_ + static_cast<std::size_t>(activation)];
  }
  std::int64_t peak_activation_bytes(const Assignment& assignment) const;

 private:
  /// Bytes of a cut = fixed + sum over sites of ceil(activation_bits / 8).
  struct SiteInMemory {
    SiteId site;
    std::int64_t elements, channels;  ///< of one sample; channels 1 when the site has none
  };
  struct Cut {
    std::int64_t fixed_bytes = 0;
    std::vector<SiteInMemory> sites;
  };
  using Cells = std::vector<std::int64_t>;

  void add_weight_metrics(const Network& network, const ChoiceTable& choices);
  void add_bops(const Network& network, const ChoiceTable& choices);
  void add_peak(const Network& network);
  void add_hardware(const std::string& key, const std::filesystem::path& file, const Network& network,
                    const ChoiceTable& choices);
  /// Adds a metric; throws InputError when the sum of its largest cells passes 2^63.
  void add(CostMetric metric, Cells cells);

  std::size_t choices_;
  std::int64_t weights_ = 0;
  std::vector<CostMetric> metrics_;
  std::vector<Cells> cells_;  ///< by metric; empty for peak_activation_bytes
  std::vector<Cut> cuts_;
  std::vector<Choice> rows_;  ///< by ChoiceId
  std::vector<std::string> hardware_;
};

}  // namespace bitplan
