#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "hwmodels/hardware_model.hpp"

namespace bitplan {

/// Roofline, Williams, Waterman & Patterson, CACM 2009: a layer takes the longer of its arithmetic and its traffic.
///
///   latency = max(2 macs / (peak * efficiency), bytes / bandwidth) + launch
///   bytes   = ceil(stored weight bits / 8) + ceil((inputs + outputs) * a_bits / 8)
///   energy  = macs * E_mac + 8 * bytes * E_dram
///
/// Arithmetic runs on the smallest native pair (w', a') of the machine with w' >= w and a' >= a (least w' * a', then
/// least w'): 3-bit weights compute as 4-bit ones where those exist, else as 8-bit ones; only traffic shrinks then.
/// Outputs are written at the layer's own activation bits: the requantization happens in the producer and neighbouring
/// layers mostly agree, so that a layer's cost depends on its own pair alone.
/// An embedding (Gather) reads one stored row a token: bytes = min(all, outputs / weights of it) + outputs at 32 bits.
///
/// E_mac is either given for each native pair, or Horowitz' 45 nm figures (ISSCC 2014) as fitted in QKeras' qtools:
///   mul(w, a) = 0.002994791667 w a + 0.001041666667 (w + a) / 2 pJ,  add(b) = 0.003125 b pJ,
///   b = min(32, w + a + ceil(log2(macs / outputs)));  16 bits: float16, 1.5 pJ;  32 bits: float32, 4.6 pJ.
/// An analytic model ranks plans; it does not predict milliseconds.
class Roofline final : public HardwareModel {
 public:
  struct Native {
    int weight_bits = 32, activation_bits = 32;
    double gops = 0;        ///< peak, 1e9 operations a second; a MAC is two
    double pj_per_mac = 0;  ///< used with EnergySource::native
  };
  enum class EnergySource : std::uint8_t { none, native, horowitz45 };
  struct Spec {
    std::vector<Native> native;     ///< must contain (32, 32)
    double gb_per_s = 0;            ///< 1e9 bytes a second
    double launch_s = 0;            ///< added for each layer
    double grouped_efficiency = 1;  ///< share of the peak that convolutions with groups reach
    EnergySource energy = EnergySource::none;
    double dram_pj_per_bit = 0;
  };

  explicit Roofline(Spec spec);
  HardwareCost cost(const LayerFacts& layer, const Precision& precision) const override;
  bool has_energy() const override { return spec_.energy != EnergySource::none; }
  bool has_latency() const override { return true; }

 private:
  const Native& native_for(const Precision& precision) const;
  double pj_per_mac(const LayerFacts& layer, const Native& native) const;

  Spec spec_;
};

/// YAML: kind, name, native (a list of {w, a, gops} or {w, a, macs_per_cycle}, with pj_per_mac when energy.mac is
/// native; w and a are 1 … 16 or float), clock_mhz (with macs_per_cycle), bandwidth_gb_per_s, launch,
/// grouped_efficiency, energy: {mac: native | horowitz45, dram_pj_per_bit}.
std::unique_ptr<HardwareModel> make_roofline(const Yaml& description, const Network& network);

}  // namespace bitplan
