#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "eval/data/evaluator_data.hpp"
#include "eval/executor/executor.hpp"

namespace bitplan {

/// What is added to each layer's bias, by LayerId: by output channel, or by element of its output for one sample,
/// row-major (Executor::pack tells them apart by their number); empty: nothing.
using Biases = std::vector<std::vector<float>>;

enum class BiasPer : std::uint8_t { channel, element };

/// The values of a layer's quantized weight in its own layout; empty: float.
using QuantizedValues = std::function<std::vector<float>(LayerId)>;

/// Bias compensation through the network: layer after layer, in topological order, gets what makes the mean of its
/// output the float network's, with the inputs that the layers before it, already compensated, give it:
///
///   by channel r   b_r = E (w_r . x - w'_r . xq)   over samples and positions (Nagel et al. 2019, arXiv:1906.04721,
///                                                  section 4.2; Finkelstein et al. 2019)
///   by element e   b_e = E (y_e - yq_e)            over samples (Gong et al. 2024, arXiv:2404.01892), y = w x and
///                                                  yq = w' xq the layer's outputs for a sample: [C, H, W], [T, F]
///
/// x, xq: inputs in the float and the quantized network over the calibration data. The least-squares choices: given the
/// layers before it no other constant of that shape leaves the layer a smaller output error. Layers are linear, so that
/// means of outputs come from means of inputs. A layer whose rows belong to no sample (Executor::element_biases) gets a
/// bias by channel; so does one that has one element a channel, where both are the same.
///
/// `candidate` holds the weights of `values`, packed for float arithmetic. Layers without moments and layers whose
/// kernel takes no bias keep theirs. Computed in float arithmetic. Cost: one pass of the data through the float
/// network, and one run through the quantized one's beginning for each layer, half a pass on average; by element two
/// runs of each layer's reference on one sample, and memory of 8 bytes for each element of one sample of every layer's
/// input, a thread. Deterministic for any number of threads. Throws Interrupted.
Biases compensate(const Executor& executor, ChunkedData& data, Candidate candidate, const QuantizedValues& values,
                  BiasPer per, std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop = nullptr);

}  // namespace bitplan
