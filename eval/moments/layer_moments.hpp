#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/data/evaluator_data.hpp"
#include "eval/executor/executor.hpp"
#include "quant/moments/input_moments.hpp"

namespace bitplan {

struct MomentsRequest {
  LayerId layer = 0;
  /// At most this many positions, 0: all. Sample s of S gives its share, floor((s+1) m/S) - floor(s m/S) of its rows:
  /// one from each of that many equal runs of them, at a place that depends on s and the run alone.
  std::int64_t max_rows = 0;
};

/// Runs `data` through the float network and, with a candidate, through the quantized one; gathers moments of layers'
/// inputs (eval/moments/patches.hpp says what their rows are). xq are the inputs as the candidate's layers before this one make
/// them, quantized by candidate->activations where it has a quantizer for them; its weights must be float arithmetic.
/// Gemm's alpha is part of x. Runs end at the last of the layers. Samples that fill up the last chunk are left out; of
/// an input whose leading dimension is not a multiple of the batch all rows count.
///
/// The same to the bit for any number of threads (workspaces): chunks are run in parallel, `workspaces.size()` at a
/// time; their rows are collected in order, 1024 together, and multiplied tile by tile (GramAccumulator).
/// Cost: a run a chunk (two), rows * columns^2 / 2 multiply-adds a group (3/2 with a candidate), the diagonal's tiles
/// being whole. Memory of a layer: 8 columns^2 bytes a group (20 with a candidate), 16 MB or 4 KB a column (twice), one
/// input a thread (two). Linear layers whose tokens are weighted (token_weights.hpp): multiply-adds and columns^2
/// twice.
///
/// Throws InputError for layers without such rows (embeddings, ConvTranspose, constant left operands), without samples
/// and for activations that are not finite.
std::vector<LayerMoments> collect_moments(const Executor& executor, ChunkedData& data,
                                          std::span<const MomentsRequest> requests, const Candidate* candidate,
                                          std::span<Executor::WorkspacePtr> workspaces);

/// Only mean, of several layers in one pass, in the network that the candidate makes (an empty one: the float network):
/// what bias compensation needs. The mean patch of a convolution comes from the mean image, so the cost is one addition
/// an activation. Memory: 8 bytes an element of one sample of each layer's input, a thread. Otherwise as above.
std::vector<LayerMoments> collect_means(const Executor& executor, ChunkedData& data, std::span<const LayerId> layers,
                                        const Candidate& candidate, std::span<Executor::WorkspacePtr> workspaces);

/// The mean of each layer's input over samples: one sample, of the input's shape without the batch. All of the layers'
/// inputs must have the batch as their leading dimension. Memory as above; otherwise as above.
std::vector<std::vector<float>> collect_mean_inputs(const Executor& executor, ChunkedData& data,
                                                    std::span<const LayerId> layers, const Candidate& candidate,
                                                    std::span<Executor::WorkspacePtr> workspaces);

}  // namespace bitplan
