#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/yaml.hpp"
#include "model/network.hpp"
#include "quant/choice.hpp"

namespace bitplan {

/// What a hardware model needs to know of a layer: all for one sample.
struct LayerFacts {
  LayerId id = 0;
  std::string name, op;                                         ///< name: torch module, else ONNX node
  std::int64_t macs = 0, weights = 0, inputs = 0, outputs = 0;  ///< elements
  std::int64_t groups = 1;
  static LayerFacts of(const Network& network, LayerId layer);
};

/// How a layer is computed: bits of its operands (32 = float) and bits its weight takes in memory, scales included.
/// An embedding (op Gather, macs 0) reads no activation: its activation_bits are always 32.
struct Precision {
  int weight_bits = 32, activation_bits = 32;
  std::int64_t stored_weight_bits = 0;
};

/// A cost that the machine's description does not give (a pair of bits that a table has not).
inline constexpr std::int64_t kNotGiven = -1;

/// What one layer costs for one sample, each rounded up; kNotGiven when the description does not say. Integers, so that
/// sums are exact in any order.
struct HardwareCost {
  std::int64_t latency_ps = 0, energy_fj = 0;
};

/// A machine. Members: one file each in hwmodels/, one row in hardware_models.cpp.
class HardwareModel {
 public:
  virtual ~HardwareModel() = default;
  virtual HardwareCost cost(const LayerFacts& layer, const Precision& precision) const = 0;
  virtual bool has_energy() const = 0;  ///< false: a constraint on energy is refused
  virtual bool has_latency() const = 0;
};

struct HardwareKind {
  std::string_view name, summary;
  std::unique_ptr<HardwareModel> (*make)(const Yaml& description, const Network& network);
};
std::span<const HardwareKind> hardware_kinds();

/// Reads a description file (`kind: roofline | table`, …), strictly.
std::unique_ptr<HardwareModel> load_hardware(const std::filesystem::path& file, const Network& network);

}  // namespace bitplan
