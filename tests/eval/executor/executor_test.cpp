#include "eval/executor/executor.hpp"

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "model/interpret.hpp"
#include "tests/catch.hpp"
#include "tests/eval/executor_allocations.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

constexpr double kClose = 2e-6;

Affine uint8(float scale, std::int32_t zero) { return {scale, zero, 0, 255}; }

/// A residual network with every situation of a quantized tensor: read by layers only, by a layer and a sum, through a
/// view, as an output, as the network's input.
std::shared_ptr<const Network> residual_network() {
  Builder b;
  const TensorId x = b.input({4, 3, 12, 12});
  const TensorId a = b.op("Relu", {b.conv(x, 20)});
  const TensorId c = b.op("Relu", {b.op("Add", {b.conv(b.op("Relu", {b.conv(a, 20)}), 20), a})});
  const TensorId d = b.op("Add", {b.conv(c, 40, {3, 2, 1, 1}), b.conv(c, 40, {1, 2, 0, 1})});
  const TensorId e = b.op("Concat", {d, b.conv(d, 8)}, {{"axis", std::int64_t{1}}});
  const TensorId pooled = b.op("GlobalAveragePool", {b.op("Relu", {e})});
  const TensorId flat = b.op("Flatten", {pooled});
  const TensorId w = b.random({48, 10}, 0.2);
  const TensorId logits = b.layer(b.op("Gemm", {flat, w, b.random({10})}), flat, w);
  return b.finish({logits, d, flat});
}

Quantization all_sites(const Network& net, std::int32_t zero) {
  Quantization q;
  for (const Site& site : net.sites)
    if (site.kind == Site::Kind::activation) q.activations[site.id] = uint8(0.02F, zero);
  for (const Layer& layer : net.layers) {
    const auto values = net.tensor(layer.weight).constant->values<float>();
    for (const float v : values) q.weights[layer.id].push_back(std::round(v * 16) / 16);
  }
  return q;
}

}  // namespace

TEST_CASE("the executor equals the interpreter on a residual network, fused or not") {
  const auto net = residual_network();
  const auto inputs = random_inputs(*net);
  const auto expected = interpret(*net, inputs);
  for (const bool fuse : {false, true}) {
    const auto made = run(Executor(net, fuse), inputs);
    for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < kClose);
  }
}

TEST_CASE("layers read quantized activations, sums and outputs read the float values of the same tensor") {
  const auto net = residual_network();
  const auto inputs = random_inputs(*net);
  for (const std::int32_t zero : {0, 100}) {
    const Quantization q = all_sites(*net, zero);
    const auto expected = by_definition(*net, inputs, q);
    for (const bool fuse : {false, true}) {
      const auto made = run(Executor(net, fuse), inputs, q);
      // A sum on the edge between two integers may round either way: one step of 0.02 in a few places.
      for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < 5e-3);
    }
  }
}

TEST_CASE("each site alone is quantized for its layers") {
  const auto net = residual_network();
  const auto inputs = random_inputs(*net);
  const Executor executor(net);
  const auto plain = run(executor, inputs);
  for (const Site& site : net->sites) {
    if (site.kind != Site::Kind::activation) continue;
    CAPTURE(site.name);
    Quantization q;
    q.activations[site.id] = {0.5F, 1, 0, 3};  // coarse: an edge case moves little, an unquantized reader much
    const auto made = run(executor, inputs, q), expected = by_definition(*net, inputs, q);
    CHECK(distance(made[0], expected[0]) < 1e-3);
    CHECK(distance(expected[0], plain[0]) > 1e-2);
  }
}

TEST_CASE("a candidate's weights replace those of its layers only") {
  const auto net = residual_network();
  const auto inputs = random_inputs(*net);
  const Executor executor(net);
  for (const Layer& layer : net->layers) {
    Quantization q;
    const auto values = net->tensor(layer.weight).constant->values<float>();
    for (const float v : values) q.weights[layer.id].push_back(0.5F * v + 0.01F);
    const auto made = run(executor, inputs, q), expected = by_definition(*net, inputs, q);
    for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < kClose);
  }
}

TEST_CASE("packed float weights give the float network to the bit") {
  const auto net = residual_network();
  const auto inputs = random_inputs(*net);
  const Executor executor(net);
  Quantization q;
  for (const Layer& layer : net->layers) {
    const auto values = net->tensor(layer.weight).constant->values<float>();
    q.weights[layer.id].assign(values.begin(), values.end());
  }
  const auto made = run(executor, inputs, q), expected = run(executor, inputs);
  for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) == 0);
}

TEST_CASE("an embedding reads its candidate's table") {
  Builder b;
  const TensorId ids = b.input({2, 3});
  b.net.tensors[static_cast<std::size_t>(ids)].dtype = DType::i64;
  const TensorId table = b.random({5, 4});
  const TensorId y = b.op("Gather", {table, ids});
  b.layer(y, ids, table);
  b.net.outputs = {y};
  b.net.weight_site = {0};
  b.net.input_site = {-1};
  b.net.sites = {{Site::Kind::weight, 0, table, {0}, 20, "table"}};
  const auto net = std::make_shared<const Network>(b.net);
  const std::vector<Tensor> inputs{Tensor::of<std::int64_t>({2, 3}, std::vector<std::int64_t>{0, 4, 1, 2, 2, 3})};
  Quantization q;
  for (int i = 0; i < 20; ++i) q.weights[0].push_back(static_cast<float>(i));
  const auto made = run(Executor(net), inputs, q);
  CHECK(made[0].values<float>()[4] == 16);
  CHECK(distance(run(Executor(net), inputs)[0], interpret(*net, inputs)[0]) == 0);
}

TEST_CASE("a tap sees the float values of each activation site, row-major, without padding") {
  const auto net = residual_network();
  const auto inputs = random_inputs(*net);
  const Executor executor(net);
  const auto workspace = executor.make_workspace();
  // As outputs the same tensors come from the definition.
  Network seen = *net;
  seen.outputs.clear();
  for (const Site& site : net->sites)
    if (site.kind == Site::Kind::activation) seen.outputs.push_back(site.tensor);
  const auto expected = interpret(seen, inputs);
  const Quantization q = all_sites(*net, 0);
  const auto quantized = by_definition(seen, inputs, q);
  for (const bool with_quantization : {false, true}) {
    std::size_t calls = 0;
    const Executor::Tap tap = [&](SiteId site, std::span<const float> values) {
      const auto i = static_cast<std::size_t>(site) - net->weight_sites();
      const Tensor& wanted = (with_quantization ? quantized : expected)[i];
      REQUIRE(values.size() == wanted.size());
      CHECK(distance(Tensor::of(wanted.shape(), values), wanted) < (with_quantization ? 5e-3 : kClose));
      ++calls;
    };
    executor.run(*workspace, inputs, with_quantization ? q.on(executor) : Candidate(), &tap);
    CHECK(calls == expected.size());
  }
}

TEST_CASE("threads, workspaces and earlier runs do not change a result") {
  const auto net = residual_network();
  const Executor executor(net);
  const auto inputs = random_inputs(*net);
  const Candidate quantized = all_sites(*net, 7).on(executor), plain;
  std::vector<Tensor> expected;
  for (const Candidate* candidate : {&plain, &quantized}) {
    const auto workspace = executor.make_workspace();
    executor.run(*workspace, inputs, *candidate);
    expected.push_back(executor.output(*workspace, 0));
  }
  for (const int threads : {1, 2}) {
    std::vector<Executor::WorkspacePtr> workspaces;
    for (int t = 0; t < threads; ++t) workspaces.push_back(executor.make_workspace());
    std::vector<int> equal(12, 0);
    parallel_for(equal.size(), threads, [&](std::size_t i, int worker) {
      auto& workspace = *workspaces[static_cast<std::size_t>(worker)];
      executor.run(workspace, inputs, i % 2 ? quantized : plain);
      equal[i] = distance(executor.output(workspace, 0), expected[i % 2]) == 0;
    });
    CHECK(equal == std::vector<int>(12, 1));
  }
}

TEST_CASE("memory of dead tensors is used again") {
  const Executor executor(residual_network());
  CHECK(executor.workspace_bytes() < executor.naive_workspace_bytes() / 2);
}

TEST_CASE("an output may be an input, a constant or read inside the network") {
  Builder b;
  const TensorId x = b.input({2, 3, 5, 5}), c = b.random({4});
  const TensorId y = b.conv(x, 20), z = b.op("Relu", {y});
  const auto net = b.finish({x, c, y, b.op("Flatten", {x}), z, y});
  const auto inputs = random_inputs(*net);
  const auto made = run(Executor(net), inputs), expected = by_definition(*net, inputs);
  REQUIRE(made.size() == 6);
  for (std::size_t i = 0; i < made.size(); ++i) CHECK(distance(made[i], expected[i]) < kClose);
}

TEST_CASE("wrong inputs are refused with what is allowed") {
  const Executor executor(residual_network());
  const auto workspace = executor.make_workspace();
  const auto run_on = [&](const std::vector<Tensor>& inputs) { executor.run(*workspace, inputs, {}); };
  CHECK_THROWS_AS(run_on({}), InputError);
  CHECK_THROWS_WITH(run_on({}), "the network has 1 inputs, 0 were given");
  CHECK_THROWS_WITH(run_on({Tensor(DType::f32, {4, 3, 12, 11})}),
                    "input 'x0' has shape 4x3x12x11; the network takes 4x3x12x12");
  CHECK_THROWS_WITH(run_on({Tensor(DType::f64, {4, 3, 12, 12})}), "input 'x0' is float64; the network takes float32");
  CHECK_THROWS_WITH(executor.pack(0, std::vector<float>(3)),
                    "weight of layer 'Conv0' has 3 values; its shape 20x3x3x3 has 540");
}

TEST_CASE("after the first run of a convolutional network no buffer is allocated") {
  const auto net = residual_network();
  const Executor executor(net);
  const auto inputs = random_inputs(*net);
  const Candidate quantized = all_sites(*net, 7).on(executor);
  const auto workspace = executor.make_workspace();
  executor.run(*workspace, inputs, quantized);
  if (!watch_allocations()) {
    WARN("a sanitizer is on: skipped");
    return;
  }
  executor.run(*workspace, inputs, quantized);
  // oneDNN keeps small books for each call (argument maps); activations of this network take 8 kB and more.
  CHECK(largest_allocation() < 1024);
}

}  // namespace bitplan::test
