#include "eval/evaluator.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/evaluator_weights.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/fixtures.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

constexpr std::int64_t kInputs = 6, kHidden = 8, kClasses = 5;

/// y [batch, 5] = fc1(relu(fc0(x [batch, 6]))): sites 0, 1 weights, 2 "x", 3 "h".
std::shared_ptr<const Network> mlp(std::int64_t batch, double scale = 1) {
  auto net = std::make_shared<Network>();
  net->file = "mlp.onnx";
  net->opset = 17;
  net->batch = batch;
  const auto x = add_tensor(*net, "x", {batch, kInputs}, -1);
  net->inputs = {x};
  const auto dense = [&](const std::string& name, TensorId in, std::int64_t from, std::int64_t to,
                         const std::string& out) {
    Layer layer;
    layer.id = static_cast<LayerId>(net->layers.size());
    layer.op = "Gemm";
    layer.weight_shape = {to, from};
    layer.output_shape = {batch, to};
    layer.weight = add_constant(*net, name + ".weight", layer.weight_shape, scale);
    layer.bias = add_constant(*net, name + ".bias", {to}, 0.1);
    layer.node = static_cast<NodeId>(net->nodes.size());
    layer.input = in;
    layer.output = add_node(*net, name, "Gemm", {in, layer.weight, layer.bias}, out, layer.output_shape);
    net->nodes.back().attributes["transB"] = std::int64_t{1};
    layer.names.module = name;
    layer.weights = to * from;
    layer.macs = layer.weights;
    net->layers.push_back(layer);
    return layer.output;
  };
  const auto wide = dense("fc0", x, kInputs, kHidden, "h_in");
  const auto h = add_node(*net, "relu", "Relu", {wide}, "h", {batch, kHidden});
  net->outputs = {dense("fc1", h, kHidden, kClasses, "y")};
  add_sites(*net);
  return net;
}

/// x.npy of normal values and l.npy of labels.
struct Samples {
  TempFolder dir;
  std::int64_t count;
  Tensor x, labels;
  explicit Samples(const std::string& name, std::int64_t n) : dir("evaluator_" + name), count(n) {
    Rng rng(3, "evaluator_test");
    std::vector<float> values(static_cast<std::size_t>(n * kInputs));
    for (auto& v : values) v = static_cast<float>(rng.normal());
    std::vector<std::int64_t> classes(static_cast<std::size_t>(n));
    for (auto& c : classes) c = static_cast<std::int64_t>(rng.below(kClasses));
    x = Tensor::of<float>({n, kInputs}, values);
    labels = Tensor::of<std::int64_t>({n}, classes);
    write_npy(dir.path / "x.npy", x);
    write_npy(dir.path / "l.npy", labels);
  }
  DataSpec spec(const std::string& more = ", labels: l.npy") const {
    return spec_of("{kind: npy, inputs: {x: x.npy}" + more + "}", dir.path);
  }
};

/// float, int3, int8 weights; int4, int8 activations.
struct Choices {
  std::shared_ptr<ChoiceTable> table = std::make_shared<ChoiceTable>();
  ChoiceId w3 = weight("int3"), w8 = weight("int8"), a4 = activation("int4"), a8 = activation("int8");
  ChoiceId weight(const std::string& text) const {
    return table->add(parse_choice(text, ChoiceDefaults::weights(), ChoiceDefaults::weights()));
  }
  ChoiceId activation(const std::string& text) const {
    return table->add(parse_choice(text, ChoiceDefaults::activations(), ChoiceDefaults::activations()));
  }
};

EvaluatorSpec spec_with(const DataSpec& data, int threads = 1) {
  EvaluatorSpec spec;
  spec.calibration = spec.selection = data;
  spec.threads = threads;
  return spec;
}

std::vector<LossSums> all(Evaluator& evaluator, const Assignment& assignment, Role role = Role::selection) {
  return evaluator.measure(assignment, role, {0, evaluator.chunks(role)});
}

LossSums total(const std::vector<LossSums>& chunks) {
  LossSums sums;
  for (const auto& chunk : chunks) sums.add(chunk);
  return sums;
}

}  // namespace

TEST_CASE("weights of other formats than integers are computed with their values under each arithmetic") {
  const Samples samples("formats", 10);
  const auto net = mlp(4);
  for (const std::string text : {"fp8", "ternary", "binary", "codebook4:channel", "mxfp4", "nf4", "int16", "pot4"}) {
    INFO(text);
    const Choices choices;
    const ChoiceId w = choices.weight(text);
    const Assignment assignment{w, w, choices.a8, choices.a8};
    std::vector<std::vector<LossSums>> losses;
    for (const auto arithmetic : {Arithmetic::floating, Arithmetic::automatic}) {
      auto spec = spec_with(samples.spec());
      spec.arithmetic = arithmetic;
      Evaluator evaluator(net, choices.table, spec);
      losses.push_back(all(evaluator, assignment));
      CHECK(total(losses.back()).invalid == 0);
    }
    CHECK(losses[0] == losses[1]);
  }
}

TEST_CASE("an evaluation is the losses of the executor's outputs, sample by sample, without the padding") {
  const Samples samples("direct", 10);
  const auto net = mlp(4);
  const Choices choices;
  auto spec = spec_with(samples.spec());
  spec.arithmetic = Arithmetic::floating;
  Evaluator evaluator(net, choices.table, spec);
  CHECK(evaluator.chunks(Role::selection) == 3);
  CHECK(evaluator.samples(Role::selection) == 10);
  CHECK(evaluator.has_labels(Role::selection));
  const Assignment assignment{choices.w3, choices.w8, choices.a8, choices.a4};
  const auto measured = all(evaluator, assignment);

  const Executor executor(net);
  const auto workspace = executor.make_workspace();
  Candidate candidate;
  for (LayerId l = 0; l < 2; ++l)
    candidate.weights.push_back(
        executor.pack(l, evaluator.quantized_weight(l, assignment[static_cast<std::size_t>(l)]).values));
  candidate.activations.resize(4);
  for (SiteId s = 2; s < 4; ++s)
    candidate.activations[static_cast<std::size_t>(s)] =
        evaluator.activation_quantizer(s, assignment[static_cast<std::size_t>(s)]);
  for (std::int64_t chunk = 0; chunk < 3; ++chunk) {
    Tensor input(DType::f32, {4, kInputs});
    const auto valid = static_cast<std::size_t>(std::min<std::int64_t>(4, 10 - 4 * chunk));
    std::memcpy(input.mutable_bytes(), samples.x.bytes() + 4 * 4 * kInputs * chunk, valid * 4 * kInputs);
    executor.run(*workspace, std::span(&input, 1), {});
    const auto z = executor.output(*workspace, 0);
    executor.run(*workspace, std::span(&input, 1), candidate);
    const auto y = executor.output(*workspace, 0);
    LossSums expected;
    for (std::size_t i = 0; i < valid; ++i)
      add_sample(expected, z.values<float>().subspan(i * kClasses, kClasses),
                 y.values<float>().subspan(i * kClasses, kClasses),
                 samples.labels.values<std::int64_t>()[static_cast<std::size_t>(4 * chunk) + i]);
    CHECK(measured[static_cast<std::size_t>(chunk)] == expected);
  }
  CHECK(total(measured).samples == 10);
  CHECK(total(measured).labelled == 10);
  CHECK(total(measured).kl > 0);
}

TEST_CASE("the float assignment has no loss against itself") {
  const Samples samples("float", 9);
  const Choices choices;
  Evaluator evaluator(mlp(4), choices.table, spec_with(samples.spec()));
  const auto sums = total(all(evaluator, Assignment(4, kFloat)));
  CHECK(sums.samples == 9);
  CHECK(sums.kl == 0);
  CHECK(sums.noise == 0);
  CHECK(sums.agree == 9);
  CHECK(sums.nll > 0);
}

TEST_CASE("sums are the same to the bit for any number of threads, cut into ranges, cache and order of evaluations") {
  const Samples samples("same", 103);
  const auto net = mlp(4);
  const Choices choices;
  const Assignment a{choices.w3, choices.w3, choices.a4, choices.a8}, b{choices.w8, kFloat, kFloat, choices.a4};
  Evaluator one(net, choices.table, spec_with(samples.spec(), 1));
  const auto sums_a = all(one, a), sums_b = all(one, b);
  CHECK(sums_a != sums_b);
  CHECK(all(one, a) == sums_a);
  auto spec = spec_with(samples.spec(), 3);
  spec.cache_bytes = 0;
  Evaluator three(net, choices.table, spec);
  for (const int width : {1, 2, 5, 26}) {
    std::vector<LossSums> pieces;
    for (int first = 0; first < 26; first += width) {
      const auto part = three.measure(b, Role::selection, {first, std::min(width, 26 - first)});
      pieces.insert(pieces.end(), part.begin(), part.end());
    }
    CHECK(pieces == sums_b);
  }
  CHECK(all(three, a) == sums_a);
  CHECK(three.measure(a, Role::selection, {3, 0}).empty());
  for (SiteId s = 2; s < 4; ++s)
    CHECK(one.activation_quantizer(s, choices.a4) == three.activation_quantizer(s, choices.a4));
}

TEST_CASE("padding of the last chunk reaches no observer") {
  // 2 of 7 samples in the last chunk of 5; counted twice they would move a percentile.
  const Samples samples("padding", 7);
  const Choices choices;
  for (const std::string observer : {"percentile", "mse", "minmax"}) {
    const auto quantizer = [&](std::int64_t batch) {
      auto spec = spec_with(samples.spec());
      spec.observer.name = observer;
      spec.observer.percentile = 90;
      Evaluator evaluator(mlp(batch), choices.table, spec);
      CHECK(evaluator.notes().empty());
      return evaluator.activation_quantizer(2, choices.a8);
    };
    CHECK(quantizer(5) == quantizer(1));
    CHECK(quantizer(5) == quantizer(7));
  }
}

TEST_CASE("samples without labels have the metrics that need none") {
  const Samples samples("unlabelled", 5);
  const Choices choices;
  Evaluator evaluator(mlp(4), choices.table, spec_with(samples.spec("")));
  const auto sums = total(all(evaluator, {choices.w3, choices.w3, kFloat, kFloat}));
  CHECK(sums.labelled == 0);
  for (const auto& metric : metrics()) CHECK(std::isnan(metric.value(sums).value) == metric.needs_labels);
  CHECK_FALSE(evaluator.refusal(find_metric("kl"), Role::selection));
  CHECK(evaluator.refusal(find_metric("top1"), Role::selection).value() ==
        "metric 'top1' needs labels, data.selection has none");
  CHECK(evaluator.refusal(find_metric("kl"), Role::holdout).value() == "metric 'kl' needs data.holdout");
}

TEST_CASE("outputs that are no classes have mse, sqnr_db and cosine only") {
  const TempFolder dir("evaluator_planes");
  write_npy(dir.path / "x.npy", Tensor::of<float>({3, 3, 4, 4}, std::vector<float>(144, 0.5F)));
  const auto net = std::make_shared<Network>(small_network(1));
  const Choices choices;
  Evaluator evaluator(net, choices.table, spec_with(spec_of("{kind: npy, inputs: {x: x.npy}}", dir.path)));
  const auto sums = total(all(evaluator, {choices.w3, kFloat}));
  for (const auto& metric : metrics()) {
    CHECK(std::isnan(metric.value(sums).value) == metric.needs_classes);
    CHECK(evaluator.refusal(metric, Role::selection).has_value() == metric.needs_classes);
  }
  CHECK(evaluator.refusal(find_metric("kl"), Role::selection).value() ==
        "metric 'kl' needs class logits [N, C] or [N, T, C]; the output 'y' is 1x4x4x4; use mse, sqnr_db or "
        "cosine");
}

TEST_CASE("a set stop flag ends an evaluation with Interrupted, and the next one works") {
  const Samples samples("stop", 5);
  const Choices choices;
  Evaluator evaluator(mlp(4), choices.table, spec_with(samples.spec(), 2));
  const Assignment assignment{choices.w3, choices.w8, choices.a8, choices.a4};
  std::atomic<bool> stop{true};
  CHECK_THROWS_AS(evaluator.measure(assignment, Role::selection, {0, 2}, &stop), Interrupted);
  CHECK_THROWS_AS(evaluator.measure(Assignment(4, kFloat), Role::selection, {0, 2}, &stop), Interrupted);
  stop = false;
  CHECK(total(evaluator.measure(assignment, Role::selection, {0, 2}, &stop)).samples == 5);
}

TEST_CASE("roles that were not given, and choices that activations cannot have, are refused") {
  const Samples samples("refused", 5);
  const Choices choices;
  Evaluator evaluator(mlp(4), choices.table, spec_with(samples.spec()));
  CHECK(evaluator.chunks(Role::holdout) == 0);
  CHECK(evaluator.samples(Role::holdout) == 0);
  CHECK_FALSE(evaluator.has_labels(Role::holdout));
  CHECK_THROWS_WITH(evaluator.measure(Assignment(4, kFloat), Role::holdout, {0, 0}), "data.holdout is not given");
  CHECK_THROWS_WITH(evaluator.data_fingerprint(Role::holdout), "data.holdout is not given");
  CHECK_THROWS_WITH(evaluator.activation_quantizer(2, choices.w8), "activation 'x': choice 'int8' is a weight's");
  auto spec = spec_with(samples.spec());
  spec.calibration = {};
  Evaluator uncalibrated(mlp(4), choices.table, spec);
  CHECK_NOTHROW(all(uncalibrated, {choices.w3, choices.w8, kFloat, kFloat}));
  CHECK_THROWS_WITH(all(uncalibrated, {kFloat, kFloat, choices.a8, kFloat}), "data.calibration is not given");
  spec = spec_with(samples.spec());
  spec.observer.name = "mes";
  CHECK_THROWS_AS(Evaluator(mlp(4), choices.table, spec), InputError);
}

TEST_CASE("a network with NaN in a weight or bias is refused before anything runs") {
  const Samples samples("nan_weight", 4);
  const Choices choices;
  for (const bool bias : {false, true}) {
    auto net = std::make_shared<Network>(*mlp(4));
    const Layer& layer = net->layers[1];
    auto& tensor = net->tensors[static_cast<std::size_t>(bias ? layer.bias : layer.weight)];
    tensor.constant->writable<float>()[2] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_WITH(Evaluator(net, choices.table, spec_with(samples.spec())),
                      Catch::Contains(bias ? "the bias of layer" : "the weight of layer") &&
                          Catch::Contains("has NaN or infinite values, the first at element 2"));
  }
}

TEST_CASE("a float network that gives NaN or infinite values is refused where it shows") {
  const Samples samples("overflow", 5);
  const Choices choices;
  CHECK_THROWS_WITH(Evaluator(mlp(4, 8e37), choices.table, spec_with(samples.spec())),
                    Catch::Matchers::StartsWith("activation 'h', calibration samples 0 to 3: "));
  auto spec = spec_with(samples.spec());
  spec.calibration = {};
  Evaluator evaluator(mlp(4, 1e30), choices.table, spec);
  CHECK_THROWS_WITH(
      all(evaluator, Assignment(4, kFloat)),
      "the float network gives NaN or infinite values for sample 0 (counted from 0) of the selection data");
}

TEST_CASE("the fingerprint of a role is that of its data") {
  const Samples samples("print", 5);
  const auto net = mlp(4);
  const Choices choices;
  const Evaluator evaluator(net, choices.table, spec_with(samples.spec()));
  CHECK(evaluator.data_fingerprint(Role::selection) == fingerprint(*open_dataset(samples.spec(), *net)));
  CHECK(name_of(Role::calibration) == "calibration");
  CHECK(name_of(Role::holdout) == "holdout");
}

TEST_CASE("packed weights are made once and kept within their bound, the last used longest") {
  const auto net = mlp(4);
  const Executor executor(net);
  const Choices choices;
  const std::vector<std::optional<Affine>> floats(4);
  PreparedWeights prepared(executor, nullptr, {});
  std::vector<Executor::WorkspacePtr> one(1), two(2);
  WeightCache cache(executor, *choices.table, prepared, Arithmetic::automatic, std::size_t{1} << 20);
  const Assignment a{choices.w3, choices.w8, kFloat, kFloat}, b{kFloat, choices.w3, kFloat, kFloat};
  const auto first = cache.get(a, floats, two, nullptr);
  REQUIRE(first.size() == 2);
  CHECK(cache.kept_bytes() == Executor::bytes(*first[0]) + Executor::bytes(*first[1]));
  CHECK(cache.get(a, floats, two, nullptr) == first);
  CHECK(cache.get(b, floats, one, nullptr)[0] == nullptr);

  WeightCache small(executor, *choices.table, prepared, Arithmetic::automatic,
                    Executor::bytes(*first[0]) + Executor::bytes(*first[1]));
  const auto kept = small.get(a, floats, one, nullptr);
  small.get({choices.w3, kFloat, kFloat, kFloat}, floats, one, nullptr);  // layer 0 becomes the last used
  small.get(b, floats, one, nullptr);                                     // layer 1 as int3 displaces layer 1 as int8
  CHECK(small.get({choices.w3, kFloat, kFloat, kFloat}, floats, one, nullptr)[0] == kept[0]);
  CHECK(small.get(a, floats, one, nullptr)[1] != kept[1]);
  CHECK(small.kept_bytes() <= Executor::bytes(*first[0]) + Executor::bytes(*first[1]));

  WeightCache none(executor, *choices.table, prepared, Arithmetic::automatic, 0);
  CHECK(none.get(a, floats, one, nullptr)[0] != nullptr);
  CHECK(none.kept_bytes() == 0);
}

TEST_CASE("weights are packed as codes where the input is quantized and most multiplications gain by it") {
  const auto net = mlp(4);
  const Executor executor(net);
  const Choices choices;
  const Affine bytes = affine_from_range(-1, 1, 8, false, false);
  const Assignment both{choices.w3, choices.w8, kFloat, kFloat}, second{kFloat, choices.w8, kFloat, kFloat};
  const std::vector<std::optional<Affine>> floats(4), quantized{std::nullopt, std::nullopt, bytes, bytes};
  PreparedWeights prepared(executor, nullptr, {});
  std::vector<Executor::WorkspacePtr> one(1);
  const auto forms = [&](Arithmetic arithmetic, const Assignment& assignment, const auto& activations) {
    WeightCache cache(executor, *choices.table, prepared, arithmetic, std::size_t{1} << 20);
    std::size_t codes = 0;
    for (const auto& weight : cache.get(assignment, activations, one, nullptr))
      codes += weight && Executor::form(*weight) != IntegerForm::none ? 1 : 0;
    return codes;
  };
  const std::size_t possible = integer_kernels() ? 2 : 0;
  CHECK(forms(Arithmetic::automatic, both, quantized) == possible);
  CHECK(forms(Arithmetic::integer, both, quantized) == possible);
  CHECK(forms(Arithmetic::floating, both, quantized) == 0);
  CHECK(forms(Arithmetic::automatic, both, floats) == 0);
  // The second layer has fewer multiplications than the first.
  CHECK(forms(Arithmetic::automatic, second, quantized) == 0);
  CHECK(forms(Arithmetic::integer, second, quantized) == possible / 2);
}
