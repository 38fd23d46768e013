#pragma once
// Layers with inputs, for the tests of quantize_layer.

#include <cmath>
#include <string>
#include <vector>

#include "quant/layer_quantizer.hpp"
#include "quant/moments/gram.hpp"
#include "tests/quant/samples.hpp"

namespace bitplan::test {

/// A weight and the moments of inputs that are correlated, have means other than 0 and, in one column of seven, are
/// large.
struct SampleLayer {
  std::string name;
  WeightView view;
  std::vector<float> weights;
  LayerMoments moments;

  SampleLayer(std::string as, const WeightView& v, std::int64_t samples = 90, std::uint64_t seed = 1)
      : name(std::move(as)), view(v), weights(sample("gauss", static_cast<std::size_t>(v.size()), seed)) {
    const std::int64_t k = view.per_channel();
    moments.groups = view.groups;
    moments.columns = k;
    moments.rows = samples;
    for (std::int64_t g = 0; g < view.groups; ++g)
      add_inputs(inputs(seed + 10 + static_cast<std::uint64_t>(g), samples));
  }

  std::vector<float> inputs(std::uint64_t seed, std::int64_t samples) const {
    Rng rng(seed, "layer inputs");
    std::vector<float> x;
    for (std::int64_t t = 0; t < samples; ++t) {
      const double common = rng.normal();
      for (std::int64_t c = 0; c < view.per_channel(); ++c)
        x.push_back(static_cast<float>((common + 0.6 * rng.normal() + 0.4) * (c % 7 == 3 ? 5 : 1)));
    }
    return x;
  }
  void add_inputs(const std::vector<float>& x) {
    const auto k = static_cast<std::size_t>(view.per_channel());
    GramAccumulator sums(view.per_channel(), false, 1);
    sums.add(x);
    moments.gram.push_back(sums.gram());
    moments.mean.push_back(sums.mean());
    moments.float_mean.push_back(sums.mean());
    std::vector<float> absolute(k), largest(k);
    for (std::size_t i = 0; i < x.size(); ++i) {
      absolute[i % k] += std::abs(x[i]) / static_cast<float>(x.size() / k);
      largest[i % k] = std::max(largest[i % k], std::abs(x[i]));
    }
    moments.abs_mean.push_back(absolute);
    moments.abs_max.push_back(largest);
  }

  LayerWeight layer(int threads = 1) const { return {weights, view, &moments, threads}; }
  QuantizedWeight as(const Choice& choice, int threads = 1) const { return quantize_layer(layer(threads), choice); }
  QuantizedWeight as(const std::string& choice, int threads = 1) const { return as(weight_choice(choice), threads); }
  double error(const std::string& choice) const { return error(as(choice).values); }
  double error(const std::vector<float>& values, bool with_bias = false) const {
    return output_error(layer(), values, with_bias);
  }

  /// The squared output error summed over rows of inputs and channels, after the bias, of a layer {1, channels, k, 1}.
  double squared_error_on(const std::vector<float>& rows, const QuantizedWeight& weight) const {
    const auto k = static_cast<std::size_t>(view.per_channel());
    double sum = 0;
    for (std::size_t first = 0; first < rows.size(); first += k)
      for (std::size_t o = 0; o < static_cast<std::size_t>(view.channels); ++o) {
        double error = weight.bias.empty() ? 0 : static_cast<double>(weight.bias[o]);
        for (std::size_t c = 0; c < k; ++c)
          error += (static_cast<double>(weight.values[o * k + c]) - static_cast<double>(weights[o * k + c])) *
                   static_cast<double>(rows[first + c]);
        sum += error * error;
      }
    return sum;
  }

  /// Where element j of a channel's reduction stands in the tensor.
  std::size_t at(std::int64_t channel, std::int64_t j) const {
    return static_cast<std::size_t>((j / view.inner * view.channels + channel) * view.inner + j % view.inner);
  }
};

/// A linear layer, MatMul's orientation, a convolution whose patches are cut by the channel axis, a grouped one, a
/// depthwise one.
inline std::vector<SampleLayer> sample_layers() {
  std::vector<SampleLayer> layers;
  layers.emplace_back("Gemm", WeightView{1, 6, 17, 1});
  layers.emplace_back("MatMul", WeightView{17, 6, 1, 1});
  layers.emplace_back("both", WeightView{3, 4, 6, 1});
  layers.emplace_back("grouped", WeightView{1, 6, 18, 2});
  layers.emplace_back("depthwise", WeightView{1, 5, 9, 5});
  return layers;
}

}  // namespace bitplan::test
