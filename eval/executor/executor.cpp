#include "eval/executor/executor.hpp"

#include <cstring>
#include <limits>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "eval/executor/executor_programs.hpp"
#include "eval/executor/executor_workspace.hpp"
#include "eval/executor/held_run.hpp"
#include "eval/executor/prefix_run.hpp"
#include "eval/kernels/integer_layer.hpp"

namespace bitplan {

struct Executor::Impl {
  std::shared_ptr<const Network> network;
  mutable ExecutorPrograms programs;

  Impl(std::shared_ptr<const Network> net, bool fuse) : network(net), programs(std::move(net), fuse) {}
};

void Executor::WorkspaceDeleter::operator()(Workspace* workspace) const { delete workspace; }

Executor::Executor(std::shared_ptr<const Network> network, bool fuse)
    : impl_(std::make_unique<Impl>(std::move(network), fuse)) {}

Executor::~Executor() = default;

const Network& Executor::network() const { return *impl_->network; }

namespace {

void check_size(const Network& network, LayerId layer, const Shape& shape, std::size_t size) {
  if (static_cast<std::int64_t>(size) == element_count(shape)) return;
  throw InputError("weight of layer '" + network.layer(layer).names.node + "' has " + std::to_string(size) +
                   " values; its shape " + to_string(shape) + " has " + std::to_string(element_count(shape)));
}

}  // namespace

namespace {

std::int64_t elements_of_sample(const Network& network, LayerId id) {
  const Layer& layer = network.layer(id);
  for (const TensorId tensor : {layer.input, layer.output}) {
    const Shape& shape = network.tensor(tensor).shape;
    if (shape.size() < 2 || shape[0] != network.batch) return 0;
  }
  return element_count(network.tensor(layer.output).shape) / network.batch;
}

void add_channels(std::span<const float> bias, const Packing& packing, PackedWeight& packed) {
  packed.added.assign(bias.begin(), bias.end());
  packed.bias = dnnl::memory(plain_layout({std::ssize(bias)}), packed.engine);
  auto* values = static_cast<float*>(packed.bias.get_data_handle());
  for (std::size_t i = 0; i < bias.size(); ++i) values[i] = (*packing.bias)[i] + bias[i];
  packed.bytes += 2 * bias.size_bytes();
}

void add_elements(std::span<const float> bias, Shape sample, PackedWeight& packed) {
  sample[0] = 1;
  packed.elements = dnnl::memory(plain_layout(sample), packed.engine);
  std::ranges::copy(bias, static_cast<float*>(packed.elements.get_data_handle()));
  packed.bytes += bias.size_bytes();
}

/// One number a channel is a bias by channel, also where a sample has no more elements.
void add_bias(const Network& network, LayerId layer, const Packing& packing, std::span<const float> bias,
              const dnnl::engine& engine, PackedWeight& packed) {
  if (bias.empty()) return;
  const std::string& name = network.layer(layer).names.node;
  if (!packing.bias) throw InputError("layer '" + name + "' takes no bias: nothing can be added to its output");
  packed.engine = engine;
  if (bias.size() == packing.bias->size()) return add_channels(bias, packing, packed);
  const std::int64_t elements = elements_of_sample(network, layer);
  if (std::ssize(bias) == elements)
    return add_elements(bias, network.tensor(network.layer(layer).output).shape, packed);
  throw InputError("bias of layer '" + name + "' has " + std::to_string(bias.size()) + " values; the layer has " +
                   std::to_string(packing.bias->size()) + " output channels" +
                   (elements == 0 ? "" : " and " + std::to_string(elements) + " output elements a sample"));
}

}  // namespace

std::shared_ptr<const PackedWeight> Executor::pack(LayerId layer, std::span<const float> values,
                                                   std::span<const float> bias) const {
  const Program& program = impl_->programs.floats();
  const Packing& packing = program.layers.at(static_cast<std::size_t>(layer));
  check_size(network(), layer, packing.shape, values.size());
  auto packed = pack_weight(packing, program.engine, values);
  add_bias(network(), layer, packing, bias, program.engine, *packed);
  return packed;
}

bool Executor::takes_bias(LayerId layer) const {
  return impl_->programs.floats().layers.at(static_cast<std::size_t>(layer)).bias.has_value();
}

std::int64_t Executor::element_biases(LayerId layer) const {
  return takes_bias(layer) ? elements_of_sample(network(), layer) : 0;
}

IntegerForm Executor::integer_form(LayerId id, const Affine& input) const {
  const IntegerLayer* layer = impl_->programs.integer_layer(id);
  if (!layer || input.q_max - input.q_min > 255) return IntegerForm::none;
  if (input.zero_point == input.q_min || !layer->plan.has_padding()) return IntegerForm::centered;
  return layer->has(IntegerForm::shifted) ? IntegerForm::shifted : IntegerForm::none;
}

std::shared_ptr<const PackedWeight> Executor::pack(LayerId id, IntegerForm form, const QuantizedWeight& weight) const {
  const IntegerLayer* integer = impl_->programs.integer_layer(id);
  assert(integer && integer->has(form));
  const Layer& layer = network().layer(id);
  check_size(network(), id, layer.weight_shape, weight.codes.size());
  const Program& program = impl_->programs.floats();
  auto packed =
      pack_codes(*integer, form, WeightView::of(layer.weight_shape, layer.channel_axis), weight, program.engine);
  if (packed)
    add_bias(network(), id, program.layers[static_cast<std::size_t>(id)], weight.bias, program.engine, *packed);
  return packed;
}

std::size_t Executor::bytes(const PackedWeight& weight) { return weight.bytes; }

IntegerForm Executor::form(const PackedWeight& weight) { return weight.form; }

Executor::WorkspacePtr Executor::make_workspace() const {
  return WorkspacePtr(new Workspace(impl_->programs.floats()));
}

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

void make_nan(const Program& program, std::byte* arena) {
  for (const ValueId id : program.outputs) {
    const Value& value = program.values[static_cast<std::size_t>(id)];
    if (value.dtype != DType::f32 || value.constant) continue;
    auto* data = reinterpret_cast<float*>(arena + program.offsets[static_cast<std::size_t>(id)]);
    std::fill_n(data, element_count(value.shape), std::numeric_limits<float>::quiet_NaN());
  }
}

void copy_inputs(const Program& program, std::span<const Tensor> inputs, const Frame& frame) {
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].byte_size() > 0 && program.values[static_cast<std::size_t>(program.inputs[i])].lent < 0)
      std::memcpy(frame.write(program.inputs[i]), inputs[i].bytes(), inputs[i].byte_size());
}

}  // namespace

void Executor::run(Workspace& w, std::span<const Tensor> inputs, const Candidate& candidate, const Tap* tap,
                   const PrefixReuse* reuse) const {
  check_inputs(network(), inputs);
  const Workspace::Bound& bound = w.bind(impl_->programs.of(candidate));
  const Program& program = *bound.program;
  w.last = &program;
  bool invalid = false;
  Frame frame{program,     w.arena(), bound.memories, w.stream,
              w.arguments, w.tapped,  candidate,      tap && *tap ? tap : nullptr,
              &invalid,    inputs};
  PrefixRun prefix(*program.checkpoints, candidate, frame.tap ? nullptr : reuse, w.arena());
  if (prefix.first_step() == 0) copy_inputs(program, inputs, frame);
  // Primitives were laid out for one thread; here OpenMP has one too, wherever run is called from.
  parallel_for(1, 1, [&](std::size_t, int) {
    for (std::size_t i = prefix.first_step(); i < program.steps.size(); ++i) {
      if (!invalid) prefix.before(i);  // what is stored must not forget that
      frame.keeps_floats = prefix.stores_before(i + 1);
      program.steps[i].step->run(frame);
    }
  });
  if (invalid) make_nan(program, w.arena());
}

void Executor::run_to(SiteId site, Workspace& w, std::span<const Tensor> inputs, const Candidate& candidate,
                      const Tap& see, HeldRun& held) const {
  check_inputs(network(), inputs);
  const Workspace::Bound& bound = w.bind(impl_->programs.of(candidate));
  const Program& program = *bound.program;
  w.last = nullptr;
  bool seen = false, invalid = false;
  const Tap tap = [&](SiteId at, std::span<const float> values) {
    if (at == site) seen = true, see(at, values);
  };
  Frame frame{program, w.arena(), bound.memories, w.stream, w.arguments, w.tapped, candidate, &tap, &invalid, inputs};
  if (held.program)
    take_up(held, program, w.arena());
  else
    copy_inputs(program, inputs, frame);
  std::size_t step = held.step;
  parallel_for(1, 1, [&](std::size_t, int) {
    while (!seen && step < program.steps.size()) program.steps[step++].step->run(frame);
  });
  assert(seen && "the run had passed the site");
  hold(program, step, w.arena(), held);
}

namespace {

const std::byte* output_data(const Program& program, const std::byte* arena, std::size_t i) {
  const auto id = static_cast<std::size_t>(program.outputs.at(i));
  const Value& value = program.values[id];
  return value.constant ? value.constant.get() : arena + program.offsets[id];
}

}  // namespace

Tensor Executor::output(const Workspace& w, std::size_t i) const {
  assert(w.last && "outputs come from a run");
  const TensorInfo& info = network().tensor(network().outputs.at(i));
  Tensor result(info.dtype, info.shape);
  if (result.byte_size() > 0)
    std::memcpy(result.mutable_bytes(), output_data(*w.last, w.arena(), i), result.byte_size());
  return result;
}

std::span<const float> Executor::output_values(const Workspace& w, std::size_t i) const {
  assert(w.last && "outputs come from a run");
  const TensorInfo& info = network().tensor(network().outputs.at(i));
  assert(info.dtype == DType::f32);
  return {reinterpret_cast<const float*>(output_data(*w.last, w.arena(), i)),
          static_cast<std::size_t>(element_count(info.shape))};
}

std::size_t Executor::workspace_bytes() const { return impl_->programs.floats().arena_bytes; }
std::size_t Executor::naive_workspace_bytes() const { return impl_->programs.floats().naive_bytes; }

}  // namespace bitplan
