#include "hwmodels/roofline.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <tuple>

#include "core/error.hpp"
#include "hwmodels/base_units.hpp"

namespace bitplan {
namespace {

constexpr int kFloatBits = 32;

/// Products and sums of 45 nm integer units; floating point where either operand has 16 bits or more.
double horowitz_pj_per_mac(int w, int a, std::int64_t reduction) {
  const int widest = std::max(w, a);
  if (widest > 16) return 3.7 + 0.9;
  if (widest == 16) return 1.1 + 0.4;
  const double multiply = 0.002994791667 * w * a + 0.001041666667 * (w + a) / 2;
  const auto growth = reduction > 1 ? std::bit_width(static_cast<std::uint64_t>(reduction - 1)) : 0;
  return multiply + 0.003125 * std::min(32, w + a + static_cast<int>(growth));
}

struct Traffic {
  double weight_bytes, activation_bytes;
};

Traffic traffic(const LayerFacts& layer, const Precision& precision) {
  const auto bytes = [](double bits) { return std::ceil(bits / 8); };
  const auto stored = static_cast<double>(precision.stored_weight_bits);
  const auto inputs = static_cast<double>(layer.inputs), outputs = static_cast<double>(layer.outputs);
  if (layer.op == "Gather") {
    const double part = layer.weights > 0 ? std::min(1.0, outputs / static_cast<double>(layer.weights)) : 0;
    return {bytes(stored * part), bytes(outputs * kFloatBits)};
  }
  return {bytes(stored), bytes((inputs + outputs) * precision.activation_bits)};
}

std::int64_t checked_up(double value, const LayerFacts& layer, const char* what) {
  const auto units = units_up(value);
  if (!units)
    throw InputError("layer '" + layer.name + "': its " + what + " is too large to count; check the machine's rates");
  return *units;
}

}  // namespace

Roofline::Roofline(Spec spec) : spec_(std::move(spec)) {
  std::sort(spec_.native.begin(), spec_.native.end(), [](const Native& a, const Native& b) {
    return std::tuple(a.weight_bits * a.activation_bits, a.weight_bits) <
           std::tuple(b.weight_bits * b.activation_bits, b.weight_bits);
  });
}

const Roofline::Native& Roofline::native_for(const Precision& precision) const {
  const auto found = std::find_if(spec_.native.begin(), spec_.native.end(), [&](const Native& native) {
    return native.weight_bits >= precision.weight_bits && native.activation_bits >= precision.activation_bits;
  });
  assert(found != spec_.native.end());  // (float, float) holds everything
  return *found;
}

double Roofline::pj_per_mac(const LayerFacts& layer, const Native& native) const {
  if (spec_.energy == EnergySource::native) return native.pj_per_mac;
  const auto reduction = layer.outputs > 0 ? (layer.macs + layer.outputs - 1) / layer.outputs : 1;
  return horowitz_pj_per_mac(native.weight_bits, native.activation_bits, reduction);
}

HardwareCost Roofline::cost(const LayerFacts& layer, const Precision& precision) const {
  const Native& native = native_for(precision);
  const auto macs = static_cast<double>(layer.macs);
  const auto [weight_bytes, activation_bytes] = traffic(layer, precision);
  const double bytes = weight_bytes + activation_bytes;
  const double peak = native.gops * (layer.groups > 1 ? spec_.grouped_efficiency : 1);
  const double compute_ps = 2 * macs * 1e3 / peak, memory_ps = bytes * 1e3 / spec_.gb_per_s;
  HardwareCost cost;
  cost.latency_ps = checked_up(std::max(compute_ps, memory_ps) + spec_.launch_s * 1e12, layer, "latency");
  if (!has_energy())
    cost.energy_fj = kNotGiven;
  else
    cost.energy_fj =
        checked_up(1e3 * (macs * pj_per_mac(layer, native) + 8 * bytes * spec_.dram_pj_per_bit), layer, "energy");
  return cost;
}

namespace {

double positive(const Yaml& node) {
  const double value = node.number();
  if (!(value > 0)) node.fail("must be above 0, is " + node.text());
  return value;
}

int read_bits(const Yaml& node) {
  return node.text() == "float" ? kFloatBits : static_cast<int>(node.integer_in(1, 16));
}

Roofline::Native read_native(const Yaml& row, std::optional<double> clock_mhz, bool with_energy) {
  row.only({"w", "a", "gops", "macs_per_cycle", "pj_per_mac"});
  Roofline::Native native;
  native.weight_bits = read_bits(row.at("w"));
  native.activation_bits = read_bits(row.at("a"));
  const auto gops = row.find("gops"), per_cycle = row.find("macs_per_cycle");
  if (gops.has_value() == per_cycle.has_value()) row.fail("needs one of gops and macs_per_cycle");
  if (per_cycle && !clock_mhz) per_cycle->fail("needs clock_mhz beside native");
  native.gops = gops ? positive(*gops) : 2e-3 * positive(*per_cycle) * *clock_mhz;
  const auto energy = row.find("pj_per_mac");
  if (energy && !with_energy) energy->fail("is read only with energy: {mac: native}");
  if (!energy && with_energy) row.fail("needs pj_per_mac, because energy.mac is native");
  if (energy) native.pj_per_mac = energy->number_in(0, 1e9);
  return native;
}

Roofline::EnergySource read_energy_source(const Yaml& node) {
  if (node.text() == "native") return Roofline::EnergySource::native;
  if (node.text() == "horowitz45") return Roofline::EnergySource::horowitz45;
  node.fail("'" + node.text() + "' is not known; known: native, horowitz45");
}

void read_native_table(const Yaml& list, std::optional<double> clock_mhz, Roofline::Spec& spec) {
  const bool with_energy = spec.energy == Roofline::EnergySource::native;
  for (const Yaml& row : list.items()) {
    const auto native = read_native(row, clock_mhz, with_energy);
    for (const auto& other : spec.native)
      if (other.weight_bits == native.weight_bits && other.activation_bits == native.activation_bits)
        row.fail("stands here for the second time");
    if (clock_mhz && !row.find("macs_per_cycle")) row.fail("must give macs_per_cycle, because clock_mhz is given");
    spec.native.push_back(native);
  }
  const bool has_float = std::any_of(spec.native.begin(), spec.native.end(), [](const auto& native) {
    return native.weight_bits == kFloatBits && native.activation_bits == kFloatBits;
  });
  if (!has_float) list.fail("needs the pair {w: float, a: float}, on which layers run that are not quantized");
}

}  // namespace

std::unique_ptr<HardwareModel> make_roofline(const Yaml& description, const Network&) {
  description.only(
      {"kind", "name", "clock_mhz", "native", "bandwidth_gb_per_s", "launch", "grouped_efficiency", "energy"});
  Roofline::Spec spec;
  std::optional<double> clock_mhz;
  if (const auto node = description.find("clock_mhz")) clock_mhz = positive(*node);
  if (const auto energy = description.find("energy")) {
    energy->only({"mac", "dram_pj_per_bit"});
    spec.energy = read_energy_source(energy->at("mac"));
    spec.dram_pj_per_bit = energy->at("dram_pj_per_bit").number_in(0, 1e6);
  }
  read_native_table(description.at("native"), clock_mhz, spec);
  spec.gb_per_s = positive(description.at("bandwidth_gb_per_s"));
  if (const auto node = description.find("launch")) {
    if (node->quantity().kind != Quantity::Kind::time)
      node->fail("needs a unit of time (as 5us), is '" + node->text() + "'");
    spec.launch_s = node->seconds();
  }
  if (const auto node = description.find("grouped_efficiency")) spec.grouped_efficiency = node->number_in(1e-3, 1);
  return std::make_unique<Roofline>(std::move(spec));
}

}  // namespace bitplan
