#include "hwmodels/table.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "core/error.hpp"
#include "core/units.hpp"
#include "hwmodels/base_units.hpp"
#include "hwmodels/csv.hpp"

namespace bitplan {

std::int64_t TableHardware::look_up(const Costs& costs, LayerId layer, Pair pair) const {
  if (costs.empty()) return kNotGiven;
  const auto& rows = costs[static_cast<std::size_t>(layer)];
  if (const auto found = rows.find(pair); found != rows.end()) return found->second;
  if (!round_up_) return kNotGiven;
  const auto key = [](const Pair& p) { return std::tuple(p.first * p.second, p.first); };
  auto best = rows.end();
  for (auto row = rows.begin(); row != rows.end(); ++row)
    if (row->first.first >= pair.first && row->first.second >= pair.second &&
        (best == rows.end() || key(row->first) < key(best->first)))
      best = row;
  return best == rows.end() ? kNotGiven : best->second;
}

HardwareCost TableHardware::cost(const LayerFacts& layer, const Precision& precision) const {
  const Pair pair{precision.weight_bits, precision.activation_bits};
  return {look_up(latency_ps_, layer.id, pair), look_up(energy_fj_, layer.id, pair)};
}

namespace {

/// Every name under which a layer may stand in a table → its layers.
std::map<std::string, std::set<LayerId>> layer_names(const Network& network) {
  std::map<std::string, std::set<LayerId>> names;
  for (const Layer& layer : network.layers)
    for (const auto& name : {layer.names.module, layer.names.node, network.node(layer.node).name, layer.names.weight})
      if (!name.empty()) names[name].insert(layer.id);
  return names;
}

/// Reads the rows of one cost file into base units.
class TableReader {
 public:
  TableReader(const std::filesystem::path& file, const Network& network, std::optional<double> clock_mhz,
              double samples)
      : file_(file), network_(network), names_(layer_names(network)), clock_mhz_(clock_mhz), samples_(samples) {}

  void read() {
    const auto rows = read_csv(file_);
    check_header(rows);
    for (std::size_t i = 1; i < rows.size(); ++i) read_row(rows[i]);
    for (const auto& [metric, costs] : costs_) check_complete(metric, costs);
    if (costs_.empty()) throw InputError(file_.string() + ": has no rows");
  }
  bool used_clock() const { return used_clock_; }
  TableHardware::Costs take(const std::string& metric) { return std::move(costs_[metric]); }

 private:
  [[noreturn]] void fail(const CsvRow& row, const std::string& problem) const {
    throw InputError(file_.string() + ':' + std::to_string(row.line) + ": " + problem);
  }

  void check_header(const std::vector<CsvRow>& rows) {
    static const std::vector<std::string> kColumns{"layer", "w_bits", "a_bits", "metric", "value", "unit"};
    if (rows.empty()) throw InputError(file_.string() + ": is empty");
    const auto& fields = rows[0].fields;
    if (fields.size() < kColumns.size() || !std::equal(kColumns.begin(), kColumns.end(), fields.begin()))
      fail(rows[0], "must start with the header layer,w_bits,a_bits,metric,value,unit");
    has_std_ = fields.size() > 6 && fields[6] == "std";
  }

  LayerId layer(const CsvRow& row) const {
    const auto& name = row.fields[0];
    const auto found = names_.find(name);
    if (found == names_.end()) {
      std::vector<std::string> known;
      for (const auto& entry : names_) known.push_back(entry.first);
      const auto guess = nearest(name, known);
      fail(row, "the network has no layer '" + name + "'" + (guess.empty() ? "" : "; did you mean '" + guess + "'?"));
    }
    if (found->second.size() > 1)
      fail(row,
           "'" + name + "' names " + std::to_string(found->second.size()) + " layers; use the names of their nodes");
    return *found->second.begin();
  }

  int bits(const CsvRow& row, std::size_t column) const {
    const auto& text = row.fields[column];
    if (text == "float") return 32;
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > 32)
      fail(row, std::string(column == 1 ? "w_bits" : "a_bits") + " must be from 1 to 32 or float, is '" + text + "'");
    return value;
  }

  double figure(const CsvRow& row, std::size_t column, const char* what) const {
    const auto& text = row.fields[column];
    const auto value = parse_quantity(text);
    if (!value || value->kind != Quantity::Kind::plain || value->value < 0)
      fail(row, std::string(what) + " must be a finite number from 0, is '" + text + "'");
    return value->value;
  }

  /// Base units (picoseconds, femtojoules) in one `unit` of the metric.
  double factor(const CsvRow& row) {
    const auto &metric = row.fields[3], &unit = row.fields[5];
    if (metric == "latency" && unit == "cycles") {
      if (!clock_mhz_) fail(row, "the unit cycles needs clock_mhz in the description of the hardware");
      used_clock_ = true;
      return 1e6 / *clock_mhz_;
    }
    const bool letters = std::all_of(unit.begin(), unit.end(), [](unsigned char c) { return std::isalpha(c) != 0; });
    const Quantity one = parse_quantity(letters ? "1" + unit : "1").value_or(Quantity{});
    if (metric == "latency" && one.kind == Quantity::Kind::time) return one.value * 1e12;
    if (metric == "energy" && one.kind == Quantity::Kind::energy) return one.value * 1e15;
    if (metric != "latency" && metric != "energy")
      fail(row, "'" + metric + "' is not a metric of a table; known: latency, energy");
    fail(row, "'" + unit + "' is not a unit of " + metric +
                  (metric == "latency" ? "; known: ns, us, ms, s, cycles" : "; known: fJ, pJ, nJ, uJ, mJ, J"));
  }

  void read_row(const CsvRow& row) {
    if (row.fields.size() < 6) fail(row, "has " + std::to_string(row.fields.size()) + " columns, needs at least 6");
    const LayerId id = layer(row);
    const bool embedding = network_.layer(id).op == "Gather";
    const int w = bits(row, 1), a = bits(row, 2);
    const double scale = factor(row);
    const auto units = units_up(figure(row, 4, "value") * scale / samples_);
    if (!units) fail(row, "value " + row.fields[4] + ' ' + row.fields[5] + " is too large");
    if (has_std_ && row.fields.size() > 6 && !row.fields[6].empty()) figure(row, 6, "std");
    auto& costs = costs_[row.fields[3]];
    costs.resize(network_.layers.size());
    if (!costs[static_cast<std::size_t>(id)].emplace(TableHardware::Pair{w, embedding ? 32 : a}, *units).second)
      fail(row,
           "the " + row.fields[3] + " of layer '" + row.fields[0] + "' at these bits stands here for the second time");
  }

  void check_complete(const std::string& metric, const TableHardware::Costs& costs) const {
    std::string missing;
    std::size_t count = 0;
    for (const Layer& layer : network_.layers)
      if (costs[static_cast<std::size_t>(layer.id)].empty() && ++count <= 5)
        missing += (missing.empty() ? "'" : ", '") + LayerFacts::of(network_, layer.id).name + "'";
    if (count > 0)
      throw InputError(file_.string() + ": has no " + metric + " of " + std::to_string(count) + " layer" +
                       (count > 1 ? "s: " : ": ") + missing + (count > 5 ? ", …" : ""));
  }

  std::filesystem::path file_;
  const Network& network_;
  std::map<std::string, std::set<LayerId>> names_;
  std::optional<double> clock_mhz_;
  double samples_;
  bool has_std_ = false, used_clock_ = false;
  std::map<std::string, TableHardware::Costs> costs_;
};

}  // namespace

std::unique_ptr<HardwareModel> make_table(const Yaml& description, const Network& network) {
  description.only({"kind", "name", "file", "missing", "samples", "clock_mhz"});
  bool round_up = false;
  if (const auto node = description.find("missing")) {
    if (node->text() != "error" && node->text() != "round_up")
      node->fail("'" + node->text() + "' is not known; known: error, round_up");
    round_up = node->text() == "round_up";
  }
  std::optional<double> clock_mhz;
  if (const auto node = description.find("clock_mhz")) clock_mhz = node->number_in(1e-3, 1e6);
  const auto samples = description.find("samples");
  TableReader reader(description.at("file").path(), network, clock_mhz,
                     samples ? static_cast<double>(samples->integer_in(1, 1 << 30)) : 1);
  reader.read();
  if (clock_mhz && !reader.used_clock()) description.at("clock_mhz").fail("no row of the table has the unit cycles");
  return std::make_unique<TableHardware>(reader.take("latency"), reader.take("energy"), round_up);
}

}  // namespace bitplan
