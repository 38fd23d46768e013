// Analytic bias correction as a choice: weights made for it, what is said of layers that cannot have it, its effect.

#include "core/error.hpp"
#include "eval/evaluator.hpp"
#include "eval/prepared_weights.hpp"
#include "quant/layer_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/eval/norm_networks.hpp"

namespace bitplan::test {
namespace {

Choice weight_choice(const std::string& text) {
  return parse_choice(text, ChoiceDefaults::weights(), ChoiceDefaults::weights());
}

/// Layers: 0 reads the input, 1 and 2 behind a batch normalisation, 3 behind a MaxPool.
std::shared_ptr<const Network> norm_network(float more = 0) {
  NormBuilder b;
  const TensorId n = b.normed(b.input({8, 5, 8, 8}), 6);
  if (more != 0) {
    auto& beta = b.net.tensors[static_cast<std::size_t>(b.net.nodes.back().inputs[2])];
    beta.constant->writable<float>()[0] += more;
  }
  const TensorId relu = b.op("Relu", {n});
  const TensorId a = b.conv(relu, 8), d = b.conv(relu, 6, {3, 1, 1, 6});
  const TensorId pool = b.op("MaxPool", {d}, {{"kernel_shape", std::vector<std::int64_t>{8, 8}}});
  const TensorId last = b.conv(pool, 8, {1, 1, 0, 1});
  return b.done({b.op("Add", {a, last})});
}

QuantizedWeight made(const std::shared_ptr<const Network>& net, SiteId site, const std::string& choice,
                     const std::filesystem::path& folder = {}) {
  const Executor executor(net);
  PreparedWeights weights(executor, nullptr, folder);
  std::vector<Executor::WorkspacePtr> workspaces(1);
  return *weights.get(site, weight_choice(choice), workspaces);
}

std::shared_ptr<ChoiceTable> table_of(const std::vector<std::string>& texts) {
  const auto table = std::make_shared<ChoiceTable>();
  for (const std::string& text : texts) table->add(weight_choice(text));
  return table;
}

EvaluatorSpec spec_with(const DataSpec& data) {
  EvaluatorSpec spec;
  spec.calibration = spec.selection = data;
  spec.threads = 1;
  return spec;
}

}  // namespace

TEST_CASE("without any data a weight gets the analytic bias of its layer's expected inputs, or none") {
  const auto net = norm_network();
  for (const std::string text : {"int3", "int2:tensor", "nf4", "int3+hqq"})
    for (const SiteId site : {0, 1, 2, 3}) {
      INFO(text << ' ' << site);
      const QuantizedWeight plain = made(net, site, text);
      const QuantizedWeight ours = made(net, site, text + "+bias:analytic");
      CHECK(ours.values == plain.values);
      const Layer& layer = net->layer(site);
      const WeightView view = WeightView::of(layer.weight_shape, layer.channel_axis, layer.groups);
      CHECK(ours.stored_bits == stored_bits(view, weight_choice(text)) + 32 * view.channels);
      const auto means = ExpectedInputs(*net).of(layer).values;
      REQUIRE(means.empty() == (site == 0 || site == 3));
      REQUIRE(ours.bias.size() == (means.empty() ? 0U : static_cast<std::size_t>(view.channels)));
      if (means.empty()) continue;
      const auto weight = net->tensor(layer.weight).constant->values<float>();
      CHECK(ours.bias == mean_difference(view, weight, ours.values, means));
    }
}

TEST_CASE("other statistics, other files of prepared weights") {
  const TempFolder dir("analytic_files");
  const auto count = [&] {
    return std::distance(std::filesystem::directory_iterator(dir.path), std::filesystem::directory_iterator());
  };
  const QuantizedWeight first = made(norm_network(), 1, "int3+bias:analytic", dir.path);
  CHECK(count() == 1);
  CHECK(made(norm_network(), 1, "int3+bias:analytic", dir.path).bias == first.bias);
  CHECK(count() == 1);
  const QuantizedWeight other = made(norm_network(0.5F), 1, "int3+bias:analytic", dir.path);
  CHECK(count() == 2);
  CHECK(other.values == first.values);
  CHECK(other.bias != first.bias);
}

TEST_CASE("an evaluator notes which layers get no analytic bias, and why") {
  const auto net = norm_network();
  const NormalData data("analytic_notes", *net, 8);
  CHECK(Evaluator(net, table_of({"int4"}), spec_with(data.spec)).notes().empty());
  const Evaluator evaluator(net, table_of({"int4", "int3+bias:analytic", "nf4+bias:analytic"}), spec_with(data.spec));
  const std::string there =
      "bias:analytic is left out of int3+bias:analytic, nf4+bias:analytic there, the mean of its "
      "input is not known: ";
  CHECK(evaluator.notes() ==
        std::vector<std::string>{"weight '" + net->site(0).name + "': " + there + "'x0' is an input of the network",
                                 "weight '" + net->site(3).name + "': " + there + "'" +
                                     net->tensor(net->layer(3).input).name + "' is made by MaxPool"});
}

TEST_CASE("a network without batch normalisations refuses an analytic bias before it starts") {
  NormBuilder b;
  const auto net = b.done({b.conv(b.op("Relu", {b.conv(b.input({2, 3, 4, 4}), 4)}), 4)});
  const NormalData data("analytic_none", *net, 4);
  CHECK_THROWS_WITH(Evaluator(net, table_of({"int4", "int3+bias:analytic"}), spec_with(data.spec)),
                    "choice int3+bias:analytic: no layer reads an activation whose mean follows from a "
                    "BatchNormalization (there is none, or it was folded into the weights before the model was "
                    "exported); bias correction from data is +bias (compensation: bias)");
  CHECK_THROWS_AS(Evaluator(net, table_of({"int3+bias:analytic"}), spec_with(data.spec)), InputError);
}

TEST_CASE("true statistics take almost the same off the output error as the means of data") {
  NormBuilder b;
  TensorId x = b.normed(b.input({8, 5, 8, 8}), 12);
  x = b.op("Relu", {x});
  const auto net = b.done({b.conv(x, 16, {3, 1, 1, 1})});
  const NormalData data("analytic_effect", *net, 64);
  const auto table =
      table_of({"int2:tensor", "int2:tensor+bias", "int2:tensor+bias:analytic", "int3+gptq+bias:analytic"});
  Evaluator evaluator(net, table, spec_with(data.spec));
  const auto error = [&](ChoiceId choice, const FinishSpec& finish = {}) {
    const Assignment assignment{kFloat, choice, kFloat, kFloat};
    std::optional<Finish> finished;
    if (finish.any()) finished = evaluator.finish(assignment, finish);
    double sum = 0;
    for (const LossSums& sums : evaluator.measure(assignment, Role::selection, {0, evaluator.chunks(Role::selection)},
                                                  nullptr, finished ? &*finished : nullptr))
      sum += sums.mse;
    return sum;
  };
  const double none = error(1), empirical = error(2), analytic = error(3);
  CHECK(empirical < 0.7 * none);
  CHECK(analytic < none - 0.95 * (none - empirical));
  CHECK(analytic > empirical * (1 - 1e-6));
  CHECK(error(4, {.rounding = FinishSpec::Rounding::sequential}) == Approx(error(4)).epsilon(0.01));
}

}  // namespace bitplan::test
