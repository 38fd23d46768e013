#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "hwmodels/hardware_model.hpp"

namespace bitplan {

/// Measured costs: a CSV file (DESIGN §7.4) with the header
///   layer,w_bits,a_bits,metric,value,unit[,std,n]
/// one row for each layer, pair of bits and metric. layer: torch module, ONNX node or weight tensor; bits 1 … 32 or
/// float (= 32); metric latency (unit ns us ms s, or cycles with clock_mhz) or energy (fJ … J). std (same unit) and n
/// say how good a row is and change nothing. Blank lines and columns after these are skipped; names with commas stand
/// in double quotes. The a_bits of an embedding play no role and count as float.
///
/// Cost of (layer, w, a): the row of exactly that pair, or, with `missing: round_up`, the row of the smallest measured
/// pair (w', a') with w' >= w and a' >= a (least w' * a', then least w'); kNotGiven otherwise. O(rows of the layer).
class TableHardware final : public HardwareModel {
 public:
  using Pair = std::pair<int, int>;                         ///< weight bits, activation bits
  using Costs = std::vector<std::map<Pair, std::int64_t>>;  ///< by LayerId, base units

  TableHardware(Costs latency_ps, Costs energy_fj, bool round_up)
      : latency_ps_(std::move(latency_ps)), energy_fj_(std::move(energy_fj)), round_up_(round_up) {}
  HardwareCost cost(const LayerFacts& layer, const Precision& precision) const override;
  bool has_energy() const override { return !energy_fj_.empty(); }
  bool has_latency() const override { return !latency_ps_.empty(); }

 private:
  std::int64_t look_up(const Costs& costs, LayerId layer, Pair pair) const;

  Costs latency_ps_, energy_fj_;  ///< empty when the file has no such metric
  bool round_up_;
};

/// YAML: kind, name, file (the CSV), missing: error | round_up, samples (how many samples a figure is for, default 1),
/// clock_mhz (for the unit cycles). Each error of the file reads "costs.csv:12: …": unknown or ambiguous layer, metric
/// or unit, a value that is no number, negative, infinite or NaN, the same cell twice, a layer of the network without
/// rows.
std::unique_ptr<HardwareModel> make_table(const Yaml& description, const Network& network);

}  // namespace bitplan
