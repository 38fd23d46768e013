#include "search/constraints.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "hwmodels/base_units.hpp"

namespace bitplan {
namespace {

/// "12G" operations: the only plain numbers that are written with a suffix.
std::optional<Quantity> parse_count(std::string text) {
  constexpr std::string_view kSuffixes = "kMGTP";
  const auto suffix = text.empty() ? std::string_view::npos : kSuffixes.find(text.back());
  if (suffix == std::string_view::npos) return std::nullopt;
  text.pop_back();
  while (!text.empty() && text.back() == ' ') text.pop_back();
  auto count = parse_quantity(text);
  if (!count || count->kind != Quantity::Kind::plain) return std::nullopt;
  for (std::size_t i = 0; i <= suffix; ++i) count->value *= 1000;
  return count;
}

std::int64_t percent_limit(double percent, std::int64_t whole) {
  if (!(percent > 0)) throw InputError("a limit must be above 0");
  const auto units = units_down(percent / 100 * static_cast<double>(whole));
  if (!units) throw InputError("the limit is too large");
  return *units;
}

std::int64_t read_limit(const Yaml& max, std::size_t metric, const CostModel& costs, const Assignment& uniform8) {
  const auto count = costs.metrics()[metric].name == "bops" ? parse_count(max.text()) : std::nullopt;
  const Quantity quantity = count ? *count : max.quantity();
  try {
    if (quantity.kind == Quantity::Kind::percent) return percent_limit(quantity.value, costs.cost(metric, uniform8));
    return costs.limit(metric, quantity);
  } catch (const InputError& error) {
    max.fail("'" + max.text() + "': " + error.what());
  }
}

}  // namespace

std::vector<Constraint> read_constraints(const Yaml& list, const CostModel& costs, const Assignment& uniform8) {
  std::vector<Constraint> constraints;
  for (const Yaml& item : list.items()) {
    item.only({"metric", "max", "on"});
    const Yaml name = item.at("metric"), max = item.at("max");
    const auto on = item.find("on");
    Constraint constraint;
    try {
      constraint.metric = costs.metric(name.text(), on ? on->text() : "");
    } catch (const InputError& error) {
      (on ? *on : name).fail(error.what());
    }
    constraint.limit = read_limit(max, constraint.metric, costs, uniform8);
    constraint.text = costs.metrics()[constraint.metric].label() + " <= " + max.text();
    constraint.place = item.place() + ": " + item.key_path();
    constraints.push_back(std::move(constraint));
  }
  return constraints;
}

bool holds(std::span<const Constraint> constraints, std::span<const std::int64_t> costs) {
  return std::all_of(constraints.begin(), constraints.end(),
                     [&](const Constraint& c) { return costs[c.metric] <= c.limit; });
}

double violation(std::span<const Constraint> constraints, std::span<const std::int64_t> costs) {
  double sum = 0;
  for (const Constraint& c : constraints) {
    const auto limit = static_cast<double>(std::max<std::int64_t>(1, c.limit));  // a limit may round down to 0
    if (costs[c.metric] > c.limit) sum += (static_cast<double>(costs[c.metric]) - static_cast<double>(c.limit)) / limit;
  }
  return sum;
}

}  // namespace bitplan
