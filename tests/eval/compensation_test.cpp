#include "eval/compensation.hpp"

#include <cstring>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/evaluator.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

constexpr std::int64_t kSamples = 22;

/// Convolutions of every kind, two linear layers; every layer's output is an output of the network. 22 samples, so that
/// the last chunk of four is half full.
struct Setup {
  TempFolder dir{"compensation"};
  std::shared_ptr<const Network> net;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<ChunkedData> data;
  std::vector<std::optional<Affine>> activations;
  std::map<LayerId, std::vector<float>> weights;

  explicit Setup(const std::string& choice = "int3", int bits = 8) {
    Builder b;
    const TensorId x = b.input({4, 3, 8, 8});
    const TensorId a = b.conv(x, 8), d = b.conv(b.op("Relu", {a}), 8, {3, 1, 1, 8});
    const TensorId r = b.op("Relu", {d});
    const TensorId g = b.conv(r, 12, {3, 2, 1, 2}), w = b.random({10, 12}, 0.3), m = b.random({10, 5}, 0.3);
    const TensorId flat = b.op("Flatten", {b.op("GlobalAveragePool", {b.op("Relu", {g})})});
    const TensorId h = b.layer(b.op("Gemm", {flat, w}, {{"transB", std::int64_t{1}}, {"alpha", 1.5F}}), flat, w);
    const TensorId s = b.op("Relu", {h}), y = b.layer(b.op("MatMul", {s, m}), s, m);
    for (Layer& layer : b.net.layers) {
      layer.groups = b.net.node(layer.node).integer("group", 1);
      if (layer.op == "MatMul") layer.channel_axis = 1;
    }
    net = b.finish({y, a, d, g, h});
    executor = std::make_unique<Executor>(net);
    Tensor samples = random_tensor({kSamples, 3, 8, 8}, "samples");
    for (float& v : samples.writable<float>()) v += 0.3F;
    write_npy(dir.path / "x.npy", samples);
    data = std::make_unique<ChunkedData>(spec(), *net, 1 << 20);
    quantize(parse_choice(choice, ChoiceDefaults::weights(), ChoiceDefaults::weights()), bits);
  }

  DataSpec spec() const { return spec_of("{kind: npy, inputs: {x0: x.npy}}", dir.path); }

  void quantize(const Choice& choice, int bits) {
    activations.resize(net->sites.size());
    if (choice.is_float) return;
    const Executor::Tap tap = [&](SiteId site, std::span<const float> values) {
      const auto [low, high] = std::minmax_element(values.begin(), values.end());
      activations[static_cast<std::size_t>(site)] = affine_from_range(0.8F * *low, 0.8F * *high, bits, false, false);
    };
    executor->run(*executor->make_workspace(), data->chunk(0)->inputs, {}, &tap);
    for (const Layer& layer : net->layers)
      weights[layer.id] = quantize_weight(net->tensor(layer.weight).constant->values<float>(),
                                          WeightView::of(layer.weight_shape, layer.channel_axis), choice)
                              .values;
  }

  QuantizedValues values() const {
    return [this](LayerId id) {
      const auto found = weights.find(id);
      return found == weights.end() ? std::vector<float>() : found->second;
    };
  }

  Biases biases(std::size_t threads = 1) const {
    std::vector<Executor::WorkspacePtr> workspaces(threads);
    return compensate(*executor, *data, candidate(), values(), BiasPer::channel, workspaces);
  }

  /// Mean of each channel of each layer's output over the samples.
  std::vector<std::vector<double>> means(const Candidate& candidate) const {
    std::vector<std::vector<double>> all(net->layers.size());
    const auto workspace = executor->make_workspace();
    for (int c = 0; c < data->chunks(); ++c) {
      const auto chunk = data->chunk(c);
      executor->run(*workspace, chunk->inputs, candidate);
      for (std::size_t o = 0; o < net->outputs.size(); ++o) {
        const Tensor y = executor->output(*workspace, o);
        const auto channels = static_cast<std::size_t>(y.shape()[1]), positions = y.size() / channels / 4;
        auto& mean = all[o == 0 ? all.size() - 1 : o - 1];
        mean.resize(channels);
        for (std::size_t i = 0; i < static_cast<std::size_t>(chunk->valid) * channels * positions; ++i)
          mean[i / positions % channels] +=
              static_cast<double>(y.values<float>()[i]) / static_cast<double>(positions) / kSamples;
      }
    }
    return all;
  }

  Candidate candidate(const Biases* added = nullptr) const {
    Candidate made;
    made.activations = activations;
    made.weights.resize(net->layers.size());
    for (const auto& [id, values] : weights) {
      const auto l = static_cast<std::size_t>(id);
      made.weights[l] = executor->pack(id, values, added ? (*added)[l] : std::vector<float>());
    }
    return made;
  }
};

double largest_difference(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  double most = 0;
  for (std::size_t l = 0; l < a.size(); ++l)
    for (std::size_t c = 0; c < a[l].size(); ++c) most = std::max(most, std::abs(a[l][c] - b[l][c]));
  return most;
}

Assignment all_of(const Network& net, ChoiceId w, ChoiceId a) {
  Assignment assignment;
  for (const Site& site : net.sites) assignment.push_back(site.kind == Site::Kind::weight ? w : a);
  return assignment;
}

LossSums measured(Evaluator& evaluator, const Assignment& assignment, const Finish* finished = nullptr) {
  LossSums sums;
  for (const auto& chunk :
       evaluator.measure(assignment, Role::calibration, {0, evaluator.chunks(Role::calibration)}, nullptr, finished))
    sums.add(chunk);
  return sums;
}

}  // namespace

TEST_CASE("after compensation the mean of each layer's outputs is the float network's") {
  for (const auto& [choice, bits] : {std::pair{"int3", 8}, {"int2", 4}, {"ternary", 8}, {"float", 8}}) {
    INFO(choice << ' ' << bits);
    const Setup setup(choice, bits);
    const auto floats = setup.means({});
    const Biases biases = setup.biases();
    for (std::size_t l = 0; l < biases.size(); ++l)
      CHECK(static_cast<std::int64_t>(biases[l].size()) == setup.net->tensor(setup.net->layers[l].output).shape[1]);
    const Candidate compensated = setup.candidate(&biases);
    CHECK(largest_difference(setup.means(compensated), floats) < 1e-4);
    if (std::string_view(choice) != "float") CHECK(largest_difference(setup.means(setup.candidate()), floats) > 5e-3);
  }
}

TEST_CASE("an assignment of floats needs no compensation") {
  const Setup setup("float");
  for (const auto& bias : setup.biases())
    for (const float b : bias) CHECK(b == 0);
}

TEST_CASE("compensation of activations alone gives float weights a bias") {
  Setup setup("int3", 3);
  setup.weights.clear();
  const Biases biases = setup.biases();
  Candidate candidate;
  candidate.activations = setup.activations;
  for (const Layer& layer : setup.net->layers)
    candidate.weights.push_back(setup.executor->pack(layer.id,
                                                     setup.net->tensor(layer.weight).constant->values<float>(),
                                                     biases[static_cast<std::size_t>(layer.id)]));
  CHECK(largest_difference(setup.means(candidate), setup.means({})) < 1e-4);
}

TEST_CASE("compensation is the same on 1 and 3 threads") {
  const Setup setup;
  const Biases one = setup.biases(1), three = setup.biases(3);
  REQUIRE(one.size() == three.size());
  for (std::size_t l = 0; l < one.size(); ++l)
    CHECK((one[l].size() == three[l].size() &&
           std::memcmp(one[l].data(), three[l].data(), one[l].size() * sizeof(float)) == 0));
}

TEST_CASE("a stop ends compensation") {
  const Setup setup;
  std::vector<Executor::WorkspacePtr> workspaces(1);
  const std::atomic<bool> stop = true;
  CHECK_THROWS_AS(
      compensate(*setup.executor, *setup.data, setup.candidate(), setup.values(), BiasPer::channel, workspaces, &stop),
      Interrupted);
}

TEST_CASE("an evaluator measures with compensation: float stays float, few bits come nearer to it") {
  const Setup setup;
  const auto table = std::make_shared<ChoiceTable>();
  const auto weight = [&](const std::string& text) {
    return table->add(parse_choice(text, ChoiceDefaults::weights(), ChoiceDefaults::weights()));
  };
  const ChoiceId w2 = weight("int2"), biased = weight("int2+bias"), gptq = weight("int3+gptq+bias");
  const ChoiceId a8 = table->add(parse_choice("int8", ChoiceDefaults::activations(), ChoiceDefaults::activations()));
  std::vector<double> first;
  for (const auto arithmetic : {Arithmetic::floating, Arithmetic::automatic})
    for (const int threads : {1, 3}) {
      EvaluatorSpec spec;
      spec.calibration = setup.spec();
      spec.threads = threads;
      spec.arithmetic = arithmetic;
      Evaluator evaluator(setup.net, table, spec);
      const Assignment floats(setup.net->sites.size(), kFloat);
      const Finish none = evaluator.finish(floats, {.bias = BiasPer::channel});
      CHECK(measured(evaluator, floats, &none).kl == Approx(0).margin(1e-9));
      std::vector<double> kl;
      for (const ChoiceId w : {w2, biased, gptq}) {
        const Assignment assignment = all_of(*setup.net, w, a8);
        const double plain = measured(evaluator, assignment).kl;
        const Finish finished = evaluator.finish(assignment, {.bias = BiasPer::channel});
        kl.push_back(measured(evaluator, assignment, &finished).kl);
        CHECK(measured(evaluator, assignment).kl == plain);
        if (w == w2) CHECK(kl.back() < 0.9 * plain);
      }
      // In place of the biases that the choices have: those of int2 and int2+bias are the same then.
      CHECK(kl[0] == kl[1]);
      if (first.empty()) first = kl;
      for (std::size_t i = 0; i < kl.size(); ++i) CHECK(kl[i] == Approx(first[i]).epsilon(0.05));
    }
}

}  // namespace bitplan::test
