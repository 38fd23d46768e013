#include "quant/roundings/roundings.hpp"

#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "quant/roundings/adam.hpp"
#include "quant/roundings/adaround.hpp"
#include "quant/roundings/descent.hpp"
#include "quant/roundings/flexround.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "quant/roundings/signround.hpp"
#include "tests/catch.hpp"
#include "tests/quant/rounding_samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// The least loss over all roundings of one row, by trying every code.
double brute_force(const RoundingProblem& problem) {
  const LayerLoss loss(problem);
  std::vector<std::int16_t> codes(problem.weights.size(), static_cast<std::int16_t>(problem.grid.q_min));
  double least = std::numeric_limits<double>::infinity();
  for (;;) {
    least = std::min(least, loss.of(rounded(problem, problem.grid, codes).values));
    std::size_t at = 0;
    while (at < codes.size() && codes[at] == problem.grid.q_max)
      codes[at++] = static_cast<std::int16_t>(problem.grid.q_min);
    if (at == codes.size()) return least;
    ++codes[at];
  }
}

double plain_loss(const RoundingProblem& problem, const std::vector<float>& inputs, const std::vector<float>& values) {
  const auto k = static_cast<std::size_t>(problem.columns);
  double sum = 0;
  for (std::size_t t = 0; t < inputs.size(); t += k)
    for (std::size_t r = 0; r < static_cast<std::size_t>(problem.rows); ++r) {
      double error = 0;
      for (std::size_t c = 0; c < k; ++c)
        error += (static_cast<double>(values[r * k + c]) - problem.weights[r * k + c]) * inputs[t + c];
      sum += error * error;
    }
  return sum / static_cast<double>(inputs.size() / k);
}

}  // namespace

TEST_CASE("the layer loss of second moments is the mean squared output error of the samples") {
  const SmallProblem small(7, 300, 3, 32);
  const RoundedWeight nearest = round_nearest(small.problem);
  const LayerLoss loss(small.problem);
  CHECK(loss.of(nearest.values) == Approx(plain_loss(small.problem, small.inputs, nearest.values)).epsilon(1e-5));
  std::vector<float> half(nearest.values.size());
  loss.half_gradient(0, nearest.values, half);
  const std::vector<double> rows = loss.of_rows(nearest.values);
  for (std::int64_t r = 0; r < 7; ++r) {
    const auto at = static_cast<std::size_t>(r * 300);
    CHECK(loss.of_row(r, std::span(nearest.values).subspan(at, 300), std::span(half).subspan(at, 300)) ==
          Approx(rows[static_cast<std::size_t>(r)]).epsilon(1e-5));
  }
}

TEST_CASE("with cross moments the loss counts changed inputs, less what they cost the float weights") {
  const SmallProblem small(2, 3, 4);
  GramAccumulator moments(3, true, 1);
  std::vector<float> reference = small.inputs;
  for (std::size_t i = 0; i < reference.size(); ++i) reference[i] += i % 3 == 1 ? 0.5F : -0.1F;
  moments.add(small.inputs, reference);
  const auto gram = moments.gram(), cross = moments.cross();
  RoundingProblem problem = small.problem;
  problem.gram = gram, problem.cross = cross;
  const RoundedWeight nearest = round_nearest(problem);
  const auto error_of = [&](std::span<const float> values) {
    double sum = 0;
    for (std::size_t t = 0; t < reference.size(); t += 3)
      for (std::size_t r = 0; r < 2; ++r) {
        double error = 0;
        for (std::size_t c = 0; c < 3; ++c)
          error += static_cast<double>(values[r * 3 + c]) * small.inputs[t + c] -
                   static_cast<double>(small.weights[r * 3 + c]) * reference[t + c];
        sum += error * error;
      }
    return sum / static_cast<double>(reference.size() / 3);
  };
  CHECK(LayerLoss(problem).of(nearest.values) ==
        Approx(error_of(nearest.values) - error_of(small.weights)).epsilon(1e-4));
}

TEST_CASE("every rounding keeps to its grid and is no worse than nearest rounding") {
  for (const Rounding& rounding : roundings())
    for (const bool affine : {false, true})
      for (const auto& [columns, group] : {std::pair<int, int>{24, 0}, {20, 8}}) {
        const SmallProblem small(5, columns, 3, group, affine);
        const RoundedWeight out = round_with(rounding, small.problem);
        INFO(rounding.name << (affine ? " affine" : "") << ", groups of " << group);
        REQUIRE(out.codes.size() == small.weights.size());
        for (std::size_t i = 0; i < out.codes.size(); ++i) {
          REQUIRE(out.codes[i] >= small.problem.grid.q_min);
          REQUIRE(out.codes[i] <= small.problem.grid.q_max);
          const auto row = static_cast<std::int64_t>(i) / columns, column = static_cast<std::int64_t>(i) % columns;
          REQUIRE(out.values[i] == out.grid.value(out.grid.part(row, column), out.codes[i]));
        }
        CHECK(out.loss == Approx(LayerLoss(small.problem).of(out.values)).epsilon(1e-5).margin(1e-9));
        CHECK(out.nearest_loss ==
              Approx(LayerLoss(small.problem).of(round_nearest(small.problem).values)).epsilon(1e-5));
        if (rounding.name != "hqq:legacy") CHECK(out.loss <= out.nearest_loss * (1 + 1e-6));
      }
}

TEST_CASE("every rounding gives the same result on any number of threads") {
  for (const Rounding& rounding : roundings()) {
    SmallProblem small(40, 16, 3, 8);
    const RoundedWeight one = round_with(rounding, small.problem);
    small.problem.threads = 3;
    const RoundedWeight three = round_with(rounding, small.problem);
    INFO(rounding.name);
    CHECK(one.codes == three.codes);
    CHECK(one.values == three.values);
    CHECK(one.loss == three.loss);
  }
}

TEST_CASE("every rounding takes zeros, equal weights, one column, one sample, dead inputs and nothing at all") {
  for (const Rounding& rounding : roundings()) {
    INFO(rounding.name);
    for (const float constant : {0.0F, 0.25F, -3.0F}) {
      SmallProblem small(2, 8, 4, 4, false, 1, 1);
      std::fill(small.weights.begin(), small.weights.end(), constant);
      small.problem.grid.scales.assign(4, 1.0F);
      const RoundedWeight out = round_with(rounding, small.problem);
      for (const float value : out.values) REQUIRE(std::isfinite(value));
      if (constant == 0) CHECK(out.values == std::vector<float>(16));
      std::fill(small.gram.begin(), small.gram.end(), 0.0F);
      REQUIRE(round_with(rounding, small.problem).loss == 0);
    }
    const SmallProblem column(3, 1, 2);
    CHECK(round_with(rounding, column.problem).codes.size() == 3);
    const SmallProblem empty(0, 4, 4);
    CHECK(round_with(rounding, empty.problem).codes.empty());
    const SmallProblem no_columns(3, 0, 4);
    CHECK(round_with(rounding, no_columns.problem).codes.empty());
  }
}

TEST_CASE("every rounding names weights, moments and scales that are not finite") {
  for (const Rounding& rounding : roundings()) {
    SmallProblem small(2, 4, 4);
    small.weights[5] = NAN;
    CHECK_THROWS_WITH(round_with(rounding, small.problem), "weight [1, 1] is nan; it must be finite");
    small.weights[5] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_WITH(round_with(rounding, small.problem), "weight [1, 1] is inf; it must be finite");
    small.weights[5] = 1;
    small.problem.grid.scales[1] = 0;
    CHECK_THROWS_WITH(round_with(rounding, small.problem),
                      "a scale is 0; a part of zeros needs a scale of its own, 1 for example");
    small.problem.grid.scales[1] = 1;
    small.gram[5] = -1;
    CHECK_THROWS_WITH(round_with(rounding, small.problem), "the mean square of input channel 1 is negative");
    small.gram[5] = NAN;
    CHECK_THROWS_WITH(round_with(rounding, small.problem),
                      "second moment of the inputs [1, 1] is nan; it must be finite");
  }
}

TEST_CASE("weights and inputs so large that the output error overflows are an error, not a NaN") {
  for (const Rounding& rounding : roundings()) {
    SmallProblem small(2, 4, 2);
    for (float& w : small.weights) w *= 1e25F;
    for (float& g : small.gram) g *= 1e20F;
    small.problem.grid.scales.assign(2, 1e24F);
    CHECK_THROWS_WITH(round_with(rounding, small.problem),
                      Catch::StartsWith("the output error of channel ") &&
                          Catch::EndsWith("overflows: its weights, or the layer's inputs, are too large for float32"));
  }
}

TEST_CASE("a stop signal ends the roundings that take long") {
  SmallProblem small(4, 12, 3);
  std::atomic<bool> stop = true;
  small.problem.stop = &stop;
  for (const char* name : {"adaround", "flexround", "signround", "gptq", "gptq:actorder", "gptq:descent", "descent"})
    CHECK_THROWS_AS(round_with(find_rounding(name), small.problem), Interrupted);
  stop = false;
  CHECK_NOTHROW(round_with(find_rounding("adaround"), small.problem));
}

TEST_CASE("a rounding is found by its name, and asks for the moments that it needs") {
  for (const Rounding& rounding : roundings()) CHECK(&find_rounding(rounding.name) == &rounding);
  CHECK_THROWS_WITH(
      find_rounding("up"),
      "'up' is not a rounding; known: nearest, hqq, hqq:grid, hqq:alternating, hqq:legacy, descent, gptq, "
      "gptq:actorder, gptq:descent, adaround, flexround, signround");
  SmallProblem small(2, 4, 4);
  small.problem.gram = {};
  CHECK_THROWS_WITH(round_with(find_rounding("gptq"), small.problem),
                    "rounding 'gptq' needs second moments of the layer's inputs");
  CHECK(round_with(find_rounding("nearest"), small.problem).loss == 0);
}

TEST_CASE("on a row of six weights the learned roundings come near the best of all roundings") {
  double least = 0, descent = 0, adaround = 0, gptq = 0, nearest = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const SmallProblem small(1, 6, 2, 0, false, seed);
    const double best = brute_force(small.problem);
    const auto loss = [&](std::string_view name) {
      const double found = round_with(find_rounding(name), small.problem).loss;
      CHECK(found >= best * (1 - 1e-5));
      return found;
    };
    least += best;
    descent += loss("descent"), adaround += loss("adaround"), gptq += loss("gptq"), nearest += loss("nearest");
  }
  CHECK(adaround <= 1.5 * least);
  CHECK(descent <= 2 * least);
  CHECK(gptq < nearest);
  CHECK(adaround < 0.6 * nearest);
}

TEST_CASE("coordinate descent ends where no single code can be changed for the better") {
  const SmallProblem small(1, 12, 3);
  const RoundedWeight out = round_descent(small.problem);
  const LayerLoss loss(small.problem);
  for (std::size_t i = 0; i < 12; ++i)
    for (const int step : {-1, 1}) {
      auto codes = out.codes;
      codes[i] = static_cast<std::int16_t>(codes[i] + step);
      if (codes[i] < small.problem.grid.q_min || codes[i] > small.problem.grid.q_max) continue;
      CHECK(loss.of(rounded(small.problem, small.problem.grid, codes).values) >= out.loss * (1 - 1e-4));
    }
}

TEST_CASE("Adam's first step is the rate against the gradient's sign, and it finds a parabola's minimum") {
  Adam adam(2);
  std::vector<float> x{1, 1};
  adam.step(x, std::vector<float>{3, -0.001F}, 0.1);
  CHECK(x[0] == Approx(0.9).epsilon(1e-5));
  CHECK(x[1] == Approx(1.1).epsilon(1e-4));
  for (int i = 0; i < 2000; ++i) adam.step(x, std::vector<float>{2 * (x[0] - 3), 20 * (x[1] + 1)}, 0.05);
  CHECK(x[0] == Approx(3).epsilon(1e-3));
  CHECK(x[1] == Approx(-1).epsilon(1e-3));
}

TEST_CASE("AdaRound starts at the float weights; its h, beta and regulariser are the paper's") {
  CHECK(adaround_h(adaround_start(0.3F)) == Approx(0.3).epsilon(1e-5));
  CHECK(adaround_h(-10) == 0);
  CHECK(adaround_h(10) == 1);
  AdaRoundSettings settings;
  settings.iterations = 100;
  settings.warm_start = 0.2;
  settings.beta_start = 20;
  CHECK(adaround_beta(settings, 19) == 0);
  CHECK(adaround_beta(settings, 20) == 20);
  CHECK(adaround_beta(settings, 60) == Approx(11));
  CHECK(adaround_regulariser(std::vector<float>{0, -10, 10}, 2) == Approx(1));
  const SmallProblem small(3, 8, 4);
  std::vector<float> v;
  for (std::size_t i = 0; i < small.weights.size(); ++i) {
    const float steps = small.weights[i] / small.problem.grid.scales[i / 8];
    v.push_back(adaround_start(steps - std::floor(steps)));
  }
  const std::vector<float> soft = adaround_values(small.problem, v);
  for (std::size_t i = 0; i < soft.size(); ++i) {
    const float scale = small.problem.grid.scales[i / 8],
                reachable = std::clamp(small.weights[i], -8 * scale, 7 * scale);
    CHECK(soft[i] == Approx(reachable).epsilon(1e-4).margin(1e-5));
  }
}

TEST_CASE("the slope of AdaRound's regulariser is that of finite differences") {
  for (const float beta : {2.0F, 7.5F, 20.0F})
    for (const float v : {-1.5F, -0.4F, 0.3F, 1.1F}) {
      const double step = 1e-3;
      const double above = adaround_regulariser(std::vector<float>{static_cast<float>(v + step)}, beta);
      const double below = adaround_regulariser(std::vector<float>{static_cast<float>(v - step)}, beta);
      CHECK(adaround_regulariser_slope(v, beta) == Approx((above - below) / (2 * step)).epsilon(5e-3).margin(2e-3));
    }
}

TEST_CASE("SignRound's gradient is that of finite differences with the rounding held fixed") {
  for (const bool affine : {false, true}) {
    const SmallProblem small(2, 8, 3, 4, affine);
    SignRoundParameters at = SignRoundParameters::start(small.problem);
    for (std::size_t p = 0; p < at.min_factor.size(); ++p) at.min_factor[p] = 0.8F, at.max_factor[p] = 0.7F;
    const SignRoundParameters gradient = signround_gradient(small.problem, at);
    const RoundedWeight here = signround_at(small.problem, at);
    const LayerLoss loss(small.problem);
    // w' = s (q - z) with q - w/s - v and z + m cm / s as they are at `at`; clamped codes stay.
    const auto frozen = [&](const SignRoundParameters& moved) {
      const RoundedWeight grid = signround_at(small.problem, moved);
      std::vector<float> values(here.values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::size_t part =
            small.problem.grid.part(static_cast<std::int64_t>(i) / 8, static_cast<std::int64_t>(i) % 8);
        float low = 0;
        for (std::size_t c = 0; c < 8; ++c)
          if (small.problem.grid.part(static_cast<std::int64_t>(i) / 8, static_cast<std::int64_t>(c)) == part)
            low = std::min(low, small.weights[i / 8 * 8 + c]);
        const float s0 = here.grid.scales[part], s1 = grid.grid.scales[part];
        const float zero0 = here.grid.zero_points[part];
        const float zero =
            affine ? zero0 + (-low * moved.min_factor[part] / s1 + low * at.min_factor[part] / s0) : 0.0F;
        const float level = std::nearbyint(small.weights[i] / s0 + at.offset[i]) + zero0;
        const auto code = static_cast<float>(here.codes[i]);
        const bool inside = level == code;
        const float offset_free =
            inside ? code - zero0 + (small.weights[i] / s1 - small.weights[i] / s0) + (moved.offset[i] - at.offset[i])
                   : code - zero;
        values[i] = s1 * offset_free;
      }
      return loss.of(values);
    };
    const auto check_slope = [&](std::vector<float> SignRoundParameters::*which, std::size_t i, double tolerance) {
      const float step = 1e-2F;
      SignRoundParameters above = at, below = at;
      (above.*which)[i] += step, (below.*which)[i] -= step;
      CHECK((gradient.*which)[i] ==
            Approx((frozen(above) - frozen(below)) / (2 * static_cast<double>(step))).epsilon(tolerance).margin(0.02));
    };
    for (std::size_t i = 0; i < 16; ++i) check_slope(&SignRoundParameters::offset, i, 0.01);
    for (std::size_t i = 0; i < 4; ++i)
      check_slope(&SignRoundParameters::min_factor, i, 0.02), check_slope(&SignRoundParameters::max_factor, i, 0.02);
  }
}

TEST_CASE("SignRound's symmetric grid puts the larger end on the lowest code") {
  SmallProblem small(2, 2, 3);
  small.weights = {1, -0.5F, 0.25F, -2};
  small.problem.weights = small.weights;
  const RoundedWeight out = signround_at(small.problem, SignRoundParameters::start(small.problem));
  CHECK(out.grid.scales == std::vector<float>{-0.25F, 0.5F});
  CHECK(out.codes == std::vector<std::int16_t>{-4, 2, 0, -4});
}

TEST_CASE("FlexRound's gradient is that of finite differences with the rounding held fixed") {
  const SmallProblem small(2, 8, 3, 4, true);
  FlexRoundParameters at = FlexRoundParameters::start(small.problem);
  Rng rng(3, "flexround");
  for (float& x : at.element) x = static_cast<float>(0.1 * rng.normal());
  for (float& x : at.size) x = static_cast<float>(-0.2 * rng.unit());
  for (float& x : at.row) x = static_cast<float>(0.1 * rng.normal());
  const FlexRoundParameters gradient = flexround_gradient(small.problem, at);
  const RoundedWeight here = flexround_at(small.problem, at);
  const LayerLoss loss(small.problem);
  const auto position = [&](const FlexRoundParameters& p, std::size_t i, std::size_t part) {
    return small.weights[i] / (small.problem.grid.scales[part] * std::exp(p.size[part] + p.element[i] + p.row[i / 8]));
  };
  const auto frozen = [&](const FlexRoundParameters& moved) {
    std::vector<float> values(here.values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t part =
          small.problem.grid.part(static_cast<std::int64_t>(i) / 8, static_cast<std::int64_t>(i) % 8);
      const float zero = small.problem.grid.zero_points[part], u0 = position(at, i, part);
      const bool inside = std::nearbyint(u0) + zero == static_cast<float>(here.codes[i]);
      const float moved_by = inside ? position(moved, i, part) - u0 : 0.0F;
      values[i] = small.problem.grid.scales[part] * std::exp(moved.size[part]) *
                  (static_cast<float>(here.codes[i]) - zero + moved_by);
    }
    return loss.of(values);
  };
  const auto check_slope = [&](std::vector<float> FlexRoundParameters::*which, std::size_t i) {
    const float step = 1e-2F;
    FlexRoundParameters above = at, below = at;
    (above.*which)[i] += step, (below.*which)[i] -= step;
    CHECK((gradient.*which)[i] ==
          Approx((frozen(above) - frozen(below)) / (2 * static_cast<double>(step))).epsilon(0.02).margin(0.02));
  };
  for (std::size_t i = 0; i < 16; ++i) check_slope(&FlexRoundParameters::element, i);
  for (std::size_t i = 0; i < 4; ++i) check_slope(&FlexRoundParameters::size, i);
  for (std::size_t i = 0; i < 2; ++i) check_slope(&FlexRoundParameters::row, i);
}

TEST_CASE("a coordinate descent after a learned rounding never raises its loss") {
  const SmallProblem small(16, 64, 3, 32);
  const auto check_both = [&](auto settings, auto round) {
    const double plain = round(small.problem, settings).loss;
    settings.descend = true;
    CHECK(round(small.problem, settings).loss <= plain * (1 + 1e-5));
  };
  check_both(AdaRoundSettings{},
             [](const auto& problem, const auto& settings) { return round_adaround(problem, settings); });
  check_both(FlexRoundSettings{},
             [](const auto& problem, const auto& settings) { return round_flexround(problem, settings); });
  check_both(SignRoundSettings{},
             [](const auto& problem, const auto& settings) { return round_signround(problem, settings); });
}
