// Speed of the roundings on one weight: bench_quantizers [ROWS [COLUMNS [GROUP [THREADS [NAME…]]]]]
// One line a rounding: "NAME WALL CPU" in seconds, on 4-bit affine min-max groups (GPTQ's usual setting) and second
// moments of 2 x COLUMNS random samples with correlated channels; without NAMEs hqq and gptq.
// bench/quantizers_vs_python.py runs the reference implementations beside it.

#include <chrono>
#include <cmath>
#include <ctime>
#include <iostream>
#include <string>
#include <vector>

#include "core/rng.hpp"
#include "quant/moments/gram.hpp"
#include "quant/roundings/roundings.hpp"

namespace {

using namespace bitplan;

std::vector<float> normal(std::size_t n, const char* purpose) {
  Rng rng(1, purpose);
  std::vector<float> out(n);
  for (float& v : out) v = static_cast<float>(rng.unit() + rng.unit() + rng.unit() - 1.5);
  return out;
}

/// Samples whose channels have something in common, as activations do.
std::vector<float> samples(std::int64_t count, std::int64_t columns) {
  std::vector<float> out = normal(static_cast<std::size_t>(count * columns), "bench samples");
  for (std::size_t i = 0; i < out.size(); ++i) out[i] += 0.5F * out[i - i % static_cast<std::size_t>(columns)];
  return out;
}

RoundingGrid min_max_grid(const std::vector<float>& weights, std::int64_t rows, std::int64_t columns,
                          std::int64_t group) {
  RoundingGrid grid{0, 15, (columns + group - 1) / group, neighbour_groups(columns, group), {}, {}};
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t g = 0; g < columns; g += group) {
      float low = 0, high = 0;
      for (std::int64_t c = g; c < std::min(columns, g + group); ++c) {
        low = std::min(low, weights[static_cast<std::size_t>(r * columns + c)]);
        high = std::max(high, weights[static_cast<std::size_t>(r * columns + c)]);
      }
      grid.scales.push_back((high - low) / 15);
      grid.zero_points.push_back(std::nearbyint(-low / grid.scales.back()));
    }
  return grid;
}

template <class Work>
void measure(const std::string& name, Work work) {
  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  work();
  std::cout << name << ' ' << std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() << ' '
            << static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC << std::endl;
}

std::int64_t number(int argc, char** argv, int at, std::int64_t otherwise) {
  return argc > at ? std::stoll(argv[at]) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t rows = number(argc, argv, 1, 4096), columns = number(argc, argv, 2, rows);
  const std::int64_t group = number(argc, argv, 3, 64);
  const int threads = static_cast<int>(number(argc, argv, 4, 0));
  std::vector<std::string> names(argv + std::min(argc, 5), argv + argc);
  if (names.empty()) names = {"hqq", "gptq"};
  const std::vector<float> weights = normal(static_cast<std::size_t>(rows * columns), "bench weights");
  RoundingProblem problem{rows, columns, weights, min_max_grid(weights, rows, columns, group), {}, {}, threads};
  GramAccumulator moments(columns, false, threads);
  const std::vector<float> inputs = samples(2 * columns, columns);
  bool have_moments = false;
  std::vector<float> gram;
  for (const std::string& name : names) {
    const Rounding& rounding = find_rounding(name);
    if (rounding.needs_gram && !have_moments) {
      measure("moments", [&] { moments.add(inputs); });
      gram = moments.gram();
      have_moments = true;
    }
    problem.gram = rounding.needs_gram ? std::span<const float>(gram) : std::span<const float>();
    RoundedWeight out;
    measure(name, [&] { out = round_with(rounding, problem); });
    if (rounding.needs_gram) std::cout << "  loss " << out.loss << ", nearest " << out.nearest_loss << std::endl;
  }
}
