#include "search/ddpg.hpp"

#include <algorithm>
#include <cmath>

#include "search/point_costs.hpp"
#include "search/sensitivity.hpp"
#include "search/settings.hpp"

namespace bitplan {

DdpgSettings DdpgSettings::from(const Yaml& stage) {
  stage.only({"method", "episodes", "evaluations", "warmup", "batch_episodes", "hidden", "sigma", "decay", "discount"});
  DdpgSettings s;
  if (stage.find("episodes") && stage.find("evaluations"))
    stage.at("evaluations").fail("is the same as episodes, which is given too");
  s.episodes = read_count(stage, stage.find("episodes") ? "episodes" : "evaluations", s.episodes);
  if (const auto warmup = stage.find("warmup")) s.warmup = warmup->integer_in(0, 10'000'000);
  if (const auto batch = stage.find("batch_episodes")) s.batch_episodes = batch->integer_in(1, 4096);
  if (const auto hidden = stage.find("hidden")) s.rates.hidden = static_cast<int>(hidden->integer_in(1, 4096));
  s.sigma = read_number(stage, "sigma", s.sigma, 0, 10);
  s.decay = read_number(stage, "decay", s.decay, 0, 1);
  s.rates.discount = static_cast<float>(read_number(stage, "discount", static_cast<double>(s.rates.discount), 0, 1));
  return s;
}

Ddpg::Ddpg(const Problem& problem, const DdpgSettings& settings)
    : problem_(problem),
      settings_(settings),
      steps_(ddpg_steps(problem)),
      agent_(kStateSize, settings.rates, problem.seed),
      replay_(128 * std::max<std::size_t>(1, steps_.size())) {}

std::size_t Ddpg::options_of(std::size_t step) const {
  return problem_.space.variables()[steps_[step].variable].options.size();
}

float Ddpg::action_of(const Point& point, std::size_t step) const {
  return static_cast<float>(point[steps_[step].variable]) / static_cast<float>(options_of(step) - 1);
}

Ddpg::State Ddpg::state_of(std::size_t step, float last_action) const {
  State state = steps_[step].features;
  state.push_back(last_action);
  return state;
}

float Ddpg::explored(std::size_t step, float last_action, std::int64_t episode, Rng& rng) {
  if (episode < settings_.warmup) return static_cast<float>(rng.unit());
  const double mean = agent_.act(state_of(step, last_action));
  const double sigma = settings_.sigma * std::pow(settings_.decay, static_cast<double>(episode - settings_.warmup));
  if (sigma <= 0) return static_cast<float>(mean);
  for (;;)  // the mean is inside, so nearly every second draw or more is too
    if (const double a = mean + sigma * rng.normal(); a >= 0 && a <= 1) return static_cast<float>(a);
}

Point Ddpg::roll_out(std::int64_t episode, bool explore) {
  Rng rng(problem_.seed, "ddpg.explore", static_cast<std::uint64_t>(episode));
  Point point(problem_.space.variables().size(), 0);
  float action = 1;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    action = explore ? explored(i, action, episode, rng) : agent_.act(state_of(i, action));
    const double option = std::rint(static_cast<double>(action) * static_cast<double>(options_of(i) - 1));
    point[steps_[i].variable] = static_cast<std::uint8_t>(option);
    action = action_of(point, i);
  }
  return walk_back(point);
}

Point Ddpg::walk_back(const Point& point) const {
  PointCosts at(problem_, point);
  for (bool lowered = true; lowered && !at.holds();) {
    lowered = false;
    for (std::size_t i = steps_.size(); i-- > 0 && !at.holds();) {
      const std::size_t v = steps_[i].variable;
      if (at.point()[v] == 0) continue;
      at.set({v, static_cast<std::uint8_t>(at.point()[v] - 1)});
      lowered = true;
    }
  }
  return at.holds() ? at.point() : feasible_point(problem_.space, problem_.costs, problem_.constraints);
}

std::vector<Assignment> Ddpg::ask() {
  std::vector<Assignment> asked;
  if (phase_ == Phase::reference) return {problem_.space.all_float()};
  if (phase_ == Phase::learning) {
    const std::int64_t end = std::min(episode_ + settings_.batch_episodes, settings_.episodes);
    for (std::int64_t e = episode_; e < end; ++e) asked.push_back(problem_.space.assignment(roll_out(e, true)));
  } else if (phase_ == Phase::last) {
    asked.push_back(problem_.space.assignment(roll_out(episode_, false)));
  }
  return asked;
}

void Ddpg::tell(std::span<const Assignment> asked, std::span<const Measurement> results) {
  if (phase_ == Phase::reference) {
    float_loss_ = float_loss(problem_);
    const Trial* best = problem_.archive.best();
    reference_ = best && best->measurement.loss > float_loss_ ? best->measurement.loss - float_loss_ : 1;
    phase_ = steps_.empty() ? Phase::last : Phase::learning;
    return;
  }
  if (phase_ == Phase::last) {
    phase_ = Phase::over;
    return;
  }
  for (std::size_t i = 0; i < asked.size(); ++i)
    learn_from(problem_.space.point(asked[i]).value(), reward_of(results[i]));
  if (episode_ >= settings_.episodes) phase_ = Phase::last;
}

float Ddpg::reward_of(const Measurement& result) {
  if (!std::isfinite(result.loss)) return worst_ - 1;
  const double ratio = std::max((result.loss - float_loss_) / reference_, 1e-3);
  const auto reward = static_cast<float>(-std::log(ratio));
  worst_ = std::min(worst_, reward);
  return reward;
}

void Ddpg::learn_from(const Point& point, float reward) {
  float last_action = 1;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const bool terminal = i + 1 == steps_.size();
    Transition t{state_of(i, last_action), {}, action_of(point, i), reward, terminal};
    last_action = t.action;
    t.next_state = terminal ? t.state : state_of(i + 1, last_action);
    replay_.add(std::move(t));
  }
  const std::int64_t episode = episode_++;
  if (episode_ <= settings_.warmup) return;
  Rng rng(problem_.seed, "ddpg.replay", static_cast<std::uint64_t>(episode));
  for (std::size_t i = 0; i < steps_.size(); ++i) agent_.learn(replay_, rng);
}

std::unique_ptr<Searcher> make_ddpg(const Yaml& stage, const Problem& problem) {
  return std::make_unique<Ddpg>(problem, DdpgSettings::from(stage));
}

std::int64_t planned_ddpg(const Yaml& stage, const Problem&) { return DdpgSettings::from(stage).episodes + 2; }

}  // namespace bitplan
