#pragma once
// Networks with batch normalisations whose statistics are true, for the tests of the analytic bias.

#include <cmath>
#include <string>
#include <vector>

#include "core/npy.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {

/// Builder with batch normalisations of convolutions of kernel 1, which read normal inputs.
struct NormBuilder : Builder {
  TensorId values(const std::vector<float>& of) {
    return constant(Tensor::of({static_cast<std::int64_t>(of.size())}, of));
  }
  TensorId number(float value) { return constant(Tensor::of<float>({}, std::vector{value})); }
  /// Of x, whose elements are independent and standard normal: so is each channel of the result, with mean beta and
  /// deviation |gamma|.
  TensorId normed(TensorId x, std::int64_t channels, float epsilon = 1e-3F) {
    const TensorId y = conv(x, channels, {1, 1, 0, 1});
    const auto weight = net.tensor(net.layers.back().weight).constant->values<float>();
    const auto bias = net.tensor(net.node(net.layers.back().node).inputs[2]).constant->values<float>();
    const std::vector<float> mean(bias.begin(), bias.end());
    std::vector<float> gamma, beta, variance;
    const std::size_t inputs = weight.size() / mean.size();
    for (std::size_t c = 0; c < mean.size(); ++c) {
      float sum = 0;
      for (std::size_t i = 0; i < inputs; ++i) sum += weight[c * inputs + i] * weight[c * inputs + i];
      variance.push_back(sum);
      gamma.push_back((c % 2 == 0 ? 1.0F : -1.0F) * (0.4F + 0.2F * static_cast<float>(c % 5)));
      beta.push_back(0.5F * static_cast<float>(c % 4) - 0.6F);
    }
    return op("BatchNormalization", {y, values(gamma), values(beta), values(mean), values(variance)},
              {{"epsilon", epsilon}});
  }
  TensorId clip(TensorId x, float low, float high) { return op("Clip", {x, number(low), number(high)}); }
  TensorId linear(TensorId x, std::int64_t outputs) {
    const TensorId w = random({net.tensor(x).shape.back(), outputs}, 0.2);
    const TensorId y = layer(op("MatMul", {x, w}), x, w);
    net.layers.back().channel_axis = 1;
    return y;
  }
  std::shared_ptr<const Network> done(const std::vector<TensorId>& outputs) {
    for (Layer& layer : net.layers) layer.groups = net.node(layer.node).integer("group", 1);
    return finish(outputs);
  }
};

/// Standard normal samples for every input of a network.
struct NormalData {
  TempFolder dir;
  DataSpec spec;
  NormalData(const std::string& name, const Network& net, std::int64_t samples) : dir("norm_" + name) {
    std::string inputs;
    for (const TensorId input : net.inputs) {
      const TensorInfo& info = net.tensor(input);
      Shape shape = info.shape;
      shape[0] = samples;
      write_npy(dir.path / (info.name + ".npy"), random_tensor(shape, "normal " + info.name));
      inputs += (inputs.empty() ? "" : ", ") + info.name + ": " + info.name + ".npy";
    }
    spec = spec_of("{kind: npy, inputs: {" + inputs + "}}", dir.path);
  }
};

}  // namespace bitplan::test
