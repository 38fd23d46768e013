#pragma once

#include <cstdint>
#include <span>

#include "search/ddpg_network.hpp"
#include "search/replay.hpp"

namespace bitplan {

/// What the agent's learning depends on; the defaults are HAQ's.
struct DdpgRates {
  int hidden = 300;  ///< units of each of the two hidden layers of actor and critic
  int batch = 64;    ///< transitions of one update
  float actor = 1e-4F, critic = 1e-3F;
  float tau = 0.01F;  ///< how fast the target networks follow
  float discount = 1.0F;
  float baseline = 0.5F;  ///< weight of a batch's mean reward in the moving average that is subtracted
};

/// Deep deterministic policy gradient (Lillicrap et al. 2016, arXiv:1509.02971) for one action in [0, 1], as HAQ uses
/// it (Wang et al. 2019, arXiv:1811.08886): actor mu(s), critic Q(s, a), both with a slow copy mu', Q' as target.
/// One update on a batch of transitions (s, a, r, s'):
///   b <- b + baseline (mean r - b)                      b starts as the first mean
///   critic: least squares towards r - b + discount Q'(s', mu'(s')), without the last term where s' is terminal
///   actor:  up the gradient of mean Q(s, mu(s))
///   mu', Q' follow by tau
class DdpgAgent {
 public:
  DdpgAgent(int state_size, const DdpgRates& rates, std::uint64_t seed);

  /// mu(s), without noise.
  float act(std::span<const float> state);
  /// One update on a batch drawn from the replay, with repetition.
  void learn(const Replay& replay, Rng& rng);

 private:
  DdpgAgent(int state_size, const DdpgRates& rates, Rng rng);

  int state_size_;
  DdpgRates rates_;
  Mlp actor_, critic_, target_actor_, target_critic_;
  bool has_baseline_ = false;
  float baseline_ = 0;
};

}  // namespace bitplan
