#include "eval/executor_programs.hpp"

#include <algorithm>

#include "core/parallel.hpp"
#include "eval/executor_compile.hpp"
#include "eval/kernels/integer_layer.hpp"

namespace bitplan {

namespace {

constexpr std::size_t kKept = 32;  ///< patterns; each holds its primitives' code, some megabytes for a deep network

/// oneDNN lays primitives out for as many threads as OpenMP offers: one, inside parallel_for.
template <class Function>
void on_one_thread(const Function& function) {
  parallel_for(1, 1, [&](std::size_t, int) { function(); });
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
}

ExecutorPrograms::~ExecutorPrograms() = default;

const IntegerLayer* ExecutorPrograms::integer_layer(LayerId layer) const {
  const auto& found = (*layers_)[static_cast<std::size_t>(layer)];
  return found ? &*found : nullptr;
}

std::shared_ptr<const Program> ExecutorPrograms::of(const Candidate& candidate) {
  Forms forms(network_->layers.size(), IntegerForm::none);
  for (std::size_t l = 0; l < candidate.weights.size(); ++l)
    if (candidate.weights[l]) forms[l] = candidate.weights[l]->form;
  if (std::ranges::all_of(forms, [](IntegerForm form) { return form == IntegerForm::none; })) return floats_;
  const std::scoped_lock lock(mutex_);
  const auto found = std::ranges::find(entries_, forms, &Entry::forms);
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
  } else {
    entries_.push_front({forms, compile(forms)});
    if (entries_.size() > kKept) entries_.pop_back();
  }
  return entries_.front().program;
}

std::shared_ptr<const Program> ExecutorPrograms::compile(const Forms& forms) const {
  std::shared_ptr<const Program> program;
  on_one_thread([&] {
    program = std::make_shared<const Program>(compile_program(network_, fuse_, {layers_, forms, floats_}));
  });
  return program;
}

}  // namespace bitplan
