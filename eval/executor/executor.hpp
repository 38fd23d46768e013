#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/tensor.hpp"
#include "model/network.hpp"
#include "quant/math/affine.hpp"
#include "quant/site_quantizer.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// The weight of one layer in the layout that its kernel wants; immutable, shared by threads and candidates.
class PackedWeight;

/// How a layer is computed in 8-bit integers with 32-bit accumulation.
enum class IntegerForm : std::uint8_t {
  none,      ///< not at all: fake-quantized, in float
  centered,  ///< the input's zero point is taken out of the sum once a channel: layers without padding, or zero at code
             ///< 0
  shifted    ///< the kernel subtracts the zero point as it goes, and pads with it
};

/// Whether this CPU adds 8-bit products in 32 bits (VNNI, AMX). Without that no layer has an integer form: older
/// instructions add pairs of products in 16 bits, which saturates.
bool integer_kernels();

/// What differs between candidates. Null or empty means float. A layer runs in integers when its packed weight has a
/// form (Executor::pack with one); its input must be quantized to at most 256 levels then.
struct Candidate {
  std::vector<std::shared_ptr<const PackedWeight>> weights;  ///< by LayerId; null: the float weight
  std::vector<std::optional<Affine>> activations;            ///< by SiteId (activation sites used only); none: float
  /// By SiteId: sites that one Affine does not describe, which have none among `activations`. Quantized in a pass of
  /// their own, in float; may be empty.
  std::vector<std::shared_ptr<const SiteQuantizer>> by_parts;

  const SiteQuantizer* parts(SiteId site) const {
    const auto s = static_cast<std::size_t>(site);
    return site >= 0 && s < by_parts.size() ? by_parts[s].get() : nullptr;
  }
};

class PrefixCache;

/// Lets a run begin with the activations of an earlier one whose choices are the same up to there.
struct PrefixReuse {
  PrefixCache* cache = nullptr;
  std::uint64_t chunk = 0;       ///< names the inputs: never the same number for others
  std::uint64_t evaluation = 0;  ///< names the candidate's evaluation: the same for its runs on other inputs
};

struct Program;

/// A run that was left between two steps, and what the later ones need of it. Executor::run_to takes it up again.
struct HeldRun {
  const Program* program = nullptr;  ///< null: not begun
  std::size_t step = 0;              ///< the next one
  std::vector<std::byte> alive{};
};

/// Runs a Network with oneDNN. Primitives are made once for one thread, float weights are packed once; a run allocates
/// no buffers (operators without a fast kernel excepted, see eval/kernels/kernel_table.hpp). Activations are quantized
/// (fake-quantized in float) where a layer reads them; other readers of the same tensor (a residual sum) see the float
/// values. Immutable after construction and safe to share between threads, each with a Workspace of its own.
///
/// Kernels take what precedes them in the layout it has: blocks of channels from the first convolution on, row-major
/// where a kernel needs that. Convolutions and products take the functions and residual sums behind them
/// (eval/executor/executor_fusion.hpp). 3x3 convolutions of many channels use Winograd's F(4x4, 3x3): logits of the CIFAR models
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

  /// Packs weight values (the layer's own ONNX layout and size) for this layer; `bias` is added to its own bias: by
  /// output channel, or by element of its output for one sample (row-major, element_biases() values), empty: none. What
  /// follows a layer with a bias by element is not computed together with it: slower. Throws InputError when the layer
  /// has a bias to add and its kernel takes none, or one of another size.
  std::shared_ptr<const PackedWeight> pack(LayerId layer, std::span<const float> values,
                                           std::span<const float> bias = {}) const;
  /// Whether a bias can be added to the layer's output: not to embeddings, not to layers without a fast kernel.
  bool takes_bias(LayerId layer) const;
  /// Elements of the layer's output for one sample; 0 for layers that take no bias, and where the leading dimension of
  /// input and output is not the batch, so that their rows belong to no sample.
  std::int64_t element_biases(LayerId layer) const;
  /// The form in which the layer can be computed in integers with this quantizer of its input; none when it cannot: no
  /// such kernel for the operator and its shapes, more than 256 levels, a CPU without exact 8-bit products.
  IntegerForm integer_form(LayerId layer, const Affine& input) const;
  /// Packs weight codes, and the bias that comes with them, for that form. Null when they do not fit: scales of groups
  /// or columns, zero points between codes, columns in float, q - z beyond 8 bits.
  std::shared_ptr<const PackedWeight> pack(LayerId layer, IntegerForm form, const QuantizedWeight& weight) const;
  /// Bytes a packed weight holds, for bounded caches.
  static std::size_t bytes(const PackedWeight& weight);
  static IntegerForm form(const PackedWeight& weight);

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
  /// With `reuse` (not together with a tap) they are the same to the bit.
  void run(Workspace& workspace, std::span<const Tensor> inputs, const Candidate& candidate, const Tap* tap = nullptr,
           const PrefixReuse* reuse = nullptr) const;

  /// Runs on from where `held` was left, a new one from the inputs, up to the end of an activation site; shows its
  /// float values and leaves the run there. The candidate may differ from that of the call before in what is read later
  /// only. There are no outputs. Each site has its place in the order of the steps, that in which run() shows them:
  /// asking for one that the run has passed is a mistake.
  void run_to(SiteId site, Workspace& workspace, std::span<const Tensor> inputs, const Candidate& candidate,
              const Tap& see, HeldRun& held) const;

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
