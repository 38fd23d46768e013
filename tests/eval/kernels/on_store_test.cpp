// Kernels that quantize what they make while it is in cache: the same to the bit as a pass of its own.
#include <cstring>

#include "eval/executor/prefix_cache.hpp"
#include "tests/catch.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

struct Case {
  std::string op;
  Shape input;
  std::function<TensorId(Builder&, TensorId)> make;
};

/// Tensors longer than a part, of awkward sizes.
std::vector<Case> cases() {
  const auto op = [](const char* name) { return [name](Builder& b, TensorId x) { return b.op(name, {x}); }; };
  return {{"Gelu", {3, 70, 41}, op("Gelu")},
          {"Exp", {3, 70, 41}, op("Exp")},
          {"Softmax", {3, 70, 41}, op("Softmax")},
          {"LayerNormalization",
           {3, 70, 41},
           [](Builder& b, TensorId x) {
             return b.op("LayerNormalization", {x, b.random({41}, 1), b.random({41}, 0.1)});
           }},
          {"a row longer than a part",
           {2, 2, 5000},
           [](Builder& b, TensorId x) {
             return b.op("LayerNormalization", {x, b.random({5000}, 1)});
           }},
          {"Mul by row",
           {3, 70, 41},
           [](Builder& b, TensorId x) {
             return b.op("Mul", {x, b.random({41}, 1)});
           }},
          {"Add by matrix",
           {3, 70, 41},
           [](Builder& b, TensorId x) {
             return b.op("Add", {x, b.random({70, 41}, 1)});
           }},
          {"Mul by sample", {3, 70, 41}, [](Builder& b, TensorId x) {
             return b.op("Mul", {x, b.random({3, 1, 1}, 1)});
           }}};
}

/// input -> Abs -> the operator -> a linear layer; with `read`, its float values are an output as well.
std::shared_ptr<const Network> network_of(const Case& c, bool read) {
  Builder b;
  const TensorId y = c.make(b, b.op("Abs", {b.input(c.input)}));
  const TensorId w = b.random({c.input.back(), 9}, 0.4);
  std::vector<TensorId> outputs{b.layer(b.op("MatMul", {y, w}), y, w)};
  if (read) outputs.push_back(y);
  return b.finish(outputs);
}

bool same(const Tensor& a, const Tensor& b) {
  return a.byte_size() == b.byte_size() && std::memcmp(a.bytes(), b.bytes(), a.byte_size()) == 0;
}

std::vector<Tensor> outputs(const Executor& executor, const std::vector<Tensor>& inputs, const Candidate& candidate,
                            const Executor::Tap* tap = nullptr, const PrefixReuse* reuse = nullptr) {
  const auto workspace = executor.make_workspace();
  executor.run(*workspace, inputs, candidate, tap, reuse);
  std::vector<Tensor> all;
  for (std::size_t i = 0; i < executor.network().outputs.size(); ++i) all.push_back(executor.output(*workspace, i));
  return all;
}

Candidate quantized(const Executor& executor, float scale) {
  Candidate candidate;
  candidate.activations.resize(executor.network().sites.size());
  for (const Site& site : executor.network().sites)
    if (site.kind == Site::Kind::activation)
      candidate.activations[static_cast<std::size_t>(site.id)] = Affine{scale, 60, 0, 255};
  return candidate;
}

/// check(case, read, executor, inputs) for each network.
template <class Check>
void each_network(const Check& check) {
  for (const Case& c : cases())
    for (const bool read : {false, true}) {
      CAPTURE(c.op, read);
      const auto net = network_of(c, read);
      check(c, read, Executor(net), random_inputs(*net));
    }
}

}  // namespace

TEST_CASE("a kernel that quantizes as it stores equals a pass of its own to the bit, whoever else reads the values") {
  each_network([](const Case& c, bool read, const Executor& executor, const std::vector<Tensor>& inputs) {
    const Candidate candidate = quantized(executor, 0.02F);
    const auto fused = outputs(executor, inputs, candidate);
    std::size_t seen = 0;
    const Executor::Tap tap = [&](SiteId, std::span<const float> values) { seen += values.size(); };
    const auto passed = outputs(executor, inputs, candidate, &tap);  // a tap wants the float values first
    const auto floats = outputs(executor, inputs, {});
    CHECK(seen == static_cast<std::size_t>(element_count(c.input)));
    CHECK(same(fused[0], passed[0]));
    CHECK_FALSE(same(fused[0], floats[0]));
    if (read) CHECK(same(fused[1], floats[1]));
  });
}

TEST_CASE(
    "candidates that differ in a quantizer begin behind the kernel that would have quantized, with equal results") {
  each_network([](const Case&, bool, const Executor& executor, const std::vector<Tensor>& inputs) {
    PrefixCache cache(std::size_t{1} << 24);
    for (std::uint64_t i = 0; i < 6; ++i) {
      const Candidate candidate = i == 0 ? Candidate{} : quantized(executor, 0.01F * static_cast<float>(i));
      const PrefixReuse reuse{&cache, 1, i};
      const auto wanted = outputs(executor, inputs, candidate),
                 got = outputs(executor, inputs, candidate, nullptr, &reuse);
      for (std::size_t o = 0; o < wanted.size(); ++o) CHECK(same(wanted[o], got[o]));
    }
    CHECK(cache.counts().hits > 0);
  });
}

}  // namespace bitplan::test
