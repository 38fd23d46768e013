#include "quant/roundings/billm_layer.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <numeric>

#include "core/parallel.hpp"
#include "quant/math/finite.hpp"
#include "quant/ranges/value_range.hpp"
#include "quant/roundings/gptq.hpp"
#include "quant/roundings/level_rows.hpp"
#include "quant/weight_rows.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kScaleBits = 32, kScales = 4;

std::int64_t salient_of(std::int64_t width, const BillmSettings& settings) {
  return std::llround(static_cast<double>(width) * settings.salient);
}

/// What a row of a block may be: a1, a2, b1, b2 and the levels they make.
struct BlockLevels {
  std::array<float, kScales> scales{};
  std::vector<float> salient, rest;

  static std::int16_t nearest(const std::vector<float>& levels, float x) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < levels.size(); ++i)
      if (std::abs(levels[i] - x) < std::abs(levels[best] - x)) best = i;
    return static_cast<std::int16_t>(best);
  }
};

double mean_of(std::span<const double> values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The means of the smaller and the larger magnitudes, cut where the sum of squared distances is least.
std::array<double, 2> split_means(std::vector<double> magnitudes) {
  std::sort(magnitudes.begin(), magnitudes.end());
  const std::span all(magnitudes);
  std::array<double, 2> best{mean_of(all), mean_of(all)};
  const double total = mean_of(all) * static_cast<double>(all.size());
  double most = -1, below = 0;
  for (std::size_t n = 1; n < all.size(); ++n) {  // least squares: the largest sum^2 / count of both sides
    below += all[n - 1];
    const double low = below / static_cast<double>(n), high = (total - below) / static_cast<double>(all.size() - n);
    const double gain = low * below + high * (total - below);
    if (gain > most) most = gain, best = {low, high};
  }
  return best;
}

BlockLevels levels_of(const std::array<float, kScales>& scales, bool split) {
  BlockLevels out{scales, {}, {}};
  for (const float one : {-scales[0], scales[0]})
    for (const float two : {-scales[1], scales[1]}) out.salient.push_back(one + two);
  out.rest = {-scales[2], scales[2]};
  if (split) out.rest.insert(out.rest.end(), {-scales[3], scales[3]});
  std::sort(out.salient.begin(), out.salient.end());
  std::sort(out.rest.begin(), out.rest.end());
  return out;
}

BlockLevels fit_block(std::span<const float> values, const std::vector<bool>& salient, bool split) {
  std::vector<double> first, rest, second;
  for (std::size_t c = 0; c < values.size(); ++c)
    (salient[c] ? first : rest).push_back(std::abs(static_cast<double>(values[c])));
  const double a1 = mean_of(first);
  for (const double magnitude : first) second.push_back(std::abs(magnitude - a1));
  const double a2 = mean_of(second);
  const std::array<double, 2> b = split ? split_means(rest) : std::array<double, 2>{mean_of(rest), 0};
  return levels_of({static_cast<float>(a1), static_cast<float>(a2), static_cast<float>(b[0]), static_cast<float>(b[1])},
                   split);
}

/// A group's rows on their way.
struct Sweep {
  const RoundingProblem& problem;
  const BillmSettings& settings;
  std::vector<float> upper;    // U
  std::vector<float> weights;  // [rows, columns], moved by the errors of columns before
  std::vector<float> values;   // and what they become
  std::vector<std::int16_t> codes;
  std::vector<float> scales;  // [rows, blocks, 4]
  std::vector<bool> salient;  // by column
  std::int64_t blocks() const { return (problem.columns + settings.block - 1) / settings.block; }
};

/// Marks the salient columns of the block begin … end - 1; of equal ones the first.
void choose_salient(Sweep& sweep, std::int64_t begin, std::int64_t end) {
  const std::int64_t k = sweep.problem.columns;
  std::vector<double> score(static_cast<std::size_t>(end - begin));
  for (std::int64_t r = 0; r < sweep.problem.rows; ++r)
    for (std::int64_t c = begin; c < end; ++c) {
      const double w = static_cast<double>(sweep.weights[static_cast<std::size_t>(r * k + c)]) /
                       static_cast<double>(sweep.upper[static_cast<std::size_t>(c * (k + 1))]);
      score[static_cast<std::size_t>(c - begin)] += w * w;
    }
  std::vector<std::size_t> order(score.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return score[a] > score[b]; });
  for (std::int64_t i = 0; i < salient_of(end - begin, sweep.settings); ++i)
    sweep.salient[static_cast<std::size_t>(begin) + order[static_cast<std::size_t>(i)]] = true;
}

/// One row of a block; with `pass_on` each error goes to all columns behind.
void round_row(const Sweep& sweep, std::int64_t begin, std::int64_t end, bool pass_on, float* row, float* values,
               std::int16_t* codes, float* scales) {
  const std::int64_t k = sweep.problem.columns;
  const std::vector<bool> salient(sweep.salient.begin() + begin, sweep.salient.begin() + end);
  const BlockLevels levels =
      fit_block({row + begin, static_cast<std::size_t>(end - begin)}, salient, sweep.settings.split);
  std::copy(levels.scales.begin(), levels.scales.end(), scales);
  for (std::int64_t c = begin; c < end; ++c) {
    const auto& own = salient[static_cast<std::size_t>(c - begin)] ? levels.salient : levels.rest;
    codes[c] = BlockLevels::nearest(own, row[c]);
    values[c] = own[static_cast<std::size_t>(codes[c])];
    if (!pass_on) continue;
    const float* u = sweep.upper.data() + c * k;
    const float error = (row[c] - values[c]) / u[c];
    for (std::int64_t l = c + 1; l < k; ++l) row[l] -= error * u[l];
  }
}

/// All rows of all blocks.
void run(Sweep& sweep) {
  const std::int64_t k = sweep.problem.columns, block = sweep.settings.block, blocks = sweep.blocks();
  for (std::int64_t b = 0; b < blocks; ++b) {
    check_stop(sweep.problem);
    const std::int64_t begin = b * block, end = std::min(k, begin + block);
    choose_salient(sweep, begin, end);
    parallel_for(static_cast<std::size_t>(sweep.problem.rows), sweep.problem.threads, [&](std::size_t r, int) {
      const auto row = static_cast<std::int64_t>(r);
      round_row(sweep, begin, end, true, sweep.weights.data() + row * k, sweep.values.data() + row * k,
                sweep.codes.data() + row * k, sweep.scales.data() + (row * blocks + b) * kScales);
    });
  }
}

/// Takes the rows of `other` that have a smaller output error, and that are finite where errors have grown beyond all
/// floats.
void take_better(Sweep& sweep, const Sweep& other, const LayerLoss& loss) {
  const std::int64_t k = sweep.problem.columns, scales = sweep.blocks() * kScales;
  std::vector<float> finite = sweep.values;
  std::vector<bool> broken(static_cast<std::size_t>(sweep.problem.rows));
  for (std::int64_t r = 0; r < sweep.problem.rows; ++r) {
    const auto row = std::span(finite).subspan(static_cast<std::size_t>(r * k), static_cast<std::size_t>(k));
    if (all_finite(row)) continue;
    broken[static_cast<std::size_t>(r)] = true;
    std::copy_n(other.values.begin() + r * k, k, row.begin());
  }
  const auto before = loss.of_rows(finite), after = loss.of_rows(other.values);
  for (std::int64_t r = 0; r < sweep.problem.rows; ++r) {
    const auto row = static_cast<std::size_t>(r);
    if (!broken[row] && before[row] <= after[row]) continue;
    std::copy_n(other.values.begin() + r * k, k, sweep.values.begin() + r * k);
    std::copy_n(other.codes.begin() + r * k, k, sweep.codes.begin() + r * k);
    std::copy_n(other.scales.begin() + r * scales, scales, sweep.scales.begin() + r * scales);
  }
}

/// The same columns without passing errors on.
Sweep without_feedback(const Sweep& sweep) {
  const std::int64_t k = sweep.problem.columns, block = sweep.settings.block, blocks = sweep.blocks();
  Sweep plain{sweep.problem, sweep.settings, {}, {}, sweep.values, sweep.codes, sweep.scales, sweep.salient};
  plain.weights.assign(sweep.problem.weights.begin(), sweep.problem.weights.end());
  for (std::int64_t r = 0; r < sweep.problem.rows; ++r)
    for (std::int64_t b = 0; b < blocks; ++b)
      round_row(plain, b * block, std::min(k, (b + 1) * block), false, plain.weights.data() + r * k,
                plain.values.data() + r * k, plain.codes.data() + r * k,
                plain.scales.data() + (r * blocks + b) * kScales);
  return plain;
}

/// Values +-a of one bit as BiLLM's: a2 = 0, a1 = b1 = b2 = a, the same in a row and block.
Sweep of_one_bit(const Sweep& sweep, std::span<const float> values) {
  const std::int64_t k = sweep.problem.columns, block = sweep.settings.block;
  Sweep out{sweep.problem, sweep.settings, {},           {}, {values.begin(), values.end()},
            sweep.codes,   sweep.scales,   sweep.salient};
  auto scales = out.scales.begin();
  for (std::int64_t r = 0; r < sweep.problem.rows; ++r)
    for (std::int64_t begin = 0; begin < k; begin += block) {
      const float a = std::abs(values[static_cast<std::size_t>(r * k + begin)]);
      const BlockLevels levels = levels_of({a, 0, a, sweep.settings.split ? a : 0}, sweep.settings.split);
      scales = std::ranges::copy(levels.scales, scales).out;
      for (std::int64_t c = begin; c < std::min(k, begin + block); ++c) {
        const auto at = static_cast<std::size_t>(r * k + c);
        const auto& own = sweep.salient[static_cast<std::size_t>(c)] ? levels.salient : levels.rest;
        out.codes[at] = BlockLevels::nearest(own, values[at]);
      }
    }
  return out;
}

}  // namespace

std::int64_t billm_stored_bits(const WeightView& view, std::int64_t groups, const BillmSettings& settings) {
  if (view.size() == 0) return 0;
  const std::int64_t k = view.per_channel();
  std::int64_t bits_of_row = k;
  for (std::int64_t begin = 0; begin < k; begin += settings.block) {
    const std::int64_t width = std::min(settings.block, k - begin), salient = salient_of(width, settings);
    const std::int64_t rest = width - salient;
    bits_of_row += salient + (settings.split ? rest : 0);
    bits_of_row += kScaleBits * ((salient > 0 ? 2 : 0) + (rest == 0 ? 0 : settings.split ? 2 : 1));
  }
  return view.channels * bits_of_row + groups * k;
}

BillmWeight quantize_billm(std::span<const float> weights, const WeightView& view, const LayerMoments& moments,
                           const BillmSettings& settings, std::span<const float> one_bit) {
  assert(one_bit.empty() || one_bit.size() == weights.size());
  assert(settings.block > 0 && settings.salient >= 0 && settings.salient <= 1);
  range_of(weights);  // names the first value that is not finite by its place in the tensor
  BillmWeight out;
  out.weight.stored_bits = billm_stored_bits(view, moments.groups, settings);
  if (weights.empty()) return out;
  out.weight.values.resize(weights.size());
  out.weight.codes.resize(weights.size());
  const LevelRows rows = plain_rows(weights, view);
  const std::vector<float> one_bit_rows = one_bit.empty() ? std::vector<float>() : to_rows(one_bit, view);
  for_each_group(rows, moments, settings.threads, settings.stop, [&](const RoundingProblem& problem, auto first) {
    const auto width = static_cast<std::size_t>(problem.columns);
    std::vector<std::int64_t> order(width);
    std::iota(order.begin(), order.end(), 0);
    Sweep sweep{problem, settings, gptq_factor(problem, order, settings.damping), {}, {}, {}, {}, {}};
    sweep.weights.assign(problem.weights.begin(), problem.weights.end());
    sweep.values.resize(sweep.weights.size());
    sweep.codes.resize(sweep.weights.size());
    sweep.scales.resize(static_cast<std::size_t>(problem.rows * sweep.blocks() * kScales));
    sweep.salient.resize(width);
    run(sweep);
    const LayerLoss loss(problem);
    take_better(sweep, without_feedback(sweep), loss);
    const auto at = static_cast<std::size_t>(first) * width;
    if (!one_bit.empty())
      take_better(sweep, of_one_bit(sweep, std::span(one_bit_rows).subspan(at, sweep.values.size())), loss);
    for (std::size_t r = 0; r < static_cast<std::size_t>(problem.rows); ++r)
      put_row(view, first + static_cast<std::int64_t>(r), std::span(sweep.values).subspan(r * width, width),
              std::span(sweep.codes).subspan(r * width, width), out.weight);
    out.weight.scales.insert(out.weight.scales.end(), sweep.scales.begin(), sweep.scales.end());
    const std::int64_t group = first / std::max<std::int64_t>(1, problem.rows);
    for (std::size_t c = 0; c < width; ++c)
      if (sweep.salient[c])
        out.salient.push_back(static_cast<std::int32_t>(group * problem.columns + static_cast<std::int64_t>(c)));
  });
  set_mse(weights, out.weight);
  return out;
}

}  // namespace bitplan
