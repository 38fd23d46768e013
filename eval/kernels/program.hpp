#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "eval/executor/executor.hpp"
#include "eval/kernels/layout.hpp"

namespace bitplan {

using ValueId = int;  ///< index into Program::values
inline constexpr int kNoValue = -1;

/// An array of a program: a tensor of the network in one layout, its quantized copy, or scratch memory.
struct Value {
  DType dtype = DType::f32;
  Shape shape{};          ///< logical
  Layout layout{};        ///< floats only; empty for other types
  bool plain = true;      ///< row-major
  std::size_t bytes = 0;  ///< padding included
  ValueId storage = 0;    ///< the value whose memory this is: itself, or the one it views or overwrites
  std::shared_ptr<const std::byte> constant{};  ///< a constant's data; null: lies in the arena
  int lent = -1;                                ///< the network input that is read where the caller has it; -1: none
};

/// What a step reads: `value`, or `quantized` in its place when the candidate quantizes `site`; or the weight of a
/// layer.
struct Operand {
  ValueId value = kNoValue;
  SiteId site = -1;
  ValueId quantized = kNoValue;
  LayerId weight = -1;
  LayerId bias = -1;  ///< `value`, or in its place the bias that comes with the candidate's weight of this layer
};

struct Program;

/// One run of a program in one thread's memory: where its steps find their data.
struct Frame {
  const Program& program;
  std::byte* arena;
  const std::vector<dnnl::memory>& memories;  ///< by ValueId
  dnnl::stream& stream;
  std::vector<dnnl_exec_arg_t>& arguments;  ///< reused by every primitive step
  std::vector<float>& tapped;               ///< reused by every tap
  const Candidate& candidate;
  const Executor::Tap* tap;
  bool* invalid;                   ///< set by steps that would lose a NaN: the outputs become NaN
  std::span<const Tensor> inputs;  ///< of the network
  bool keeps_floats = false;       ///< what the step makes will be stored for other candidates, as it is
  SiteId stored = -1;              ///< the site that its producer has quantized already (OnStore)

  const Affine* quantizer(SiteId site) const;  ///< null: float, or by parts
  bool quantizes(SiteId site) const { return quantizer(site) || candidate.parts(site); }
  ValueId chosen(const Operand& operand) const { return quantizes(operand.site) ? operand.quantized : operand.value; }
  const PackedWeight& weight(LayerId layer) const;
  const std::byte* read(const Operand& operand) const;  ///< no weight operands
  std::byte* write(ValueId value) const;
  dnnl_memory_t memory(const Operand& operand) const;
  /// A view in the arena, plain.
  Tensor tensor(const Operand& operand) const;
};

/// One unit of work. Immutable: all that changes is in the frame.
class Step {
 public:
  virtual ~Step() = default;
  virtual void run(Frame& frame) const = 0;
  /// It finds all that it reads by Frame::read(), which need not lie in the arena.
  virtual bool reads_anywhere() const { return false; }
};

struct ProgramStep {
  std::unique_ptr<const Step> step;
  std::vector<ValueId> reads, writes;  ///< for the memory plan
  std::vector<ValueId> early{};        ///< what the next step writes, but this one may (OnStore)
  /// Whose weights and quantizers the step looks at in the candidate: all of them, as prefix reuse relies on it.
  std::vector<LayerId> layers{};
  std::vector<SiteId> sites{};
};

class Checkpoints;  // eval/executor/executor_checkpoints.hpp

/// How the weight of a layer is brought from ONNX's layout into its kernel's. Without a reorder it stays as it is.
struct Packing {
  Shape shape;  ///< in the ONNX file
  Layout onnx, packed;
  float factor = 1;                            ///< Gemm's alpha, multiplied in
  dnnl::reorder reorder;                       ///< null: plain
  Layout scratch;                              ///< of the reorder
  std::shared_ptr<const PackedWeight> weight;  ///< of the float network
  std::optional<std::vector<float>> bias;      ///< of the float network, by channel; nothing: the kernel takes none
};

/// A network as a list of steps over values, with a place in the arena for each of them. Immutable, shared by threads.
struct Program {
  std::shared_ptr<const Network> network;
  dnnl::engine engine;
  std::vector<Value> values;
  std::vector<ProgramStep> steps;
  std::vector<Packing> layers;            ///< by LayerId
  std::vector<ValueId> inputs, outputs;   ///< as network.inputs, network.outputs; plain
  std::vector<bool> quantized_by_reader;  ///< by SiteId: the kernel that reads the site quantizes it
  std::vector<std::size_t> offsets;       ///< in the arena, by ValueId
  std::size_t arena_bytes = 0;
  std::size_t naive_bytes = 0;                       ///< of an arena where nothing is reused
  std::shared_ptr<const Checkpoints> checkpoints{};  ///< where a run may begin
};

/// The weight of a layer as its kernel reads it.
class PackedWeight {
 public:
  std::uint64_t serial = next_serial();  ///< of no other weight of this process, unlike the address
  std::size_t bytes = 0;
  Tensor plain;         ///< for kernels that take ONNX's layout
  dnnl::engine engine;  ///< keeps the engine of `memory` alive
  dnnl::memory memory;
  dnnl::memory bias;         ///< in place of the float network's; empty: that one
  std::vector<float> added;  ///< by channel, what is in `bias` besides it; empty: nothing
  dnnl::memory elements;     ///< added to each sample of the layer's output, row-major; empty: nothing
  // Of 8-bit codes (eval/kernels/integer_layer.hpp), by output channel:
  IntegerForm form = IntegerForm::none;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;  ///< of the codes

 private:
  static std::uint64_t next_serial();
};

std::shared_ptr<PackedWeight> pack_weight(const Packing& packing, const dnnl::engine& engine,
                                          std::span<const float> values);

}  // namespace bitplan
