#include "search/ddpg.hpp"

#include "search/random_search.hpp"
#include "tests/catch.hpp"
#include "tests/search/synthetic.hpp"

using namespace bitplan;
using namespace bitplan::test;

TEST_CASE("the replay keeps the newest transitions and overwrites the oldest first") {
  Replay replay(3);
  for (int i = 0; i < 5; ++i) {
    Transition t;
    t.reward = static_cast<float>(i);
    replay.add(t);
  }
  REQUIRE(replay.size() == 3);
  CHECK(replay[0].reward == 3);
  CHECK(replay[1].reward == 4);
  CHECK(replay[2].reward == 2);
}

TEST_CASE("backpropagation equals finite differences, in weights and inputs") {
  for (const auto output : {Mlp::Output::linear, Mlp::Output::sigmoid}) {
    Rng rng(1, "mlp_test");
    Mlp net({3, 5, 4, 1}, output, 1, rng);
    std::vector<float> inputs(6);
    for (float& x : inputs) x = static_cast<float>(rng.normal());
    const std::vector<float> weights{0.7F, -1.3F};  // L = 0.7 y_0 - 1.3 y_1
    const auto loss = [&] {
      const auto y = net.forward(inputs, 2);
      return static_cast<double>(weights[0] * y[0] + weights[1] * y[1]);
    };
    loss();
    const auto span = net.backward(weights, true);
    const std::vector<float> to_inputs(span.begin(), span.end());
    const std::vector<float> gradient(net.gradient().begin(), net.gradient().end());
    const auto difference = [&](float& value) {
      const float kept = value, h = 2e-3F;
      value = kept + h;
      const double up = loss();
      value = kept - h;
      const double down = loss();
      value = kept;
      return (up - down) / (2 * static_cast<double>(h));
    };
    // float32 and a kink now and then: 1e-2 of a gradient of order one
    for (std::size_t i = 0; i < gradient.size(); ++i)
      CHECK(static_cast<double>(gradient[i]) == Approx(difference(net.parameters()[i])).margin(1e-2));
    for (std::size_t i = 0; i < inputs.size(); ++i)
      CHECK(static_cast<double>(to_inputs[i]) == Approx(difference(inputs[i])).margin(1e-2));
  }
}

TEST_CASE("the first step of Adam moves every parameter by its rate against the gradient") {
  Rng rng(2, "mlp_test");
  Mlp net({2, 3, 1}, Mlp::Output::linear, 0, rng);
  net.forward(std::vector<float>{0.5F, -0.2F}, 1);
  net.backward(std::vector<float>{1.0F}, true);
  const std::vector<float> before(net.parameters().begin(), net.parameters().end());
  net.step(0.01F);
  for (std::size_t i = 0; i < before.size(); ++i) {
    const float g = net.gradient()[i], moved = net.parameters()[i] - before[i];
    CHECK(moved == Approx(g > 0 ? -0.01 : g < 0 ? 0.01 : 0.0).margin(1e-4));
  }
}

TEST_CASE("a target network goes a fraction of the way to its source") {
  Rng rng(3, "mlp_test");
  Mlp a({2, 3, 1}, Mlp::Output::linear, 0, rng), b({2, 3, 1}, Mlp::Output::linear, 0, rng);
  const float first = a.parameters()[0], other = b.parameters()[0];
  a.follow(b, 0.25F);
  CHECK(a.parameters()[0] == Approx(0.75 * first + 0.25 * other));
}

TEST_CASE("the agent learns which action each state wants") {
  DdpgRates rates;
  rates.hidden = 32;
  DdpgAgent agent(2, rates, 1);
  Replay replay(2000);
  Rng rng(1, "ddpg_test");
  for (int i = 0; i < 2000; ++i) {  // one-step episodes: state (1, 0) wants 0.2, state (0, 1) wants 0.8
    const bool second = rng.below(2) == 1;
    Transition t;
    t.state = t.next_state = second ? std::vector<float>{0, 1} : std::vector<float>{1, 0};
    t.action = static_cast<float>(rng.unit());
    const float wanted = second ? 0.8F : 0.2F;
    t.reward = -(t.action - wanted) * (t.action - wanted) * 4;
    t.terminal = true;
    replay.add(t);
  }
  for (int i = 0; i < 5000; ++i) agent.learn(replay, rng);
  CHECK(agent.act(std::vector<float>{1, 0}) == Approx(0.2).margin(0.1));
  CHECK(agent.act(std::vector<float>{0, 1}) == Approx(0.8).margin(0.1));
}

TEST_CASE("steps follow the layers, weight before activation, with features scaled to 0 and 1") {
  Synthetic s = mobilenet_problem(1);
  Archive archive;
  const Problem problem = s.problem(archive);
  const auto steps = ddpg_steps(problem);
  REQUIRE(steps.size() == 106);
  const auto& variables = s.space->variables();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Variable& v = variables[steps[i].variable];
    const bool activation = i % 2 == 1;
    CHECK((v.kind == Site::Kind::activation) == activation);
    CHECK(s.network->site(v.sites[0]).layers[0] == static_cast<LayerId>(i / 2));
    REQUIRE(steps[i].features.size() == DdpgStep::kFeatures);
    for (const float f : steps[i].features) CHECK((f >= 0 && f <= 1));
    CHECK(steps[i].features[8] == (activation ? 1 : 0));
    CHECK(steps[i].features[7] == Approx(static_cast<double>(i / 2) / 52));
    CHECK(steps[i].features[0] == (s.network->layers[i / 2].groups > 1 ? 1 : 0));
  }
  CHECK(steps[0].features[1] == 0);  // 3 input channels are the fewest
  CHECK(steps[0].features[6] == 1);  // 32 x 32 pixels the most
}

TEST_CASE("an operand of a product stands behind the layer before the product") {
  Synthetic s = chain(3, 1);
  auto network = std::make_shared<Network>(*s.network);
  Site site;
  site.kind = Site::Kind::activation;
  site.id = static_cast<SiteId>(network->sites.size());
  site.tensor = network->layers[1].output;
  site.elements = 16;
  site.products = {network->layers[2].node};
  site.name = "q";
  network->sites.push_back(site);
  s.network = network;
  auto variables = s.space->variables();
  Variable operand = variables.back();
  operand.name = "q";
  operand.kind = Site::Kind::activation;
  operand.sites = {site.id};
  if (operand.options.size() < 2) operand.options.push_back(operand.options.front() + 1);
  variables.push_back(operand);
  s.space = std::make_unique<Space>(variables, network->sites.size());
  Archive archive;
  const auto steps = ddpg_steps(s.problem(archive));
  const auto found = std::find_if(steps.begin(), steps.end(),
                                  [&](const DdpgStep& step) { return step.variable == variables.size() - 1; });
  REQUIRE(found != steps.end());
  CHECK(found->features[7] == Approx(0.5));  // layer 1 of 0 ... 2
  CHECK(found->features[8] == 1);
}

TEST_CASE("variables with one option are no steps, tied sites are one") {
  Synthetic s = chain(4, 1);
  auto variables = s.space->variables();
  variables[1].sites = {1, 3};
  variables.erase(variables.begin() + 3);
  s.space = std::make_unique<Space>(variables, s.network->sites.size());
  Archive archive;
  const auto steps = ddpg_steps(s.problem(archive));
  REQUIRE(steps.size() == 3);
  CHECK(steps[0].variable == 0);
  CHECK(steps[1].variable == 1);
  CHECK(steps[2].variable == 2);
}

TEST_CASE("an agent that asks for several episodes at once still asks for as many as were set, and one last plan") {
  for (const int batch : {1, 4}) {
    Synthetic s = chain(6, 1, 1.5, 1.0, {2, 3, 4, 5, 6, 8}, {4, 8});
    s.constrain_at("weight_bytes", 0.5);
    const Archive archive =
        s.run({"{method: ddpg, evaluations: 10, warmup: 3, hidden: 8, batch_episodes: " + std::to_string(batch) + "}"});
    std::int64_t asked = 0;
    for (const Trial& trial : archive.trials()) asked += trial.stage == "ddpg";
    CHECK(asked <= 10 + 2);
    CHECK(asked >= 10);
  }
}

TEST_CASE(
    "after 300 episodes the agent's best plan holds size and latency and beats the best of 300 random feasible plans") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    Synthetic s = mobilenet_problem(seed);
    const auto least = [&](const Archive& archive, const std::string& stage) {
      double loss = std::numeric_limits<double>::infinity();
      for (const Trial& trial : archive.trials())
        if (trial.stage == stage && trial.measurement.feasible) loss = std::min(loss, trial.measurement.loss);
      return loss;
    };
    const Archive agent = s.run({"{method: ddpg, episodes: 300, hidden: 64}"});
    const double random = least(s.run({"{method: random, evaluations: 300}"}), "random");
    CAPTURE(seed, random, least(agent, "ddpg"));
    CHECK(least(agent, "ddpg") < 0.9 * random);
    CHECK(holds(s.constraints, s.costs->costs(agent.best()->assignment)));
  }
}
