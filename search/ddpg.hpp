#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "search/ddpg_agent.hpp"
#include "search/ddpg_state.hpp"
#include "search/searcher.hpp"

namespace bitplan {

struct DdpgSettings {
  std::int64_t episodes = 300;       ///< `episodes` (or `evaluations`, the same)
  std::int64_t warmup = 20;          ///< episodes with uniform random actions; no learning before their end
  std::int64_t batch_episodes = 1;   ///< episodes asked together
  double sigma = 0.5, decay = 0.99;  ///< exploration: sigma * decay^(episode - warmup)
  DdpgRates rates;                   ///< `hidden`

  static DdpgSettings from(const Yaml& stage);
};

/// HAQ's agent (Wang et al. 2019, arXiv:1811.08886) over the variables of the space.
///
/// An episode is a plan, one step a variable with more than one option (tied sites are one step): see ddpg_steps() for
/// their order and what the state says of each; the tenth figure is the action executed at the step before (1 at the
/// first).
///
/// Action a in [0, 1] -> option rint(a (n - 1)) of the variable's n options. Exploration: the first `warmup` episodes
/// uniform, then a normal around mu(s) with the sigma above, truncated to [0, 1].
///
/// Budget: while a constraint is violated, passes over the steps from the last to the first, each lowering one variable
/// by one option, until all hold (if even the lowest options do not: the plan of feasible_point()). What is asked for,
/// stored and seen in later states is the executed action.
///
/// Reward, for every transition of the episode: r = -log((L - L_float) / (L_ref - L_float)), L_ref the best plan known
/// when the stage starts, so that halving the loss is worth the same at any level (KL spans decades). Failed plans get
/// the worst reward seen so far minus 1.
///
/// After each episode as many updates as it has transitions (none during warm-up). One more plan at the end without
/// noise. A plan that was measured before costs nothing and is learned from again.
///
/// Settings: episodes (or evaluations; default 300), warmup, batch_episodes, hidden, sigma, decay, discount. Asks
/// besides for all float, for the reward.
class Ddpg final : public Searcher {
 public:
  static constexpr int kStateSize = DdpgStep::kFeatures + 1;

  Ddpg(const Problem& problem, const DdpgSettings& settings);
  std::vector<Assignment> ask() override;
  void tell(std::span<const Assignment> asked, std::span<const Measurement> results) override;

 private:
  using State = std::vector<float>;
  enum class Phase { reference, learning, last, over };

  std::size_t options_of(std::size_t step) const;
  /// The action that stands for the option which the point has at a step.
  float action_of(const Point& point, std::size_t step) const;
  State state_of(std::size_t step, float last_action) const;
  /// The plan of an episode, walked back; without exploration at the end.
  Point roll_out(std::int64_t episode, bool explore);
  float explored(std::size_t step, float last_action, std::int64_t episode, Rng& rng);
  Point walk_back(const Point& point) const;
  float reward_of(const Measurement& result);
  void learn_from(const Point& point, float reward);

  const Problem& problem_;
  DdpgSettings settings_;
  std::vector<DdpgStep> steps_;
  DdpgAgent agent_;
  Replay replay_;
  Phase phase_ = Phase::reference;
  std::int64_t episode_ = 0;  ///< episodes told
  double float_loss_ = 0, reference_ = 0;
  float worst_ = 0;  ///< lowest reward so far
};

std::unique_ptr<Searcher> make_ddpg(const Yaml& stage, const Problem& problem);
std::int64_t planned_ddpg(const Yaml& stage, const Problem& problem);

}  // namespace bitplan
