#include "eval/executor.hpp"

#include <sys/mman.h>

#include <cstring>
#include <new>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "eval/executor_compile.hpp"
#include "eval/kernels/program.hpp"

namespace bitplan {

namespace {

constexpr std::align_val_t kHugePage{std::size_t{1} << 21};

struct HugePageDelete {
  void operator()(std::byte* p) const { ::operator delete(p, kHugePage); }
};

using Arena = std::unique_ptr<std::byte[], HugePageDelete>;

/// Memory in huge pages where the kernel gives them: measured 1.1 to 1.3 times as fast, as activations pass through
/// many more small pages than the CPU's address caches hold.
Arena make_arena(std::size_t bytes) {
  Arena arena(static_cast<std::byte*>(::operator new(std::max<std::size_t>(bytes, 1), kHugePage)));
  ::madvise(arena.get(), bytes, MADV_HUGEPAGE);  // advice only: no matter when it is refused
  return arena;
}

}  // namespace

struct Executor::Impl {
  Program program;
};

class Executor::Workspace {
 public:
  explicit Workspace(const Program& p) : program(p), arena(make_arena(p.arena_bytes)), stream(p.engine) {
    memories.reserve(p.values.size());
    std::size_t most = 0;
    for (std::size_t v = 0; v < p.values.size(); ++v) {
      const Value& value = p.values[v];
      if (value.layout.get_size() == 0) {
        memories.emplace_back();
        continue;
      }
      // oneDNN's memory handles are not const; constants are only ever bound to inputs.
      void* data = value.constant ? const_cast<std::byte*>(value.constant.get()) : arena.get() + p.offsets[v];
      memories.emplace_back(value.layout, p.engine, data);
    }
    for (const ProgramStep& step : p.steps) most = std::max(most, step.reads.size() + step.writes.size());
    arguments.reserve(most + 8);
  }

  const Program& program;
  Arena arena;
  dnnl::stream stream;
  std::vector<dnnl::memory> memories;
  std::vector<dnnl_exec_arg_t> arguments;
  std::vector<float> tapped;
};

void Executor::WorkspaceDeleter::operator()(Workspace* workspace) const { delete workspace; }

Executor::Executor(std::shared_ptr<const Network> network, bool fuse) : impl_(std::make_unique<Impl>()) {
  // oneDNN lays its primitives out for as many threads as OpenMP offers: one, inside parallel_for.
  parallel_for(1, 1, [&](std::size_t, int) { impl_->program = compile_program(std::move(network), fuse); });
}

Executor::~Executor() = default;

const Network& Executor::network() const { return *impl_->program.network; }

std::shared_ptr<const PackedWeight> Executor::pack(LayerId layer, std::span<const float> values) const {
  const Packing& packing = impl_->program.layers.at(static_cast<std::size_t>(layer));
  if (static_cast<std::int64_t>(values.size()) != element_count(packing.shape))
    throw InputError("weight of layer '" + network().layer(layer).names.node + "' has " +
                     std::to_string(values.size()) + " values; its shape " + to_string(packing.shape) + " has " +
                     std::to_string(element_count(packing.shape)));
  return pack_weight(packing, impl_->program.engine, values);
}

std::size_t Executor::bytes(const PackedWeight& weight) { return weight.bytes; }

Executor::WorkspacePtr Executor::make_workspace() const { return WorkspacePtr(new Workspace(impl_->program)); }

namespace {

void check_inputs(const Network& net, std::span<const Tensor> inputs) {
  if (inputs.size() != net.inputs.size())
    throw InputError("the network has " + std::to_string(net.inputs.size()) + " inputs, " +
                     std::to_string(inputs.size()) + " were given");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorInfo& wanted = net.tensor(net.inputs[i]);
    if (inputs[i].shape() != wanted.shape)
      throw InputError("input '" + wanted.name + "' has shape " + to_string(inputs[i].shape()) +
                       "; the network takes " + to_string(wanted.shape));
    if (inputs[i].dtype() != wanted.dtype)
      throw InputError("input '" + wanted.name + "' is " + std::string(name_of(inputs[i].dtype())) +
                       "; the network takes " + std::string(name_of(wanted.dtype)));
  }
}

}  // namespace

void Executor::run(Workspace& w, std::span<const Tensor> inputs, const Candidate& candidate, const Tap* tap) const {
  const Program& program = impl_->program;
  assert(&w.program == &program && "a workspace belongs to its executor");
  check_inputs(network(), inputs);
  Frame frame{program,     w.arena.get(), w.memories, w.stream,
              w.arguments, w.tapped,      candidate,  tap && *tap ? tap : nullptr};
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].byte_size() > 0)
      std::memcpy(frame.write(program.inputs[i]), inputs[i].bytes(), inputs[i].byte_size());
  // Primitives were laid out for one thread; here OpenMP has one too, wherever run is called from.
  parallel_for(1, 1, [&frame](std::size_t, int) {
    for (const ProgramStep& step : frame.program.steps) step.step->run(frame);
  });
}

Tensor Executor::output(const Workspace& w, std::size_t i) const {
  const Program& program = impl_->program;
  const auto id = static_cast<std::size_t>(program.outputs.at(i));
  const Value& value = program.values[id];
  Tensor result(value.dtype, network().tensor(network().outputs[i]).shape);
  const std::byte* data = value.constant ? value.constant.get() : w.arena.get() + program.offsets[id];
  if (result.byte_size() > 0) std::memcpy(result.mutable_bytes(), data, result.byte_size());
  return result;
}

std::span<const float> Executor::output_values(const Workspace& w, std::size_t i) const {
  const Program& program = impl_->program;
  const auto id = static_cast<std::size_t>(program.outputs.at(i));
  const Value& value = program.values[id];
  assert(value.dtype == DType::f32);
  const std::byte* data = value.constant ? value.constant.get() : w.arena.get() + program.offsets[id];
  return {reinterpret_cast<const float*>(data), static_cast<std::size_t>(element_count(value.shape))};
}

std::size_t Executor::workspace_bytes() const { return impl_->program.arena_bytes; }
std::size_t Executor::naive_workspace_bytes() const { return impl_->program.naive_bytes; }

}  // namespace bitplan
