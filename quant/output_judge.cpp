#include "quant/output_judge.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>

#include "quant/bias_correction.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/weight_rows.hpp"

namespace bitplan {
namespace {

void copy_row(QuantizedWeight& to, const QuantizedWeight& from, std::size_t row, std::size_t rows) {
  visit_row_arrays(to, from, [&](auto& into, const auto& all) {
    const std::size_t width = all.size() / rows;
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(row * width), width,
                into.begin() + static_cast<std::ptrdiff_t>(row * width));
  });
}

/// Rows of one can stand in the other: nothing that all rows share differs.
bool can_mix(const QuantizedWeight& a, const QuantizedWeight& b, std::size_t rows) {
  if (a.column_scales != b.column_scales || a.salient != b.salient) return false;
  if (a.scales.empty() || a.scales.size() % rows != 0)
    return a.scales == b.scales && a.zero_points == b.zero_points && a.offsets == b.offsets &&
           a.code_book == b.code_book;
  return a.scales.size() == b.scales.size() && a.zero_points.size() == b.zero_points.size() &&
         a.offsets.size() == b.offsets.size() && a.code_book.size() == b.code_book.size();
}

/// Rows where take(kept error, other error), or all by the sums of both errors.
template <class Take, class Kept, class Other>
void mix(JudgedWeight& kept, const JudgedWeight& other, const Take& take, const Kept& of_kept, const Other& of_other) {
  const std::size_t rows = kept.errors.size();
  if (rows == 0) return;
  if (!can_mix(kept.weight, other.weight, rows)) {
    double before = 0, after = 0;
    for (std::size_t r = 0; r < rows; ++r) before += of_kept(kept.errors[r]), after += of_other(other.errors[r]);
    if (after <= before) kept = other;
    return;
  }
  for (std::size_t r = 0; r < rows; ++r)
    if (take(kept.errors[r], other.errors[r])) {
      copy_row(kept.weight, other.weight, r, rows);
      kept.errors[r] = other.errors[r];
    }
}

double plain(const RowError& error) { return error.plain; }
double plain_at_most(const RowError& error) { return error.plain + error.unknown; }
double without_bias(const RowError& error) { return error.without_bias; }

}  // namespace

struct OutputJudge::Group {
  RoundingProblem problem, weighted_problem;
  LayerLoss loss;
  std::optional<LayerLoss> weighted;
  std::vector<float> energies;  ///< E x^2 by column

  Group(const LayerRows& layer, std::int64_t group)
      : problem(layer.problem(group)), loss(problem), energies(layer.energies(group)) {
    if (!layer.moments->weighted) return;
    weighted_problem = layer.weighted_problem(group);
    weighted.emplace(weighted_problem);
  }

  /// RowError::unknown of moments about the means.
  double unknown(std::span<const float> from, std::span<const float> to) const {
    double error = 0, whole = 0;
    for (std::size_t c = 0; c < energies.size(); ++c) {
      const auto w = static_cast<double>(from[c]), e = static_cast<double>(to[c]) - w;
      error += e * e * static_cast<double>(energies[c]);
      whole += w * w * static_cast<double>(energies[c]);
    }
    return 0x1p-21 * (problem.cross.empty() ? error : error + 2 * std::sqrt(error * whole));
  }
};

OutputJudge::OutputJudge(const LayerRows& layer) : layer_(layer) {
  for (std::int64_t g = 0; g < layer.groups; ++g) groups_.push_back(std::make_shared<const Group>(layer, g));
}

std::vector<RowError> OutputJudge::errors(const std::vector<float>& values) const {
  std::vector<RowError> out;
  for (std::int64_t g = 0; g < layer_.groups; ++g) {
    const std::vector<RowError> part = errors(g, values);
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

std::vector<RowError> OutputJudge::errors(std::int64_t group, const std::vector<float>& values) const {
  const auto g = static_cast<std::size_t>(group), width = static_cast<std::size_t>(layer_.columns);
  const auto rows = layer_.of_group(values, group);
  std::vector<RowError> out;
  for (const double error : groups_[g]->loss.of_rows(rows)) out.push_back({error, 0, error});
  if (groups_[g]->weighted) {
    const std::vector<double> weighted = groups_[g]->weighted->of_rows(rows);
    for (std::size_t r = 0; r < out.size(); ++r) out[r].weighted = weighted[r];
  }
  if (!layer_.centred) return out;
  const auto means = [&](const LayerMoments& moments) {
    return bias_correction(layer_.of_group(layer_.weights, group), rows, moments.float_mean[g], moments.mean[g]);
  };
  const std::vector<float> mean = means(*layer_.moments);
  const std::vector<float> wanted = layer_.moments->weighted ? means(*layer_.moments->weighted) : mean;
  const auto own = layer_.of_group(layer_.weights, group);
  for (std::size_t r = 0; r < out.size(); ++r) {
    out[r].unknown = groups_[g]->unknown(own.subspan(r * width, width), rows.subspan(r * width, width));
    const auto m = static_cast<double>(mean[r]), a = static_cast<double>(wanted[r]),
               b = static_cast<double>(held_bias(wanted[r], mean[r]));
    out[r].without_bias += a * (2 * m - a);
    out[r].plain += (b - a) * (b + a - 2 * m);
    out[r].weighted += (b - a) * (b - a);
  }
  return out;
}

void take_better(JudgedWeight& kept, const JudgedWeight& now) {
  mix(
      kept, now,
      [](const RowError& before, const RowError& after) {
        return plain_at_most(after) <= before.plain && after.weighted <= before.weighted;
      },
      plain, plain_at_most);
}

void hold_below(JudgedWeight& kept, const JudgedWeight& other) {
  mix(
      kept, other, [](const RowError& mine, const RowError& its) { return mine.plain > its.without_bias; }, plain,
      without_bias);
}

}  // namespace bitplan
