#include "eval/executor/executor_programs.hpp"

#include <algorithm>

#include "core/parallel.hpp"
#include "eval/executor/executor_compile.hpp"
#include "eval/kernels/integer_layer.hpp"

namespace bitplan {

namespace {

constexpr std::size_t kKept = 32;  ///< patterns; each holds its primitives' code, some megabytes for a deep network

/// oneDNN lays primitives out for as many threads as OpenMP offers: one, inside parallel_for.
template <class Function>
void on_one_thread(const Function& function) {
  parallel_for(1, 1, [&](std::size_t, int) { function(); });
}

/// By LayerId: the weights that come with a bias by element; empty when there are none.
std::vector<bool> elements_of(const Candidate& candidate, std::size_t layers) {
  const auto has = [](const std::shared_ptr<const PackedWeight>& weight) { return weight && weight->elements; };
  if (std::ranges::none_of(candidate.weights, has)) return {};
  std::vector<bool> elements(layers);
  for (std::size_t l = 0; l < candidate.weights.size(); ++l) elements[l] = has(candidate.weights[l]);
  return elements;
}

}  // namespace

ExecutorPrograms::ExecutorPrograms(std::shared_ptr<const Network> network, bool fuse)
    : network_(std::move(network)), fuse_(fuse) {
  on_one_thread([&] {
    floats_ = std::make_shared<const Program>(compile_program(network_, fuse_, {}));
    auto layers = std::make_shared<Layers>();
    for (const Layer& layer : network_->layers)
      layers->push_back(bitplan::integer_layer(*network_, layer, floats_->engine));
    layers_ = std::move(layers);
  });
  for (const Site& site : network_->sites) clamps_.push_back(clamp_of(*network_, site.tensor));
}

ExecutorPrograms::~ExecutorPrograms() = default;

const IntegerLayer* ExecutorPrograms::integer_layer(LayerId layer) const {
  const auto& found = (*layers_)[static_cast<std::size_t>(layer)];
  return found ? &*found : nullptr;
}

/// One flag for all sites, not one each: candidates of mixed bits should share a program.
bool ExecutorPrograms::full_bytes(const Candidate& candidate) const {
  for (std::size_t s = 0; s < candidate.activations.size(); ++s)
    if (candidate.activations[s] && !fills_byte(*candidate.activations[s], clamps_[s])) return false;
  return true;
}

std::shared_ptr<const Program> ExecutorPrograms::of(const Candidate& candidate) {
  Pattern pattern{.forms = std::vector<IntegerForm>(network_->layers.size(), IntegerForm::none), .elements = {}};
  pattern.parts = std::ranges::any_of(candidate.by_parts, [](const auto& parts) { return parts != nullptr; });
  for (std::size_t l = 0; l < candidate.weights.size(); ++l)
    if (candidate.weights[l]) pattern.forms[l] = candidate.weights[l]->form;
  pattern.elements = elements_of(candidate, network_->layers.size());
  const bool floats = std::ranges::all_of(pattern.forms, [](IntegerForm form) { return form == IntegerForm::none; });
  if (floats && !pattern.parts && pattern.elements.empty()) return floats_;
  pattern.full_bytes = !floats && full_bytes(candidate);
  const std::scoped_lock lock(mutex_);
  const auto found = std::ranges::find(entries_, pattern, &Entry::pattern);
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
  } else {
    entries_.push_front({pattern, compile(pattern)});
    if (entries_.size() > kKept) entries_.pop_back();
  }
  return entries_.front().program;
}

std::shared_ptr<const Program> ExecutorPrograms::compile(const Pattern& pattern) const {
  std::shared_ptr<const Program> program;
  on_one_thread([&] {
    const IntegerPattern integers{layers_, pattern.forms, pattern.full_bytes, pattern.parts, pattern.elements, floats_};
    program = std::make_shared<const Program>(compile_program(network_, fuse_, integers));
  });
  return program;
}

}  // namespace bitplan
