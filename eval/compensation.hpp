#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "eval/evaluator_data.hpp"
#include "eval/executor.hpp"

namespace bitplan {

/// What is added to each layer's bias, by LayerId and output channel; empty: nothing.
using Biases = std::vector<std::vector<float>>;

/// A quantized network as compensation changes it.
struct Compensated {
  std::vector<std::optional<Affine>> activations;     ///< by SiteId
  std::function<std::vector<float>(LayerId)> values;  ///< of a quantized weight in its layer's layout; empty: float
  std::vector<std::shared_ptr<const SiteQuantizer>> by_parts{};  ///< as Candidate's
};

/// Bias compensation through the network: layer after layer, in topological order, gets what makes the mean of each of
/// its output channels the float network's, with the inputs that the layers before it, already compensated, give it:
///
///   b_r = E (w_r . x - w'_r . xq)        (Nagel et al. 2019, arXiv:1906.04721, section 4.2; Finkelstein et al. 2019)
///
/// x, xq: inputs in the float and the quantized network over the calibration data. The least-squares choice: given the
/// layers before it no other constant leaves the layer a smaller output error. Layers without moments and layers whose
/// kernel takes no bias keep theirs. Computed in float arithmetic. Cost: one pass of the data through the float network,
/// and one run through the quantized one's beginning for each layer, half a pass on average. Deterministic for any number of threads. Throws Interrupted.
Biases compensate(const Executor& executor, ChunkedData& data, const Compensated& network,
                  std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop = nullptr);

}  // namespace bitplan
