#include "apps/input_file.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "apps/float_file.hpp"
#include "apps/table.hpp"
#include "core/error.hpp"
#include "quant/moments/gram.hpp"

namespace bitplan {
namespace {

/// E x^2 stands on the diagonal; where it is finite, so is E x y.
void check_energies(const LayerMoments& moments, std::span<const float> values, const std::string& file) {
  const auto n = static_cast<std::size_t>(moments.columns);
  for (std::size_t c = 0; c < n; ++c) {
    if (std::isfinite(moments.gram[0][c * (n + 1)])) continue;
    std::size_t at = c;
    for (std::size_t i = c; i < values.size(); i += n)
      if (std::abs(values[i]) > std::abs(values[at])) at = i;
    throw InputError(file + ": the mean square of the inputs in channel " + std::to_string(c) +
                     " is beyond float32: sample " + std::to_string(at / n) + " is " + significant(values[at]) +
                     " there; magnitudes up to 5e+17 are allowed, whatever the samples");
  }
}

}  // namespace

FileMoments read_moments(const std::filesystem::path& file, std::int64_t length) {
  const Tensor inputs = read_floats(file);
  if (inputs.shape().empty() || inputs.shape().back() != length)
    throw InputError(file.string() + " has shape " + to_string(inputs.shape()) + "; its last dimension must be " +
                     std::to_string(length) + ", the elements that a channel is summed over");
  const auto values = inputs.values<float>();
  GramAccumulator sums(length);
  try {
    sums.add(values);
  } catch (const InputError& error) {
    throw InputError(file.string() + ": " + error.what());
  }
  FileMoments out;
  LayerMoments& moments = out.moments;
  moments.columns = length;
  moments.rows = sums.count();
  moments.gram = {sums.gram()};
  check_energies(moments, values, file.string());
  moments.mean = moments.float_mean = {sums.mean()};
  const auto n = static_cast<std::size_t>(length);
  std::vector<double> absolute(n);
  std::vector<float> largest(n), mean;
  for (std::size_t i = 0; i < values.size(); ++i) {
    absolute[i % n] += std::abs(values[i]);
    largest[i % n] = std::max(largest[i % n], std::abs(values[i]));
  }
  for (const double sum : absolute) mean.push_back(static_cast<float>(sum / static_cast<double>(moments.rows)));
  out.largest = *std::max_element(largest.begin(), largest.end());
  moments.abs_mean = {mean};
  moments.abs_max = {largest};
  return out;
}

}  // namespace bitplan
