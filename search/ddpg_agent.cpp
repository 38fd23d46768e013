#include "search/ddpg_agent.hpp"

namespace bitplan {

namespace {

/// State and action of each sample, one column: what the critic sees.
std::vector<float> joined(const std::vector<float>& states, std::span<const float> actions) {
  const std::size_t size = states.size() / actions.size();
  std::vector<float> columns;
  columns.reserve(states.size() + actions.size());
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const auto first = states.begin() + static_cast<std::ptrdiff_t>(i * size);
    columns.insert(columns.end(), first, first + static_cast<std::ptrdiff_t>(size));
    columns.push_back(actions[i]);
  }
  return columns;
}

}  // namespace

DdpgAgent::DdpgAgent(int state_size, const DdpgRates& rates, std::uint64_t seed)
    : DdpgAgent(state_size, rates, Rng(seed, "ddpg.weights")) {}

DdpgAgent::DdpgAgent(int state_size, const DdpgRates& rates, Rng rng)
    : state_size_(state_size),
      rates_(rates),
      actor_({state_size, rates.hidden, rates.hidden, 1}, Mlp::Output::sigmoid, 0, rng),
      critic_({state_size + 1, rates.hidden, rates.hidden, 1}, Mlp::Output::linear, 1, rng),
      target_actor_(actor_),
      target_critic_(critic_) {}

float DdpgAgent::act(std::span<const float> state) { return actor_.forward(state, 1)[0]; }

void DdpgAgent::learn(const Replay& replay, Rng& rng) {
  const auto count = static_cast<std::size_t>(rates_.batch);
  const auto scale = 1.0F / static_cast<float>(rates_.batch);
  std::vector<float> states, next_states, actions;
  std::vector<const Transition*> batch;
  float mean = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Transition& t = replay[rng.below(replay.size())];
    batch.push_back(&t);
    states.insert(states.end(), t.state.begin(), t.state.end());
    next_states.insert(next_states.end(), t.next_state.begin(), t.next_state.end());
    actions.push_back(t.action);
    mean += t.reward * scale;
  }
  baseline_ = has_baseline_ ? baseline_ + rates_.baseline * (mean - baseline_) : mean;
  has_baseline_ = true;

  const auto next_actions = target_actor_.forward(next_states, rates_.batch);
  const auto next_values = target_critic_.forward(joined(next_states, next_actions), rates_.batch);
  const auto values = critic_.forward(joined(states, actions), rates_.batch);
  std::vector<float> gradient(count);
  for (std::size_t i = 0; i < count; ++i) {
    const float target = batch[i]->reward - baseline_ + (batch[i]->terminal ? 0.0F : rates_.discount * next_values[i]);
    gradient[i] = 2 * scale * (values[i] - target);
  }
  critic_.backward(gradient, true);
  critic_.step(rates_.critic);

  const auto chosen = actor_.forward(states, rates_.batch);
  critic_.forward(joined(states, chosen), rates_.batch);
  gradient.assign(count, -scale);
  const auto input_gradient = critic_.backward(gradient, false);
  const auto row = static_cast<std::size_t>(state_size_);
  for (std::size_t i = 0; i < count; ++i) gradient[i] = input_gradient[i * (row + 1) + row];
  actor_.backward(gradient, true);
  actor_.step(rates_.actor);

  target_actor_.follow(actor_, rates_.tau);
  target_critic_.follow(critic_, rates_.tau);
}

}  // namespace bitplan
