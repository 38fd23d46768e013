#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "eval/rewrites/channel_grid.hpp"
#include "quant/rewrites/smoothquant.hpp"
#include "tests/catch.hpp"
#include "tests/eval/rewrite_networks.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// A gated block: norm, gate and up from one activation, down from their product. Layers 0 gate, 1 up, 2 down.
struct Gated {
  RewriteBuilder b;
  TensorId normed = kNoTensor, product = kNoTensor;
  std::shared_ptr<const Network> net;

  explicit Gated(bool rms, std::int64_t channels = 6) {
    const TensorId x = b.input({2, 5, channels});
    normed =
        rms ? b.rms_norm(x)
            : b.op("LayerNormalization", {x, b.random({channels}), b.random({channels})}, {{"axis", std::int64_t{-1}}});
    const TensorId gate = b.matmul(normed, 8, false);
    const TensorId up = b.matmul(normed, 8, false);
    product = b.op("Mul", {b.op("Mul", {gate, b.op("Sigmoid", {gate})}), up});
    net = b.finish({b.op("Add", {b.matmul(product, channels), x})});
  }
};

std::vector<float> column_maxima(const Network& net, const std::vector<LayerId>& layers) {
  std::vector<float> maxima(ChannelGrid(net, net.layer(layers[0])).inputs());
  for (const LayerId id : layers) add_column_maxima(ChannelGrid(net, net.layer(id)).rows(weight_of(net, id)), maxima);
  return maxima;
}

}  // namespace

TEST_CASE(
    "smoothquant folds into LayerNormalization, a decomposed RMSNorm and the up projection, and keeps the outputs") {
  const bool rms = GENERATE(false, true);
  const Gated gated(rms);
  const auto result = rewritten(gated.net, "[smoothquant]", "gated");
  REQUIRE(result.records[0].folds.size() == 2);
  const RewriteFold &norm = result.records[0].folds[0], &up = result.records[0].folds[1];
  CHECK(norm.tensor == gated.net->tensor(gated.normed).name);
  CHECK(norm.to == std::vector<LayerId>{0, 1});
  CHECK(norm.from.size() == 1);
  CHECK(norm.constants.size() == (rms ? 1U : 2U));
  CHECK(up.to == std::vector<LayerId>{2});
  CHECK(up.from == std::vector<std::string>{gated.net->layers[1].names.node});
  CHECK_THAT(result.lines[0], Catch::Matchers::StartsWith("smoothquant (alpha 0.5): 2 activations folded, 0 not; "));
}

TEST_CASE("smoothquant's factors are those of its formula, with the weights of all layers that read the activation") {
  const Gated gated(false);
  const RewriteData data("formula", *gated.net, 4);
  const auto result = rewrite_network(gated.net, specs_of("[{smoothquant: {alpha: 0.7}}]"), data.spec, 1);
  // The activation over the calibration data, by hand: an output in place of the network's own.
  Network probe = *gated.net;
  probe.outputs = {gated.normed};
  const Tensor x = read_npy(data.dir.path / "x.npy");
  std::vector<float> most(6);
  for (const std::size_t half : {0U, 1U}) {
    const Tensor part = Tensor::of<float>({2, 5, 6}, x.values<float>().subspan(60 * half, 60));
    const auto made = interpret(probe, {std::vector{part}})[0];
    for (std::size_t i = 0; i < 60; ++i) most[i % 6] = std::max(most[i % 6], std::abs(made.values<float>()[i]));
  }
  const auto wanted = smoothquant_scales(most, column_maxima(*gated.net, {0, 1}), 0.7);
  const auto& factors = result.records[0].folds[0].factors;
  for (std::size_t i = 0; i < 6; ++i) CHECK(factors[i] == Approx(wanted[i]).epsilon(1e-5));
  for (std::size_t i = 0; i < 48; ++i)
    CHECK(weight_of(*result.network, 0)[i] == weight_of(*gated.net, 0)[i] * factors[i / 8]);
}

TEST_CASE("awq keeps the outputs, and an activation for which no factors help keeps its weights") {
  const Gated gated(true);
  const auto result = rewritten(gated.net, "[{awq: {bits: 3, group: 0}}]", "awq");
  CHECK(result.records[0].folds.size() == 2);
  CHECK_THAT(result.lines[0], Catch::Matchers::StartsWith("awq (bits 3, group 0): 2 activations folded, 0 not"));
  const bool changed = std::ranges::any_of(result.records[0].folds, [](const RewriteFold& fold) {
    return std::ranges::any_of(fold.factors, [](float s) { return s != 1; });
  });
  CHECK(changed);
}

TEST_CASE("rewrites with statistics are the same to the bit on any number of threads") {
  const Gated gated(true, 12);
  const RewriteData data("threads", *gated.net, 13);
  const auto one = rewrite_network(gated.net, specs_of("[smoothquant, awq]"), data.spec, 1);
  const auto many = rewrite_network(gated.net, specs_of("[smoothquant, awq]"), data.spec, 3);
  for (LayerId id = 0; id < 3; ++id)
    CHECK(std::ranges::equal(weight_of(*one.network, id), weight_of(*many.network, id)));
  REQUIRE(one.records.size() == 2);
  for (std::size_t f = 0; f < 2; ++f) CHECK(one.records[1].folds[f].factors == many.records[1].folds[f].factors);
}

TEST_CASE("activations that cannot be folded are listed by reason") {
  RewriteBuilder b;
  const TensorId x = b.input({2, 4, 6});
  const TensorId h = b.op("Gelu", {b.matmul(x, 8)}, {}, 20);
  const TensorId sum = b.op("Add", {b.matmul(h, 6), b.matmul(x, 6)});
  const TensorId y = b.matmul(sum, 5);
  const auto net = b.finish({b.op(
      "Add", {b.op("ReduceSum", {y, b.integers({2})}, {}, 13), b.op("ReduceSum", {sum, b.integers({2})}, {}, 13)})});
  const auto result = rewritten(net, "[smoothquant]", "refused_sites");
  REQUIRE(result.lines.size() == 4);
  CHECK(result.lines[0].starts_with("smoothquant (alpha 0.5): 0 activations folded, 3 not"));
  CHECK(result.lines[1] == "smoothquant (alpha 0.5): not folded, an input of the network: 'x0'");
  CHECK(result.lines[2] == "smoothquant (alpha 0.5): not folded, made by Gelu: '" + net->tensor(h).name + "'");
  CHECK(result.lines[3] ==
        "smoothquant (alpha 0.5): not folded, read by others than layers: '" + net->tensor(sum).name + "'");
}

TEST_CASE("with insert, an activation that nothing absorbs gets a Mul of its own, and keeps its name and readers") {
  RewriteBuilder b;
  const TensorId x = b.input({2, 4, 6});
  const TensorId h = b.op("Gelu", {b.matmul(x, 8)}, {}, 20);
  const auto net = b.finish({b.matmul(h, 5)});
  const auto result = rewritten(net, "[{smoothquant: {insert: true}}]", "insert");
  const Network& made = *result.network;
  CHECK(result.lines[0].starts_with(
      "smoothquant (alpha 0.5, insert): 1 activations folded, 1 not, 1 of them by a Mul of their own; "));
  CHECK(result.lines[1] == "smoothquant (alpha 0.5, insert): not folded, an input of the network: 'x0'");
  REQUIRE(result.records[0].folds.size() == 1);
  const RewriteFold& fold = result.records[0].folds[0];
  CHECK(fold.from.empty());
  CHECK(fold.constants.empty());
  CHECK(fold.to == std::vector<LayerId>{1});
  const Node& mul = made.node(made.tensor(h).producer);
  CHECK(mul.op == "Mul");
  CHECK(mul.name == fold.inserted);
  const auto by = made.tensor(mul.inputs[1]).constant->values<float>();
  for (std::size_t i = 0; i < 8; ++i) CHECK(by[i] == 1 / fold.factors[i]);
}

TEST_CASE("a head that is the embedding is not rewritten") {
  RewriteBuilder b;
  const TensorId ids = b.input({2, 3});
  b.net.tensors[static_cast<std::size_t>(ids)].dtype = DType::i64;
  const TensorId table = b.random({7, 4});
  const TensorId e = b.layer(b.op("Gather", {table, ids}), ids, table);
  const TensorId normed = b.op("LayerNormalization", {e, b.random({4}), b.random({4})}, {{"axis", std::int64_t{-1}}});
  const TensorId head = b.random({4, 7});
  const TensorId y = b.layer(b.op("MatMul", {normed, head}), normed, head);
  b.net.outputs = {y};
  add_sites(b.net);
  b.net.sites[0].layers = {0, 1};  // as import finds a transposed copy
  b.net.weight_site = {0, 0};
  const auto net = std::make_shared<const Network>(b.net);
  TempFolder dir("rewrite_tied");
  write_npy(dir.path / "x.npy", Tensor::of<std::int64_t>({2, 3}, std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}));
  const auto result =
      rewrite_network(net, specs_of("[smoothquant, awq]"), spec_of("{kind: npy, inputs: {x0: x.npy}}", dir.path), 1);
  CHECK(result.records[0].folds.empty());
  CHECK(result.lines[1] ==
        "smoothquant (alpha 0.5): not folded, a layer that reads it shares its weight (tied "
        "embedding): '" +
            net->tensor(normed).name + "'");
  CHECK(std::ranges::equal(weight_of(*result.network, 1), weight_of(*net, 1)));
}

TEST_CASE("the list of rewrites is read strictly") {
  const auto wrong = [](const std::string& list, const std::string& message) {
    CHECK_THROWS_WITH(specs_of(list), message);
  };
  wrong("[equalise]", "exp.yaml:1:5: r[0]: 'equalise' is not a rewrite; known: equalize, smoothquant, awq");
  wrong("[awq, {equalize: {}, awq: {}}]", "exp.yaml:1:10: r[1]: must be a name or a map of one name, has 2 keys");
  CHECK_THROWS_WITH(specs_of("[{smoothquant: {alpha: 1.5}}]"), Catch::Matchers::Contains("r[0].smoothquant.alpha"));
  CHECK_THROWS_WITH(specs_of("[{smoothquant: {beta: 1}}]"),
                    Catch::Matchers::Contains("r[0].smoothquant.beta: is not a known key; known: alpha"));
  CHECK_THROWS_WITH(specs_of("[{awq: {bits: 4.5}}]"), Catch::Matchers::Contains("r[0].awq.bits"));
  CHECK_THROWS_WITH(specs_of("[{awq: {insert: 1}}]"), Catch::Matchers::Contains("r[0].awq.insert"));
  CHECK_THROWS_WITH(specs_of("smoothquant"), Catch::Matchers::Contains("must be a list"));
  CHECK(specs_of("[{awq: {group: 0}}]")[0].text() == "awq (bits 4, group 0)");
  CHECK(specs_of("[]").empty());
}

TEST_CASE("every rewrite of the table can be asked for by its name and keeps the outputs") {
  const Gated gated(true);
  for (const RewriteKind& kind : rewrites()) {
    CHECK(!kind.summary.empty());
    const auto result = rewritten(gated.net, "[" + std::string(kind.name) + "]", "table_" + std::string(kind.name));
    CHECK(result.records[0].spec.kind == kind.name);
  }
}
