#include "eval/kernels/builder.hpp"

#include <algorithm>

#include "eval/executor/executor_checkpoints.hpp"
#include "eval/executor/executor_memory.hpp"
#include "eval/kernels/codes_step.hpp"
#include "eval/kernels/element_bias.hpp"
#include "eval/kernels/primitive_step.hpp"
#include "eval/kernels/site_step.hpp"

namespace bitplan {

dnnl::primitive_attr workspace_attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

ProgramBuilder::ProgramBuilder(std::shared_ptr<const Network> network, IntegerPattern integers)
    : integers_(std::move(integers)) {
  program_.network = std::move(network);
  // One for all programs: streams and packed weights belong to an engine.
  program_.engine = integers_.floats ? integers_.floats->engine : dnnl::engine(dnnl::engine::kind::cpu, 0);
  const Network& net = *program_.network;
  program_.layers.resize(net.layers.size());
  states_.resize(net.tensors.size());
  laid_out_.resize(net.nodes.size());
  site_of_tensor_.assign(net.tensors.size(), -1);
  program_.quantized_by_reader.resize(net.sites.size());
  layer_of_node_.assign(net.nodes.size(), -1);
  for (const Site& site : net.sites)
    if (site.kind == Site::Kind::activation) site_of_tensor_[static_cast<std::size_t>(site.tensor)] = site.id;
  for (const Layer& layer : net.layers) layer_of_node_[static_cast<std::size_t>(layer.node)] = layer.id;
  for (const TensorId input : net.inputs) {
    const TensorInfo& info = net.tensor(input);
    program_.inputs.push_back(make(info.dtype, info.shape));
    define(input, program_.inputs.back());
  }
}

const Layer* ProgramBuilder::layer_of(NodeId node) const {
  const LayerId layer = layer_of_node_[static_cast<std::size_t>(node)];
  return layer < 0 ? nullptr : &network().layer(layer);
}

const Tensor* ProgramBuilder::constant(TensorId tensor) const {
  if (tensor == kNoTensor) return nullptr;
  const auto& value = network().tensor(tensor).constant;
  return value ? &*value : nullptr;
}

bool ProgramBuilder::is_float(TensorId tensor) const {
  if (tensor == kNoTensor) return false;
  const TensorInfo& info = network().tensor(tensor);
  return info.dtype == DType::f32 && element_count(info.shape) > 0 && info.shape.size() <= DNNL_MAX_NDIMS;
}

ProgramBuilder::TensorState& ProgramBuilder::state(TensorId tensor) {
  TensorState& s = states_[static_cast<std::size_t>(tensor)];
  if (s.native == kNoValue && s.strided) copy_strided(tensor);
  if (s.native == kNoValue) define_constant(tensor);
  return s;
}

void ProgramBuilder::define_constant(TensorId tensor) {
  const Tensor* data = constant(tensor);
  assert(data && "tensors are defined in topological order");
  Value v{.dtype = data->dtype(), .shape = data->shape(), .bytes = data->byte_size()};
  if (is_float(tensor)) v.layout = plain_layout(data->shape());
  auto keep = std::make_shared<const Tensor>(*data);
  v.constant = std::shared_ptr<const std::byte>(keep, keep->bytes());
  TensorState& s = states_[static_cast<std::size_t>(tensor)];
  s.native = push(std::move(v));
  s.layer_input = {.value = s.native};
}

Operand ProgramBuilder::native(TensorId tensor) { return {.value = state(tensor).native}; }

Operand ProgramBuilder::plain(TensorId tensor) {
  if (value(state(tensor).native).plain) return native(tensor);
  return as(tensor, plain_layout(network().tensor(tensor).shape));
}

Operand ProgramBuilder::as(TensorId tensor, const Layout& layout) {
  return in_layout(native(tensor), &TensorState::copies, tensor, layout);
}

Operand ProgramBuilder::layer_native(LayerId layer) { return state(network().layer(layer).input).layer_input; }

Operand ProgramBuilder::layer_as(LayerId layer, const Layout& layout) {
  return in_layout(layer_native(layer), &TensorState::layer_copies, network().layer(layer).input, layout);
}

Operand ProgramBuilder::layer_unquantized(LayerId layer, const Layout& layout) {
  const TensorId tensor = network().layer(layer).input;
  TensorState& s = state(tensor);
  const SiteId id = site_of_tensor_[static_cast<std::size_t>(tensor)];
  if (integers_.parts || !s.quantization || !(value(s.native).layout == layout)) return layer_as(layer, layout);
  const Site& site = network().site(id);
  if (site.layers.size() != 1 || !site.products.empty()) return layer_as(layer, layout);
  program_.quantized_by_reader[static_cast<std::size_t>(id)] = true;
  ProgramStep& pass = program_.steps[*s.quantization];  // is left to show values to a tap
  pass.writes.clear();
  pass.sites.clear();
  s.layer_input = {.value = s.native, .site = id};
  return s.layer_input;
}

Operand ProgramBuilder::in_layout(const Operand& base, std::vector<ValueId> TensorState::*copies, TensorId tensor,
                                  const Layout& layout) {
  if (value(base.value).layout == layout) return base;
  for (const ValueId copy : state(tensor).*copies)
    if (value(copy).layout == layout) return {.value = copy};
  ValueId copy = kNoValue;
  if (value(base.value).constant) {
    copy = reorder_constant(base.value, layout);
  } else {
    copy = make(layout);
    reorder(base, copy);
  }
  (state(tensor).*copies).push_back(copy);
  tensors_in_storage_[copy].insert(tensor);
  return {.value = copy};
}

Operand ProgramBuilder::copy_as(TensorId tensor, const Layout& layout) {
  const ValueId copy = make(layout);
  reorder(native(tensor), copy);
  return {.value = copy};
}

void ProgramBuilder::reorder(const Operand& from, ValueId to) {
  const dnnl::reorder::primitive_desc pd(engine(), value(from.value).layout, engine(), value(to).layout,
                                         workspace_attributes());
  add(dnnl::reorder(pd), pd.scratchpad_desc(), {{DNNL_ARG_FROM, from}}, {{DNNL_ARG_TO, {.value = to}}});
}

ValueId ProgramBuilder::reorder_constant(ValueId from, const Layout& layout) {
  const Layout& given = value(from).layout;
  const dnnl::reorder::primitive_desc pd(engine(), given, engine(), layout);
  // oneDNN's memory handles are not const, but the source of a reorder is only read.
  dnnl::memory source(given, engine(), const_cast<std::byte*>(value(from).constant.get()));
  std::vector<float> values(layout.get_size() / sizeof(float));
  dnnl::memory target(layout, engine(), values.data());
  dnnl::stream stream(engine());
  dnnl::reorder(pd).execute(stream, source, target);
  return make_constant(layout, values);
}

IntegerForm ProgramBuilder::integer_form(LayerId layer) const {
  return integers_.forms.empty() ? IntegerForm::none : integers_.forms[static_cast<std::size_t>(layer)];
}

const IntegerLayer& ProgramBuilder::integer_layer(LayerId layer) const {
  return *(*integers_.layers)[static_cast<std::size_t>(layer)];
}

Operand ProgramBuilder::codes(LayerId layer) {
  const IntegerLayer& integer = integer_layer(layer);
  const TensorState& s = states_[static_cast<std::size_t>(network().layer(layer).input)];
  const ValueId codes = s.codes[integer.product];
  assert(codes != kNoValue && "define() makes the codes of each integer reader");
  return {.value = view_as(codes, channels_last(integer.plan.source, dnnl::memory::data_type::u8))};
}

SiteId ProgramBuilder::codes_only(TensorId tensor, bool row_major) const {
  const SiteId site = site_of_tensor_[static_cast<std::size_t>(tensor)];
  if (site < 0 || !network().site(site).products.empty() || !only_layers_read(tensor)) return -1;
  if (biased_by_element(tensor) >= 0) return -1;
  const bool all = std::ranges::all_of(network().site(site).layers, [&](LayerId id) {
    return integer_form(id) != IntegerForm::none && integer_layer(id).product == row_major;
  });
  return all ? site : -1;
}

void ProgramBuilder::define_codes(TensorId tensor, ValueId codes) {
  const SiteId site = site_of_tensor_[static_cast<std::size_t>(tensor)];
  const LayerId reader = network().site(site).layers.front();
  states_[static_cast<std::size_t>(tensor)].codes[integer_layer(reader).product] = codes;
}

/// Codes for each integer reader of the values that `tensor` has now.
void ProgramBuilder::add_codes(TensorId tensor, SiteId site) {
  for (const LayerId id : network().site(site).layers) {
    if (integer_form(id) == IntegerForm::none) continue;
    const bool row_major = integer_layer(id).product;
    ValueId& codes = states_[static_cast<std::size_t>(tensor)].codes[row_major];
    if (codes != kNoValue) continue;
    const Shape& shape = network().tensor(tensor).shape;
    const Operand values = row_major ? plain(tensor) : as(tensor, channels_last(shape, dnnl::memory::data_type::f32));
    const auto elements = static_cast<std::size_t>(element_count(shape));
    codes = row_major ? make(DType::u8, shape) : make(channels_last(shape, dnnl::memory::data_type::u8));
    add(std::make_unique<CodesStep>(site, values, codes, elements), {values}, {codes});
    program_.steps.back().sites.push_back(site);
  }
}

ValueId ProgramBuilder::push(Value v) {
  const auto id = static_cast<ValueId>(program_.values.size());
  v.storage = id;
  program_.values.push_back(std::move(v));
  return id;
}

ValueId ProgramBuilder::make(DType dtype, const Shape& shape) {
  Value v{.dtype = dtype, .shape = shape};
  v.bytes = static_cast<std::size_t>(element_count(shape)) * size_of(dtype);
  if (dtype == DType::f32) v.layout = plain_layout(shape);
  return push(std::move(v));
}

ValueId ProgramBuilder::make(const Layout& layout) {
  Value v{.dtype = dtype_of_layout(layout), .shape = dims_of(layout), .layout = layout, .bytes = layout.get_size()};
  v.plain = layout == plain_layout(v.shape);
  return push(std::move(v));
}

ValueId ProgramBuilder::make_constant(const Layout& layout, std::span<const float> values) {
  assert(layout.get_size() == values.size_bytes());
  const ValueId id = make(layout);
  auto keep = std::make_shared<const Tensor>(Tensor::of<float>({static_cast<std::int64_t>(values.size())}, values));
  program_.values[static_cast<std::size_t>(id)].constant = std::shared_ptr<const std::byte>(keep, keep->bytes());
  return id;
}

ValueId ProgramBuilder::view(ValueId base, const Shape& shape) {
  const Value of = value(base);
  assert(of.plain);
  Value v{.dtype = of.dtype, .shape = shape, .bytes = of.bytes};
  if (of.dtype == DType::f32) v.layout = plain_layout(shape);
  v.constant = of.constant;
  const ValueId id = push(std::move(v));
  program_.values[static_cast<std::size_t>(id)].storage = of.storage;
  return id;
}

Operand ProgramBuilder::view(const Operand& base, const Shape& shape) {
  Operand result = base;
  result.value = view(base.value, shape);
  if (base.quantized != kNoValue) result.quantized = view(base.quantized, shape);
  return result;
}

ValueId ProgramBuilder::view_as(ValueId base, const Layout& layout) {
  assert(layout.get_size() <= value(base).bytes);
  Value v{.shape = dims_of(layout), .layout = layout, .bytes = value(base).bytes, .constant = value(base).constant};
  v.plain = layout == plain_layout(v.shape);
  const ValueId storage = value(base).storage;
  const ValueId id = push(std::move(v));
  program_.values[static_cast<std::size_t>(id)].storage = storage;
  return id;
}

ValueId ProgramBuilder::to_plain(ValueId base) {
  if (value(base).plain) return base;
  const ValueId copy = make(plain_layout(value(base).shape));
  reorder({.value = base}, copy);
  return copy;
}

ValueId ProgramBuilder::overwrite(ValueId base, const Shape& shape) {
  Value v = value(base);
  assert(!v.constant);
  v.shape = shape;
  const ValueId storage = v.storage;
  const ValueId id = push(std::move(v));
  program_.values[static_cast<std::size_t>(id)].storage = storage;
  return id;
}

bool ProgramBuilder::read_later(TensorId tensor) const {
  const Network& net = network();
  if (std::ranges::find(net.outputs, tensor) != net.outputs.end()) return true;
  return std::ranges::any_of(net.tensor(tensor).consumers,
                             [&](NodeId node) { return !laid_out_[static_cast<std::size_t>(node)]; });
}

bool ProgramBuilder::dies(TensorId tensor) const {
  const ValueId native = states_[static_cast<std::size_t>(tensor)].native;
  if (native == kNoValue || value(native).constant) return false;
  const auto sharing = tensors_in_storage_.find(value(native).storage);
  assert(sharing != tensors_in_storage_.end());
  return std::ranges::none_of(sharing->second, [&](TensorId t) { return read_later(t); });
}

bool ProgramBuilder::share_storage(const Operand& operand, ValueId other) const {
  const ValueId storage = value(other).storage;
  return (operand.value != kNoValue && value(operand.value).storage == storage) ||
         (operand.quantized != kNoValue && value(operand.quantized).storage == storage);
}

void ProgramBuilder::add(std::unique_ptr<const Step> step, const std::vector<Operand>& reads,
                         const std::vector<ValueId>& writes, const OnStore& store) {
  ProgramStep s{std::move(step), {}, writes};
  if (store) s.early.push_back(store.to);
  for (const Operand& operand : reads) {
    if (operand.value != kNoValue) s.reads.push_back(operand.value);
    if (operand.quantized != kNoValue) s.reads.push_back(operand.quantized);
    if (operand.weight >= 0) s.layers.push_back(operand.weight);
    if (operand.bias >= 0 && operand.bias != operand.weight) s.layers.push_back(operand.bias);
    if (operand.site >= 0) s.sites.push_back(operand.site);
  }
  program_.steps.push_back(std::move(s));
}

void ProgramBuilder::add(const dnnl::primitive& primitive, const Layout& scratch, std::vector<Argument> reads,
                         const std::vector<Argument>& writes) {
  std::vector<Operand> read;
  std::vector<ValueId> written;
  for (const Argument& argument : reads) read.push_back(argument.operand);
  for (const Argument& argument : writes) {
    written.push_back(argument.operand.value);
    reads.push_back(argument);
  }
  if (scratch.get_size() > 0) {
    const ValueId value = push({.layout = scratch, .bytes = scratch.get_size()});
    reads.push_back({DNNL_ARG_SCRATCHPAD, {.value = value}});
    written.push_back(value);
  }
  add(std::make_unique<PrimitiveStep>(primitive, std::move(reads)), read, written);
}

/// `node` reads `tensor` only as what its site quantizes.
bool ProgramBuilder::reads_quantized(NodeId node, TensorId tensor) const {
  const SiteId site = site_of_tensor_[static_cast<std::size_t>(tensor)];
  if (site >= 0 && std::ranges::count(network().site(site).products, node) > 0) return true;
  const Layer* layer = layer_of(node);
  return layer && layer->input == tensor && std::ranges::count(network().node(node).inputs, tensor) == 1 &&
         network().input_site[static_cast<std::size_t>(layer->id)] >= 0;
}

bool ProgramBuilder::float_layers_read(SiteId site) const {
  const Site& s = network().site(site);
  return !s.products.empty() ||
         std::ranges::any_of(s.layers, [&](LayerId id) { return integer_form(id) == IntegerForm::none; });
}

bool ProgramBuilder::only_layers_read(TensorId tensor) const {
  const Network& net = network();
  if (std::ranges::find(net.outputs, tensor) != net.outputs.end()) return false;
  return std::ranges::all_of(net.tensor(tensor).consumers, [&](NodeId node) { return reads_quantized(node, tensor); });
}

LayerId ProgramBuilder::biased_by_element(TensorId tensor) const {
  const NodeId producer = network().tensor(tensor).producer;
  const Layer* layer = producer < 0 ? nullptr : layer_of(producer);
  return layer && integers_.by_element(layer->id) ? layer->id : -1;
}

/// In place when only layers read the tensor and nobody anything else in its memory.
ValueId ProgramBuilder::place_quantized(TensorId tensor, ValueId id) {
  const auto& sharing = tensors_in_storage_[value(id).storage];
  const bool alone = std::ranges::none_of(sharing, [&](TensorId t) { return read_later(t); });
  return alone && only_layers_read(tensor) ? id : make(value(id).layout);
}

void ProgramBuilder::define(TensorId tensor, ValueId id) {
  if (const LayerId layer = biased_by_element(tensor); layer >= 0) add_element_bias(*this, layer, id);
  TensorState& s = states_[static_cast<std::size_t>(tensor)];
  assert(s.native == kNoValue);
  s.native = id;
  s.layer_input = {.value = id};
  const SiteId site = site_of_tensor_[static_cast<std::size_t>(tensor)];
  const bool in_float = site >= 0 && is_float(tensor) && !value(id).constant && float_layers_read(site);
  if (in_float && s.quantized == kNoValue) s.quantized = place_quantized(tensor, id);
  tensors_in_storage_[value(id).storage].insert(tensor);
  if (site < 0 || value(id).constant || !is_float(tensor)) return;
  add_codes(tensor, site);
  if (!in_float) return;
  if (s.quantized != id) s.layer_input = {.value = id, .site = site, .quantized = s.quantized};
  add(std::make_unique<SiteStep>(engine(), site, id, s.quantized, value(id).layout), {{.value = id}}, {s.quantized});
  program_.steps.back().sites.push_back(site);
  s.quantization = program_.steps.size() - 1;
}

OnStore ProgramBuilder::on_store(TensorId tensor, ValueId id) {
  const SiteId site = site_of_tensor_[static_cast<std::size_t>(tensor)];
  if (site < 0 || integers_.parts || !is_float(tensor) || biased_by_element(tensor) >= 0) return {};
  if (std::ranges::any_of(network().site(site).layers,
                          [&](LayerId layer) { return integer_form(layer) != IntegerForm::none; }))
    return {};
  TensorState& s = states_[static_cast<std::size_t>(tensor)];
  s.quantized = place_quantized(tensor, id);
  return {site, id, s.quantized};
}

bool ProgramBuilder::is_blocked(TensorId tensor) const {
  const ValueId native = states_[static_cast<std::size_t>(tensor)].native;
  return native != kNoValue && !value(native).plain;
}

void ProgramBuilder::define_strided(TensorId tensor, const StridedOperand& place) {
  assert(is_float(tensor) && value(place.base.value).plain && place.base.quantized == kNoValue);
  if (place.dense()) return define(tensor, view(place.base.value, network().tensor(tensor).shape));
  TensorState& s = states_[static_cast<std::size_t>(tensor)];
  s.strided = place;
  tensors_in_storage_[value(place.base.value).storage].insert(tensor);
  if (site_of_tensor_[static_cast<std::size_t>(tensor)] >= 0) copy_strided(tensor);
}

void ProgramBuilder::copy_strided(TensorId tensor) {
  TensorState& s = states_[static_cast<std::size_t>(tensor)];
  const StridedOperand from = *s.strided;
  const ValueId copy = make(DType::f32, network().tensor(tensor).shape);
  std::vector<StridedCopyStep::Part> parts;
  parts.push_back({from.base, {from.copy_job()}});
  add(std::make_unique<StridedCopyStep>(std::move(parts), copy, sizeof(float), std::nullopt), {from.base}, {copy});
  s.strided.reset();
  tensors_in_storage_[value(from.base.value).storage].erase(tensor);
  define(tensor, copy);
}

StridedOperand ProgramBuilder::strided(TensorId tensor, NodeId product) {
  const TensorState& known = states_[static_cast<std::size_t>(tensor)];
  if (known.strided) return *known.strided;  // no site: those are copied at once
  const Shape& shape = network().tensor(tensor).shape;
  return whole_operand(product < 0 ? plain(tensor) : product_plain(product, tensor), shape);
}

Operand ProgramBuilder::product_plain(NodeId product, TensorId tensor) {
  const SiteId site = site_of_tensor_[static_cast<std::size_t>(tensor)];
  const bool quantized = site >= 0 && std::ranges::count(network().site(site).products, product) > 0;
  if (!quantized) return plain(tensor);
  return in_layout(state(tensor).layer_input, &TensorState::layer_copies, tensor,
                   plain_layout(network().tensor(tensor).shape));
}

Layout ProgramBuilder::weight_layout(LayerId layer, const Dims& dims) const {
  return integers_.floats ? integers_.floats->layers[static_cast<std::size_t>(layer)].packed : any_layout(dims);
}

bool ProgramBuilder::take_packing(LayerId layer) {
  if (!integers_.floats) return false;
  program_.layers[static_cast<std::size_t>(layer)] = integers_.floats->layers[static_cast<std::size_t>(layer)];
  return true;
}

void ProgramBuilder::pack(LayerId layer, const Layout& onnx, const Layout& packed, float factor) {
  if (take_packing(layer)) {
    assert(packed == program_.layers[static_cast<std::size_t>(layer)].packed);
    return;
  }
  Packing& packing = program_.layers[static_cast<std::size_t>(layer)];
  const dnnl::reorder::primitive_desc pd(engine(), onnx, engine(), packed, workspace_attributes());
  packing.onnx = onnx;
  packing.packed = packed;
  packing.factor = factor;
  packing.scratch = pd.scratchpad_desc();
  packing.reorder = dnnl::reorder(pd);
  const Tensor* values = constant(network().layer(layer).weight);
  packing.shape = values->shape();
  packing.weight = pack_weight(packing, engine(), values->values<float>());
}

Operand ProgramBuilder::bias(LayerId layer, std::vector<float> values) {
  const Layout layout = plain_layout({static_cast<std::int64_t>(values.size())});
  const ValueId constant = make_constant(layout, values);
  program_.layers[static_cast<std::size_t>(layer)].bias = std::move(values);
  return {.value = constant, .bias = layer};
}

void ProgramBuilder::keep_plain(LayerId layer) {
  if (take_packing(layer)) return;
  Packing& packing = program_.layers[static_cast<std::size_t>(layer)];
  const Tensor* values = constant(network().layer(layer).weight);
  packing.shape = values->shape();
  packing.weight = pack_weight(packing, engine(), values->values<float>());
}

void ProgramBuilder::mark(const std::vector<NodeId>& nodes, bool laid_out) {
  for (const NodeId node : nodes) laid_out_[static_cast<std::size_t>(node)] = laid_out;
}

Program ProgramBuilder::finish() {
  for (const TensorId output : network().outputs) program_.outputs.push_back(plain(output).value);
  plan_memory(program_);
  program_.checkpoints = std::make_shared<const Checkpoints>(program_);
  return std::move(program_);
}

}  // namespace bitplan
