#include "eval/moments/expected_inputs.hpp"

#include "eval/moments/layer_moments.hpp"
#include "model/import_onnx.hpp"
#include "tests/catch.hpp"
#include "tests/eval/norm_networks.hpp"
#include "tests/eval/rewrite_networks.hpp"
#include "tests/model/data.hpp"

namespace bitplan::test {
namespace {

/// The mean inputs of a layer over normal samples, as its weight reads them.
std::vector<float> measured(const std::shared_ptr<const Network>& net, LayerId layer, const DataSpec& spec) {
  const Executor executor(net);
  ChunkedData data(spec, *net, std::size_t{64} << 20);
  std::vector<Executor::WorkspacePtr> workspaces(1);
  const auto moments = collect_means(executor, data, std::span(&layer, 1), {}, workspaces);
  std::vector<float> all;
  for (const auto& mean : moments[0].mean) all.insert(all.end(), mean.begin(), mean.end());
  return all;
}

/// The expected inputs of every layer but the first `unknown` ones are those of many samples.
void check_means(const std::shared_ptr<const Network>& net, std::size_t unknown, const std::string& name) {
  const NormalData data(name, *net, 128);
  const ExpectedInputs expected(*net);
  for (std::size_t l = 0; l < net->layers.size(); ++l) {
    const auto means = expected.of(net->layers[l]);
    INFO(name << ", layer " << l << ": " << means.unknown);
    REQUIRE(means.values.empty() == (l < unknown));
    if (l < unknown) continue;
    const auto found = measured(net, static_cast<LayerId>(l), data.spec);
    REQUIRE(found.size() == means.values.size());
    for (std::size_t i = 0; i < found.size(); ++i)
      CHECK(means.values[i] == Approx(found[i]).epsilon(0.03).margin(0.03));
  }
}

}  // namespace

TEST_CASE("behind a batch normalisation the expected inputs of convolutions are those of many samples") {
  NormBuilder b;
  const TensorId n = b.normed(b.input({16, 5, 10, 10}), 6);
  const TensorId relu = b.op("Relu", {n}), six = b.clip(n, 0, 1), band = b.clip(n, -0.5F, 0.7F);
  std::vector<TensorId> outputs{b.conv(n, 4), b.conv(relu, 4), b.conv(relu, 6, {3, 2, 1, 6}),
                                b.conv(six, 4, {3, 1, 1, 2})};
  outputs.push_back(b.conv(band, 3, {5, 3, 2, 1}));
  outputs.push_back(b.conv(b.op("Clip", {n, kNoTensor, b.number(0.3F)}), 3, {2, 1, 0, 1}));
  check_means(b.done(outputs), 1, "convolutions");
}

TEST_CASE("means go through sums, concatenations, constants by channel and poolings") {
  NormBuilder b;
  const TensorId n = b.normed(b.input({16, 5, 10, 10}), 6), m = b.normed(b.input({16, 4, 10, 10}), 6);
  const TensorId relu = b.op("Relu", {n});
  const TensorId sum = b.op("Add", {n, m});
  const TensorId joined = b.op("Concat", {b.op("Relu", {sum}), b.clip(m, 0, 0.8F)}, {{"axis", std::int64_t{1}}});
  const TensorId row = b.random({6, 1, 1}), factors = b.random({1, 6, 1, 1});
  const TensorId moved = b.op("Relu", {b.op("Add", {row, b.op("Mul", {relu, factors})})});
  const TensorId capped = b.op(
      "Min", {b.op("Relu", {m}), b.constant(Tensor::of<float>({6, 1, 1}, std::vector{.1F, .2F, .4F, .6F, .8F, 9.F}))});
  const TensorId flat = b.op("Flatten", {b.op("GlobalAveragePool", {joined})});
  const TensorId pool =
      b.op("AveragePool", {relu},
           {{"kernel_shape", std::vector<std::int64_t>{2, 2}}, {"strides", std::vector<std::int64_t>{5, 5}}});
  const TensorId wide = b.op("Reshape", {pool, b.integers({16, -1})});
  const TensorId mean = b.op("ReduceMean", {moved, b.integers({-1, 2})}, {{"keepdims", std::int64_t{0}}}, 18);
  const TensorId w = b.random({3, 12});
  const TensorId shorter =
      b.op("Slice", {relu, b.integers({0, 0}), b.integers({10, 10}), b.integers({2, -1}), b.integers({2, 2})});
  const TensorId padded = b.op("Pad", {shorter, b.integers({0, 2, 0, 0, 0, 1, 0, 0}), b.number(0.25F)});
  std::vector<TensorId> outputs{b.conv(joined, 4), b.conv(moved, 4), b.conv(capped, 4, {1, 1, 0, 2})};
  outputs.push_back(b.conv(padded, 4));
  outputs.push_back(b.layer(b.op("Gemm", {flat, w}, {{"transB", std::int64_t{1}}, {"alpha", 0.5F}}), flat, w));
  outputs.push_back(b.linear(wide, 3));
  outputs.push_back(b.linear(mean, 3));
  outputs.push_back(b.conv(b.op("Add", {pool, pool}), 2));
  check_means(b.done(outputs), 2, "carriers");
}

TEST_CASE("a residual sum behind Relu is known to a few hundredths: its parts are taken for normal and independent") {
  NormBuilder b;
  const TensorId n = b.op("Relu", {b.normed(b.input({16, 5, 10, 10}), 6)}), m = b.normed(b.input({16, 4, 10, 10}), 6);
  const auto net = b.done({b.conv(b.op("Relu", {b.op("Add", {n, m})}), 4, {1, 1, 0, 1})});
  const NormalData data("residual", *net, 128);
  const auto expected = ExpectedInputs(*net).of(net->layers[2]).values, found = measured(net, 2, data.spec);
  REQUIRE(expected.size() == 6);
  for (std::size_t c = 0; c < 6; ++c) CHECK(expected[c] == Approx(found[c]).margin(0.06));
}

TEST_CASE("each position of a transposed convolution's kernel meets its share of outputs") {
  NormBuilder b;
  const TensorId n = b.normed(b.input({4, 3, 4, 4}), 4);
  const TensorId w = b.random({4, 2, 2, 2}), v = b.random({4, 2, 3, 3}), g = b.random({4, 1, 2, 2});
  const std::vector<std::int64_t> two{2, 2}, ones{1, 1, 1, 1};
  std::vector<TensorId> outputs{b.layer(b.op("ConvTranspose", {n, w}, {{"strides", two}}), n, w),
                                b.layer(b.op("ConvTranspose", {n, v}, {{"pads", ones}}), n, v),
                                b.layer(b.op("ConvTranspose", {n, g}, {{"group", std::int64_t{2}}}), n, g)};
  const auto net = b.done(outputs);
  const ExpectedInputs expected(*net);
  const auto stride = expected.of(net->layers[1]).values, padded = expected.of(net->layers[2]).values;
  REQUIRE(stride.size() == 16);
  REQUIRE(padded.size() == 36);
  for (std::size_t c = 0; c < 4; ++c) {
    const float mean = 0.5F * static_cast<float>(c) - 0.6F;
    for (std::size_t k = 0; k < 4; ++k) CHECK(stride[c * 4 + k] == Approx(mean / 4));
    CHECK(padded[c * 9 + 4] == Approx(mean));          // the middle meets each of 4 x 4 outputs
    CHECK(padded[c * 9 + 1] == Approx(mean * 3 / 4));  // an edge all but one row
    CHECK(padded[c * 9] == Approx(mean * 9.0 / 16));
  }
  CHECK(expected.of(net->layers[3]).unknown == "it is a transposed convolution in groups");
}

TEST_CASE("a folded batch normalisation gives the same as one that stays") {
  for (const bool folded : {false, true}) {
    NormBuilder b;
    const TensorId x = b.input({2, 3, 4, 4});
    const TensorId y = folded ? b.conv(x, 4, {1, 1, 0, 1}) : b.normed(x, 4, 0);
    if (folded)
      b.net.tensors[static_cast<std::size_t>(y)].normal =
          ChannelNormal{{-0.6F, -0.1F, 0.4F, 0.9F}, {0.4F, 0.6F, 0.8F, 1.0F}};
    const auto net = b.done({b.conv(b.clip(y, 0, 6), 2)});
    const auto means = ExpectedInputs(*net).of(net->layers[1]).values;
    REQUIRE(means.size() == 36);
    CHECK(means[4] == Approx(0.01172).margin(1e-5));
    CHECK(means[13] == Approx(0.19268).margin(1e-5));
    CHECK(means[31] == Approx(1.00043).margin(1e-5));
  }
}

TEST_CASE("what is not known says the tensor and why") {
  NormBuilder b;
  const TensorId x = b.input({2, 3, 4, 4});
  const TensorId n = b.normed(x, 4);
  const TensorId relu = b.op("Relu", {n});
  const TensorId pool = b.op("MaxPool", {relu}, {{"kernel_shape", std::vector<std::int64_t>{2, 2}}});
  const TensorId average = b.op("GlobalAveragePool", {n});
  const TensorId cut = b.op("Relu", {average});
  const TensorId padded = b.op("AveragePool", {n},
                               {{"kernel_shape", std::vector<std::int64_t>{3, 3}},
                                {"pads", std::vector<std::int64_t>{1, 1, 1, 1}},
                                {"count_include_pad", std::int64_t{1}}});
  const TensorId turned = b.op("Transpose", {n}, {{"perm", std::vector<std::int64_t>{0, 2, 1, 3}}});
  const TensorId moved = b.op("Reshape", {n, b.integers({4, 2, 4, 4})});
  const TensorId across = b.op("Concat", {n, relu}, {{"axis", std::int64_t{2}}});
  const TensorId mean = b.op("ReduceMean", {n, b.integers({1, 3})}, {}, 18);
  const TensorId product = b.op("Mul", {n, relu});
  const TensorId lines = b.op("Reshape", {n, b.integers({2, 4, 16})});
  const std::vector<std::pair<TensorId, std::string>> cases{
      {pool, "'" + b.net.tensor(pool).name + "' is made by MaxPool"},
      {b.op("Add", {relu, b.op("Sigmoid", {n})}), "made by Sigmoid"},
      {cut, "made by Relu of '" + b.net.tensor(average).name + "', of which only the mean is known"},
      {padded, "made by AveragePool, which counts its padding"},
      {turned, "made by Transpose"},
      {moved, "made by Reshape, which moves the channels"},
      {across, "made by Concat along another axis than the channels"},
      {mean, "made by ReduceMean over other axes than positions"},
      {product, "made by Mul"},
      {b.op("Slice", {n, b.integers({0}), b.integers({2}), b.integers({1})}),
       "made by Slice over other axes than positions"},
      {b.op("Pad", {n, b.integers({0, 0, 1, 0, 0, 0, 0, 0})}), "made by Pad over other axes than channels"},
      {b.op("Pad", {n, b.integers({0, 1, 0, 0, 0, 0, 0, 0})}, {{"mode", std::string("edge")}}),
       "made by Pad by other than constants"},
      {b.op("Clip", {n, b.op("ReduceMax", {n}, {{"keepdims", std::int64_t{0}}})}), "made by Clip with computed bounds"},
      {x, "'x0' is an input of the network"},
  };
  std::vector<TensorId> outputs;
  for (const auto& [tensor, why] : cases) outputs.push_back(b.conv(tensor, 2, {1, 1, 0, 1}));
  outputs.push_back(b.linear(lines, 3));
  const auto net = b.done(outputs);
  const ExpectedInputs expected(*net);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto means = expected.of(net->layers[i + 1]);
    CHECK(means.values.empty());
    CHECK_THAT(means.unknown, Catch::Matchers::EndsWith(cases[i].second));
  }
  CHECK(expected.of(net->layers.back()).unknown == "it does not sum over axis 1 of '" + net->tensor(lines).name + "'");
}

namespace {

/// Expected inputs of layers behind folds are divided by their factors, as the inputs are.
void check_folds(const std::shared_ptr<const Network>& net, const std::string& list, std::size_t kernel) {
  const auto result = rewritten(net, list, "statistics");
  REQUIRE_FALSE(result.records[0].folds.empty());
  for (const RewriteFold& fold : result.records[0].folds)
    for (const LayerId to : fold.to) {
      INFO(list << ' ' << to);
      const auto before = ExpectedInputs(*net).of(net->layer(to)).values;
      const auto after = ExpectedInputs(*result.network).of(result.network->layer(to)).values;
      REQUIRE_FALSE(before.empty());
      REQUIRE(before.size() == after.size());
      for (std::size_t i = 0; i < before.size(); ++i)
        CHECK(after[i] == Approx(before[i] / fold.factors[i / kernel]).epsilon(1e-4).margin(1e-6));
    }
}

}  // namespace

TEST_CASE("rewrites that divide an activation's channels divide what is known of them") {
  RewriteBuilder b;
  const TensorId x = b.input({2, 3, 6, 6});
  const TensorId a = b.uneven_conv(x, 4), h = b.relu6(a);
  const TensorId c = b.uneven_conv(h, 5), y = b.uneven_conv(c, 4);
  const auto normal = [&](TensorId made) -> auto& { return b.net.tensors[static_cast<std::size_t>(made)].normal; };
  normal(a) = ChannelNormal{{-0.2F, 0.3F, 0.5F, 1}, {0.3F, 0.2F, 0.5F, 1}};
  normal(c) = ChannelNormal{{-0.2F, 0.3F, 0.5F, 1, 2}, {0.3F, 0.2F, 0.5F, 1, 0.1F}};
  check_folds(b.finish({y}), "[equalize]", 9);
  RewriteBuilder linear;  // nothing absorbs: a Mul is inserted
  const TensorId gain = linear.random({6}), variance = linear.constant(Tensor::of<float>({6}, std::vector(6, 0.5F)));
  const TensorId n = linear.op("BatchNormalization", {linear.input({8, 6}), gain, gain, gain, variance});
  check_folds(linear.finish({linear.gemm(n, 5, true)}), "[{smoothquant: {insert: true}}]", 1);
}

TEST_CASE("every network of the zoo with a batch normalisation has layers whose expected inputs are known", "[zoo]") {
  const auto root = data_folder("zoo");
  if (root.empty()) return;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (!std::filesystem::exists(entry.path() / "model.onnx")) continue;
    CAPTURE(entry.path().filename().string());
    const Network net = import_onnx(entry.path() / "model.onnx", {.shapes = {}, .batch = 2});
    bool norms = std::ranges::any_of(net.tensors, [](const TensorInfo& t) { return t.normal.has_value(); });
    for (const Node& node : net.nodes) norms = norms || node.op == "BatchNormalization";
    const ExpectedInputs expected(net);
    std::size_t known = 0;
    for (const Layer& layer : net.layers) {
      const auto means = expected.of(layer);
      CHECK(means.values.empty() != means.unknown.empty());
      for (const float mean : means.values) REQUIRE(std::isfinite(mean));
      known += means.values.empty() ? 0 : 1;
    }
    CHECK((known > 0) == norms);
  }
}

}  // namespace bitplan::test
