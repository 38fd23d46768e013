#include "search/local_model.hpp"

// One thread: a result must not depend on how many there are.
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "search/allocate.hpp"

namespace bitplan {

namespace {

struct Observation {
  Point point;
  double y = 0;         ///< change on the scale of the model
  double distance = 0;  ///< sum of |prior mean| over the changed variables
};

/// Measured plans inside the space with a finite loss, and what they lose against all float.
std::vector<std::pair<Point, double>> measured_plans(const Problem& problem) {
  const double base = float_loss(problem);
  std::vector<std::pair<Point, double>> plans;
  for (const Trial& trial : problem.archive.trials())
    if (std::isfinite(trial.measurement.loss))
      if (auto point = problem.space.point(trial.assignment))
        plans.emplace_back(std::move(*point), std::max(0.0, trial.measurement.loss - base));
  return plans;
}

double sum_at(const OptionTable& table, const Point& point) {
  double sum = 0;
  for (std::size_t v = 0; v < table.size(); ++v) sum += table[v][point[v]];
  return sum;
}

/// Prior means of the changes: powered sensitivities, scaled so that the centre is met, minus the centre's own.
OptionTable prior_means(const OptionTable& sensitivities, double power, const Point& x0, double y0) {
  OptionTable prior = powered(sensitivities, power);
  const double sum = sum_at(prior, x0);
  const double scale = sum > 0 && y0 > 0 ? y0 / sum : 1.0;
  for (std::size_t v = 0; v < prior.size(); ++v) {
    const double own = prior[v][x0[v]];
    for (double& value : prior[v]) value = scale * (value - own);
  }
  return prior;
}

std::vector<Observation> observations(const Problem& problem, const LocalModel& model, const OptionTable& prior,
                                      const Point& x0) {
  std::vector<Observation> found;
  for (auto& [point, loss] : measured_plans(problem)) {
    Observation o{point, std::pow(loss, model.power) - model.centre, 0};
    for (std::size_t v = 0; v < prior.size(); ++v) o.distance += std::abs(prior[v][point[v]]);
    if (point != x0) found.push_back(std::move(o));
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.distance < b.distance; });
  if (found.size() > LocalModel::kObservations) found.resize(LocalModel::kObservations);
  return found;
}

/// Posterior in the space of observations: with X the changed options of each observation, D prior variances, N noise,
///   S = X D X' + N,   mean = m + D X' S^-1 (y - X m),   variance = D - diag(D X' S^-1 X D).
void condition(LocalModel& model, const std::vector<Observation>& seen, const Point& x0, double floor) {
  const auto n = static_cast<Eigen::Index>(seen.size());
  const std::size_t variables = x0.size();
  Eigen::MatrixXd s = Eigen::MatrixXd::Zero(n, n);
  Eigen::VectorXd residual(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const Observation& a = seen[static_cast<std::size_t>(i)];
    residual[i] = a.y - sum_at(model.mean, a.point);
    for (Eigen::Index j = 0; j <= i; ++j) {
      const Observation& b = seen[static_cast<std::size_t>(j)];
      for (std::size_t v = 0; v < variables; ++v)
        if (a.point[v] == b.point[v] && a.point[v] != x0[v])
          s(i, j) += model.deviation[v][a.point[v]] * model.deviation[v][a.point[v]];
    }
    const double noise = LocalModel::kMisfit * a.distance + floor;
    s(i, i) += noise * noise;
  }
  const Eigen::LLT<Eigen::MatrixXd> factor(s);  // reads the lower triangle
  const Eigen::VectorXd weight = factor.solve(residual);
  for (std::size_t v = 0; v < variables; ++v)
    for (std::size_t o = 0; o < model.mean[v].size(); ++o) {
      if (o == x0[v]) continue;
      const double variance = model.deviation[v][o] * model.deviation[v][o];
      Eigen::VectorXd x = Eigen::VectorXd::Zero(n);
      for (Eigen::Index i = 0; i < n; ++i) x[i] = seen[static_cast<std::size_t>(i)].point[v] == o ? 1.0 : 0.0;
      if (x.sum() == 0) continue;
      model.mean[v][o] += variance * x.dot(weight);
      model.deviation[v][o] = std::sqrt(std::max(0.0, variance - variance * variance * x.dot(factor.solve(x))));
    }
}

}  // namespace

double fit_power(const Problem& problem, const OptionTable& sensitivities, const Trial& centre) {
  const auto plans = measured_plans(problem);
  const double base = float_loss(problem);
  const double log_centre = std::log(centre.measurement.loss - base);
  double chosen = 0.5, least = 0;
  bool found = false;
  for (const double power : LocalModel::kPowers) {
    const OptionTable table = powered(sensitivities, power);
    double w = 0, wr = 0, wrr = 0;
    int used = 0;
    for (const auto& [point, loss] : plans) {
      const double sum = sum_at(table, point);
      if (!(loss > 0) || !(sum > 0) || !std::isfinite(log_centre)) continue;
      const double far = std::log(loss) - log_centre, residual = std::log(loss) - std::log(sum) / power;
      const double weight = 1 / (1 + far * far);
      w += weight, wr += weight * residual, wrr += weight * residual * residual;
      ++used;
    }
    if (used < 4) break;
    const double variance = (wrr - wr * wr / w) / w;
    if (!found || variance < least) found = true, least = variance, chosen = power;
  }
  return chosen;
}

LocalModel fit_local_model(const Problem& problem, const OptionTable& sensitivities, const Trial& centre) {
  const Point x0 = problem.space.point(centre.assignment).value();
  const double base = float_loss(problem);
  LocalModel model;
  model.power = fit_power(problem, sensitivities, centre);
  model.centre = std::pow(std::max(0.0, centre.measurement.loss - base), model.power);
  model.mean = prior_means(sensitivities, model.power, x0, model.centre);
  model.deviation = model.mean;
  for (std::size_t v = 0; v < x0.size(); ++v)
    for (std::size_t o = 0; o < model.mean[v].size(); ++o)
      model.deviation[v][o] =
          o == x0[v] ? 0.0 : LocalModel::kSpread * std::abs(model.mean[v][o]) + LocalModel::kFloor * model.centre;
  const auto seen = observations(problem, model, model.mean, x0);
  // Measured losses stand on a grid of 1e-6: below it there is nothing to explain.
  if (!seen.empty()) condition(model, seen, x0, 1e-3 * model.centre + 1e-12);
  return model;
}

}  // namespace bitplan
