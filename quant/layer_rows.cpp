#include "quant/layer_rows.hpp"

#include <algorithm>
#include <cstddef>

#include "quant/moments/centred_moments.hpp"
#include "quant/rewrites/smoothquant.hpp"
#include "quant/weight_rows.hpp"

namespace bitplan {
namespace {

void add_share(std::vector<float>& matrix, double part, double energy, bool centred, const std::vector<float>& mean,
               const std::vector<float>& other) {
  const std::size_t width = mean.size();
  for (std::size_t i = 0; i < matrix.size() && centred; ++i)
    matrix[i] += static_cast<float>(part) * mean[i / width] * other[i % width];
  for (std::size_t c = 0; c < width; ++c) matrix[c * (width + 1)] += static_cast<float>(part * energy);
}

}  // namespace

LayerRows LayerRows::of(const LayerWeight& weight, std::shared_ptr<const LayerMoments> moments, bool centred) {
  LayerRows out;
  out.groups = moments ? moments->groups : 1;
  out.rows = weight.view.channels / out.groups;
  out.columns = weight.view.per_channel();
  out.weights = to_rows(weight.values, weight.view);
  out.moments = std::move(moments);
  out.centred = centred;
  out.threads = weight.threads;
  out.stop = weight.stop;
  return out;
}

std::span<const float> LayerRows::of_group(const std::vector<float>& all, std::int64_t group) const {
  const auto size = static_cast<std::size_t>(rows * columns);
  return std::span(all).subspan(static_cast<std::size_t>(group) * size, size);
}

RoundingProblem LayerRows::problem(std::int64_t group) const {
  RoundingProblem problem{rows, columns, of_group(weights, group), {}, {}, {}, threads, stop};
  problem.first_row = group * rows;
  if (moments == nullptr) return problem;
  const auto g = static_cast<std::size_t>(group);
  problem.gram = moments->gram[g];
  if (!moments->cross.empty()) problem.cross = moments->cross[g];
  problem.grid.scales.assign(static_cast<std::size_t>(rows), 1);
  problem.grid.zero_points.resize(problem.grid.scales.size());
  problem.grid.group_of = neighbour_groups(columns, 0);
  return problem;
}

RoundingProblem LayerRows::weighted_problem(std::int64_t group) const {
  RoundingProblem out = problem(group);
  out.gram = moments->weighted->gram[static_cast<std::size_t>(group)];
  if (!out.cross.empty()) out.cross = moments->weighted->cross[static_cast<std::size_t>(group)];
  return out;
}

std::vector<float> LayerRows::energies(std::int64_t group) const {
  std::vector<float> sums(static_cast<std::size_t>(columns));
  const std::int64_t first = std::max<std::int64_t>(0, group), last = group < 0 ? groups : group + 1;
  for (std::int64_t i = first; i < last; ++i)
    for (std::size_t c = 0; c < sums.size(); ++c) {
      const auto g = static_cast<std::size_t>(i);
      float square = moments->gram[g][c * (sums.size() + 1)];
      if (centred) {  // E (x - a)^2 = E x^2 - a (2 m - a)
        const float m = moments->mean[g][c], a = moments->weighted ? moments->weighted->mean[g][c] : m;
        square = std::max(0.0F, square + a * (2 * m - a));
      }
      sums[c] += square / static_cast<float>(last - first);
    }
  return sums;
}

double LayerRows::share() const {
  const auto positions = static_cast<double>(std::max<std::int64_t>(1, moments->rows));
  return std::min(static_cast<double>(columns) / positions, 1.0);
}

LayerRows::Shrunk LayerRows::shrunk(std::int64_t group) const {
  const LayerMoments& seen = moments->weighted ? *moments->weighted : *moments;
  const auto g = static_cast<std::size_t>(group);
  const auto width = static_cast<std::size_t>(columns);
  const std::vector<float>& mean = seen.mean[g];
  Shrunk out{seen.gram[g], seen.cross.empty() ? std::vector<float>() : seen.cross[g]};
  double energy = 0;
  for (std::size_t c = 0; c < width; ++c) {
    const double square = centred ? static_cast<double>(mean[c]) * static_cast<double>(mean[c]) : 0;
    energy += (static_cast<double>(out.gram[c * (width + 1)]) + square) / static_cast<double>(columns);
  }
  add_share(out.gram, share(), energy, centred, mean, mean);
  if (!out.cross.empty()) add_share(out.cross, share(), energy, centred, mean, seen.float_mean[g]);
  return out;
}

LayerRows LayerRows::without(const std::vector<std::int32_t>& float_columns) const {
  LayerRows out = *this;
  if (float_columns.empty()) return out;
  const auto width = static_cast<std::size_t>(columns);
  for (std::size_t r = 0; r < out.weights.size(); r += width)
    for (const auto column : float_columns) out.weights[r + static_cast<std::size_t>(column)] = 0;
  out.moments = std::make_shared<const LayerMoments>(changed(*moments, [&](LayerMoments& of) {
    for (auto* matrices : {&of.gram, &of.cross})
      for (auto& matrix : *matrices)
        for (const auto column : float_columns)
          for (std::size_t i = 0, c = static_cast<std::size_t>(column); i < width; ++i)
            matrix[i * width + c] = matrix[c * width + i] = 0;
    for (auto* means : {&of.mean, &of.float_mean})
      for (auto& mean : *means)
        for (const auto column : float_columns) mean[static_cast<std::size_t>(column)] = 0;
  }));
  return out;
}

LayerRows LayerRows::scaled(const std::vector<float>& scales) const {
  LayerRows out = *this;
  if (scales.empty()) return out;
  out.weights = scaled_columns(weights, scales);
  out.moments = std::make_shared<const LayerMoments>(changed(*moments, [&](LayerMoments& of) {
    for (auto* matrices : {&of.gram, &of.cross})
      for (auto& matrix : *matrices)
        for (std::size_t i = 0; i < matrix.size(); ++i)
          matrix[i] /= scales[i / scales.size()] * scales[i % scales.size()];
    for (auto* means : {&of.mean, &of.float_mean})
      for (auto& mean : *means)
        for (std::size_t c = 0; c < mean.size(); ++c) mean[c] /= scales[c];
  }));
  return out;
}

}  // namespace bitplan
