#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/rng.hpp"

namespace bitplan {

/// A small fully connected network with ReLU between its layers and one output, trained by Adam on one thread:
///
///   h_0 = x,  h_l = relu(W_l h_{l-1} + b_l),  y = W_n h_{n-1} + b_n   or   y = 1 / (1 + exp(-(W_n h_{n-1} + b_n)))
///
/// Batches are columns: a batch of B inputs of size n is n x B, column by column, float32. Weights and biases start
/// uniform in +-1 / sqrt(inputs of the layer), as PyTorch's do. The products are Eigen's: O(B * weights) a pass.
class Mlp {
 public:
  enum class Output { linear, sigmoid };

  /// The last `own` inputs have a first-layer weight matrix of their own (a critic's action), so that their weights
  /// start in +-1 / sqrt(own): among many state inputs the action would start unheard.
  Mlp(std::vector<int> sizes, Output output, int own, Rng& rng);

  /// The outputs of a batch, one each. Valid until the next call.
  std::span<const float> forward(std::span<const float> inputs, int batch);
  /// Backpropagation through the last forward(): from dL/dy of each sample to dL/dx (n x B). With `learn` the gradients
  /// of the weights are kept for step(); without, they are not computed.
  std::span<const float> backward(std::span<const float> output_gradient, bool learn);
  /// One step of Adam (Kingma & Ba 2015; beta .9 and .999, epsilon 1e-8) down the gradient of backward(…, true).
  void step(float rate);
  /// theta := tau * source + (1 - tau) * theta, for target networks.
  void follow(const Mlp& source, float tau);

  std::span<float> parameters() { return parameters_; }          ///< W_1 (column-major), b_1, W_2, …
  std::span<const float> gradient() const { return gradient_; }  ///< in the same order

 private:
  struct Layer {
    int inputs = 0, outputs = 0;
    std::size_t weights = 0, biases = 0;  ///< where they begin in parameters_
  };

  std::vector<Layer> layers_;
  Output output_;
  int batch_ = 0;
  long steps_ = 0;
  std::vector<float> parameters_, gradient_, first_moment_, second_moment_;
  std::vector<std::vector<float>> values_;  ///< h_0 … y of the last batch
  std::vector<float> delta_, next_delta_;   ///< dL/d(values before ReLU) on the way back
};

}  // namespace bitplan
