#include "search/cheapest_point.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include "core/error.hpp"

namespace bitplan {
namespace {

constexpr std::size_t kMostCombinations = 4096;
constexpr long double kForbidden = 1e30L;

}  // namespace

CheapestPoint::CheapestPoint(const Space& space, const CostModel& costs) : space_(space), costs_(costs) {
  std::map<LayerId, std::pair<int, int>> pairs;  // weight and activation variable of each layer
  for (std::size_t v = 0; v < space.variables().size(); ++v) {
    const Variable& variable = space.variables()[v];
    for (const SiteId site : variable.sites)
      for (const LayerId layer : costs.layers_of(site)) {
        auto& [weight, activation] = pairs.try_emplace(layer, -1, -1).first->second;
        (variable.kind == Site::Kind::weight ? weight : activation) = static_cast<int>(v);
      }
  }
  std::map<std::pair<int, int>, std::size_t> known;
  for (const auto& [layer, pair] : pairs) {
    const auto [block, fresh] = known.try_emplace(pair, blocks_.size());
    if (fresh) blocks_.push_back({pair.first, pair.second, {}});
    blocks_[block->second].layers.push_back(layer);
  }
  blocks_of_weight_.resize(space.variables().size());
  for (std::size_t b = 0; b < blocks_.size(); ++b)
    if (blocks_[b].weight >= 0) blocks_of_weight_[static_cast<std::size_t>(blocks_[b].weight)].push_back(b);
  find_components();
}

void CheapestPoint::find_components() {
  // Variables of a component share the lowest index, by repeated joining over blocks.
  std::vector<int> root(space_.variables().size());
  std::iota(root.begin(), root.end(), 0);
  const auto find = [&](int v) {
    while (root[static_cast<std::size_t>(v)] != v) v = root[static_cast<std::size_t>(v)];
    return v;
  };
  for (const Block& block : blocks_)
    if (block.weight >= 0 && block.activation >= 0) {
      const auto [low, high] = std::minmax({find(block.weight), find(block.activation)});
      root[static_cast<std::size_t>(high)] = low;
    }
  std::map<int, Component> by_root;
  for (std::size_t v = 0; v < space_.variables().size(); ++v) {
    Component& component = by_root[find(static_cast<int>(v))];
    const bool weight = space_.variables()[v].kind == Site::Kind::weight;
    (weight ? component.weights : component.activations).push_back(static_cast<int>(v));
  }
  for (std::size_t b = 0; b < blocks_.size(); ++b)
    if (blocks_[b].weight < 0) by_root[find(blocks_[b].activation)].loose.push_back(b);
  for (auto& [v, component] : by_root) components_.push_back(std::move(component));
}

std::size_t CheapestPoint::options(int variable) const {
  return variable < 0 ? 1 : space_.variables()[static_cast<std::size_t>(variable)].options.size();
}

ChoiceId CheapestPoint::choice(int variable, std::size_t option) const {
  return variable < 0 ? kFloat : space_.variables()[static_cast<std::size_t>(variable)].options[option];
}

CheapestPoint::Cells CheapestPoint::cells(std::size_t metric) const {
  Cells cells;
  for (const Block& block : blocks_) {
    auto& row = cells.emplace_back();
    for (std::size_t w = 0; w < options(block.weight); ++w)
      for (std::size_t a = 0; a < options(block.activation); ++a) {
        long double sum = 0;
        for (const LayerId layer : block.layers) {
          const auto cost = costs_.layer_cost(metric, layer, choice(block.weight, w), choice(block.activation, a));
          if (cost == kUnknownCost)
            throw InputError(
                costs_.metrics()[metric].label() +
                ": its table has no cost of float operands, which the space offers; add rows with bits 32, "
                "or leave float out of the space");
          sum += static_cast<long double>(cost);
        }
        row.push_back(sum);
      }
  }
  return cells;
}

void CheapestPoint::add(Cells& cells, long double factor, const Cells& other) {
  if (cells.empty())
    for (const auto& row : other) cells.emplace_back(row.size(), 0.0L);
  for (std::size_t b = 0; b < other.size(); ++b)
    for (std::size_t i = 0; i < other[b].size(); ++i) cells[b][i] += factor * other[b][i];
}

void CheapestPoint::keep_lowest_activations(Cells& cells) const {
  for (std::size_t b = 0; b < blocks_.size(); ++b) {
    const std::size_t n = options(blocks_[b].activation);
    for (std::size_t i = 0; i < cells[b].size(); ++i)
      if (i % n != 0) cells[b][i] += kForbidden;
  }
}

long double CheapestPoint::cell(const Cells& cells, std::size_t block, const Point& point) const {
  const Block& b = blocks_[block];
  const std::size_t w = b.weight < 0 ? 0 : point[static_cast<std::size_t>(b.weight)];
  const std::size_t a = b.activation < 0 ? 0 : point[static_cast<std::size_t>(b.activation)];
  return cells[block][w * options(b.activation) + a];
}

long double CheapestPoint::settle_weights(const Cells& cells, const Component& component, Point& point) const {
  long double total = 0;
  for (const std::size_t block : component.loose) total += cell(cells, block, point);
  for (const int weight : component.weights) {
    auto& option = point[static_cast<std::size_t>(weight)];
    std::size_t best = 0;
    long double least = 0;
    for (std::size_t w = 0; w < options(weight); ++w) {
      option = static_cast<std::uint8_t>(w);
      long double sum = 0;
      for (const std::size_t block : blocks_of_weight_[static_cast<std::size_t>(weight)])
        sum += cell(cells, block, point);
      if (w == 0 || sum < least) best = w, least = sum;
    }
    option = static_cast<std::uint8_t>(best);
    total += least;
  }
  return total;
}

long double CheapestPoint::settle(const Cells& cells, const Component& component, Point& point) const {
  Point trial = point;
  for (const int a : component.activations) trial[static_cast<std::size_t>(a)] = 0;
  long double least = settle_weights(cells, component, trial);
  point = trial;
  for (;;) {  // all combinations of the activations, as a counter
    auto digit = component.activations.begin();
    for (; digit != component.activations.end(); ++digit) {
      auto& option = trial[static_cast<std::size_t>(*digit)];
      if (option + std::size_t{1} < options(*digit)) {
        ++option;
        break;
      }
      option = 0;
    }
    if (digit == component.activations.end()) return least;
    if (const auto cost = settle_weights(cells, component, trial); cost < least) least = cost, point = trial;
  }
}

long double CheapestPoint::descend(const Cells& cells, const Component& component, Point& point) const {
  for (const int a : component.activations) point[static_cast<std::size_t>(a)] = 0;
  long double least = settle_weights(cells, component, point);
  for (bool better = true; better;) {
    better = false;
    for (const int a : component.activations)
      for (std::size_t option = 0; option < options(a); ++option) {
        Point trial = point;
        trial[static_cast<std::size_t>(a)] = static_cast<std::uint8_t>(option);
        if (const auto cost = settle_weights(cells, component, trial); cost < least) {
          least = cost;
          point = trial;
          better = true;
        }
      }
  }
  return least;
}

CheapestPoint::Found CheapestPoint::minimum(const Cells& cells) const {
  Found found{Point(space_.variables().size(), 0), 0, true};
  bool all_tried = true;
  for (const Component& component : components_) {
    std::size_t combinations = 1;
    for (const int a : component.activations) combinations = std::min(kMostCombinations + 1, combinations * options(a));
    const bool few = combinations <= kMostCombinations;
    all_tried = all_tried && few;
    found.cost += few ? settle(cells, component, found.point) : descend(cells, component, found.point);
  }
  long double bound = 0;
  for (const auto& row : cells) bound += *std::min_element(row.begin(), row.end());
  found.exact = all_tried || found.cost <= bound;
  return found;
}

}  // namespace bitplan
