#include "quant/roundings/trained_levels.hpp"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <memory>

#include "core/error.hpp"
#include "quant/math/finite.hpp"
#include "quant/math/isa.hpp"
#include "quant/roundings/descent.hpp"
#include "quant/roundings/gptq_levels.hpp"
#include "quant/roundings/level_rows.hpp"

namespace bitplan {
namespace {

/// How the levels of a grid hang on its parameters: level i is factor[i] * parameter[of[i]].
struct Pattern {
  std::size_t parameters = 1;
  std::vector<std::size_t> of;
  std::vector<double> factor;
};

Pattern pattern_of(const Choice& choice) {
  switch (choice.family) {
    case FormatFamily::binary:
      return {1, {0, 0}, {-1, 1}};
    case FormatFamily::ternary:
      return {1, {0, 0, 0}, {-1, 0, 1}};
    case FormatFamily::ternary_two:
      return {2, {0, 0, 1}, {-1, 0, 1}};
    case FormatFamily::codebook: {
      const std::size_t levels = std::size_t{1} << choice.bits;
      Pattern pattern{levels, {}, std::vector<double>(levels, 1.0)};
      for (std::size_t i = 0; i < levels; ++i) pattern.of.push_back(i);
      return pattern;
    }
    default:
      throw InputError(std::string(choice.format) + " has no levels to train; known: binary, ternary, ttq, codebookN");
  }
}

/// Levels of a row by column; codes are indices of levels.
class RowOfGrids final : public RowLevels {
 public:
  RowOfGrids(const LevelRows& rows, std::int64_t row) : rows_(rows), row_(row) {}
  std::int32_t nearest(std::int64_t column, float x) const override {
    const Grid& grid = rows_.grid(row_, column);
    return static_cast<std::int32_t>(grid.levels->index(grid.scale == 0 ? 0.0F : x / grid.scale));
  }
  float value(std::int64_t column, std::int32_t index) const override {
    const Grid& grid = rows_.grid(row_, column);
    return grid.scale == 0 ? 0.0F : grid.value_at(static_cast<std::size_t>(index));
  }

 private:
  const LevelRows& rows_;
  std::int64_t row_;
};

/// Normal equations A t = b; A is 0 in the row of a parameter that nothing uses.
struct System {
  Eigen::MatrixXd a;
  Eigen::VectorXd b;
  explicit System(std::size_t size)
      : a(Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(size), static_cast<Eigen::Index>(size))),
        b(Eigen::VectorXd::Zero(static_cast<Eigen::Index>(size))) {}
};

/// A group of a grouped convolution (or the whole weight) and what its rows have come to.
struct Group {
  RoundingProblem problem;  ///< its moments are those below
  std::int64_t first = 0;
  ShrunkMoments moments;
  std::unique_ptr<LayerLoss> loss;
  std::vector<float> values;          ///< [problem.rows, columns]
  std::vector<std::int16_t> indices;  ///< of levels
  std::vector<double> losses;         ///< by row

  std::span<float> row_values(std::size_t r) {
    const auto k = static_cast<std::size_t>(problem.columns);
    return std::span(values).subspan(r * k, k);
  }
  std::span<std::int16_t> row_indices(std::size_t r) {
    const auto k = static_cast<std::size_t>(problem.columns);
    return std::span(indices).subspan(r * k, k);
  }
};

/// From codes in the tensor's order, which count the levels upwards.
std::unique_ptr<Group> make_group(const LevelRows& rows, const WeightView& view, std::span<const std::int16_t> codes,
                                  const RoundingProblem& problem, std::int64_t first, double shrink) {
  auto group = std::make_unique<Group>();
  group->problem = problem;
  group->first = first;
  group->moments = shrunk_moments(problem, shrink);
  group->problem.gram = group->moments.gram;
  group->problem.cross = group->moments.cross;
  group->loss = std::make_unique<LayerLoss>(group->problem);
  group->losses.resize(static_cast<std::size_t>(problem.rows));
  for (std::int64_t r = 0; r < problem.rows; ++r) {
    const RowOfGrids levels(rows, first + r);
    for (std::int64_t c = 0; c < problem.columns; ++c) {
      const Grid& grid = rows.grid(first + r, c);
      const int index = codes[element_at(view, first + r, c)] - grid.levels->codes().front();
      group->indices.push_back(static_cast<std::int16_t>(index));
      group->values.push_back(levels.value(c, index));
    }
  }
  return group;
}

/// Values of the levels as they are now, then each code to the best given all others; L of each row.
void assign_codes(const LevelRows& rows, Group& group) {
  for_rows_together(group.problem, [&](std::int64_t first, std::int64_t count) {
    check_stop(group.problem);
    const auto k = static_cast<std::size_t>(group.problem.columns), begin = static_cast<std::size_t>(first),
               n = static_cast<std::size_t>(count);
    const auto values = std::span(group.values).subspan(begin * k, n * k);
    std::vector<float> half(values.size());
    const auto half_of = [&](std::size_t r) { return std::span(half).subspan(r * k, k); };
    const auto levels_of = [&](std::size_t r) {
      return RowOfGrids(rows, group.first + first + static_cast<std::int64_t>(r));
    };
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = levels_of(i / k).value(static_cast<std::int64_t>(i % k), group.indices[begin * k + i]);
    group.loss->half_gradient(first, values, half);
    for (std::size_t r = 0; r < n; ++r)
      descend_row(group.problem, levels_of(r), group.row_indices(begin + r), group.row_values(begin + r), half_of(r));
    group.loss->half_gradient(first, values, half);
    for (std::size_t r = 0; r < n; ++r)
      group.losses[begin + r] =
          group.loss->of_row(first + static_cast<std::int64_t>(r), group.row_values(begin + r), half_of(r));
  });
}

void add_multiple(float factor, const float* from, float* to, std::size_t n) {
  BITPLAN_NO_OVERLAP
  for (std::size_t i = 0; i < n; ++i) to[i] += factor * from[i];
}

/// B G of some rows. Each row has as many patterns as parameters; column c belongs to pattern `of`, with a factor.
struct Products {
  std::size_t parameters, columns;
  std::vector<std::size_t> of;  ///< [rows, columns]
  std::vector<float> factor;    ///< the same
  std::vector<float> sums;      ///< [rows, parameters, columns]
  float* row(std::size_t r, std::size_t parameter) { return sums.data() + (r * parameters + parameter) * columns; }
};

/// A row of G is read once for all rows: it goes to the sum of the parameter that the column's level hangs on.
Products products_of_rows(const LevelRows& rows, const Pattern& pattern, const Group& group, std::size_t first,
                          std::size_t count) {
  const auto k = static_cast<std::size_t>(group.problem.columns);
  const std::size_t grids = rows.grids_per_row == 0 ? 1 : static_cast<std::size_t>(rows.grids_per_row);
  Products out{grids * pattern.parameters, k, {}, {}, {}};
  for (std::size_t i = 0; i < count * k; ++i) {
    const auto index = static_cast<std::size_t>(group.indices[first * k + i]);
    out.of.push_back(static_cast<std::size_t>(rows.grid_of[i % k]) * pattern.parameters + pattern.of[index]);
    out.factor.push_back(static_cast<float>(pattern.factor[index]));
  }
  out.sums.resize(count * out.parameters * k);
  for (std::size_t c = 0; c < k; ++c)
    for (std::size_t r = 0; r < count; ++r)
      if (const float factor = out.factor[r * k + c]; factor != 0)
        add_multiple(factor, group.moments.gram.data() + c * k, out.row(r, out.of[r * k + c]), k);
  return out;
}

/// The normal equations of row `first + r`, the r-th of the products: B G B^T and B (G w - d).
System equations_of_row(const Group& group, Products& products, std::size_t first, std::size_t r) {
  const std::size_t k = products.columns;
  System system(products.parameters);
  const float* weights = group.problem.weights.data() + (first + r) * k;
  const std::size_t* of = products.of.data() + r * k;
  const float* factor = products.factor.data() + r * k;
  for (std::size_t p = 0; p < products.parameters; ++p) {
    const auto row = static_cast<Eigen::Index>(p);
    const float* sums = products.row(r, p);
    for (std::size_t c = 0; c < k; ++c) {
      const auto sum = static_cast<double>(sums[c]);
      system.a(row, static_cast<Eigen::Index>(of[c])) += sum * static_cast<double>(factor[c]);
      system.b(row) += sum * static_cast<double>(weights[c]);
    }
  }
  for (std::size_t c = 0; c < k && !group.loss->drift().empty(); ++c)
    system.b(static_cast<Eigen::Index>(of[c])) -=
        static_cast<double>(factor[c]) * static_cast<double>(group.loss->drift()[(first + r) * k + c]);
  return system;
}

/// The parameters of a grid as it is.
double parameter_now(const Pattern& pattern, const Grid& grid, std::size_t parameter) {
  for (std::size_t i = 0; i < pattern.of.size(); ++i)
    if (pattern.of[i] == parameter && pattern.factor[i] != 0)
      return static_cast<double>(grid.value_at(i)) / pattern.factor[i];
  return 0;
}

/// New levels for the grids from `first`; false, and nothing changed, where there is no answer or one out of order.
bool take_levels(LevelRows& rows, const Pattern& pattern, bool binary, std::size_t first, System system) {
  const auto size = static_cast<std::size_t>(system.b.size());
  for (std::size_t p = 0; p < size; ++p)
    if (const auto at = static_cast<Eigen::Index>(p); !(system.a(at, at) > 0)) {  // unused, or of dead channels alone
      system.a.row(at).setZero(), system.a.col(at).setZero();
      system.a(at, at) = 1;
      system.b(at) = parameter_now(pattern, rows.grids[first + p / pattern.parameters], p % pattern.parameters);
    }
  const Eigen::VectorXd t = system.a.ldlt().solve(system.b);
  std::vector<Grid> made;
  for (std::size_t g = 0; g * pattern.parameters < size; ++g) {
    const Grid& old = rows.grids[first + g];
    std::vector<float> values;
    for (std::size_t i = 0; i < pattern.of.size(); ++i)
      values.push_back(
          static_cast<float>(pattern.factor[i] * t(static_cast<Eigen::Index>(g * pattern.parameters + pattern.of[i]))));
    if (!all_finite(values) || !std::is_sorted(values.begin(), values.end())) return false;
    const float scale = values.back();
    made.push_back(binary ? Grid{old.levels, scale}
                          : Grid{std::make_shared<const Levels>(Levels::nearest(
                                     std::move(values), {old.levels->codes().begin(), old.levels->codes().end()})),
                                 1});
  }
  std::copy(made.begin(), made.end(), rows.grids.begin() + static_cast<std::ptrdiff_t>(first));
  return true;
}

/// Least-squares levels of all rows; false when none has changed.
bool solve_levels(LevelRows& rows, const Pattern& pattern, bool binary,
                  std::span<const std::unique_ptr<Group>> groups) {
  const bool shared = rows.grids_per_row == 0;
  std::vector<char> changed(static_cast<std::size_t>(rows.rows));
  System whole(pattern.parameters);
  for (const auto& group : groups) {
    std::vector<System> systems(shared ? static_cast<std::size_t>(group->problem.rows) : 0, System(0));
    for_rows_together(group->problem, [&](std::int64_t begin, std::int64_t count) {
      check_stop(group->problem);
      const auto first = static_cast<std::size_t>(begin), n = static_cast<std::size_t>(count);
      Products products = products_of_rows(rows, pattern, *group, first, n);
      for (std::size_t r = 0; r < n; ++r) {
        System system = equations_of_row(*group, products, first, r);
        const std::int64_t row = group->first + begin + static_cast<std::int64_t>(r);
        if (shared)
          systems[first + r] = std::move(system);
        else
          changed[static_cast<std::size_t>(row)] =
              take_levels(rows, pattern, binary, static_cast<std::size_t>(row * rows.grids_per_row), std::move(system));
      }
    });
    for (const System& system : systems) whole.a += system.a, whole.b += system.b;
  }
  return shared ? take_levels(rows, pattern, binary, 0, std::move(whole))
                : std::ranges::find(changed, 1) != changed.end();
}

/// Rows whose L on the true moments is not larger than that of nearest rounding; all or none where they share levels.
std::vector<bool> better_rows(const LevelRows& rows, const LayerMoments& moments, int threads,
                              std::span<const std::unique_ptr<Group>> groups) {
  std::vector<double> before, after;
  std::size_t at = 0;
  for_each_group(rows, moments, threads, nullptr, [&](const RoundingProblem& problem, std::int64_t first) {
    const LayerLoss loss(problem);
    const auto begin = static_cast<std::size_t>(first * problem.columns);
    const auto old = loss.of_rows(std::span(rows.nearest_values).subspan(begin, problem.weights.size()));
    const auto now = loss.of_rows(groups[at++]->values);
    before.insert(before.end(), old.begin(), old.end());
    after.insert(after.end(), now.begin(), now.end());
  });
  std::vector<bool> better;
  for (std::size_t r = 0; r < before.size(); ++r) better.push_back(after[r] < before[r]);
  if (rows.grids_per_row > 0) return better;
  double sum = 0;
  for (std::size_t r = 0; r < before.size(); ++r) sum += after[r] - before[r];
  return std::vector<bool>(before.size(), sum < 0);
}

/// The nearest rounding with the better rows, their scales and their code books in its place.
QuantizedWeight merged(LevelRows& rows, const WeightView& view, std::span<const std::unique_ptr<Group>> groups,
                       const std::vector<bool>& better) {
  QuantizedWeight out = std::move(rows.nearest);
  const std::size_t levels = out.code_book.size() / std::max<std::size_t>(1, rows.grids.size());
  for (const auto& group : groups)
    for (std::size_t r = 0; r < static_cast<std::size_t>(group->problem.rows); ++r) {
      const std::int64_t row = group->first + static_cast<std::int64_t>(r);
      if (!better[static_cast<std::size_t>(row)]) continue;
      std::vector<std::int16_t> codes;
      for (std::int64_t c = 0; c < rows.columns; ++c) {
        const std::size_t g = rows.grid_index(row, c);
        const Grid& grid = rows.grids[g];
        codes.push_back(
            grid.levels->codes()[static_cast<std::size_t>(group->row_indices(r)[static_cast<std::size_t>(c)])]);
        out.scales[g] = grid.scale;
        std::copy_n(grid.levels->values().begin(), levels,
                    out.code_book.begin() + static_cast<std::ptrdiff_t>(g * levels));
      }
      put_row(view, row, group->row_values(r), codes, out);
    }
  return out;
}

}  // namespace

QuantizedWeight train_levels(std::span<const float> weights, const WeightView& view, const Choice& choice,
                             const LayerMoments& moments, std::span<const float> importance,
                             const TrainedLevelsSettings& settings) {
  assert(settings.passes >= 0 && settings.shrink >= 0);
  const Pattern pattern = pattern_of(choice);
  const bool binary = choice.family == FormatFamily::binary;
  LevelRows rows = level_rows(weights, view, choice, importance);
  if (weights.empty()) return std::move(rows.nearest);
  const GptqLevelsSettings sweep{std::clamp(settings.shrink, 0.01, 10.0), false, settings.threads, settings.stop};
  const std::vector<std::int16_t> start = gptq_levels(weights, view, choice, rows, moments, sweep).codes;
  std::vector<std::unique_ptr<Group>> groups;
  for_each_group(rows, moments, settings.threads, settings.stop, [&](const RoundingProblem& problem, auto first) {
    groups.push_back(make_group(rows, view, start, problem, first, settings.shrink));
  });
  const auto total = [&] {
    double sum = 0;
    for (const auto& group : groups) {
      assign_codes(rows, *group);
      for (const double loss : group->losses) sum += loss;
    }
    return sum;
  };
  double before = total();
  for (int pass = 0; pass < settings.passes && solve_levels(rows, pattern, binary, groups); ++pass) {
    const double now = total();
    if (!(now < before * (1 - 1e-3))) break;
    before = now;
  }
  QuantizedWeight out = merged(rows, view, groups, better_rows(rows, moments, settings.threads, groups));
  set_mse(weights, out);
  return out;
}

}  // namespace bitplan
