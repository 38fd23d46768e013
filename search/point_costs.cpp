#include "search/point_costs.hpp"

#include <algorithm>

namespace bitplan {

PointCosts::PointCosts(const Problem& problem, const Point& point)
    : problem_(problem), point_(point), assignment_(problem.space.assignment(point)) {
  for (const Variable& v : problem.space.variables()) {
    auto& layers = layers_.emplace_back();
    for (const SiteId site : v.sites) {
      const auto& more = problem.costs.layers_of(site);
      layers.insert(layers.end(), more.begin(), more.end());
    }
    std::sort(layers.begin(), layers.end());
    layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  }
  for (std::size_t c = 0; c < problem.constraints.size(); ++c) {
    const std::size_t metric = problem.constraints[c].metric;
    additive_.push_back(problem.costs.additive(metric));
    costs_.push_back(problem.costs.cost(metric, assignment_));
    auto& of_layer = of_layer_.emplace_back();
    known_.push_back(0);
    unknown_.push_back(0);
    for (std::size_t l = 0; additive_[c] && l < problem.network.layers.size(); ++l) {
      of_layer.push_back(layer_cost(c, static_cast<LayerId>(l)));
      count(of_layer.back(), 1, known_[c], unknown_[c]);
    }
  }
}

void PointCosts::count(std::int64_t cost, int sign, std::int64_t& known, int& unknown) {
  if (cost == kUnknownCost)
    unknown += sign;
  else
    known += sign * cost;
}

std::int64_t PointCosts::layer_cost(std::size_t constraint, LayerId layer) const {
  const auto l = static_cast<std::size_t>(layer);
  const SiteId input = problem_.network.input_site[l];
  return problem_.costs.layer_cost(problem_.constraints[constraint].metric, layer,
                                   assignment_[static_cast<std::size_t>(problem_.network.weight_site[l])],
                                   input < 0 ? kFloat : assignment_[static_cast<std::size_t>(input)]);
}

void PointCosts::place(Move move) {
  const Variable& v = problem_.space.variables()[move.variable];
  for (const SiteId site : v.sites) assignment_[static_cast<std::size_t>(site)] = v.options[move.option];
}

const std::vector<std::int64_t>& PointCosts::after(std::span<const Move> moves) {
  touched_.clear();
  for (const Move& move : moves) {
    place(move);
    touched_.insert(touched_.end(), layers_[move.variable].begin(), layers_[move.variable].end());
  }
  if (moves.size() > 1) {  // a weight and the activation of its layer touch the same one
    std::sort(touched_.begin(), touched_.end());
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
  }
  after_.resize(costs_.size());
  for (std::size_t c = 0; c < costs_.size(); ++c) {
    if (!additive_[c]) {
      after_[c] = problem_.costs.cost(problem_.constraints[c].metric, assignment_);
      continue;
    }
    std::int64_t known = known_[c];
    int unknown = unknown_[c];
    for (const LayerId layer : touched_) {
      count(of_layer_[c][static_cast<std::size_t>(layer)], -1, known, unknown);
      count(layer_cost(c, layer), 1, known, unknown);
    }
    after_[c] = unknown > 0 ? kUnknownCost : known;
  }
  for (const Move& move : moves) place({move.variable, point_[move.variable]});
  return after_;
}

void PointCosts::set(Move move) {
  costs_ = after(move);
  place(move);
  point_[move.variable] = move.option;
  for (std::size_t c = 0; c < costs_.size(); ++c) {
    if (!additive_[c]) continue;
    for (const LayerId layer : layers_[move.variable]) {
      std::int64_t& now = of_layer_[c][static_cast<std::size_t>(layer)];
      count(now, -1, known_[c], unknown_[c]);
      now = layer_cost(c, layer);
      count(now, 1, known_[c], unknown_[c]);
    }
  }
}

bool PointCosts::holds(std::span<const std::int64_t> costs) const {
  for (std::size_t c = 0; c < costs.size(); ++c)
    if (costs[c] > problem_.constraints[c].limit) return false;
  return true;
}

double PointCosts::violation(std::span<const std::int64_t> costs) const {
  double sum = 0;
  for (std::size_t c = 0; c < costs.size(); ++c) {
    const std::int64_t limit = problem_.constraints[c].limit;
    if (costs[c] > limit)
      sum += (static_cast<double>(costs[c]) - static_cast<double>(limit)) /
             static_cast<double>(std::max<std::int64_t>(limit, 1));
  }
  return sum;
}

}  // namespace bitplan
