#include "quant/roundings/roundings.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "core/error.hpp"
#include "quant/roundings/adaround.hpp"
#include "quant/roundings/descent.hpp"
#include "quant/roundings/flexround.hpp"
#include "quant/roundings/gptq.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/rounding_hqq.hpp"
#include "quant/roundings/signround.hpp"

namespace bitplan {
namespace {

RoundedWeight nearest(const RoundingProblem& problem) {
  check(problem);
  return accepted(problem, round_nearest(problem));
}

RoundedWeight gptq(const RoundingProblem& problem) {
  GptqSettings settings;
  if (problem.find_part && problem.grid.groups > 1) {
    settings.group = std::ranges::count(problem.grid.group_of, 0);
    settings.group_range = problem.find_part;
  }
  return round_gptq(problem, settings);
}
RoundedWeight adaround(const RoundingProblem& problem) { return round_adaround(problem); }
RoundedWeight flexround(const RoundingProblem& problem) { return round_flexround(problem); }
RoundedWeight signround(const RoundingProblem& problem) { return round_signround(problem); }
RoundedWeight gptq_by_activation(const RoundingProblem& problem) {
  GptqSettings settings;
  settings.activation_order = true;
  return round_gptq(problem, settings);
}

/// GPTQ cannot take back what it has rounded; the descent can. Few samples are fitted too closely (docs/roundings.md).
RoundedWeight gptq_then_descent(const RoundingProblem& problem) {
  const LayerLoss loss(problem);
  return accepted(problem, loss, descend(problem, loss, gptq_by_activation(problem)));
}

using enum Rounding::Grid;

/// Every rounding. A new one is a new file and a new line here.
constexpr std::array kRoundings{
    Rounding{"nearest", "each weight to the nearest level", false, kept, nearest},
    Rounding{"hqq", "half-quadratic zero points", false, zero_points, round_hqq},
    Rounding{"hqq:grid", "scales by a search near the start, then half-quadratic zero points", false, zero_points,
             round_hqq_grid},
    Rounding{"hqq:alternating", "half-quadratic zero points and least-squares scales in turn", false, zero_points,
             round_hqq_alternating},
    Rounding{"hqq:legacy", "half-quadratic zero points as the package hqq has them", false, zero_points,
             round_hqq_legacy},
    Rounding{"descent", "coordinate descent on the layer's output error (QuantEase)", true, kept, round_descent},
    Rounding{"gptq", "column by column, errors made up for by later columns; groups get their scales on the way", true,
             kept, gptq},
    Rounding{"gptq:actorder", "gptq, columns with large inputs first", true, kept, gptq_by_activation},
    Rounding{"gptq:descent", "gptq:actorder, then coordinate descent", true, kept, gptq_then_descent},
    Rounding{"adaround", "up or down, learned with a rectified sigmoid", true, kept, adaround},
    Rounding{"flexround", "learned element-wise division before rounding", true, scales, flexround},
    Rounding{"signround", "offsets and ranges learned by sign gradient descent (AutoRound)", true, scales, signround},
};

}  // namespace

std::span<const Rounding> roundings() { return kRoundings; }

const Rounding* rounding_named(std::string_view name) {
  const auto found =
      std::find_if(kRoundings.begin(), kRoundings.end(), [&](const auto& entry) { return entry.name == name; });
  return found == kRoundings.end() ? nullptr : &*found;
}

const Rounding& find_rounding(std::string_view name) {
  if (const auto* found = rounding_named(name)) return *found;
  std::string known;
  for (const auto& entry : kRoundings) known.append(known.empty() ? "" : ", ").append(entry.name);
  throw InputError("'" + std::string(name) + "' is not a rounding; known: " + known);
}

RoundedWeight round_with(const Rounding& rounding, const RoundingProblem& problem) {
  if (problem.weights.empty()) {
    check(problem);
    return rounded(problem, problem.grid, {});
  }
  if (rounding.needs_gram && problem.gram.empty())
    throw InputError("rounding '" + std::string(rounding.name) + "' needs second moments of the layer's inputs");
  return rounding.round(problem);
}

}  // namespace bitplan
