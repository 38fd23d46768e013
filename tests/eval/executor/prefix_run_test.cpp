#include <array>

#include "core/parallel.hpp"
#include "eval/executor/prefix_cache.hpp"
#include "model/import_onnx.hpp"
#include "quant/weight_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {

namespace {

Affine coarse(float scale) { return {scale, 30, 0, 255}; }

/// As finish(), with what an imported network knows of its layers besides: work and the axis of output channels.
std::shared_ptr<const Network> with_work(std::shared_ptr<const Network> given) {
  Network net = *given;
  for (Layer& layer : net.layers) {
    layer.channel_axis = layer.op == "Conv" ? 0 : 1;
    const std::int64_t channels = layer.weight_shape[static_cast<std::size_t>(layer.channel_axis)];
    layer.macs = 1000 * layer.weights * element_count(layer.output_shape) / channels;
  }
  return std::make_shared<const Network>(net);
}

/// Residual blocks, one with a convolution on its shortcut, some tensors read by layers and sums alike; a second input
/// that only the end reads.
std::shared_ptr<const Network> residual() {
  Builder b;
  TensorId x = b.op("Relu", {b.conv(b.input({4, 3, 8, 8}), 16)});
  for (int block = 0; block < 3; ++block) {
    const TensorId y = b.conv(b.op("Relu", {b.conv(x, 16)}), 16);
    x = b.op("Relu", {b.op("Add", {y, block == 1 ? b.conv(x, 16, {1, 1, 0, 1}) : x})});
  }
  x = b.op("Sub", {x, b.input({4, 16, 8, 8})});
  const TensorId flat = b.op("Flatten", {b.op("GlobalAveragePool", {x})}), w = b.random({16, 5});
  return with_work(b.finish({b.layer(b.op("Gemm", {flat, w, b.random({5})}), flat, w), x}));
}

/// Inverted residuals: narrow sums between wide depthwise convolutions.
std::shared_ptr<const Network> mobile() {
  Builder b;
  TensorId x = b.conv(b.input({2, 3, 8, 8}), 8);
  for (int block = 0; block < 3; ++block) {
    const TensorId wide = b.op("Relu", {b.conv(x, 32, {1, 1, 0, 1})});
    const TensorId deep = b.op(block == 1 ? "HardSwish" : "Relu", {b.conv(wide, 32, {3, 1, 1, 32})});
    x = b.op("Add", {b.conv(deep, 8, {1, 1, 0, 1}), x});
  }
  return with_work(b.finish({x}));
}

/// Attention-like: three products of one input, a product of two computed tensors, a sum around them, two outputs.
std::shared_ptr<const Network> attention() {
  Builder b;
  const auto linear = [&b](TensorId x, std::int64_t in, std::int64_t out) {
    const TensorId w = b.random({in, out}, 0.2);
    return b.layer(b.op("MatMul", {x, w}), x, w);
  };
  TensorId x = b.input({2, 6, 8});
  for (int block = 0; block < 2; ++block) {
    const TensorId k = b.op("Transpose", {linear(x, 8, 8)}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}});
    const TensorId scores = b.op("Softmax", {b.op("MatMul", {linear(x, 8, 8), k})}, {{"axis", std::int64_t{-1}}});
    const TensorId mixed = b.op("MatMul", {scores, linear(x, 8, 8)});
    const TensorId sum = b.op("Add", {x, linear(mixed, 8, 8)});
    x = b.op("Add", {sum, linear(b.op("Relu", {linear(sum, 8, 16)}), 16, 8)});
  }
  return with_work(b.finish({x, linear(x, 8, 3)}));
}

/// What a site may be in neighbours(): index 0 is the first candidate's choice.
struct Options {
  std::vector<std::array<std::shared_ptr<const PackedWeight>, 3>> weights;  ///< by layer
  std::vector<std::array<std::optional<Affine>, 3>> activations;            ///< by site
};

/// Float and two roundings of it.
Options float_options(const Executor& executor) {
  const Network& net = executor.network();
  Options options{std::vector<std::array<std::shared_ptr<const PackedWeight>, 3>>(net.layers.size()),
                  std::vector<std::array<std::optional<Affine>, 3>>(net.sites.size())};
  for (const Layer& layer : net.layers)
    for (const int bits : {2, 3}) {
      const auto values = net.tensor(layer.weight).constant->values<float>();
      std::vector<float> rounded(values.begin(), values.end());
      for (float& v : rounded) v = std::round(v * static_cast<float>(1 << bits)) / static_cast<float>(1 << bits);
      options.weights[static_cast<std::size_t>(layer.id)][static_cast<std::size_t>(bits - 1)] =
          executor.pack(layer.id, rounded);
    }
  for (auto& site : options.activations) site = {std::nullopt, coarse(0.01F), coarse(0.02F)};
  return options;
}

/// Everything in 8-bit integers where the CPU and the layer can, so that codes pass between layers.
Options integer_options(const Executor& executor) {
  const Network& net = executor.network();
  Options options = float_options(executor);
  for (auto& site : options.activations) site = {coarse(0.03F), coarse(0.01F), coarse(0.02F)};
  for (const Layer& layer : net.layers) {
    const IntegerForm form = executor.integer_form(layer.id, coarse(0.01F));
    const auto values = net.tensor(layer.weight).constant->values<float>();
    const auto view = WeightView::of(layer.weight_shape, layer.channel_axis);
    for (std::size_t option = 0; option < 3; ++option) {
      const std::string label = "int" + std::to_string(6 - option);
      const auto choice = parse_choice(label, ChoiceDefaults::weights(), ChoiceDefaults::weights());
      const auto codes = quantize_weight(values, view, choice);
      options.weights[static_cast<std::size_t>(layer.id)][option] =
          form == IntegerForm::none ? executor.pack(layer.id, codes.values) : executor.pack(layer.id, form, codes);
    }
  }
  return options;
}

/// Candidates as a search asks for them: mostly small changes of an earlier one, some large, some again.
std::vector<Candidate> neighbours(const Network& net, const Options& options, std::size_t count) {
  Rng rng(5, "neighbours");
  Candidate first;
  for (const auto& layer : options.weights) first.weights.push_back(layer[0]);
  for (const auto& site : options.activations) first.activations.push_back(site[0]);
  std::vector<Candidate> asked{first};
  while (asked.size() < count) {
    const std::size_t back = rng.below(std::min<std::size_t>(asked.size(), 3));
    Candidate next = rng.below(8) == 0 ? first : asked[asked.size() - 1 - back];
    for (std::size_t changes = rng.below(8) == 0 ? 12 : rng.below(3); changes > 0; --changes) {
      const std::size_t option = rng.below(3), site = rng.below(net.sites.size());
      if (net.sites[site].kind == Site::Kind::activation) next.activations[site] = options.activations[site][option];
      if (net.sites[site].kind == Site::Kind::weight)
        for (const LayerId layer : net.sites[site].layers) {
          const auto l = static_cast<std::size_t>(layer);
          next.weights[l] = options.weights[l][option];
        }
    }
    asked.push_back(std::move(next));
  }
  return asked;
}

std::vector<Tensor> outputs(const Executor& executor, const Executor::Workspace& workspace) {
  std::vector<Tensor> made;
  for (std::size_t i = 0; i < executor.network().outputs.size(); ++i) made.push_back(executor.output(workspace, i));
  return made;
}

bool equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].byte_size() != b[i].byte_size() || std::memcmp(a[i].bytes(), b[i].bytes(), a[i].byte_size()) != 0)
      return false;
  return a.size() == b.size();
}

struct Outcome {
  std::size_t different = 0;
  PrefixCache::Counts counts;
};

/// Runs each candidate on each chunk with and without a cache of `bytes`, on `threads` threads.
Outcome compare(const Executor& executor, const std::vector<Candidate>& candidates,
                const std::vector<std::vector<Tensor>>& chunks, std::size_t bytes, int threads) {
  PrefixCache cache(bytes);
  std::vector<Executor::WorkspacePtr> plain, reusing;
  for (int t = 0; t < threads; ++t) {
    plain.push_back(executor.make_workspace());
    reusing.push_back(executor.make_workspace());
  }
  Outcome outcome;
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    std::vector<int> same(chunks.size(), 0);
    parallel_for(chunks.size(), threads, [&](std::size_t i, int worker) {
      auto& a = *plain[static_cast<std::size_t>(worker)];
      auto& b = *reusing[static_cast<std::size_t>(worker)];
      const PrefixReuse reuse{&cache, i, c};
      executor.run(a, chunks[i], candidates[c]);
      executor.run(b, chunks[i], candidates[c], nullptr, &reuse);
      same[i] = equal(outputs(executor, a), outputs(executor, b));
    });
    for (const int s : same) outcome.different += s == 0;
    if (cache.counts().bytes > bytes) outcome.different += 1000;
  }
  outcome.counts = cache.counts();
  return outcome;
}

std::vector<std::vector<Tensor>> random_chunks(const Network& net, int count) {
  std::vector<std::vector<Tensor>> chunks;
  for (int i = 0; i < count; ++i)
    for (auto& chunk = chunks.emplace_back(); const TensorId t : net.inputs)
      chunk.push_back(random_tensor(net.tensor(t).shape, "chunk" + std::to_string(i)));
  return chunks;
}

}  // namespace

TEST_CASE("runs that begin with stored activations give the same outputs to the bit, whatever fits into the cache") {
  const auto shapes = residual();
  for (const auto& [net, fuse] : {std::pair{shapes, true}, {shapes, false}, {mobile(), true}, {attention(), true}})
    for (const bool integers : {false, true}) {
      const Executor executor(net, fuse);
      const auto options = integers ? integer_options(executor) : float_options(executor);
      const auto candidates = neighbours(*net, options, 20);
      const auto chunks = random_chunks(*net, 2);
      const std::size_t whole = 10 * executor.naive_workspace_bytes();
      struct Case {
        std::size_t bytes;
        int threads;
      };
      for (const Case c : {Case{0, 1}, {whole / 100, 1}, {whole / 20, 1}, {whole / 20, 2}, {20 * whole, 1}}) {
        CAPTURE(net->layers.size(), fuse, integers, c.bytes, c.threads);
        const Outcome outcome = compare(executor, candidates, chunks, c.bytes, c.threads);
        CHECK(outcome.different == 0);
        CHECK(outcome.counts.finds == candidates.size() * chunks.size());
        if (c.bytes == 0) CHECK(outcome.counts.hits == 0);
        if (c.bytes == whole / 20) CHECK(outcome.counts.evicted > 0);
        if (c.bytes > whole) CHECK(outcome.counts.hits > outcome.counts.finds / 3);
        if (c.bytes > whole) CHECK(outcome.counts.evicted == 0);
      }
    }
}

TEST_CASE("resnet20: runs that begin with stored activations give the same outputs to the bit") {
  const auto file = shared_data() / "cifar10" / "resnet20.onnx";
  if (shared_data().empty() || !std::filesystem::exists(file)) {
    WARN("no shared data: skipped");
    return;
  }
  const auto net = std::make_shared<const Network>(import_onnx(file, {.shapes = {}, .batch = 2}));
  const Executor executor(net);
  const auto candidates = neighbours(*net, float_options(executor), 24);
  const auto chunks = random_chunks(*net, 2);
  for (const int threads : {1, 2}) {
    const Outcome outcome = compare(executor, candidates, chunks, std::size_t{1} << (threads == 1 ? 28 : 21), threads);
    CHECK(outcome.different == 0);
    CHECK(outcome.counts.hits > outcome.counts.finds / 4);
  }
}

TEST_CASE("a candidate's own inputs are used when another chunk has the same choices") {
  const auto net = residual();
  const Executor executor(net);
  const auto candidates = neighbours(*net, float_options(executor), 4);
  const auto chunks = random_chunks(*net, 4);
  CHECK(compare(executor, {candidates[0], candidates[0], candidates[0]}, chunks, 1 << 30, 1).different == 0);
}

TEST_CASE("a tap sees every site, whatever is stored") {
  const auto net = residual();
  const Executor executor(net);
  const auto workspace = executor.make_workspace();
  const auto chunks = random_chunks(*net, 1);
  PrefixCache cache(1 << 30);
  std::vector<std::size_t> calls;
  for (std::uint64_t evaluation = 0; evaluation < 3; ++evaluation) {
    std::size_t sites = 0;
    const Executor::Tap tap = [&](SiteId, std::span<const float>) { ++sites; };
    const PrefixReuse reuse{&cache, 0, evaluation};
    executor.run(*workspace, chunks[0], {}, nullptr, &reuse);
    executor.run(*workspace, chunks[0], {}, &tap, &reuse);
    calls.push_back(sites);
  }
  CHECK(cache.counts().hits > 0);
  CHECK(calls == std::vector<std::size_t>(3, net->sites.size() - net->weight_sites()));
}

}  // namespace bitplan::test
