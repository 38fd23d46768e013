#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "eval/kernels/program.hpp"

namespace bitplan {

/// Lays a network out as a Program: which values there are, in which layout, who reads them, which steps make them.
/// Kernels (eval/kernels/*.cpp) ask it for their inputs in the layout that they want, add their steps and define their
/// outputs in the layout that they make; reorders and the quantization of activations appear by themselves.
///
/// A tensor's value is quantized once, right after it was made, while it is in cache: in place when only layers read
/// it, into a second value otherwise, which layers read when the candidate quantizes the site.
class ProgramBuilder {
 public:
  explicit ProgramBuilder(std::shared_ptr<const Network> network);

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
  static Operand weight(LayerId layer) { return {.weight = layer}; }

  // Making values.
  ValueId make(DType dtype, const Shape& shape);                               ///< plain
  ValueId make(const Layout& layout);                                          ///< float
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
  void add(std::unique_ptr<const Step> step, const std::vector<Operand>& reads, const std::vector<ValueId>& writes);
  struct Argument {
    int slot;  ///< DNNL_ARG_…
    Operand operand;
  };
  /// A oneDNN primitive with user-managed scratch memory.
  void add(const dnnl::primitive& primitive, const Layout& scratch, std::vector<Argument> reads,
           const std::vector<Argument>& writes);
  /// The tensor's values are now in `value`. Adds tap and quantization when it is an activation site.
  void define(TensorId tensor, ValueId value);

  /// The kernel of `layer` reads its weight in `packed`, brought there from `onnx`, times `factor`.
  void pack(LayerId layer, const Layout& onnx, const Layout& packed, float factor = 1);
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
  };

  TensorState& state(TensorId tensor);
  void define_constant(TensorId tensor);
  void reorder(const Operand& from, ValueId to);
  ValueId reorder_constant(ValueId from, const Layout& layout);
  Operand in_layout(const Operand& base, std::vector<ValueId> TensorState::*copies, TensorId tensor,
                    const Layout& layout);
  bool only_layers_read(TensorId tensor) const;
  bool read_later(TensorId tensor) const;
  ValueId push(Value value);

  Program program_;
  std::vector<TensorState> states_;
  std::vector<SiteId> site_of_tensor_;
  std::vector<LayerId> layer_of_node_;
  std::vector<bool> laid_out_;
  std::map<ValueId, std::set<TensorId>> tensors_in_storage_;
};

/// Attributes of all our primitives: scratch memory comes from the workspace.
dnnl::primitive_attr workspace_attributes();

}  // namespace bitplan
