#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwmodels/hardware_model.hpp"
#include "model/liveness.hpp"
#include "model/network.hpp"
#include "quant/choice.hpp"

namespace bitplan {

/// A cost of an assignment that a constraint may name. Values are integers in a base unit:
///   weight_bytes            bytes stored: codes + scales + zero points, rounded up per layer
///   average_weight_bits     weight_bytes; shown as 8 weight_bytes / weights of the quantizable layers
///   average_code_bits       code bits; shown divided by those weights
///   bops                    sum over layers of macs * w_bits * a_bits (float = 32)
///   peak_activation_bytes   max over memory cuts of the bytes of the live tensors, for one sample: a site at the bits
///   of
///                           its choice, other float tensors at 32 bits, integers at their own; rounded up per tensor
///   latency [on HW]         picoseconds, sum over layers        energy [on HW]   femtojoules
/// A weight tensor that several layers share is stored once: its first layer carries the bytes.
struct CostMetric {
  std::string name;      ///< "latency"
  std::string hardware;  ///< "" or the key under `hardware:`
  std::string label() const { return hardware.empty() ? name : name + "@" + hardware; }
};

struct CostMetricEntry {
  std::string_view name, summary;
  bool on_hardware;  ///< one metric for each machine under `hardware:`
};
/// Every metric, for `bitplan list` and the tests. A new one is a row here and a case in CostModel.
std::span<const CostMetricEntry> cost_metrics();

/// The cost of an assignment under a metric whose hardware table does not give it. Larger than any limit.
inline constexpr std::int64_t kUnknownCost = INT64_MAX;

/// The costs of assignments under every metric. Immutable and thread-safe. A layer's cost depends on its weight choice
/// and the choice of the activation it reads; a table of all pairs is built at construction: O(layers × choices²).
class CostModel {
 public:
  CostModel(std::shared_ptr<const Network> network, std::shared_ptr<const ChoiceTable> choices,
            const std::map<std::string, std::filesystem::path>& hardware);

  const std::vector<CostMetric>& metrics() const;
  /// Index of a metric; throws InputError listing the known ones (and that a hardware model has no energy figures, …).
  std::size_t metric(std::string_view name, std::string_view hardware) const;

  /// All costs of an assignment, by metric index. O(layers + cuts). What a hardware table does not give for float
  /// operands (the reference that sensitivities start from) is kUnknownCost; for integer operands it is an InputError
  /// that names hardware, layer and bits.
  std::vector<std::int64_t> costs(const Assignment& assignment) const;
  std::int64_t cost(std::size_t metric, const Assignment& assignment) const;
  /// The cost of one layer under an additive metric (0 for peak_activation_bytes); kUnknownCost and errors as above.
  /// The activation of an embedding plays no role.
  std::int64_t layer_cost(std::size_t metric, LayerId layer, ChoiceId weight, ChoiceId activation) const;
  bool additive(std::size_t metric) const;
  /// Layers whose cost depends on the site.
  const std::vector<LayerId>& layers_of(SiteId site) const;

  /// A base-unit value for people: bytes, seconds, joules, bits (average_* divided by the number of weights).
  double display(std::size_t metric, double value) const;
  std::string format(std::size_t metric, double value) const;  ///< "1.23 MB", "2.1 ms", "4.02 bits"
  /// The largest base-unit value that a limit written by a user allows ("1.2MB", "2ms", 4.25); percent is not handled
  /// here. Throws InputError text (without place) when the unit does not fit the metric.
  std::int64_t limit(std::size_t metric, const Quantity& quantity) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace bitplan
