#include "eval/moments/layer_moments.hpp"

#include <cstring>
#include <functional>
#include <set>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/moments/moment_sums.hpp"
#include "model/import_onnx.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

using Ints = std::vector<std::int64_t>;
constexpr std::int64_t kSamples = 7;

/// A network whose output is that of its last layer, which has no bias, and seven samples for its input.
struct Setup {
  TempFolder dir{"moments"};
  std::shared_ptr<const Network> net;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<ChunkedData> data;

  explicit Setup(const std::function<TensorId(Builder&)>& make, std::int64_t samples = kSamples) {
    Builder b;
    const TensorId y = make(b);
    Network made = *b.finish({y});
    for (Layer& layer : made.layers) {
      const Node& node = made.node(layer.node);
      const bool rows_are_channels = node.op == "Conv" || node.integer("transB", 0) != 0;
      layer.channel_axis = rows_are_channels ? 0 : 1;
      layer.groups = node.integer("group", 1);
    }
    net = std::make_shared<const Network>(std::move(made));
    executor = std::make_unique<Executor>(net);
    Shape shape = net->tensor(net->inputs[0]).shape;
    shape[0] = samples;
    write_npy(dir.path / "x.npy", random_tensor(shape, "samples"));
    data = std::make_unique<ChunkedData>(spec_of("{kind: npy, inputs: {x0: x.npy}}", dir.path), *net, 1 << 20);
  }

  LayerId last() const { return net->layers.back().id; }
  LayerMoments moments(const Candidate* candidate = nullptr, int threads = 2, std::int64_t max_rows = 0) const {
    std::vector<Executor::WorkspacePtr> workspaces(static_cast<std::size_t>(threads));
    const MomentsRequest request{last(), max_rows};
    return collect_moments(*executor, *data, std::span(&request, 1), candidate, workspaces).front();
  }
  std::vector<LayerMoments> means(const std::vector<LayerId>& layers, const Candidate* candidate = nullptr,
                                  int threads = 2) const {
    std::vector<Executor::WorkspacePtr> workspaces(static_cast<std::size_t>(threads));
    auto all = collect_means(*executor, *data, layers, candidate ? *candidate : Candidate(), workspaces);
    const auto floating = collect_means(*executor, *data, layers, {}, workspaces);
    for (std::size_t l = 0; l < all.size(); ++l) all[l].float_mean = floating[l].mean;
    return all;
  }
};

/// Outputs of the valid samples by definition, [channels][positions].
std::vector<std::vector<double>> outputs(const Setup& setup, const Quantization& q = {}) {
  const Network& net = *setup.net;
  std::vector<std::vector<double>> all;
  for (int c = 0; c < setup.data->chunks(); ++c) {
    const auto chunk = setup.data->chunk(c);
    const Tensor y = by_definition(net, chunk->inputs, q)[0];
    const bool conv = net.layers.back().op == "Conv";
    const auto channels = static_cast<std::size_t>(conv ? y.shape()[1] : y.shape().back());
    const std::size_t positions = y.size() / static_cast<std::size_t>(net.batch) / channels;
    all.resize(channels);
    for (std::size_t s = 0; s < static_cast<std::size_t>(chunk->valid); ++s)
      for (std::size_t p = 0; p < positions; ++p)
        for (std::size_t o = 0; o < channels; ++o)
          all[o].push_back(static_cast<double>(
              y.values<float>()[s * positions * channels + (conv ? o * positions + p : p * channels + o)]));
  }
  return all;
}

double mean_product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum / static_cast<double>(a.size());
}

double mean_of(const std::vector<double>& a) { return mean_product(a, std::vector<double>(a.size(), 1)); }

/// The weight row of an output channel, as quantize_weight sees it.
std::vector<double> weight_row(const Network& net, const Layer& layer, std::int64_t channel) {
  const auto view = WeightView::of(layer.weight_shape, layer.channel_axis);
  const auto values = net.tensor(layer.weight).constant->values<float>();
  std::vector<double> row;
  for (std::int64_t o = 0; o < view.outer; ++o)
    for (std::int64_t i = 0; i < view.inner; ++i)
      row.push_back(
          static_cast<double>(values[static_cast<std::size_t>((o * view.channels + channel) * view.inner + i)]));
  return row;
}

/// w M w^T
double form(const std::vector<double>& w, const std::vector<float>& matrix) {
  double sum = 0;
  for (std::size_t r = 0; r < w.size(); ++r)
    for (std::size_t c = 0; c < w.size(); ++c) sum += w[r] * static_cast<double>(matrix[r * w.size() + c]) * w[c];
  return sum;
}

double dot(const std::vector<double>& w, const std::vector<float>& x) {
  double sum = 0;
  for (std::size_t i = 0; i < w.size(); ++i) sum += w[i] * static_cast<double>(x[i]);
  return sum;
}

/// Moments give the layer's mean and mean squared outputs, and with a candidate their products with the float ones.
/// `prefix` is the candidate without the layer's own weight.
void check(const Setup& setup, const LayerMoments& moments, const Quantization* prefix = nullptr) {
  const Layer& layer = setup.net->layers.back();
  const auto expected = outputs(setup), quantized = prefix ? outputs(setup, *prefix) : expected;
  REQUIRE(moments.groups == layer.groups);
  REQUIRE(moments.rows == static_cast<std::int64_t>(expected[0].size()));
  REQUIRE(moments.cross.size() == (prefix ? moments.gram.size() : 0));
  for (std::size_t o = 0; o < expected.size(); ++o) {
    const std::size_t g = o / (expected.size() / static_cast<std::size_t>(layer.groups));
    const auto row = weight_row(*setup.net, layer, static_cast<std::int64_t>(o));
    REQUIRE(static_cast<std::int64_t>(row.size()) == moments.columns);
    const double size = mean_product(expected[o], expected[o]);
    CHECK(form(row, moments.gram[g]) == Approx(mean_product(quantized[o], quantized[o])).epsilon(1e-4));
    if (prefix)
      CHECK(form(row, moments.cross[g]) ==
            Approx(mean_product(quantized[o], expected[o])).epsilon(1e-4).margin(1e-4 * size));
    const double margin = 1e-5 * std::sqrt(size);
    CHECK(dot(row, moments.mean[g]) == Approx(mean_of(quantized[o])).epsilon(1e-4).margin(margin));
    CHECK(dot(row, moments.float_mean[g]) == Approx(mean_of(expected[o])).epsilon(1e-4).margin(margin));
  }
}

bool near(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t g = 0; g < a.size(); ++g) {
    if (a[g].size() != b[g].size()) return false;
    for (std::size_t c = 0; c < a[g].size(); ++c)
      if (!(std::abs(a[g][c] - b[g][c]) <= 1e-5F * (1 + std::abs(b[g][c])))) return false;
  }
  return true;
}

bool same(const LayerMoments& a, const LayerMoments& b) {
  return a.groups == b.groups && a.columns == b.columns && a.rows == b.rows && a.gram == b.gram && a.cross == b.cross &&
         a.mean == b.mean && a.float_mean == b.float_mean && a.abs_mean == b.abs_mean && a.abs_max == b.abs_max;
}

TensorId layer(Builder& b, const std::string& op, TensorId x, const Shape& weight,
               Builder::Attributes attributes = {}) {
  const TensorId w = b.random(weight, 0.3);
  return b.layer(b.op(op, {x, w}, std::move(attributes)), x, w);
}

struct LayerCase {
  std::string what;
  Shape input, weight;
  std::string op;
  Builder::Attributes attributes;
};

std::vector<LayerCase> layer_cases() {
  const auto group = [](std::int64_t g) { return Attribute(g); };
  return {
      {"3x3 padded", {3, 4, 6, 5}, {6, 4, 3, 3}, "Conv", {{"pads", Ints{1, 1, 1, 1}}}},
      {"1x1", {3, 5, 4, 4}, {3, 5, 1, 1}, "Conv", {}},
      {"strided, uneven pads",
       {3, 3, 9, 8},
       {4, 3, 3, 2},
       "Conv",
       {{"strides", Ints{2, 3}}, {"pads", Ints{2, 0, 1, 1}}}},
      {"dilated", {3, 3, 9, 9}, {4, 3, 3, 3}, "Conv", {{"dilations", Ints{2, 3}}, {"pads", Ints{1, 2, 3, 1}}}},
      {"auto_pad",
       {3, 3, 7, 7},
       {4, 3, 4, 3},
       "Conv",
       {{"auto_pad", std::string("SAME_LOWER")}, {"strides", Ints{2, 2}}}},
      {"wider than the image", {3, 2, 2, 2}, {3, 2, 5, 5}, "Conv", {{"pads", Ints{3, 3, 3, 3}}}},
      {"grouped", {3, 6, 5, 5}, {4, 3, 3, 3}, "Conv", {{"group", group(2)}, {"pads", Ints{1, 1, 1, 1}}}},
      {"depthwise",
       {3, 8, 6, 6},
       {8, 1, 3, 3},
       "Conv",
       {{"group", group(8)}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}},
      {"depthwise, two outputs a channel", {3, 4, 5, 5}, {8, 1, 3, 3}, "Conv", {{"group", group(4)}}},
      {"one axis", {3, 4, 11}, {5, 4, 4}, "Conv", {{"strides", Ints{3}}, {"pads", Ints{2, 1}}}},
      {"three axes",
       {3, 2, 4, 5, 6},
       {3, 2, 2, 3, 2},
       "Conv",
       {{"pads", Ints{1, 1, 0, 0, 1, 1}}, {"dilations", Ints{1, 2, 1}}}},
      {"wider than a tile", {3, 12, 6, 6}, {5, 12, 3, 3}, "Conv", {{"pads", Ints{1, 1, 1, 1}}}},
      {"", {3, 17}, {17, 5}, "Gemm", {}},
      {"transB, alpha", {3, 17}, {5, 17}, "Gemm", {{"transB", std::int64_t{1}}, {"alpha", 0.5F}}},
      {"a vector a sample", {3, 130}, {130, 4}, "MatMul", {}},
      {"batched", {3, 2, 5, 9}, {9, 4}, "MatMul", {}},
  };
}

}  // namespace

TEST_CASE("a layer's mean squared output follows from its weight and the second moments of its inputs") {
  for (const LayerCase& c : layer_cases()) {
    CAPTURE(c.op, c.what);
    const Setup setup([&](Builder& b) { return layer(b, c.op, b.input(c.input), c.weight, c.attributes); });
    const LayerMoments moments = setup.moments();
    check(setup, moments);
    const auto means = setup.means({setup.last()});
    REQUIRE(means.size() == 1);
    CHECK(means[0].rows == moments.rows);
    CHECK(near(means[0].mean, moments.mean));
    CHECK(near(means[0].float_mean, moments.float_mean));
    CHECK(means[0].gram.empty());
  }
}

TEST_CASE("Gemm with a transposed input has moments of its columns") {
  const Setup setup([](Builder& b) {
    const TensorId x = b.op("Transpose", {b.input({3, 6})}, {{"perm", Ints{1, 0}}});
    return layer(b, "Gemm", x, {6, 4}, {{"transA", std::int64_t{1}}});
  });
  check(setup, setup.moments());
  CHECK(near(setup.means({setup.last()})[0].mean, setup.moments().mean));
}

namespace {

/// Two layers; what lies between them is read by the second.
std::vector<std::function<TensorId(Builder&)>> chains() {
  const Builder::Attributes padded{{"pads", Ints{1, 1, 1, 1}}};
  return {[=](Builder& b) {
            const TensorId x = b.op("Relu", {layer(b, "Conv", b.input({3, 3, 6, 6}), {6, 3, 3, 3}, padded)});
            return layer(b, "Conv", x, {5, 6, 3, 3}, padded);
          },
          [=](Builder& b) {
            const TensorId x = b.op("Relu", {layer(b, "Conv", b.input({3, 3, 6, 6}), {6, 3, 3, 3}, padded)});
            return layer(b, "Conv", x, {6, 1, 3, 3}, {{"group", std::int64_t{6}}, {"pads", Ints{1, 1, 1, 1}}});
          },
          [](Builder& b) {
            const TensorId x = b.op("Tanh", {layer(b, "MatMul", b.input({3, 4, 10}), {10, 12})});
            return layer(b, "MatMul", x, {12, 5});
          }};
}

/// The first layer's weight rounded, both inputs quantized, the first coarsely.
Quantization coarse_prefix(const Network& net) {
  Quantization q;
  const auto values = net.tensor(net.layers[0].weight).constant->values<float>();
  std::vector<float> rounded(values.begin(), values.end());
  for (float& v : rounded) v = std::round(v * 4) / 4;
  q.weights[0] = rounded;
  q.activations[net.input_site[0]] = affine_from_range(-2, 2, 4, false, false);
  q.activations[net.input_site[1]] = affine_from_range(-1, 1.5, 5, false, false);
  return q;
}

}  // namespace

TEST_CASE("with a candidate xq are the quantized network's inputs, and cross moments hold E xq x") {
  for (const auto& make : chains()) {
    const Setup setup(make);
    const Quantization prefix = coarse_prefix(*setup.net);
    const Candidate candidate = prefix.on(*setup.executor);
    const LayerMoments moments = setup.moments(&candidate);
    check(setup, moments, &prefix);
    const auto means = setup.means({0, 1}, &candidate);
    CHECK(near(means[1].mean, moments.mean));
    CHECK(near(means[1].float_mean, moments.float_mean));
    CHECK(means[0].mean != means[0].float_mean);
    CHECK(setup.moments().cross.empty());
    CHECK(same(setup.moments(&candidate, 1), setup.moments(&candidate, 3)));
  }
}

TEST_CASE("a candidate that is float has equal moments and cross moments") {
  const Setup setup(chains()[0]);
  const Candidate candidate;
  const LayerMoments with = setup.moments(&candidate), without = setup.moments();
  CHECK(with.gram == without.gram);
  CHECK(near(with.cross, without.gram));
  CHECK(with.mean == without.mean);
}

TEST_CASE("moments do not depend on the number of threads, to the bit") {
  for (const LayerCase& c : layer_cases()) {
    CAPTURE(c.op, c.what);
    const Setup setup([&](Builder& b) { return layer(b, c.op, b.input(c.input), c.weight, c.attributes); }, 50);
    const LayerMoments one = setup.moments(nullptr, 1);
    CHECK(same(one, setup.moments(nullptr, 3)));
    CHECK(same(one, setup.moments(nullptr, 2)));
    const auto means = setup.means({setup.last()}, nullptr, 1), others = setup.means({setup.last()}, nullptr, 3);
    CHECK(same(means[0], others[0]));
  }
}

TEST_CASE("a token with most of the energy gives weighted moments besides, which do not depend on threads") {
  // exp(6 x): a few tokens of many are huge.
  const auto make = [](float factor) {
    return [factor](Builder& b) {
      const TensorId by = b.constant(Tensor::of({1}, std::vector{factor}));
      const TensorId x = b.op("Mul", {b.input({3, 20, 6}), by});
      return layer(b, "MatMul", b.op("Exp", {x}), {6, 4});
    };
  };
  const Setup huge(make(6)), alike(make(0.1F));
  CHECK(alike.moments().weighted == nullptr);
  const LayerMoments moments = huge.moments(nullptr, 1);
  REQUIRE(moments.weighted != nullptr);
  CHECK(moments.weighted->rows == moments.rows);
  CHECK(moments.weighted->gram[0][0] < moments.gram[0][0]);
  CHECK(same(*moments.weighted, *huge.moments(nullptr, 3).weighted));
  CHECK(moments.bytes() > moments.weighted->bytes() + 36 * sizeof(float));
  const Candidate candidate;
  const LayerMoments crossed = huge.moments(&candidate);
  CHECK(near(crossed.weighted->cross, moments.weighted->gram));
  CHECK(crossed.weighted->gram == moments.weighted->gram);
}

TEST_CASE("samples that fill up the last chunk do not count, whatever the batch") {
  for (const LayerCase& c : layer_cases()) {
    CAPTURE(c.op, c.what);
    std::vector<LayerMoments> all, means;
    for (const std::int64_t batch : {1, 3, 7, 20}) {
      Shape input = c.input;
      input[0] = batch;
      const Setup setup([&](Builder& b) { return layer(b, c.op, b.input(input), c.weight, c.attributes); });
      all.push_back(setup.moments());
      means.push_back(setup.means({setup.last()})[0]);
    }
    for (const auto& moments : all) CHECK(same(moments, all[0]));
    for (const auto& mean : means) CHECK(mean.rows == all[0].rows);
    for (const auto& mean : means) CHECK(near(mean.mean, all[0].mean));
  }
}

TEST_CASE("an input whose leading dimension is not a multiple of the batch counts whole runs") {
  const Setup setup([](Builder& b) {
    return layer(b, "MatMul", b.op("Transpose", {b.input({3, 5, 4})}, {{"perm", Ints{1, 0, 2}}}), {4, 2});
  });
  CHECK(setup.moments().rows == 3 * 15);
  CHECK(setup.means({0})[0].rows == 3 * 15);
  CHECK(setup.moments(nullptr, 2, 9).rows == 9);
}

TEST_CASE("mean and largest magnitudes are those of the float network's patches") {
  // A convolution whose outputs are its patches.
  const Setup setup([](Builder& b) {
    Tensor w(DType::f32, {18, 2, 3, 3});
    for (std::size_t i = 0; i < 18; ++i) w.writable<float>()[i * 18 + i] = 1;
    const TensorId x = b.input({3, 2, 5, 5}), weight = b.constant(w);
    return b.layer(b.op("Conv", {x, weight}, {{"pads", Ints{1, 1, 1, 1}}}), x, weight);
  });
  Quantization q;
  q.activations[setup.net->input_site[0]] = affine_from_range(-1, 1, 2, false, false);
  const Candidate candidate = q.on(*setup.executor);
  const auto y = outputs(setup);
  for (const Candidate* given : {static_cast<const Candidate*>(nullptr), &candidate}) {
    const LayerMoments moments = setup.moments(given);
    for (std::size_t c = 0; c < y.size(); ++c) {
      double sum = 0, most = 0;
      for (const double v : y[c]) sum += std::abs(v), most = std::max(most, std::abs(v));
      CHECK(moments.abs_mean[0][c] == Approx(sum / static_cast<double>(y[c].size())).epsilon(1e-5));
      CHECK(static_cast<double>(moments.abs_max[0][c]) == most);
    }
    const std::size_t floats = 18 * 18 * (given ? 2 : 1) + 4 * 18;
    CHECK(moments.bytes() == floats * sizeof(float));
  }
}

TEST_CASE("chosen rows: each sample's share, ascending, one from each of equal runs, over all places in time") {
  CHECK(chosen_rows(0, 4, 3, 0) == Ints{0, 1, 2});
  CHECK(chosen_rows(3, 4, 3, 12) == Ints{0, 1, 2});
  CHECK(chosen_rows(3, 4, 3, 1000) == Ints{0, 1, 2});
  for (const std::int64_t wanted : {1, 3, 7, 64, 100, 1000}) {
    std::int64_t rows = 0;
    std::set<std::int64_t> places;
    for (std::int64_t s = 0; s < 64; ++s) {
      const auto chosen = chosen_rows(s, 64, 36, wanted);
      const auto count = static_cast<std::int64_t>(chosen.size());
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t row = chosen[static_cast<std::size_t>(i)];
        CHECK((i * 36 / count <= row && row < (i + 1) * 36 / count));
        places.insert(row);
      }
      CHECK(std::abs(count - wanted / 64) <= 1);
      rows += count;
    }
    CHECK(rows == wanted);
    if (wanted >= 1000) CHECK(places.size() == 36);
  }
}

TEST_CASE("max_rows takes so many positions; no fewer than there are gives all, to the bit") {
  const Setup setup([](Builder& b) { return layer(b, "Conv", b.input({3, 4, 8, 8}), {4, 4, 3, 3}); });
  const LayerMoments all = setup.moments();
  CHECK(all.rows == kSamples * 36);
  for (const std::int64_t rows : {1, 5, 30, 100}) {
    CHECK(setup.moments(nullptr, 2, rows).rows == rows);
    CHECK(same(setup.moments(nullptr, 1, rows), setup.moments(nullptr, 3, rows)));
  }
  CHECK(same(setup.moments(nullptr, 2, kSamples * 36), all));
  CHECK(same(setup.moments(nullptr, 2, 1 << 20), all));
}

TEST_CASE("a run ends at the layer: what comes behind it is not computed, and may not even be finite") {
  const Setup setup([](Builder& b) {
    const TensorId x = b.op("Relu", {layer(b, "MatMul", b.input({3, 4}), {4, 4})});
    return layer(b, "MatMul", b.op("Log", {b.op("Neg", {x})}), {4, 2});
  });
  CHECK(setup.means({0})[0].rows == kSamples);
  CHECK_THROWS_WITH(setup.moments(), Catch::Matchers::Contains("samples 0 to 2 hold the value ") &&
                                         Catch::Matchers::StartsWith("activation 't") &&
                                         Catch::Matchers::EndsWith("; moments need finite activations"));
  CHECK_THROWS_AS(setup.means({0, 1}), InputError);
}

TEST_CASE("layers without rows of inputs are refused") {
  const std::string known = "; moments of inputs exist for Conv, Gemm and MatMul with a constant right operand";
  const Setup transposed([](Builder& b) { return layer(b, "ConvTranspose", b.input({3, 2, 4, 4}), {2, 3, 2, 2}); });
  CHECK_THROWS_WITH(transposed.moments(),
                    "layer 'ConvTranspose0' (ConvTranspose) has no rows of inputs that one weight row is multiplied "
                    "with" +
                        known);
  const Setup left([](Builder& b) {
    const TensorId w = b.random({5, 4}), x = b.input({3, 4, 6});
    return b.layer(b.op("MatMul", {w, x}), x, w);
  });
  CHECK_THROWS_WITH(left.moments(), "layer 'MatMul0' (MatMul) has its constant as left operand" + known);
  CHECK_THROWS_WITH(left.means({0}), "layer 'MatMul0' (MatMul) has its constant as left operand" + known);
  Builder b;
  const TensorId table = b.random({10, 4}), x = b.op("Cast", {b.input({3, 2})}, {{"to", std::int64_t{7}}});
  const auto net = b.finish({b.layer(b.op("Gather", {table, x}), x, table)});
  CHECK_THROWS_WITH(Patches(*net, net->layers[0]),
                    "layer 'Gather1' (Gather) is an embedding: it multiplies no inputs" + known);
}

TEST_CASE("all layers of the shared models but embeddings have moments of their weight's size") {
  for (const auto& [folder, file] : {std::pair{"cifar10", "mobilenetv2.onnx"}, {"lm", "llama.onnx"}}) {
    const auto path = shared_data() / folder / file;
    if (shared_data().empty() || !std::filesystem::exists(path)) {
      WARN("no shared data: skipped");
      continue;
    }
    const Network net = import_onnx(path, {.shapes = {}, .batch = 2});
    for (const Layer& l : net.layers) {
      if (l.op == "Gather") continue;
      const Patches patches(net, l);
      const auto view = WeightView::of(l.weight_shape, l.channel_axis);
      CHECK(patches.columns() == view.per_channel());
      CHECK(patches.groups() == l.groups);
      CHECK(patches.rows_per_sample() * view.channels * patches.columns() == l.macs);
    }
  }
}

}  // namespace bitplan::test
