#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "eval/kernels/integer_layer.hpp"
#include "eval/kernels/on_store.hpp"
#include "eval/kernels/strided_operand.hpp"

namespace bitplan {

/// Lays a network out as a Program: which values there are, in which layout, who reads them, which steps make them.
/// Kernels (eval/kernels/*.cpp) ask it for their inputs in the layout that they want, add their steps and define their
/// outputs in the layout that they make; reorders and the quantization of activations appear by themselves.
///
/// A tensor's value is quantized once, right after it was made, while it is in cache: in place when only layers read
/// it, into a second value otherwise, which layers read when the candidate quantizes the site. Layers of the integer
/// pattern read codes instead, which their producer writes itself when nobody else reads the tensor.
class ProgramBuilder {
 public:
  explicit ProgramBuilder(std::shared_ptr<const Network> network, IntegerPattern integers = {});

  const Network& network() const { return *program_.network; }
  const dnnl::engine& engine() const { return program_.engine; }
  const Layer* layer_of(NodeId node) const;       ///< null: no layer
  const Tensor* constant(TensorId tensor) const;  ///< null: absent or not constant
  bool is_float(TensorId tensor) const;           ///< float32 with elements
  const Value& value(ValueId id) const { return program_.values[static_cast<std::size_t>(id)]; }

  // Reading. Constants are values too.
  Operand native(TensorId tensor);  ///< in the layout that its producer made
  Operand plain(TensorId tensor);
  Operand as(TensorId tensor, const Layout& layout);
  Operand copy_as(TensorId tensor, const Layout& layout);  ///< a copy that the caller may overwrite
  /// The input of a layer: the quantized values when the candidate quantizes the site.
  Operand layer_native(LayerId layer);
  Operand layer_as(LayerId layer, const Layout& layout);
  /// The same for a kernel that can quantize its input as it reads: float values with the site of which to take the
  /// quantizer when nobody else wants the quantized ones, layer_as() otherwise. To be called once, when the kernel is
  /// sure to be used.
  Operand layer_unquantized(LayerId layer, const Layout& layout);
  static Operand weight(LayerId layer) { return {.weight = layer}; }
  /// An input of a product of two computed tensors: quantized when the tensor's site says so for this node.
  Operand product_plain(NodeId product, TensorId tensor);
  /// A float tensor where it lies, without a copy: as define_strided() left it, or row-major. `product`: as above; -1:
  /// the float values.
  StridedOperand strided(TensorId tensor, NodeId product = -1);

  IntegerForm integer_form(LayerId layer) const;
  const IntegerLayer& integer_layer(LayerId layer) const;
  bool full_bytes() const { return integers_.full_bytes; }
  /// The codes of an integer layer's input, laid out as its plan.source.
  Operand codes(LayerId layer);
  /// The site whose codes may be written in place of `tensor`: only integer layers read it, all of them row-major
  /// (linear layers) or all channels last (convolutions), as said. -1: the values are needed.
  SiteId codes_only(TensorId tensor, bool row_major) const;
  void define_codes(TensorId tensor, ValueId codes);

  // Making values.
  ValueId make(DType dtype, const Shape& shape);                               ///< plain
  ValueId make(const Layout& layout);                                          ///< of the type that it has
  ValueId make_constant(const Layout& layout, std::span<const float> values);  ///< values in the layout's order
  ValueId view(ValueId base, const Shape& shape);                              ///< of a plain value
  Operand view(const Operand& base, const Shape& shape);                       ///< likewise, with its quantized copy
  ValueId view_as(ValueId base, const Layout& layout);                         ///< the same floats, seen otherwise
  ValueId to_plain(ValueId base);                                              ///< base, or a row-major copy
  ValueId overwrite(ValueId base, const Shape& shape);  ///< in place of a value that is not read any more
  /// No later step reads `tensor`, nor any other tensor in the memory of its native value.
  bool dies(TensorId tensor) const;
  bool share_storage(const Operand& operand, ValueId value) const;

  // Writing.
  void add(std::unique_ptr<const Step> step, const std::vector<Operand>& reads, const std::vector<ValueId>& writes,
           const OnStore& store = {});
  struct Argument {
    int slot;  ///< DNNL_ARG_…
    Operand operand;
  };
  /// A oneDNN primitive with user-managed scratch memory.
  void add(const dnnl::primitive& primitive, const Layout& scratch, std::vector<Argument> reads,
           const std::vector<Argument>& writes);
  /// What the kernel that makes `tensor` in `value` is to do with the values; nothing when it is no activation site, or
  /// not quantized in float by one quantizer. To be asked right before the step that makes them is added and define()
  /// called.
  OnStore on_store(TensorId tensor, ValueId value);
  /// The tensor's values are now in `value`. Adds tap and quantization when it is an activation site.
  void define(TensorId tensor, ValueId value);
  /// Its values were made in blocks of channels or channels last.
  bool is_blocked(TensorId tensor) const;
  /// The tensor's values lie scattered in another value (a transposed, sliced or repeated view). They are copied when a
  /// kernel first asks for them in a layout, at once when the tensor is an activation site, never for strided().
  void define_strided(TensorId tensor, const StridedOperand& place);

  /// The layout to ask for a layer's weight of these dimensions: the kernel's choice in the float program, the same as
  /// there in others.
  Layout weight_layout(LayerId layer, const Dims& dims) const;
  /// The kernel of `layer` reads its weight in `packed`, brought there from `onnx`, times `factor`.
  void pack(LayerId layer, const Layout& onnx, const Layout& packed, float factor = 1);
  /// The bias argument of `layer`'s kernel: these values by channel, or those that come with a candidate's weight.
  Operand bias(LayerId layer, std::vector<float> values);
  /// The kernel of `layer` reads its weight as in the ONNX file.
  void keep_plain(LayerId layer);

  /// Says that nodes are laid out now (or, when a kernel declined, not yet): they read nothing later.
  void mark(const std::vector<NodeId>& nodes, bool laid_out);
  /// Outputs, then the memory plan.
  Program finish();

 private:
  struct TensorState {
    ValueId native = kNoValue;
    Operand layer_input;          ///< of a site
    std::vector<ValueId> copies;  ///< in other layouts
    std::vector<ValueId> layer_copies;
    std::array<ValueId, 2> codes{kNoValue, kNoValue};  ///< channels last, row-major
    std::optional<StridedOperand> strided;             ///< until it is copied into `native`
    ValueId quantized = kNoValue;                      ///< of a site: where its SiteStep writes
    std::optional<std::size_t> quantization;           ///< that step
  };

  TensorState& state(TensorId tensor);
  void define_constant(TensorId tensor);
  void copy_strided(TensorId tensor);
  void reorder(const Operand& from, ValueId to);
  ValueId reorder_constant(ValueId from, const Layout& layout);
  Operand in_layout(const Operand& base, std::vector<ValueId> TensorState::*copies, TensorId tensor,
                    const Layout& layout);
  bool reads_quantized(NodeId node, TensorId tensor) const;
  bool only_layers_read(TensorId tensor) const;
  bool float_layers_read(SiteId site) const;
  void add_codes(TensorId tensor, SiteId site);
  ValueId place_quantized(TensorId tensor, ValueId value);
  LayerId biased_by_element(TensorId tensor) const;  ///< the layer that makes it; -1: none such
  bool read_later(TensorId tensor) const;
  ValueId push(Value value);
  bool take_packing(LayerId layer);

  Program program_;
  IntegerPattern integers_;
  std::vector<TensorState> states_;
  std::vector<SiteId> site_of_tensor_;
  std::vector<LayerId> layer_of_node_;
  std::vector<bool> laid_out_;
  std::map<ValueId, std::set<TensorId>> tensors_in_storage_;
};

/// Attributes of all our primitives: scratch memory comes from the workspace.
dnnl::primitive_attr workspace_attributes();

}  // namespace bitplan
