#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/tensor.hpp"
#include "model/network.hpp"
#include "quant/affine.hpp"

namespace bitplan {

/// The weight of one layer in the layout that its kernel wants; immutable, shared by threads and candidates.
class PackedWeight;

/// What differs between candidates. Null or empty means float.
struct Candidate {
  std::vector<std::shared_ptr<const PackedWeight>> weights;  ///< by LayerId; null: the float weight
  std::vector<std::optional<Affine>> activations;            ///< by SiteId (activation sites used only); none: float
};

/// Runs a Network with oneDNN. Primitives are made once for one thread, float weights are packed once; a run allocates
/// no buffers (operators without a fast kernel excepted, see eval/kernels/kernel_table.hpp). Activations are quantized
/// (fake-quantized in float) where a layer reads them; other readers of the same tensor (a residual sum) see the float
/// values. Immutable after construction and safe to share between threads, each with a Workspace of its own.
///
/// Kernels take what precedes them in the layout it has: blocks of channels from the first convolution on, row-major
/// where a kernel needs that. Convolutions and products take the functions and residual sums behind them
/// (eval/executor_fusion.hpp). 3x3 convolutions of many channels use Winograd's F(4x4, 3x3): logits of the CIFAR models
/// within 2e-6 of ONNX Runtime's, relative to the largest; their packed weights are four times as large.
///
/// One run takes network.batch samples. Same inputs, same candidate, same CPU type: same outputs to the bit, whatever
/// thread runs it.
class Executor {
 public:
  /// fuse = false computes each node by itself: slower, for tests.
  explicit Executor(std::shared_ptr<const Network> network, bool fuse = true);
  ~Executor();

  const Network& network() const;

  /// Packs weight values (the layer's own ONNX layout and size) for this layer.
  std::shared_ptr<const PackedWeight> pack(LayerId layer, std::span<const float> values) const;
  /// Bytes a packed weight holds, for bounded caches.
  static std::size_t bytes(const PackedWeight& weight);

  /// Memory of one thread: activations, scratch, memory handles.
  class Workspace;
  struct WorkspaceDeleter {
    void operator()(Workspace*) const;
  };
  using WorkspacePtr = std::unique_ptr<Workspace, WorkspaceDeleter>;
  WorkspacePtr make_workspace() const;

  /// Sees the float values of an activation site while the network runs, in plain row-major order.
  using Tap = std::function<void(SiteId site, std::span<const float> values)>;

  /// Runs the network on `inputs` (shapes as network.inputs). The results stay in the workspace until the next run.
  void run(Workspace& workspace, std::span<const Tensor> inputs, const Candidate& candidate,
           const Tap* tap = nullptr) const;

  /// Output i of the last run, plain row-major, shape as network.outputs[i]. Float outputs only for output_values().
  std::span<const float> output_values(const Workspace& workspace, std::size_t i) const;
  Tensor output(const Workspace& workspace, std::size_t i) const;

  /// Bytes of one workspace, and of one that never reused memory, for `bench` and tests.
  std::size_t workspace_bytes() const;
  std::size_t naive_workspace_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitplan
