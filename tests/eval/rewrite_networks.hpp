#pragma once
// Networks with layers to fold, and their calibration data, for the tests of the rewrites.

#include <memory>
#include <string>
#include <vector>

#include "core/npy.hpp"
#include "eval/rewrites/rewrite.hpp"
#include "model/interpret.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {

/// Builder with linear layers and norms.
struct RewriteBuilder : Builder {
  Shape shape(TensorId id) const { return net.tensor(id).shape; }
  /// A weight whose columns and rows differ in size by up to 100 times.
  TensorId uneven(const Shape& size) {
    const TensorId id = random(size);
    auto values = net.tensors[static_cast<std::size_t>(id)].constant->writable<float>();
    const auto inner = static_cast<std::size_t>(element_count(size) / size[0]);
    const auto columns = static_cast<std::size_t>(size[1]);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] *= static_cast<float>(0.1 * (1 + 9.0 * static_cast<double>(i / inner % 2)) *
                                      (1 + 9.0 * static_cast<double>(i / (inner / columns) % 3 == 0)));
    return id;
  }
  TensorId matmul(TensorId x, std::int64_t outputs, bool bias = true) {
    const TensorId w = uneven({shape(x).back(), outputs});
    const TensorId y = layer(op("MatMul", {x, w}), x, w);
    return bias ? op("Add", {random({outputs}), y}) : y;
  }
  TensorId gemm(TensorId x, std::int64_t outputs, bool transposed) {
    const std::int64_t inputs = shape(x).back();
    const TensorId w = uneven(transposed ? Shape{outputs, inputs} : Shape{inputs, outputs}), b = random({outputs});
    return layer(op("Gemm", {x, w, b}, {{"transB", std::int64_t{transposed}}}), x, w);
  }
  TensorId uneven_conv(TensorId x, std::int64_t outputs, std::int64_t group = 1) {
    const TensorId y = conv(x, outputs, {3, 1, 1, group});
    const TensorId w = net.layers.back().weight;
    const Tensor values = *net.tensor(uneven(shape(w))).constant;
    net.tensors[static_cast<std::size_t>(w)].constant = values;
    return y;
  }
  TensorId rms_norm(TensorId x) {
    const TensorId two = constant(Tensor::of<float>({}, std::vector{2.0F}));
    const TensorId epsilon = constant(Tensor::of<float>({}, std::vector{1e-5F}));
    const TensorId mean = op("ReduceMean", {op("Pow", {x, two}), integers({-1})}, {}, 18);
    const TensorId scaled = op("Mul", {x, op("Reciprocal", {op("Sqrt", {op("Add", {mean, epsilon})})})});
    return op("Mul", {random({shape(x).back()}), scaled});
  }
  TensorId relu6(TensorId x) {
    const TensorId low = constant(Tensor::of<float>({}, std::vector{0.0F}));
    const TensorId high = constant(Tensor::of<float>({}, std::vector{0.5F}));
    return op("Clip", {x, low, high});
  }
};

/// Normal values for the only input, named x0.
struct RewriteData {
  TempFolder dir;
  DataSpec spec;
  RewriteData(const std::string& name, const Network& net, std::int64_t samples) : dir("rewrite_" + name) {
    Shape shape = net.tensor(net.inputs[0]).shape;
    shape[0] = samples;
    write_npy(dir.path / "x.npy", random_tensor(shape, "calibration"));
    spec = spec_of("{kind: npy, inputs: {x0: x.npy}}", dir.path);
  }
};

inline std::vector<RewriteSpec> specs_of(const std::string& list) {
  return read_rewrites(Yaml::parse_text("r: " + list, "exp.yaml").at("r"));
}

/// The rewritten network; checks that it computes the same by the definition of its operators, and that layers and
/// sites are where they were.
inline Rewritten rewritten(const std::shared_ptr<const Network>& net, const std::string& list, const std::string& name,
                           std::int64_t samples = 6, int threads = 1) {
  const RewriteData data(name, *net, samples);
  auto result = rewrite_network(net, specs_of(list), data.spec, threads);
  const Network& made = *result.network;
  const auto inputs = random_inputs(*net);
  const auto before = interpret(*net, inputs), after = interpret(made, inputs);
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(distance(after[i], before[i]) < 2e-6);
  REQUIRE(made.layers.size() == net->layers.size());
  for (std::size_t l = 0; l < made.layers.size(); ++l) {
    const Layer &a = made.layers[l], &b = net->layers[l];
    CHECK(made.node(a.node).name == net->node(b.node).name);
    CHECK(a.weight == b.weight);
    CHECK(made.tensor(a.input).name == net->tensor(b.input).name);
  }
  for (std::size_t s = 0; s < made.sites.size(); ++s) CHECK(made.sites[s].tensor == net->sites[s].tensor);
  return result;
}

inline std::span<const float> weight_of(const Network& net, LayerId layer) {
  return net.tensor(net.layer(layer).weight).constant->values<float>();
}

}  // namespace bitplan::test
