// Bias compensation by element, against its definition: means of outputs by the reference interpreter.

#include <cstring>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/compensation.hpp"
#include "eval/evaluator.hpp"
#include "tests/catch.hpp"
#include "tests/eval/biased_networks.hpp"
#include "tests/eval/dataset_files.hpp"

namespace bitplan::test {
namespace {

constexpr std::int64_t kSamples = 10, kBatch = 4;  // the last chunk is half full

TensorId matmul(Builder& b, TensorId x, std::int64_t inputs, std::int64_t outputs) {
  const TensorId w = b.random({inputs, outputs}, 0.3), y = b.layer(b.op("MatMul", {x, w}), x, w);
  b.net.layers.back().channel_axis = 1;
  return y;
}

/// A residual sum, a depthwise and a grouped convolution, tokens, a Gemm.
std::shared_ptr<const Network> mixed_network() {
  Builder b;
  const TensorId x = b.input({kBatch, 3, 6, 6}), a = b.op("Relu", {b.conv(x, 8)});
  const TensorId d = b.op("Relu", {b.conv(a, 8, {3, 1, 1, 8})});
  const TensorId sum = b.op("Relu", {b.op("Add", {b.conv(d, 8, {3, 1, 1, 2}), a})});
  for (Layer& layer : b.net.layers) layer.groups = b.net.node(layer.node).integer("group", 1);
  const TensorId rows = b.op("Reshape", {sum, b.integers({kBatch, 8, 36})});
  const TensorId tokens = b.op("Transpose", {rows}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}});
  const TensorId h = b.op("Relu", {b.op("Add", {matmul(b, tokens, 8, 12), b.random({12})})});
  const TensorId flat =
      b.op("ReduceMean", {h}, {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", std::int64_t{0}}});
  const TensorId w = b.random({5, 12}, 0.3);
  return b.finish({b.layer(b.op("Gemm", {flat, w}, {{"transB", std::int64_t{1}}, {"alpha", 1.5F}}), flat, w)});
}

std::shared_ptr<const Network> linear_network() {
  Builder b;
  const TensorId x = b.input({kBatch, 9}), w = b.random({7, 9}, 0.4);
  const TensorId h = b.op("Relu", {b.layer(b.op("Gemm", {x, w}, {{"transB", std::int64_t{1}}}), x, w)});
  return b.finish({matmul(b, h, 7, 5)});
}

struct Setup {
  TempFolder dir{"elements"};
  std::shared_ptr<const Network> net;
  Executor executor;
  std::unique_ptr<ChunkedData> data;
  Quantization quantization;

  explicit Setup(std::shared_ptr<const Network> network) : net(std::move(network)), executor(net) {
    Shape shape = net->tensor(net->inputs[0]).shape;
    shape[0] = kSamples;
    Tensor samples = random_tensor(shape, "samples");
    for (float& v : samples.writable<float>()) v += 0.3F;
    write_npy(dir.path / "x.npy", samples);
    data = std::make_unique<ChunkedData>(spec(), *net, 1 << 20);
    for (const Site& site : net->sites)
      if (site.kind == Site::Kind::activation)
        quantization.activations[site.id] = affine_from_range(-1.5F, 2.5F, 5, false, false);
    const auto choice = parse_choice("int3", ChoiceDefaults::weights(), ChoiceDefaults::weights());
    for (const Layer& layer : net->layers)
      quantization.weights[layer.id] = quantize_weight(net->tensor(layer.weight).constant->values<float>(),
                                                       WeightView::of(layer.weight_shape, layer.channel_axis), choice)
                                           .values;
  }

  DataSpec spec() const { return spec_of("{kind: npy, inputs: {x0: x.npy}}", dir.path); }

  Biases biases(BiasPer per, std::size_t threads = 1) const {
    std::vector<Executor::WorkspacePtr> workspaces(threads);
    const QuantizedValues values = [&](LayerId layer) { return quantization.weights.at(layer); };
    return compensate(executor, *data, quantization.on(executor), values, per, workspaces);
  }

  /// The mean over samples of each element of a layer's output, its own bias included, by definition.
  std::vector<double> mean_output(LayerId id, const Quantization& q, const Biases& added) const {
    auto seen = std::make_shared<Network>(*net);
    seen->outputs = {net->layer(id).output};
    std::vector<double> mean(static_cast<std::size_t>(executor.element_biases(id)));
    for (int c = 0; c < data->chunks(); ++c) {
      const auto chunk = data->chunk(c);
      const Tensor y = with_additions(seen, chunk->inputs, q, added)[0];
      for (std::size_t i = 0; i < mean.size() * static_cast<std::size_t>(chunk->valid); ++i)
        mean[i % mean.size()] += static_cast<double>(y.values<float>()[i]) / kSamples;
    }
    return mean;
  }
};

bool same_bits(const Biases& a, const Biases& b) {
  for (std::size_t l = 0; l < a.size(); ++l)
    if (a[l].size() != b[l].size() || std::memcmp(a[l].data(), b[l].data(), a[l].size() * sizeof(float)) != 0)
      return false;
  return a.size() == b.size();
}

}  // namespace

TEST_CASE("a bias by element is the mean difference of the layer's output, the layers before compensated already") {
  const Setup setup(mixed_network());
  const Biases made = setup.biases(BiasPer::element);
  Biases before;
  for (const Layer& layer : setup.net->layers) {
    const auto& bias = made[static_cast<std::size_t>(layer.id)];
    CAPTURE(layer.id, layer.op);
    const auto floats = setup.mean_output(layer.id, {}, {});
    const auto quantized = setup.mean_output(layer.id, setup.quantization, before);
    REQUIRE(bias.size() == floats.size());
    double most = 0, drift = 0;
    for (std::size_t e = 0; e < bias.size(); ++e) {
      most = std::max(most, std::abs(static_cast<double>(bias[e]) - (floats[e] - quantized[e])));
      drift = std::max(drift, std::abs(floats[e] - quantized[e]));
    }
    // A value at the edge between two levels of 5 bits may be one or the other in one of ten samples.
    CHECK(most < 0.02);
    CHECK(drift > 0.05);
    before.push_back(bias);
    // So the compensated network's mean output is the float one's.
    const auto compensated = setup.mean_output(layer.id, setup.quantization, before);
    for (std::size_t e = 0; e < bias.size(); ++e) CHECK(std::abs(compensated[e] - floats[e]) < 0.02);
  }
}

TEST_CASE("the mean of a convolution's biases by element over positions would not be enough: they differ by position") {
  const Setup setup(mixed_network());
  const auto bias = setup.biases(BiasPer::element)[0];
  const auto [low, high] = std::minmax_element(bias.begin(), bias.begin() + 36);
  CHECK(*high - *low > 0.05);
}

TEST_CASE("biases by element are the same on 1 and 2 threads") {
  const Setup setup(mixed_network());
  CHECK(same_bits(setup.biases(BiasPer::element, 1), setup.biases(BiasPer::element, 2)));
}

TEST_CASE("where a sample has one element a channel, biases by element are those by channel") {
  const Setup setup(linear_network());
  CHECK(same_bits(setup.biases(BiasPer::element), setup.biases(BiasPer::channel)));
}

TEST_CASE("the pass bias:element measures the same on any number of threads, and float stays float") {
  const Setup setup(mixed_network());
  const auto table = std::make_shared<ChoiceTable>();
  const ChoiceId w = table->add(parse_choice("int3", ChoiceDefaults::weights(), ChoiceDefaults::weights()));
  const ChoiceId a = table->add(parse_choice("int8", ChoiceDefaults::activations(), ChoiceDefaults::activations()));
  std::vector<double> mse;
  for (const int threads : {1, 2}) {
    EvaluatorSpec spec;
    spec.calibration = setup.spec();
    spec.threads = threads;
    Evaluator evaluator(setup.net, table, spec);
    const auto measured = [&](const Assignment& assignment, const Finish* finished) {
      LossSums sums;
      for (const auto& chunk : evaluator.measure(assignment, Role::calibration,
                                                 {0, evaluator.chunks(Role::calibration)}, nullptr, finished))
        sums.add(chunk);
      return find_metric("mse").value(sums).value;
    };
    const Assignment floats(setup.net->sites.size(), kFloat);
    const Finish none = evaluator.finish(floats, {.bias = BiasPer::element});
    CHECK(measured(floats, &none) == Approx(0).margin(1e-9));
    Assignment assignment;
    for (const Site& site : setup.net->sites) assignment.push_back(site.kind == Site::Kind::weight ? w : a);
    const Finish finished = evaluator.finish(assignment, {.bias = BiasPer::element});
    CHECK(finished.notes.empty());
    mse.push_back(measured(assignment, &finished));
    CHECK(mse.back() < measured(assignment, nullptr));
    CHECK(mse.front() == mse.back());
  }
}

TEST_CASE("the pass says which layers got a bias by channel") {
  Builder b;
  const TensorId x = b.input({kBatch, 3, 8}), rows = b.op("Reshape", {x, b.integers({kBatch * 3, 8})});
  const TensorId y = matmul(b, rows, 8, 6), z = b.op("Reshape", {y, b.integers({kBatch, 18})});
  const Setup setup(b.finish({matmul(b, z, 18, 4)}));
  EvaluatorSpec spec;
  spec.calibration = setup.spec();
  Evaluator evaluator(setup.net, std::make_shared<ChoiceTable>(), spec);
  const Assignment floats(setup.net->sites.size(), kFloat);
  const Finish finished = evaluator.finish(floats, {.bias = BiasPer::element});
  CHECK(finished.biases[0].size() == 6);
  CHECK(finished.biases[1].size() == 4);
  CHECK(finished.notes == std::vector<std::string>{"bias:element: layer 'MatMul1' got a bias by channel: the leading "
                                                   "dimension is not the batch of 4"});
  CHECK(evaluator.finish(floats, {.bias = BiasPer::channel}).notes.empty());
}

TEST_CASE("final passes have names; a wrong one, and two of a kind, are refused") {
  const auto named = [](std::vector<std::string> passes) { return finish_named(passes); };
  CHECK(named({"asymmetric", "bias:element"}).bias == BiasPer::element);
  CHECK(named({"bias"}).bias == BiasPer::channel);
  CHECK_FALSE(named({"sequential"}).bias);
  CHECK_THROWS_WITH(named({"bias:row"}),
                    "'bias:row' is not a final pass; known: sequential, asymmetric, bias, bias:element");
  CHECK_THROWS_WITH(named({"bias", "bias:element"}), "one of bias and bias:element, and once");
  CHECK_THROWS_WITH(named({"sequential", "asymmetric"}), "one of sequential and asymmetric, and once");
}

}  // namespace bitplan::test
