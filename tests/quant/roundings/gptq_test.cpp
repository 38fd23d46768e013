#include "quant/roundings/gptq.hpp"

#include <cmath>

#include "quant/roundings/descent.hpp"
#include "quant/roundings/layer_loss.hpp"
#include "tests/catch.hpp"
#include "tests/quant/rounding_samples.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

std::vector<float> identity(std::int64_t n, float diagonal = 1) {
  std::vector<float> out(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n; ++i) out[static_cast<std::size_t>(i * (n + 1))] = diagonal;
  return out;
}

/// GPTQ by its definition: U by inverting H with Gauss-Jordan and factoring the inverse, one row and column at a time.
std::vector<std::int16_t> gptq_ref(const RoundingProblem& p, double damping) {
  const auto k = static_cast<std::size_t>(p.columns);
  std::vector<double> h(p.gram.begin(), p.gram.end()), inverse(k * k), u(k * k);
  double mean = 0;
  for (std::size_t i = 0; i < k; ++i) mean += h[i * (k + 1)] / static_cast<double>(k);
  for (std::size_t i = 0; i < k; ++i) h[i * (k + 1)] += damping * mean, inverse[i * (k + 1)] = 1;
  for (std::size_t i = 0; i < k; ++i) {
    const double pivot = h[i * k + i];
    for (std::size_t c = 0; c < k; ++c) h[i * k + c] /= pivot, inverse[i * k + c] /= pivot;
    for (std::size_t r = 0; r < k; ++r) {
      const double factor = h[r * k + i];
      for (std::size_t c = 0; c < k && r != i; ++c)
        h[r * k + c] -= factor * h[i * k + c], inverse[r * k + c] -= factor * inverse[i * k + c];
    }
  }
  for (std::size_t r = 0; r < k; ++r)
    for (std::size_t c = r; c < k; ++c) {
      double sum = inverse[r * k + c];
      for (std::size_t m = 0; m < r; ++m) sum -= u[m * k + r] * u[m * k + c];
      u[r * k + c] = c == r ? std::sqrt(sum) : sum / u[r * k + r];
    }
  std::vector<std::int16_t> codes;
  for (std::int64_t row = 0; row < p.rows; ++row) {
    std::vector<double> w(p.weights.begin() + row * p.columns, p.weights.begin() + (row + 1) * p.columns);
    for (std::size_t j = 0; j < k; ++j) {
      const std::size_t part = p.grid.part(row, static_cast<std::int64_t>(j));
      const std::int32_t code = p.grid.nearest(part, static_cast<float>(w[j]));
      const double error = (w[j] - static_cast<double>(p.grid.value(part, code))) / u[j * k + j];
      for (std::size_t l = j + 1; l < k; ++l) w[l] -= error * u[j * k + l];
      codes.push_back(static_cast<std::int16_t>(code));
    }
  }
  return codes;
}

}  // namespace

TEST_CASE("gptq with uncorrelated inputs is nearest rounding") {
  SmallProblem small(5, 40, 4, 16);
  const auto gram = identity(40, 2.5F);
  small.problem.gram = gram;
  CHECK(round_gptq(small.problem).codes == round_nearest(small.problem).codes);
}

TEST_CASE("gptq passes the error of a column on, by hand") {
  // Weights .4 and .4, scale 1, inputs nearly the same: rounding the first to 0 leaves .8 to the second.
  const std::vector<float> weights{0.4F, 0.4F}, gram{1, 0.99F, 0.99F, 1};
  const RoundingProblem problem{1, 2, weights, {-8, 7, 1, {0, 0}, {1}, {0}}, gram, {}, 1};
  const RoundedWeight out = round_gptq(problem);
  CHECK(out.codes == std::vector<std::int16_t>{0, 1});
  CHECK(out.loss == Approx(0.16 + 0.36 - 2 * 0.4 * 0.6 * 0.99).epsilon(1e-4));
  CHECK(out.nearest_loss == Approx(0.16 + 0.16 + 2 * 0.16 * 0.99).epsilon(1e-4));
}

TEST_CASE("gptq is its definition, in blocks and tiles of any size") {
  for (const auto& [rows, columns] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 17}, {70, 33}}) {
    const SmallProblem small(rows, columns, 3, 8, true);
    const std::vector<std::int16_t> reference = gptq_ref(small.problem, 0.01);
    const double loss = LayerLoss(small.problem).of(rounded(small.problem, small.problem.grid, reference).values);
    for (const std::int64_t block : {1, 5, 128}) {
      GptqSettings settings;
      settings.block = block;
      const RoundedWeight out = round_gptq(small.problem, settings);
      CHECK(out.loss <= loss * (1 + 1e-5));
      int different = 0;  // rows that nearest rounding serves better are replaced
      for (std::size_t i = 0; i < reference.size(); ++i) different += out.codes[i] != reference[i];
      CHECK(different <= static_cast<int>(reference.size()) / 10);
    }
  }
}

TEST_CASE("gptq gives the same codes on any number of threads") {
  SmallProblem small(150, 140, 3, 32);
  const auto one = round_gptq(small.problem);
  small.problem.threads = 3;
  CHECK(round_gptq(small.problem).codes == one.codes);
}

TEST_CASE("activation order takes the channel with the largest inputs first, and keeps the groups") {
  // The second channel dominates: it is rounded to nearest, the first makes up for it.
  const std::vector<float> weights{0.4F, 0.4F}, gram{1, 1.9F, 1.9F, 4};
  const RoundingProblem problem{1, 2, weights, {-8, 7, 2, {0, 1}, {1, 1}, {0, 0}}, gram, {}, 1};
  GptqSettings settings;
  settings.activation_order = true;
  CHECK(round_gptq(problem, settings).codes == std::vector<std::int16_t>{1, 0});
  const SmallProblem small(20, 48, 3, 16);
  const RoundedWeight out = round_gptq(small.problem, settings);
  CHECK(out.grid.scales == small.problem.grid.scales);
  CHECK(out.loss < out.nearest_loss);
}

TEST_CASE("dynamic groups find their scale from weights that earlier blocks have moved") {
  SmallProblem small(4, 12, 3);
  GptqSettings settings;
  settings.block = 4;
  settings.group = 4;
  settings.group_range = [](std::span<const float> part) {
    float most = 0;
    for (const float w : part) most = std::max(most, std::abs(w));
    return ScaleZero{most / 3, 0};
  };
  const RoundedWeight out = round_gptq(small.problem, settings);
  CHECK(out.grid.groups == 3);
  CHECK(out.grid.group_of == neighbour_groups(12, 4));
  float most = 0;  // the first group has seen no update
  for (int c = 0; c < 4; ++c) most = std::max(most, std::abs(small.weights[static_cast<std::size_t>(c)]));
  CHECK(out.grid.scales[0] == most / 3);
  most = 0;
  for (int c = 4; c < 8; ++c) most = std::max(most, std::abs(small.weights[static_cast<std::size_t>(c)]));
  CHECK(out.grid.scales[1] != most / 3);
}

TEST_CASE("gptq leaves dead channels to nearest rounding and survives singular moments and one sample") {
  SmallProblem small(3, 6, 4, 0, false, 1, 1);  // one sample: rank 1
  CHECK(std::isfinite(round_gptq(small.problem).loss));
  GptqSettings undamped;
  undamped.damping = 0;
  CHECK(std::isfinite(round_gptq(small.problem, undamped).loss));
  auto gram = identity(6);
  gram[2 * 7] = 0;  // channel 2 is dead
  small.problem.gram = gram;
  CHECK(round_gptq(small.problem).codes == round_nearest(small.problem).codes);
  const std::vector<float> nothing(36);
  small.problem.gram = nothing;
  CHECK(round_gptq(small.problem).codes == round_nearest(small.problem).codes);
}

TEST_CASE("moments that no damping makes positive definite are an error") {
  SmallProblem small(1, 2, 4);
  const std::vector<float> gram{1, 100, 100, 1};
  small.problem.gram = gram;
  CHECK_THROWS_WITH(round_gptq(small.problem),
                    "gptq: the second moments of the inputs are not positive definite, even with 10.000000 times their "
                    "mean diagonal added");
}

TEST_CASE("with cross moments gptq makes up for inputs that the quantized prefix has changed") {
  // The quantized network halves its input: the best weight for w = 1 is 2.
  const std::vector<float> weights{1}, gram{0.25F}, cross{0.5F};
  RoundingProblem problem{1, 1, weights, {-8, 7, 1, {0}, {1}, {0}}, gram, cross, 1};
  CHECK(round_gptq(problem).codes == std::vector<std::int16_t>{2});
  CHECK(round_descent(problem).codes == std::vector<std::int16_t>{2});
  CHECK(round_gptq(problem).loss == Approx(-0.25));  // E (2/2 - 1)^2 - E (1/2 - 1)^2
}
