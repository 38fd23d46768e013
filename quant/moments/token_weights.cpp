#include "quant/moments/token_weights.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace bitplan {
namespace {

constexpr double kFew = 2;  ///< mean over median of energies

double energy(std::span<const float> row) {
  double sum = 0;
  for (const float v : row) sum += static_cast<double>(v) * static_cast<double>(v);
  return sum;
}

std::vector<float> divided(const std::vector<double>& sums, double divisor) {
  std::vector<float> out(sums.size());
  std::ranges::transform(sums, out.begin(), [&](double sum) { return static_cast<float>(sum / divisor); });
  return out;
}

}  // namespace

std::optional<double> usual_energy(std::span<const float> rows, std::int64_t columns) {
  const auto width = static_cast<std::size_t>(columns);
  std::vector<double> energies;
  double mean = 0;
  for (std::size_t at = 0; at < rows.size(); at += width) {
    energies.push_back(energy(rows.subspan(at, width)));
    mean += energies.back();
  }
  if (energies.empty()) return std::nullopt;
  mean /= static_cast<double>(energies.size());
  const auto middle = energies.begin() + std::ssize(energies) / 2;
  std::ranges::nth_element(energies, middle);
  return *middle > 0 && mean > kFew * *middle ? std::optional(*middle) : std::nullopt;
}

WeightedMoments::WeightedMoments(double usual, std::int64_t columns, bool with_cross, int threads,
                                 TransposedProduct product)
    : usual_(usual),
      columns_(columns),
      cross_(with_cross),
      sums_(columns, with_cross, threads, product),
      mean_(static_cast<std::size_t>(columns)),
      float_mean_(mean_.size()) {
  assert(usual > 0);
}

void WeightedMoments::add(std::span<float> x, std::span<float> quantized) {
  const auto width = static_cast<std::size_t>(columns_);
  for (std::size_t at = 0; at < x.size(); at += width)
    weights_ += scale_row(x.subspan(at, width), quantized.empty() ? quantized : quantized.subspan(at, width));
  if (cross_) return sums_.add(quantized, x);
  sums_.add(quantized.empty() ? x : quantized);
}

double WeightedMoments::scale_row(std::span<float> x, std::span<float> quantized) {
  const double found = energy(x), weight = found > usual_ ? usual_ / found : 1;
  const auto root = static_cast<float>(std::sqrt(weight));
  const auto add_to = [&](std::vector<double>& mean, std::span<const float> row) {
    for (std::size_t c = 0; c < mean.size(); ++c) mean[c] += weight * static_cast<double>(row[c]);
  };
  add_to(float_mean_, x);
  add_to(mean_, quantized.empty() ? x : quantized);
  for (float& v : x) v *= root;
  for (float& v : quantized) v *= root;
  return weight;
}

LayerMoments WeightedMoments::finish() const {
  LayerMoments moments;
  moments.columns = columns_;
  moments.rows = sums_.count();
  const auto scale = static_cast<float>(static_cast<double>(moments.rows) / weights_);
  const auto scaled = [&](std::vector<float> matrix) {
    for (float& v : matrix) v *= scale;
    return matrix;
  };
  moments.gram = {scaled(sums_.gram())};
  if (cross_) moments.cross = {scaled(sums_.cross())};
  moments.mean = {divided(mean_, weights_)};
  moments.float_mean = {divided(float_mean_, weights_)};
  return moments;
}

}  // namespace bitplan
