#include "search/local_model.hpp"

#include "tests/catch.hpp"
#include "tests/search/synthetic.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// Two weights of 2, 4 or 8 bits and plans measured by hand.
struct Bench {
  Synthetic s = chain(2, 1, 1.5, 1.0, {2, 4, 8});
  Archive archive;
  OptionTable sensitivities{{0.16, 0.04, 0.01}, {0.25, 0.09, 0.01}, {0.0}, {0.0}};

  Bench() { add(s.space->all_float(), 0); }
  const Trial& add(const Assignment& assignment, double loss) {
    Measurement m;
    m.loss = loss;
    m.feasible = true;
    return archive.add("test", assignment, m);
  }
  const Trial& add(std::uint8_t first, std::uint8_t second, double loss) {
    return add(s.space->assignment({first, second, 0, 0}), loss);
  }
};

}  // namespace

TEST_CASE("without other plans the model is the scaled difference of the rooted sensitivities") {
  Bench b;
  const Trial centre = b.add(1, 1, 1.0);  // roots .2 and .3: their sum .5 stands for sqrt(1.0), so the scale is 2
  const LocalModel model = fit_local_model(b.s.problem(b.archive), b.sensitivities, centre);
  CHECK(model.power == 0.5);
  CHECK(model.centre == Approx(1.0));
  CHECK(model.mean[0][0] == Approx(2 * (0.4 - 0.2)));
  CHECK(model.mean[0][1] == 0);
  CHECK(model.mean[0][2] == Approx(2 * (0.1 - 0.2)));
  CHECK(model.mean[1][0] == Approx(2 * (0.5 - 0.3)));
  CHECK(model.deviation[0][1] == 0);
  CHECK(model.deviation[0][0] == Approx(LocalModel::kSpread * 0.4 + LocalModel::kFloor));
}

TEST_CASE("one measured neighbour draws its own step towards what was seen, as the formula says, and no other") {
  Bench b;
  const Trial centre = b.add(1, 1, 1.0);
  b.add(0, 1, 4.0);  // sqrt: up by 1.0, where 0.4 was expected
  const LocalModel model = fit_local_model(b.s.problem(b.archive), b.sensitivities, centre);
  const double d = LocalModel::kSpread * 0.4 + LocalModel::kFloor, noise = LocalModel::kMisfit * 0.4 + 1e-3;
  const double gain = d * d / (d * d + noise * noise);
  CHECK(model.mean[0][0] == Approx(0.4 + gain * (1.0 - 0.4)));
  CHECK(model.deviation[0][0] == Approx(d * std::sqrt(1 - gain)));
  CHECK(model.mean[0][2] == Approx(-0.2));
  CHECK(model.mean[1][0] == Approx(0.4));
}

TEST_CASE("plans whose losses are the sum, or the squared sum of roots, show the power that explains them") {
  for (const double power : {1.0, 0.5}) {
    Bench b;
    for (std::uint8_t i = 0; i < 3; ++i)
      for (std::uint8_t j = 0; j < 3; ++j) {
        const double sum = std::pow(b.sensitivities[0][i], power) + std::pow(b.sensitivities[1][j], power);
        b.add(i, j, 3 * std::pow(sum, 1 / power));  // a constant factor is not the power's business
      }
    const Trial centre = b.archive.trials()[5];
    CHECK(fit_power(b.s.problem(b.archive), b.sensitivities, centre) == power);
  }
}

TEST_CASE("a centre as good as float, a failed plan and a plan outside the space do not disturb the model") {
  Bench b;
  const Trial centre = b.add(2, 2, 0.0);
  b.add(1, 2, std::numeric_limits<double>::infinity());
  b.add(0, 2, 0.5);
  b.add(0, 0, 0.7);
  const LocalModel model = fit_local_model(b.s.problem(b.archive), b.sensitivities, centre);
  for (const auto& row : model.mean)
    for (const double value : row) CHECK(std::isfinite(value));
  CHECK(model.mean[0][0] > 0);
}
