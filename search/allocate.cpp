#include "search/allocate.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace bitplan {

namespace {

/// What a move is worth: those of class 0 are taken first, then by value, lowest first.
using Rank = std::pair<int, double>;
constexpr Rank kNever{2, 0.0};

/// Calls visit(move, loss increase) for every other option of every variable that is free.
template <class Visit>
void for_each_move(const OptionTable& table, const Point& point, const std::vector<bool>& locked, Visit visit) {
  for (std::size_t v = 0; v < table.size(); ++v) {
    if (locked[v]) continue;
    for (std::size_t o = 0; o < table[v].size(); ++o)
      if (o != point[v]) visit(Move{v, static_cast<std::uint8_t>(o)}, table[v][o] - table[v][point[v]]);
  }
}

/// Steps smaller than this are rounding, and could go round in circles.
double noise_of(const OptionTable& table, const Point& point) {
  double sum = 0;
  for (std::size_t v = 0; v < table.size(); ++v) sum += std::abs(table[v][point[v]]);
  return 1e-12 * sum;
}

/// Adds a tenth of the largest entry of the table to each variable's lowest option.
OptionTable shunning_lowest(OptionTable table) {
  double largest = 0;
  for (const auto& row : table) largest = std::max(largest, *std::max_element(row.begin(), row.end()));
  for (auto& row : table)
    if (row.size() > 1) row[0] += 0.1 * largest;
  return table;
}

}  // namespace

double Allocator::loss(const Point& point) const {
  double sum = 0;
  for (std::size_t v = 0; v < table.size(); ++v) sum += table[v][point[v]];
  return sum;
}

bool Allocator::lower(PointCosts& at, const std::vector<bool>& locked) const {
  for (double now = at.violation(); now > 0; now = at.violation()) {
    Rank best = kNever;
    Move chosen;
    for_each_move(table, at.point(), locked, [&](Move move, double increase) {
      const double reduced = now - at.violation(at.after(move));
      if (reduced <= 1e-12) return;
      const Rank rank = increase <= 0 ? Rank{0, increase} : Rank{1, increase / reduced};
      if (rank < best) best = rank, chosen = move;
    });
    if (best == kNever) return false;
    at.set(chosen);
  }
  return true;
}

void Allocator::fill(PointCosts& at, const std::vector<bool>& locked) const {
  for (;;) {
    const double noise = noise_of(table, at.point());
    Rank best = kNever;
    Move chosen;
    for_each_move(table, at.point(), locked, [&](Move move, double increase) {
      if (increase >= -noise) return;
      const auto& costs = at.after(move);
      if (!at.holds(costs)) return;
      double spent = 0;
      for (std::size_t c = 0; c < costs.size(); ++c) {
        const std::int64_t left = problem.constraints[c].limit - at.costs()[c];
        spent +=
            static_cast<double>(std::max<std::int64_t>(costs[c] - at.costs()[c], 0)) / static_cast<double>(left + 1);
      }
      const Rank rank = spent > 0 ? Rank{1, increase / spent} : Rank{0, increase};
      if (rank < best) best = rank, chosen = move;
    });
    if (best == kNever) return;
    at.set(chosen);
  }
}

void Allocator::exchange(PointCosts& at) const {
  const std::vector<bool> free(table.size(), false);
  for (;;) {
    std::vector<std::pair<double, Move>> moves;
    for_each_move(table, at.point(), free, [&](Move move, double increase) { moves.emplace_back(increase, move); });
    // By loss: the inner loop ends where no partner can be better than the best pair so far.
    std::stable_sort(moves.begin(), moves.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    double best = -noise_of(table, at.point());
    std::array<Move, 2> chosen;
    bool found = false;
    for (std::size_t i = 0; i < moves.size() && moves[i].first < 0; ++i)
      for (std::size_t j = i + 1; j < moves.size() && moves[i].first + moves[j].first < best; ++j) {
        const std::array pair{moves[i].second, moves[j].second};
        if (pair[0].variable == pair[1].variable || !at.holds(at.after(pair))) continue;
        best = moves[i].first + moves[j].first;
        chosen = pair;
        found = true;
      }
    if (!found) return;
    for (const Move& move : chosen) at.set(move);
    fill(at, free);
  }
}

Point Allocator::solve() const {
  const std::vector<bool> free(table.size(), false);
  std::optional<Point> best;
  const auto finish = [&](PointCosts& at) {
    fill(at, free);
    exchange(at);
    if (!best || loss(at.point()) < loss(*best)) best = at.point();
  };
  Point start;
  for (const auto& row : table) {  // of equal losses the largest option: it has most room to go down
    const auto least = std::min_element(row.rbegin(), row.rend());
    start.push_back(static_cast<std::uint8_t>(row.rend() - least - 1));
  }
  PointCosts down(problem, start);
  if (lower(down, free)) finish(down);
  PointCosts up(problem, feasible_point(problem.space, problem.costs, problem.constraints));
  finish(up);
  return *best;
}

std::optional<Point> Allocator::around(const PointCosts& start, Move move) const {
  std::vector<bool> locked(table.size(), false);
  locked[move.variable] = true;
  PointCosts at = start;
  at.set(move);
  if (!lower(at, locked)) return std::nullopt;
  fill(at, locked);
  return at.point();
}

OptionTable powered(const OptionTable& sensitivities, double power) {
  OptionTable table = sensitivities;
  for (auto& row : table)
    for (double& value : row) value = std::pow(value, power);
  return table;
}

std::vector<Point> additive_plans(const Problem& problem) {
  const OptionTable sensitivities = sensitivity_table(problem);
  std::vector<OptionTable> readings;
  for (const double power : {1.0, 0.7, 0.5, 0.35, 0.2}) readings.push_back(powered(sensitivities, power));
  for (const double power : {1.0, 0.7, 0.5}) readings.push_back(shunning_lowest(powered(sensitivities, power)));
  std::vector<Point> plans;
  for (const OptionTable& table : readings) {
    const Point plan = Allocator{problem, table}.solve();
    if (std::find(plans.begin(), plans.end(), plan) == plans.end()) plans.push_back(plan);
  }
  return plans;
}

}  // namespace bitplan
