#include "eval/evaluator.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <map>
#include <mutex>

#include "core/error.hpp"
#include "core/hash.hpp"
#include "core/parallel.hpp"
#include "eval/data/dataset_checks.hpp"
#include "eval/data/evaluator_data.hpp"
#include "eval/evaluator_calibration.hpp"
#include "eval/evaluator_references.hpp"
#include "eval/evaluator_weights.hpp"
#include "eval/moments/expected_inputs.hpp"
#include "eval/site_calibration.hpp"

namespace bitplan {
namespace {

constexpr std::size_t kKeepInputBytes = std::size_t{1} << 30;  ///< of prepared inputs, a role

bool stopped(const std::atomic<bool>* stop) { return stop != nullptr && *stop; }

}  // namespace

std::string_view name_of(Role role) {
  constexpr std::array<std::string_view, 3> names{"calibration", "selection", "holdout"};
  return names[static_cast<std::size_t>(role)];
}

struct Evaluator::Impl {
  std::shared_ptr<const Network> network;
  std::shared_ptr<const ChoiceTable> choices;
  EvaluatorSpec spec;
  Executor executor;
  mutable PrefixCache prefixes;
  std::uint64_t measured = 0;                        ///< stands for the assignment being measured; never 0 then
  References references;                             ///< float outputs of the valid samples of each chunk
  std::vector<Executor::WorkspacePtr> workspaces;    ///< by worker
  std::array<std::unique_ptr<ChunkedData>, 3> data;  ///< by Role; null when not given
  std::unique_ptr<SiteCalibration> parts;
  std::unique_ptr<PreparedWeights> prepared;
  std::unique_ptr<WeightCache> weights;
  Calibration calibration;
  std::optional<SequenceForm> form;  ///< positions and classes of the first output; nothing: no classes
  std::mutex measuring;
  mutable std::mutex quantizers_mutex;
  mutable std::map<std::pair<SiteId, ChoiceId>, Affine> quantizers;  ///< memo: the mse observer searches a grid

  Impl(std::shared_ptr<const Network> net, std::shared_ptr<const ChoiceTable> table, const EvaluatorSpec& s);

  ChunkedData& given(Role role) const;
  void check_output() const;
  void check_weights() const;
  Affine quantizer(SiteId site, ChoiceId choice) const;
  std::vector<std::optional<Affine>> quantizers_of(const Assignment& assignment) const;  ///< by SiteId
  /// Of the choices that SiteCalibration takes; null for others. By SiteId, or empty when there are none.
  std::vector<std::shared_ptr<const SiteQuantizer>> parts_of(const Assignment& assignment,
                                                             const std::atomic<bool>* stop);
  const Choice& activation_choice(SiteId site, ChoiceId choice) const;
  Candidate candidate(const Assignment& assignment, const std::atomic<bool>* stop);
  /// The weight of a layer as the assignment has it; without values when it is float.
  QuantizedWeight weight_of(LayerId layer, const Assignment& assignment, const std::atomic<bool>* stop);
  void take_over(const Assignment& assignment, const Finish& finished, Candidate& candidate);
  /// `evaluation`: of which measure(); 0 for the float network's own outputs.
  void run(Executor::Workspace& workspace, Role role, int index, const Chunk& chunk, const Candidate& candidate,
           std::uint64_t evaluation) const;
  std::span<const float> first_output(const Executor::Workspace& workspace, const Chunk& chunk) const;
  std::vector<float> float_output(Role role, int index, const Chunk& chunk, Executor::Workspace& workspace) const;
  LossSums losses_of(std::span<const float> expected, std::span<const float> output, const Chunk& chunk) const;
  bool fits_labels(std::size_t labels, std::int64_t samples) const;
  LossSums measure_chunk(const Candidate& candidate, bool all_float, Role role, int index,
                         Executor::Workspace& workspace);
};

Evaluator::Impl::Impl(std::shared_ptr<const Network> net, std::shared_ptr<const ChoiceTable> table,
                      const EvaluatorSpec& s)
    : network(std::move(net)),
      choices(std::move(table)),
      spec(s),
      executor(network),
      prefixes(s.cache_bytes / 2),
      references(s.reference_bytes) {
  check_output();
  check_weights();
  if (spec.arithmetic == Arithmetic::integer && !integer_kernels())
    throw InputError("run.arithmetic is integer, but this CPU has no exact 8-bit products (VNNI or AMX); use auto");
  find_observer(spec.observer.name);  // a wrong name shows before any work
  auto statistics_notes = notes_on_statistics(*network, *choices);  // refuses before any work, too
  workspaces.resize(static_cast<std::size_t>(spec.threads > 0 ? spec.threads : default_threads()));
  form = output_form(*network);
  const std::array specs{&spec.calibration, &spec.selection, &spec.holdout};
  for (std::size_t r = 0; r < specs.size(); ++r) {
    if (specs[r]->kind.empty()) continue;
    data[r] = std::make_unique<ChunkedData>(*specs[r], *network, kKeepInputBytes);
  }
  parts = std::make_unique<SiteCalibration>(executor, *choices, data[0].get(), spec.observer);
  prepared = std::make_unique<PreparedWeights>(executor, data[0].get(), spec.prepared);
  weights = std::make_unique<WeightCache>(executor, *choices, *prepared, spec.arithmetic,
                                          spec.cache_bytes - spec.cache_bytes / 2);
  if (data[0]) calibration = calibrate(executor, *data[0], spec.observer, workspaces);
  for (std::string& note : notes_on_inputs(*network, *choices)) calibration.notes.push_back(std::move(note));
  for (std::string& note : statistics_notes) calibration.notes.push_back(std::move(note));
}

void Evaluator::Impl::check_output() const {
  if (network->outputs.empty()) throw InputError("the network has no output");
  const auto& output = network->tensor(network->outputs[0]);
  const auto problem = "the network's first output '" + output.name + "' ";
  if (output.dtype != DType::f32)
    throw InputError(problem + "is " + std::string(name_of(output.dtype)) + "; losses need float32");
  if (element_count(output.shape) == 0) throw InputError(problem + "is empty: " + to_string(output.shape));
  if (network->batch > 1 && (output.shape.empty() || output.shape[0] != network->batch))
    throw InputError(problem + "is " + to_string(output.shape) + ": its leading dimension is not the batch of " +
                     std::to_string(network->batch));
}

/// NaN in a layer would not always reach the output: oneDNN's Relu makes it 0.
void Evaluator::Impl::check_weights() const {
  for (const Layer& layer : network->layers) {
    for (const TensorId id : {layer.weight, layer.bias}) {
      if (id == kNoTensor || !network->tensor(id).constant || network->tensor(id).dtype != DType::f32) continue;
      const auto values = network->tensor(id).constant->values<float>();
      const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
      if (bad != values.end())
        throw InputError((id == layer.weight ? "the weight of layer '" : "the bias of layer '") + layer.names.node +
                         "' has NaN or infinite values, the first at element " + std::to_string(bad - values.begin()));
    }
  }
}

ChunkedData& Evaluator::Impl::given(Role role) const {
  const auto& found = data[static_cast<std::size_t>(role)];
  if (!found) throw InputError("data." + std::string(name_of(role)) + " is not given");
  return *found;
}

/// Says what calibration data are missing.
const Choice& Evaluator::Impl::activation_choice(SiteId site, ChoiceId id) const {
  const auto& choice = (*choices)[id];
  assert(!choice.is_float && network->site(site).kind == Site::Kind::activation);
  if (!choice.activation)
    throw InputError("activation '" + network->site(site).name + "': choice '" + choice.label + "' is a weight's");
  if (choice.granularity.kind != Granularity::Kind::token || choice.outliers > 0) given(Role::calibration);
  return choice;
}

Affine Evaluator::Impl::quantizer(SiteId site, ChoiceId id) const {
  const auto& choice = activation_choice(site, id);
  assert(!SiteCalibration::takes(choice));
  const std::scoped_lock lock(quantizers_mutex);
  const auto found = quantizers.find({site, id});
  if (found != quantizers.end()) return found->second;
  const Affine made =
      calibration.observers[static_cast<std::size_t>(site)]->quantizer(choice.bits, choice.symmetric, choice.narrow);
  quantizers.emplace(std::pair(site, id), made);
  return made;
}

std::vector<std::optional<Affine>> Evaluator::Impl::quantizers_of(const Assignment& assignment) const {
  std::vector<std::optional<Affine>> quantizers_by_site(network->sites.size());
  for (const auto& site : network->sites) {
    const auto s = static_cast<std::size_t>(site.id);
    const Choice& choice = (*choices)[assignment[s]];
    if (site.kind == Site::Kind::activation && !choice.is_float && !SiteCalibration::takes(choice))
      quantizers_by_site[s] = quantizer(site.id, assignment[s]);
  }
  return quantizers_by_site;
}

std::vector<std::shared_ptr<const SiteQuantizer>> Evaluator::Impl::parts_of(const Assignment& assignment,
                                                                            const std::atomic<bool>* stop) {
  std::vector<SiteCalibration::Wanted> wanted;
  for (const auto& site : network->sites) {
    const ChoiceId id = assignment[static_cast<std::size_t>(site.id)];
    if (site.kind != Site::Kind::activation || !SiteCalibration::takes((*choices)[id])) continue;
    activation_choice(site.id, id);
    wanted.emplace_back(site.id, id);
  }
  if (wanted.empty()) return {};
  const auto made = parts->get(wanted, workspaces, stop);
  std::vector<std::shared_ptr<const SiteQuantizer>> by_site(network->sites.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) by_site[static_cast<std::size_t>(wanted[i].first)] = made[i];
  return by_site;
}

Candidate Evaluator::Impl::candidate(const Assignment& assignment, const std::atomic<bool>* stop) {
  assert(assignment.size() == network->sites.size());
  Candidate candidate;
  candidate.activations = quantizers_of(assignment);
  candidate.by_parts = parts_of(assignment, stop);
  candidate.weights = weights->get(assignment, candidate.activations, workspaces, stop);
  return candidate;
}

QuantizedWeight Evaluator::Impl::weight_of(LayerId layer, const Assignment& assignment, const std::atomic<bool>* stop) {
  const SiteId site = network->weight_site[static_cast<std::size_t>(layer)];
  const Choice& choice = (*choices)[assignment[static_cast<std::size_t>(site)]];
  if (choice.is_float) return {};
  auto weight = choice.is_prepared() ? *prepared->get(site, choice, workspaces, stop)
                                     : quantize_site(*network, site, choice);
  return in_layout_of(network->layer(layer), std::move(weight));
}

void Evaluator::Impl::take_over(const Assignment& assignment, const Finish& finished, Candidate& to) {
  for (std::size_t l = 0; l < network->layers.size(); ++l) {
    const bool biased = !finished.biases.empty() && !finished.biases[l].empty();
    if (!biased && !finished.weights[l]) continue;
    const auto layer = static_cast<LayerId>(l);
    QuantizedWeight weight = finished.weights[l] ? *finished.weights[l] : weight_of(layer, assignment, nullptr);
    if (biased) weight.bias = finished.biases[l];
    const auto kernel = to.weights[l] ? Executor::form(*to.weights[l]) : IntegerForm::none;
    if (weight.values.empty()) {
      const Tensor values = network->tensor(network->layer(layer).weight).constant->cast(DType::f32);
      to.weights[l] = executor.pack(layer, values.values<float>(), weight.bias);
    } else {
      to.weights[l] = kernel == IntegerForm::none ? nullptr : executor.pack(layer, kernel, weight);
      // Codes that were rounded again may not fit into 8 bits any more.
      if (!to.weights[l]) to.weights[l] = executor.pack(layer, weight.values, weight.bias);
    }
  }
}

void Evaluator::Impl::run(Executor::Workspace& workspace, Role role, int index, const Chunk& chunk,
                          const Candidate& candidate, std::uint64_t evaluation) const {
  const auto key = static_cast<std::uint64_t>(role) << 32 | static_cast<std::uint64_t>(index);
  const PrefixReuse reuse{&prefixes, key, evaluation};
  executor.run(workspace, chunk.inputs, candidate, nullptr, spec.cache_bytes > 0 ? &reuse : nullptr);
}

std::span<const float> Evaluator::Impl::first_output(const Executor::Workspace& workspace, const Chunk& chunk) const {
  const auto all = executor.output_values(workspace, 0);
  return all.first(all.size() / static_cast<std::size_t>(network->batch) * static_cast<std::size_t>(chunk.valid));
}

std::vector<float> Evaluator::Impl::float_output(Role role, int index, const Chunk& chunk,
                                                 Executor::Workspace& workspace) const {
  run(workspace, role, index, chunk, {}, 0);
  const auto output = first_output(workspace, chunk);
  const auto bad = std::find_if(output.begin(), output.end(), [](float v) { return !std::isfinite(v); });
  if (bad != output.end()) {
    const auto sample = index * network->batch + (bad - output.begin()) / (std::ssize(output) / chunk.valid);
    throw InputError("the float network gives NaN or infinite values for sample " + std::to_string(sample) +
                     " (counted from 0) of the " + std::string(name_of(role)) + " data");
  }
  return {output.begin(), output.end()};
}

/// Labels are of use when there is one for each position of the output.
bool Evaluator::Impl::fits_labels(std::size_t labels, std::int64_t samples) const {
  return form && static_cast<std::int64_t>(labels) == samples * form->positions;
}

LossSums Evaluator::Impl::measure_chunk(const Candidate& candidate, bool all_float, Role role, int index,
                                        Executor::Workspace& workspace) {
  const auto chunk = given(role).chunk(index);
  const auto reference =
      references.get(static_cast<int>(role), index, [&] { return float_output(role, index, *chunk, workspace); });
  const std::span<const float> expected = *reference;
  std::span<const float> output = expected;
  if (!all_float) {
    run(workspace, role, index, *chunk, candidate, measured);
    output = first_output(workspace, *chunk);
  }
  return losses_of(expected, output, *chunk);
}

LossSums Evaluator::Impl::losses_of(std::span<const float> expected, std::span<const float> output,
                                    const Chunk& chunk) const {
  const auto width = expected.size() / static_cast<std::size_t>(chunk.valid);
  const bool labelled = fits_labels(chunk.labels.size(), chunk.valid);
  LossSums sums;
  for (std::size_t i = 0; i < static_cast<std::size_t>(chunk.valid); ++i) {
    const auto z = expected.subspan(i * width, width), y = output.subspan(i * width, width);
    if (!form) {
      add_values(sums, z, y);
      continue;
    }
    std::span<const std::int64_t> labels;
    const auto positions = static_cast<std::size_t>(form->positions);
    if (labelled) labels = std::span(chunk.labels).subspan(i * positions, positions);
    add_sample(sums, z, y, static_cast<std::size_t>(form->classes), labels);
  }
  return sums;
}

Evaluator::Evaluator(std::shared_ptr<const Network> network, std::shared_ptr<const ChoiceTable> choices,
                     const EvaluatorSpec& spec)
    : impl_(std::make_unique<Impl>(std::move(network), std::move(choices), spec)) {}
Evaluator::~Evaluator() = default;

int Evaluator::chunks(Role role) const {
  const auto& data = impl_->data[static_cast<std::size_t>(role)];
  return data ? data->chunks() : 0;
}

std::int64_t Evaluator::samples(Role role) const {
  const auto& data = impl_->data[static_cast<std::size_t>(role)];
  return data ? data->data().samples() : 0;
}

bool Evaluator::has_labels(Role role) const {
  const auto& data = impl_->data[static_cast<std::size_t>(role)];
  if (!data || !data->data().has_labels()) return false;
  return impl_->fits_labels(data->data().read(0, 1).labels.size(), 1);
}

std::string Evaluator::data_fingerprint(Role role) const { return fingerprint(impl_->given(role).data()); }

const std::vector<std::string>& Evaluator::notes() const { return impl_->calibration.notes; }

std::optional<std::string> Evaluator::refusal(const Metric& metric, Role role) const {
  const auto problem = "metric '" + std::string(metric.name) + "' ";
  const auto name = std::string(name_of(role));
  if (chunks(role) == 0) return problem + "needs data." + name;
  const auto& output = impl_->network->tensor(impl_->network->outputs[0]);
  const auto is = "; the output '" + output.name + "' is " + to_string(output.shape);
  const auto& form = impl_->form;
  if (metric.needs_classes && !form)
    return problem + "needs class logits [N, C] or [N, T, C]" + is + "; use mse, sqnr_db or cosine";
  if (metric.needs_sequence && !sequence_form(*impl_->network)) return problem + "needs logits [N, T, C]" + is;
  if (metric.needs_labels && !has_labels(role))
    return problem + "needs labels, data." + name + " has none" +
           (form && form->positions > 1 ? " for each of the " + std::to_string(form->positions) + " positions" : "");
  return std::nullopt;
}

std::vector<LossSums> Evaluator::measure(const Assignment& assignment, Role role, ChunkRange range,
                                         const std::atomic<bool>* stop, const Finish* finished) {
  const std::scoped_lock lock(impl_->measuring);
  impl_->given(role);
  // The same for every shard of an assignment: its own prefixes are no second sight.
  impl_->measured = hash64(std::as_bytes(std::span(assignment))) | 1;
  assert(range.first >= 0 && range.count >= 0 && range.first + range.count <= chunks(role));
  auto candidate = impl_->candidate(assignment, stop);
  if (finished) impl_->take_over(assignment, *finished, candidate);
  const auto is_float = [&](ChoiceId id) { return (*impl_->choices)[id].is_float; };
  const bool all_float = !finished && std::all_of(assignment.begin(), assignment.end(), is_float);
  std::vector<LossSums> sums(static_cast<std::size_t>(range.count));
  parallel_for(sums.size(), static_cast<int>(impl_->workspaces.size()), [&](std::size_t i, int worker) {
    if (stopped(stop)) throw Interrupted("the evaluation was stopped");
    auto& workspace = impl_->workspaces[static_cast<std::size_t>(worker)];
    if (!workspace) workspace = impl_->executor.make_workspace();
    sums[i] = impl_->measure_chunk(candidate, all_float, role, range.first + static_cast<int>(i), *workspace);
  });
  return sums;
}

Finish Evaluator::finish(const Assignment& assignment, const FinishSpec& spec, const std::atomic<bool>* stop) {
  const std::scoped_lock lock(impl_->measuring);
  const auto choice = [&](LayerId layer) -> const Choice& {
    const SiteId site = impl_->network->weight_site[static_cast<std::size_t>(layer)];
    return (*impl_->choices)[assignment[static_cast<std::size_t>(site)]];
  };
  auto& data = impl_->given(Role::calibration);
  const Unfinished network{impl_->quantizers_of(assignment), choice,
                           [&](LayerId layer) { return impl_->weight_of(layer, assignment, stop); },
                           impl_->parts_of(assignment, stop)};
  return bitplan::finish(impl_->executor, data, network, spec, impl_->workspaces, stop);
}

void Evaluator::prepare(SiteId site, ChoiceId choice, const std::atomic<bool>* stop) {
  const std::scoped_lock lock(impl_->measuring);
  impl_->prepared->get(site, (*impl_->choices)[choice], impl_->workspaces, stop);
}

PrefixCache::Counts Evaluator::prefix_counts() const { return impl_->prefixes.counts(); }

Affine Evaluator::activation_quantizer(SiteId site, ChoiceId choice) const { return impl_->quantizer(site, choice); }

SiteQuantizer Evaluator::site_quantizer(SiteId site, ChoiceId choice) const {
  if (!SiteCalibration::takes(impl_->activation_choice(site, choice)))
    return SiteQuantizer::of(impl_->quantizer(site, choice));
  const std::scoped_lock lock(impl_->measuring);
  const SiteCalibration::Wanted wanted{site, choice};
  return *impl_->parts->get(std::span(&wanted, 1), impl_->workspaces).front();
}

QuantizedWeight Evaluator::quantized_weight(LayerId layer, ChoiceId choice) const {
  const auto& network = *impl_->network;
  const auto site = network.weight_site[static_cast<std::size_t>(layer)];
  const Choice& taken = (*impl_->choices)[choice];
  if (taken.is_float) return {};
  if (!taken.is_prepared()) return in_layout_of(network.layer(layer), quantize_site(network, site, taken));
  const std::scoped_lock lock(impl_->measuring);
  return in_layout_of(network.layer(layer), *impl_->prepared->get(site, taken, impl_->workspaces));
}

}  // namespace bitplan
