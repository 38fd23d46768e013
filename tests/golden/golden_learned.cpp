#include <cmath>
#include <cstdio>

#include "quant/moments/gram.hpp"
#include "quant/roundings/adaround.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/signround.hpp"
#include "tests/golden/golden_checks.hpp"

namespace bitplan::test {
namespace {

/// im2col of act [n, channels, height, width] for a kernel of size kh x kw: one row for each sample and place.
std::vector<float> patches(const std::vector<float>& act, const Shape& shape, std::int64_t kh, std::int64_t kw,
                           std::int64_t padding, std::int64_t stride) {
  const std::int64_t height = shape[2], width = shape[3];
  std::vector<float> out;
  for (std::int64_t n = 0; n < shape[0]; ++n)
    for (std::int64_t y = -padding; y + kh <= height + padding; y += stride)
      for (std::int64_t x = -padding; x + kw <= width + padding; x += stride)
        for (std::int64_t channel = 0; channel < shape[1]; ++channel)
          for (std::int64_t i = y; i < y + kh; ++i)
            for (std::int64_t j = x; j < x + kw; ++j) {
              const bool inside = i >= 0 && i < height && j >= 0 && j < width;
              const auto at = static_cast<std::size_t>(((n * shape[1] + channel) * height + i) * width + j);
              out.push_back(inside ? act[at] : 0.0F);
            }
  return out;
}

/// Inputs of the layer, one sample a row.
std::vector<float> input_rows(const GoldenCase& c) {
  const std::string layer = c.text("layer");
  if (layer.rfind("linear", 0) == 0) return c.floats("act");
  int padding = 0, stride = 0;
  const Shape weight = c.shape("weight"), act = c.shape("act");
  if (std::sscanf(layer.c_str(), "conv padding %d stride %d", &padding, &stride) != 2 || padding < 0 || stride < 1 ||
      weight.at(1) != act.at(1))
    throw std::runtime_error("the layer '" + layer + "' is covered by no rule");
  return patches(c.floats("act"), act, weight.at(2), weight.at(3), padding, stride);
}

RoundingProblem linear_problem(std::span<const float> weight, const Shape& shape, std::span<const float> gram) {
  return {shape[0], element_count(shape) / shape[0], weight, {}, gram, {}, 1};
}

/// The V that AdaRound starts from, where the weight is not too near to a level.
void compare_start(const GoldenCase& c, const RoundingProblem& problem, Comparison& is) {
  const std::vector<float> start = c.floats("alpha_init");
  std::vector<float> ours, theirs;
  for (std::size_t i = 0; i < start.size(); ++i) {
    const float steps = problem.weights[i] / problem.grid.scales[i / static_cast<std::size_t>(problem.columns)];
    const float fraction = steps - std::floor(steps);
    if (fraction < 1e-5F || fraction > 1 - 1e-5F) continue;
    ours.push_back(adaround_start(fraction));
    theirs.push_back(start[i]);
  }
  is.near("alpha_init", ours, theirs, 0, 1e-4);
}

/// Its regulariser at some iterations of the reference's schedule.
void compare_regulariser(const GoldenCase& c, Comparison& is) {
  AdaRoundSettings settings;
  settings.iterations = static_cast<int>(*c.integer("iterations"));
  settings.warm_start = c.number("warm_start").value_or(0.2);
  settings.beta_start = c.meta.at("beta_range")[0].get<double>();
  settings.beta_end = c.meta.at("beta_range")[1].get<double>();
  const auto iterations = c.meta.at("round_loss_iterations");
  for (std::size_t i = 0; i < iterations.size(); ++i) {
    const double beta = adaround_beta(settings, iterations[i].get<int>());
    const double strength = beta > 0 ? c.number("reg_param").value() : 0;
    is.near("round loss of V_test", strength * adaround_regulariser(c.floats("V_test"), beta),
            c.meta.at("round_loss_of_V_test")[i].get<double>(), 1e-5);
    is.near("round loss of alpha_init", strength * adaround_regulariser(c.floats("alpha_init"), beta),
            c.meta.at("round_loss_of_alpha_init")[i].get<double>(), 1e-5);
  }
}

}  // namespace

Outcome check_adaround(const GoldenCase& c) {
  const std::vector<float> weight = c.floats("weight"), inputs = input_rows(c);
  RoundingProblem problem = linear_problem(weight, c.shape("weight"), {});
  GramAccumulator moments(problem.columns, false, 1);
  moments.add(inputs);
  const std::vector<float> gram = moments.gram();
  problem.gram = gram;
  problem.grid = {static_cast<std::int32_t>(*c.integer("qmin")),
                  static_cast<std::int32_t>(*c.integer("qmax")),
                  1,
                  neighbour_groups(problem.columns, 0),
                  c.floats("scale"),
                  c.floats("zero")};
  Comparison is(c);
  compare_start(c, problem, is);
  compare_regulariser(c, is);
  const LayerLoss loss(problem);
  const RoundedWeight nearest = round_nearest(problem);
  const double rtn = loss.of(nearest.values);
  is.near("loss of nearest rounding", rtn, c.number("recon_loss_rtn").value(), 1e-5);
  is.near("loss of the soft start", loss.of(adaround_values(problem, c.floats("alpha_init"))),
          c.number("recon_loss_soft_init").value(), 1e-5, 1e-7 * rtn);
  is.near("loss of the reference", loss.of(c.floats("out")), c.number("recon_loss_final").value(), 1e-5);
  AdaRoundSettings settings;  // as many steps as the reference
  settings.iterations = static_cast<int>(*c.integer("iterations"));
  const RoundedWeight learned = round_adaround(problem, settings);
  is.holds(learned.loss < rtn, "the loss is below that of nearest rounding");
  is.at_most("loss", learned.loss, c.number("recon_loss_final").value(), 1);
  return is.outcome();
}

Outcome check_signround(const GoldenCase& c) {
  const std::vector<float> weight = c.floats("weight");
  const Tensor inputs = c.shared_array("act_file");
  RoundingProblem problem = linear_problem(weight, c.shape("weight"), {});
  GramAccumulator moments(problem.columns, false, 1);
  moments.add(inputs.values<float>());
  const std::vector<float> gram = moments.gram();
  problem.gram = gram;
  const auto bits = static_cast<int>(*c.integer("bits"));
  const std::int64_t group = c.integer("group_size").value_or(problem.columns);
  const bool symmetric = c.flag("symmetric");
  problem.grid = {symmetric ? -(1 << (bits - 1)) : 0,
                  symmetric ? (1 << (bits - 1)) - 1 : (1 << bits) - 1,
                  (problem.columns + group - 1) / group,
                  neighbour_groups(problem.columns, group),
                  {},
                  {}};
  problem.grid.scales.assign(static_cast<std::size_t>(problem.rows * problem.grid.groups), 1.0F);
  problem.grid.zero_points.assign(problem.grid.scales.size(), 0.0F);
  const RoundedWeight nearest = signround_at(problem, SignRoundParameters::start(problem));
  problem.grid = nearest.grid;
  Comparison is(c);
  is.near("out_rtn", nearest.values, c.floats("out_rtn"), 2e-6, 1e-9);
  const RoundedWeight test =
      signround_at(problem, {c.floats("v_test"), c.floats("min_scale_test"), c.floats("max_scale_test")});
  is.near("out_test", test.values, c.floats("out_test"), 2e-6, 1e-9);
  const double per_output = static_cast<double>(problem.rows);
  const LayerLoss loss(problem);
  is.near("loss of nearest rounding", loss.of(nearest.values) / per_output, c.number("output_mse_rtn").value(), 1e-5);
  is.near("loss of the reference", loss.of(c.floats("out")) / per_output, c.number("output_mse_best").value(), 1e-5);
  SignRoundSettings settings;
  settings.iterations = static_cast<int>(c.integer("iterations").value_or(200));
  is.at_most("loss", round_signround(problem, settings).loss / per_output, c.number("output_mse_best").value(), 1);
  return is.outcome();
}

}  // namespace bitplan::test
