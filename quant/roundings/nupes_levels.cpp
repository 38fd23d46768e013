#include "quant/roundings/nupes_levels.hpp"

#include <algorithm>
#include <cassert>

#include "quant/formats/power_levels.hpp"
#include "quant/ranges/value_range.hpp"
#include "quant/roundings/level_rows.hpp"
#include "quant/roundings/power_exponent.hpp"

namespace bitplan {
namespace {

/// Rounds the channels of one group; those that gain by it go to `out`.
void round_group(const LevelRows& rows, const RoundingProblem& problem, std::int64_t first, const WeightView& view,
                 int bits, double share, QuantizedWeight& out) {
  const ShrunkMoments moments = shrunk_moments(problem, share);
  RoundingProblem asked = problem;
  asked.gram = moments.gram;
  asked.cross = moments.cross;
  const PowerQuantized made = round_power(asked, bits).weight;
  const LayerLoss loss(problem);
  const auto width = static_cast<std::size_t>(problem.columns), begin = static_cast<std::size_t>(first);
  const auto before = loss.of_rows(std::span(rows.nearest_values).subspan(begin * width, made.values.size()));
  const auto after = loss.of_rows(made.values);
  for (std::size_t r = 0; r < after.size(); ++r) {
    if (!(after[r] < before[r])) continue;
    put_row(view, first + static_cast<std::int64_t>(r), std::span(made.values).subspan(r * width, width),
            std::span(made.codes).subspan(r * width, width), out);
    const Levels levels = power_levels(bits, made.exponent, absmax_of(problem.weights.subspan(r * width, width)));
    std::copy(levels.values().begin(), levels.values().end(),
              out.code_book.begin() + static_cast<std::ptrdiff_t>((begin + r) * levels.values().size()));
  }
}

}  // namespace

QuantizedWeight nupes_levels(std::span<const float> weights, const WeightView& view, const Choice& choice,
                             const LayerMoments& moments, double share, int threads, const std::atomic<bool>* stop) {
  assert(choice.family == FormatFamily::power && choice.granularity.kind == Granularity::Kind::channel && share >= 0);
  LevelRows rows = level_rows(weights, view, choice, {});
  QuantizedWeight out = rows.nearest;
  if (weights.empty()) return out;
  for_each_group(rows, moments, threads, stop, [&](const RoundingProblem& problem, std::int64_t first) {
    round_group(rows, problem, first, view, choice.bits, share, out);
  });
  set_mse(weights, out);
  return out;
}

}  // namespace bitplan
