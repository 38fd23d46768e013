#include "search/ddpg_network.hpp"

// One thread: a result must not depend on how many there are.
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>
#include <cassert>
#include <cmath>

namespace bitplan {

namespace {

using Matrix = Eigen::Map<Eigen::MatrixXf>;
using ConstMatrix = Eigen::Map<const Eigen::MatrixXf>;
using Vector = Eigen::Map<Eigen::VectorXf>;
using ConstVector = Eigen::Map<const Eigen::VectorXf>;

}  // namespace

Mlp::Mlp(std::vector<int> sizes, Output output, int own, Rng& rng) : output_(output) {
  std::size_t total = 0;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    const int n = sizes[l], m = sizes[l + 1];
    layers_.push_back({n, m, total, total + static_cast<std::size_t>(n) * static_cast<std::size_t>(m)});
    total = layers_.back().biases + static_cast<std::size_t>(m);
  }
  parameters_.resize(total);
  gradient_.resize(total);
  first_moment_.resize(total);
  second_moment_.resize(total);
  values_.resize(sizes.size());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const int shared = layer.inputs - (l == 0 ? own : 0);
    const double bound = 1 / std::sqrt(static_cast<double>(shared));
    const auto end = layer.biases + static_cast<std::size_t>(layer.outputs);
    for (std::size_t i = layer.weights; i < end; ++i) parameters_[i] = static_cast<float>((2 * rng.unit() - 1) * bound);
    const auto first_own = layer.weights + static_cast<std::size_t>(shared) * static_cast<std::size_t>(layer.outputs);
    const auto scale = static_cast<float>(std::sqrt(static_cast<double>(shared) / std::max(own, 1)));
    for (std::size_t i = first_own; i < layer.biases; ++i) parameters_[i] *= scale;
  }
}

std::span<const float> Mlp::forward(std::span<const float> inputs, int batch) {
  assert(inputs.size() == static_cast<std::size_t>(layers_[0].inputs) * static_cast<std::size_t>(batch));
  batch_ = batch;
  values_[0].assign(inputs.begin(), inputs.end());
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    values_[l + 1].resize(static_cast<std::size_t>(layer.outputs) * static_cast<std::size_t>(batch));
    const ConstMatrix w(&parameters_[layer.weights], layer.outputs, layer.inputs),
        x(values_[l].data(), layer.inputs, batch);
    const ConstVector b(&parameters_[layer.biases], layer.outputs);
    Matrix y(values_[l + 1].data(), layer.outputs, batch);
    y.noalias() = w * x;
    y.colwise() += b;
    if (l + 1 < layers_.size())
      y = y.cwiseMax(0.0F);
    else if (output_ == Output::sigmoid)
      for (float& value : values_.back()) value = 1 / (1 + std::exp(-value));
  }
  return values_.back();
}

std::span<const float> Mlp::backward(std::span<const float> output_gradient, bool learn) {
  assert(output_gradient.size() == values_.back().size());
  delta_.assign(output_gradient.begin(), output_gradient.end());
  if (output_ == Output::sigmoid)
    for (std::size_t i = 0; i < delta_.size(); ++i) delta_[i] *= values_.back()[i] * (1 - values_.back()[i]);
  for (std::size_t l = layers_.size(); l-- > 0;) {
    const Layer& layer = layers_[l];
    const ConstMatrix w(&parameters_[layer.weights], layer.outputs, layer.inputs),
        x(values_[l].data(), layer.inputs, batch_), d(delta_.data(), layer.outputs, batch_);
    if (learn) {
      Matrix(&gradient_[layer.weights], layer.outputs, layer.inputs).noalias() = d * x.transpose();
      Vector(&gradient_[layer.biases], layer.outputs) = d.rowwise().sum();
    }
    next_delta_.resize(values_[l].size());
    Matrix back(next_delta_.data(), layer.inputs, batch_);
    back.noalias() = w.transpose() * d;
    if (l > 0) back = (x.array() > 0.0F).select(back, 0.0F);
    delta_.swap(next_delta_);
  }
  return delta_;
}

void Mlp::step(float rate) {
  constexpr float kBeta1 = 0.9F, kBeta2 = 0.999F, kEpsilon = 1e-8F;
  ++steps_;
  const auto n = static_cast<Eigen::Index>(parameters_.size());
  Eigen::Map<Eigen::ArrayXf> theta(parameters_.data(), n), m(first_moment_.data(), n), v(second_moment_.data(), n);
  const Eigen::Map<const Eigen::ArrayXf> g(gradient_.data(), n);
  m = kBeta1 * m + (1 - kBeta1) * g;
  v = kBeta2 * v + (1 - kBeta2) * g * g;
  const auto k = static_cast<double>(steps_);
  const auto unbias1 = static_cast<float>(1 / (1 - std::pow(0.9, k)));
  const auto unbias2 = static_cast<float>(1 / (1 - std::pow(0.999, k)));
  theta -= rate * unbias1 * m / ((unbias2 * v).sqrt() + kEpsilon);
}

void Mlp::follow(const Mlp& source, float tau) {
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    parameters_[i] = tau * source.parameters_[i] + (1 - tau) * parameters_[i];
}

}  // namespace bitplan
