#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.hpp"
#include "search/cheapest_point.hpp"
#include "search/constraints.hpp"

namespace bitplan {
namespace {

constexpr double kLog10Enumerated = 5;  ///< spaces of up to 1e5 points are tried whole
constexpr int kMultiplierSteps = 200;
constexpr int kMostPasses = 50;  ///< of the descent; each lowers the violation, most end in a few

/// Every activation at its first or last option: peak_activation_bytes grows with the bits of each activation, so these
/// are its extremes.
Point peak_extreme(const Space& space, bool high) {
  Point point;
  for (const Variable& v : space.variables())
    point.push_back(high && v.kind == Site::Kind::activation ? static_cast<std::uint8_t>(v.options.size() - 1) : 0);
  return point;
}

struct Extreme {
  Point point;
  std::int64_t cost = 0;
  bool exact = false;
};

Extreme extreme(const Space& space, const CostModel& costs, const CheapestPoint& cheapest, std::size_t metric,
                bool high) {
  Extreme found;
  if (!costs.additive(metric)) {
    found.point = peak_extreme(space, high);
    found.exact = true;
  } else {
    CheapestPoint::Cells cells;
    CheapestPoint::add(cells, high ? -1 : 1, cheapest.cells(metric));
    const auto best = cheapest.minimum(cells);
    found.point = best.point;
    found.exact = best.exact;
  }
  found.cost = costs.cost(metric, space.assignment(found.point));
  return found;
}

/// The search for one point that holds everything.
class FeasiblePoint {
 public:
  FeasiblePoint(const Space& space, const CostModel& costs, std::span<const Constraint> constraints)
      : space_(space), costs_(costs), constraints_(constraints), cheapest_(space, costs) {}

  Point find() {
    check_each();
    if (consider(Point(space_.variables().size(), 0))) return best_;
    for (const Point& point : extremes_)
      if (consider(point)) return best_;
    bool impossible = false;
    if (weigh(false, impossible) || weigh(true, impossible)) return best_;
    // Where it is proven that nothing holds, these still find the nearest point, for the message.
    if (descend()) return best_;
    if (space_.log10_size() <= kLog10Enumerated) {
      if (enumerate()) return best_;
      impossible = true;
    }
    fail_together(impossible);
  }

 private:
  /// Throws when the table of a machine lacks a pair that the space offers, or when a constraint cannot hold even
  /// alone.
  void check_each() {
    for (std::size_t m = 0; m < costs_.metrics().size(); ++m)
      for (const Variable& v : space_.variables())
        for (const SiteId site : v.sites) check_given(m, v, site);
    std::string problems;
    for (const Constraint& c : constraints_) {
      const auto least = extreme(space_, costs_, cheapest_, c.metric, false);
      extremes_.push_back(least.point);
      if (least.cost <= c.limit) continue;
      each_alone_ = false;
      if (!least.exact) continue;  // a lower point may exist: the attempts that follow look for it
      problems += (problems.empty() ? "" : "\n") + c.place + ": " + described(c, c.limit, least.cost) +
                  " cannot hold: the least that this space reaches is " + shown(c, least.cost, c.limit);
    }
    if (!problems.empty()) throw InfeasibleError(problems);
  }

  /// Asks for the cost of each layer at the choices of the space once, so that an incomplete table shows before the
  /// search.
  void check_given(std::size_t metric, const Variable& v, SiteId site) const {
    if (!costs_.additive(metric) || v.kind != Site::Kind::weight) return;
    for (const LayerId layer : costs_.layers_of(site))
      for (const ChoiceId weight : v.options)
        for (const ChoiceId activation : activation_options(layer))
          costs_.layer_cost(metric, layer, weight, activation);
  }

  std::vector<ChoiceId> activation_options(LayerId layer) const {
    for (const Variable& v : space_.variables())
      if (v.kind == Site::Kind::activation)
        for (const SiteId site : v.sites) {
          const auto& layers = costs_.layers_of(site);
          if (std::find(layers.begin(), layers.end(), layer) != layers.end()) return v.options;
        }
    return {kFloat};
  }

  std::vector<std::int64_t> costs_of(const Point& point) const {
    std::vector<std::int64_t> costs(costs_.metrics().size(), 0);
    const Assignment assignment = space_.assignment(point);
    for (const Constraint& c : constraints_) costs[c.metric] = costs_.cost(c.metric, assignment);
    return costs;
  }

  /// Keeps the point when it violates less than the best so far; true when it holds all.
  bool consider(const Point& point) {
    const double v = violation(constraints_, costs_of(point));
    if (best_.empty() || v < best_violation_) best_ = point, best_violation_ = v;
    return best_violation_ == 0 && holds(constraints_, costs_of(best_));
  }

  /// Lagrangian multipliers: each step takes the exact minimum of sum_k m_k cost_k / limit_k over the additive
  /// constraints and raises m_k where the limit is passed. When that minimum exceeds sum_k m_k, no point can hold them
  /// all. With `lowest` the activations keep their fewest bits, which holds every peak that can be held.
  bool weigh(bool lowest, bool& impossible) {
    std::vector<const Constraint*> additive;
    std::vector<CheapestPoint::Cells> scaled;
    for (const Constraint& c : constraints_) {
      if (!costs_.additive(c.metric)) continue;
      additive.push_back(&c);
      CheapestPoint::add(scaled.emplace_back(), 1.0L / static_cast<long double>(std::max<std::int64_t>(1, c.limit)),
                         cheapest_.cells(c.metric));
    }
    std::vector<long double> multipliers(additive.size(), 1);
    for (int step = 0; step < kMultiplierSteps && !additive.empty(); ++step) {
      CheapestPoint::Cells cells;
      long double sum = 0;
      for (std::size_t k = 0; k < additive.size(); ++k)
        CheapestPoint::add(cells, multipliers[k], scaled[k]), sum += multipliers[k];
      if (lowest) cheapest_.keep_lowest_activations(cells);
      const auto found = cheapest_.minimum(cells);
      // The margin covers the rounding of the sums; a limit of 0 is scaled as 1 and cannot be judged so.
      if (!lowest && found.exact && found.cost > sum * (1 + 1e-12L) && all_limits_positive())
        return impossible = true, false;
      if (consider(found.point)) return true;
      const auto costs = costs_of(found.point);
      for (std::size_t k = 0; k < additive.size(); ++k) {
        const auto limit = static_cast<long double>(std::max<std::int64_t>(1, additive[k]->limit));
        const long double excess = static_cast<long double>(costs[additive[k]->metric]) / limit - 1;
        multipliers[k] *= std::exp(std::clamp(excess, -1.0L, 1.0L) / std::sqrt(1.0L + static_cast<long double>(step)));
      }
    }
    return false;
  }

  bool all_limits_positive() const {
    return std::all_of(constraints_.begin(), constraints_.end(), [](const Constraint& c) { return c.limit > 0; });
  }

  /// Takes the single change that lowers the violation, variable after variable, until none does.
  bool descend() {
    for (int pass = 0; pass < kMostPasses; ++pass) {
      const double before = best_violation_;
      for (std::size_t v = 0; v < best_.size(); ++v)
        for (std::size_t option = 0; option < space_.variables()[v].options.size(); ++option) {
          Point trial = best_;
          trial[v] = static_cast<std::uint8_t>(option);
          if (consider(trial)) return true;
        }
      if (best_violation_ >= before) return false;
    }
    return false;
  }

  bool enumerate() {
    Point point(space_.variables().size(), 0);
    for (;;) {
      if (consider(point)) return true;
      std::size_t digit = 0;
      while (digit < point.size() && point[digit] + std::size_t{1} == space_.variables()[digit].options.size())
        point[digit++] = 0;
      if (digit == point.size()) return false;
      ++point[digit];
    }
  }

  /// "12.3 kB", with the exact figure where the rounded one would look like the other.
  std::string shown(const Constraint& c, std::int64_t cost, std::int64_t other) const {
    const auto value = static_cast<double>(cost);
    const auto text = costs_.format(c.metric, value);
    if (cost == other || text != costs_.format(c.metric, static_cast<double>(other))) return text;
    const std::string& name = costs_.metrics()[c.metric].name;
    if (name.starts_with("average_")) {
      char bits[32];
      std::snprintf(bits, sizeof bits, " (%.9g)", costs_.display(c.metric, value));
      return text + bits;
    }
    const char* unit = name == "latency" ? " ps" : name == "energy" ? " fJ" : name == "bops" ? "" : " B";
    return text + " (" + std::to_string(cost) + unit + ")";
  }

  /// "weight_bytes <= 50% (61.2 kB)": what a percentage means is said.
  std::string described(const Constraint& c, std::int64_t limit, std::int64_t other) const {
    return c.text.ends_with('%') ? c.text + " (" + shown(c, limit, other) + ")" : c.text;
  }

  [[noreturn]] void fail_together(bool impossible) const {
    const auto costs = costs_of(best_);
    std::string text = impossible ? "no assignment of this space holds all constraints at once"
                                  : "no assignment was found that holds all constraints at once";
    text += std::string(each_alone_ ? ", though each can hold alone" : "") + "; the nearest has";
    for (const Constraint& c : constraints_) {
      const bool kept = costs[c.metric] <= c.limit;
      text += "\n" + c.place + ": " + described(c, c.limit, costs[c.metric]) + ": " +
              shown(c, costs[c.metric], c.limit) + (kept ? ", holds" : ", does not hold");
    }
    throw InfeasibleError(text);
  }

  const Space& space_;
  const CostModel& costs_;
  std::span<const Constraint> constraints_;
  CheapestPoint cheapest_;
  std::vector<Point> extremes_;
  Point best_;
  double best_violation_ = 0;
  bool each_alone_ = true;
};

}  // namespace

Reach reachable(const Space& space, const CostModel& costs, std::size_t metric) {
  const CheapestPoint cheapest(space, costs);
  const auto low = extreme(space, costs, cheapest, metric, false), high = extreme(space, costs, cheapest, metric, true);
  return {low.cost, high.cost, low.exact, high.exact};
}

Point feasible_point(const Space& space, const CostModel& costs, std::span<const Constraint> constraints) {
  return FeasiblePoint(space, costs, constraints).find();
}

}  // namespace bitplan
