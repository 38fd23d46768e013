#pragma once

#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "eval/kernels/convolution_plan.hpp"
#include "eval/kernels/program.hpp"

namespace bitplan {

/// A layer as an 8-bit convolution with 32-bit accumulation. Its input are the codes u = q - q_min of the activation's
/// quantizer (0 … 255), its weights w = q - z (-128 … 127); with s_x, s_w [channel] the two scales and z_x the zero
/// point of u,
///
///   y = s_x s_w sum (u - z_x) w + b
///
/// Linear layers are 1x1 convolutions (plan_product). Channels last.
struct IntegerLayer {
  ConvolutionPlan plan;
  bool product = false;            ///< a linear layer: reads and writes row-major tensors
  Layout onnx{};                   ///< plan.weights in the file's order
  std::array<Layout, 3> packed{};  ///< by IntegerForm; empty when that form has no fast kernel
  float factor = 1;                ///< Gemm's alpha
  std::vector<float> bias{};       ///< by channel, of Conv and Gemm; empty: none

  bool has(IntegerForm form) const { return packed[static_cast<std::size_t>(form)].get_size() > 0; }
};

/// Nothing for a layer that has no such kernel: other operators, other ranks than images, CPUs whose 8-bit products
/// saturate (without VNNI or AMX, oneDNN adds pairs of products in 16 bits).
std::optional<IntegerLayer> integer_layer(const Network& network, const Layer& layer, const dnnl::engine& engine);

/// How the product with `weights` (of a form) is computed into `target`. Empty when there is no fast kernel.
dnnl::convolution_forward::primitive_desc describe_integer(const IntegerLayer& layer, IntegerForm form,
                                                           const Layout& weights, const Layout& target,
                                                           const dnnl::post_ops& post_ops, const dnnl::engine& engine);

/// The bounds of a tensor that Relu or Clip makes; infinite for others.
struct Clamp {
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
  bool operator==(const Clamp&) const = default;
};
Clamp clamp_of(const Network& network, TensorId tensor);

/// Whether the quantizer's 256 levels need no bounds besides those of a byte for a tensor of that clamp: what Relu and
/// Clip cut off lies beyond the first and the last level.
bool fills_byte(const Affine& quantizer, const Clamp& clamp);

/// Which layers of a candidate are computed in integers, and what else changes the steps. Programs are compiled for such
/// a pattern.
struct IntegerPattern {
  std::shared_ptr<const std::vector<std::optional<IntegerLayer>>> layers;  ///< by LayerId
  std::vector<IntegerForm> forms;                                          ///< by LayerId; empty: all float
  bool full_bytes = false;  ///< every quantizer fills its byte, so codes need no bounds
  bool parts = false;       ///< some site is quantized by parts: in a pass over it, never by the kernels around it
  std::vector<bool> elements;  ///< by LayerId: layers with a bias by element of their output; empty: none
  std::shared_ptr<const Program>
      floats;  ///< all float: layers that stay float share its packed weights; null: this is it

  bool by_element(LayerId layer) const { return !elements.empty() && elements[static_cast<std::size_t>(layer)]; }
};

/// Weight codes as the kernel of a layer reads them, for one form; null when they do not fit: scales of groups, a
/// difference q - z beyond 8 bits, more of them than 32-bit sums of products can hold.
std::shared_ptr<PackedWeight> pack_codes(const IntegerLayer& layer, IntegerForm form, const WeightView& view,
                                         const QuantizedWeight& weight, const dnnl::engine& engine);

}  // namespace bitplan
