#include <algorithm>
#include <cmath>

#include "quant/moments/gram.hpp"
#include "quant/roundings/gptq.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "tests/golden/golden_checks.hpp"

namespace bitplan::test {
namespace {

/// GPTQModel's grid of a part: min and max with 0, an all-zero part is [-1, 1]; symmetric: zero point in the middle.
ScaleZero group_range(std::span<const float> part, float levels, bool symmetric) {
  float low = 0, high = 0;
  for (const float w : part) low = std::min(low, w), high = std::max(high, w);
  if (symmetric) {
    high = std::max(-low, high);
    if (low < 0) low = -high;
  }
  if (low == 0 && high == 0) low = -1, high = 1;
  const float scale = (high - low) / levels;
  return {scale, symmetric ? (levels + 1) / 2 : std::nearbyint(-low / scale)};
}

/// The scales of GPTQModel for a sweep without dynamic groups, from the weights as they are.
void set_static_scales(const std::vector<float>& weight, std::int64_t group, bool symmetric, RoundingProblem& problem) {
  const auto levels = static_cast<float>(problem.grid.q_max - problem.grid.q_min);
  for (std::int64_t r = 0; r < problem.rows; ++r)
    for (std::int64_t begin = 0; begin < problem.columns; begin += group) {
      const auto at = static_cast<std::size_t>(r * problem.columns + begin);
      const auto size = static_cast<std::size_t>(std::min(group, problem.columns - begin));
      const auto [scale, zero] = group_range(std::span(weight).subspan(at, size), levels, symmetric);
      problem.grid.scales.push_back(scale);
      problem.grid.zero_points.push_back(zero);
    }
}

/// GPTQModel makes weights of inputs that are always 0 zero before it looks for ranges; here they count.
void drop_dead_columns(std::span<const float> gram, std::int64_t columns, std::vector<float>& weight) {
  const auto width = static_cast<std::size_t>(columns);
  for (std::size_t i = 0; i < weight.size(); ++i)
    if (gram[i % width * (width + 1)] == 0) weight[i] = 0;
}

GptqSettings settings_of(const GoldenCase& c) {
  GptqSettings settings;
  settings.damping = c.number("damp_used").value_or(c.number("percdamp").value_or(0.01));
  settings.block = c.integer("blocksize").value_or(128);
  settings.activation_order = c.flag("actorder") || c.text("actorder") == "weight";
  const std::string order = c.text("actorder");
  if (!order.empty() && order != "off" && order != "weight")
    throw std::runtime_error("the activation order '" + order + "' is covered by no rule");
  return settings;
}

}  // namespace

Outcome check_gptq(const GoldenCase& c) {
  std::vector<float> weight = c.floats("weight");
  const Shape shape = c.shape("weight");
  const Tensor inputs = c.shared_array("act_file");
  GramAccumulator moments(shape.at(1), false, 1);
  moments.add(inputs.values<float>());
  const std::vector<float> gram = moments.gram();
  const bool package_groups = c.text("source").rfind("gptqmodel", 0) == 0;
  if (package_groups) drop_dead_columns(gram, shape[1], weight);
  if (!package_groups && c.text("source").rfind("llmcompressor", 0) != 0)
    return Outcome::fail("the source '" + c.text("source") + "' is covered by no rule");

  RoundingProblem problem{shape[0], shape[1], weight, {}, gram, {}, 1};
  problem.grid.q_min = static_cast<std::int32_t>(*c.integer("qmin"));
  problem.grid.q_max = static_cast<std::int32_t>(*c.integer("qmax"));
  GptqSettings settings = settings_of(c);
  const std::int64_t group = c.integer("group_size").value_or(shape[1]);
  const bool symmetric = c.flag("symmetric");
  problem.grid.groups = (shape[1] + group - 1) / group;
  problem.grid.group_of = neighbour_groups(shape[1], group);
  if (package_groups && group < shape[1] && !c.flag("static_groups")) {
    settings.group = group;
    const auto levels = static_cast<float>(problem.grid.q_max - problem.grid.q_min);
    settings.group_range = [=](std::span<const float> part) { return group_range(part, levels, symmetric); };
  } else if (package_groups) {
    set_static_scales(weight, group, symmetric, problem);
  } else {  // compressed-tensors finds them before the sweep: they are this method's input
    problem.grid.scales = c.floats("scale");
    problem.grid.zero_points = c.floats("zero");
  }
  const RoundedWeight ours = round_gptq(problem, settings);

  Comparison is(c);
  if (settings.group_range) problem.grid = ours.grid;
  const LayerLoss loss(problem);
  is.near("scales", ours.grid.scales, c.floats("scale"), 1e-5);
  is.at_most("output error", loss.of(ours.values), loss.of(c.floats("out")), 1.01);
  return is.outcome();
}

}  // namespace bitplan::test
