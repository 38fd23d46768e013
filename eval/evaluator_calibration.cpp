#include "eval/evaluator_calibration.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/parallel.hpp"

namespace bitplan {
namespace {

using Observers = std::vector<std::unique_ptr<Observer>>;

Observers make_observers(const Network& network, const ObserverSpec& spec) {
  const auto& entry = find_observer(spec.name);
  Observers observers(network.sites.size());
  for (const auto& site : network.sites)
    if (site.kind == Site::Kind::activation) observers[static_cast<std::size_t>(site.id)] = entry.make(spec);
  return observers;
}

bool leads_with_batch(const Network& network, const Site& site) {
  const auto& shape = network.tensor(site.tensor).shape;
  return !shape.empty() && shape[0] == network.batch;
}

/// Runs one chunk; returns what its observers saw.
Observers observe_chunk(const Executor& executor, Executor::Workspace& workspace, const Chunk& chunk,
                        std::int64_t first, const ObserverSpec& spec) {
  const auto& network = executor.network();
  auto observers = make_observers(network, spec);
  const Executor::Tap tap = [&](SiteId id, std::span<const float> values) {
    const auto& site = network.site(id);
    try {
      observers[static_cast<std::size_t>(id)]->observe(valid_part(network, id, chunk, values));
    } catch (const InputError& e) {
      throw InputError("activation '" + site.name + "', calibration samples " + std::to_string(first) + " to " +
                       std::to_string(first + chunk.valid - 1) + ": " + e.what());
    }
  };
  executor.run(workspace, chunk.inputs, {}, &tap);
  return observers;
}

std::vector<std::string> padding_notes(const Network& network, std::int64_t samples) {
  std::vector<std::string> notes;
  if (samples % network.batch == 0) return notes;
  for (const auto& site : network.sites)
    if (site.kind == Site::Kind::activation && !leads_with_batch(network, site))
      notes.push_back("activation '" + site.name + "' (" + to_string(network.tensor(site.tensor).shape) +
                      ") does not lead with the batch of " + std::to_string(network.batch) +
                      ": its range counts the last calibration sample more than once");
  return notes;
}

}  // namespace

std::span<const float> valid_part(const Network& network, SiteId id, const Chunk& chunk,
                                  std::span<const float> values) {
  if (!leads_with_batch(network, network.site(id))) return values;
  return values.first(values.size() / static_cast<std::size_t>(network.batch) * static_cast<std::size_t>(chunk.valid));
}

Calibration calibrate(const Executor& executor, ChunkedData& data, const ObserverSpec& spec,
                      std::span<Executor::WorkspacePtr> workspaces) {
  const auto& network = executor.network();
  Calibration calibration{make_observers(network, spec), padding_notes(network, data.data().samples())};
  // Waves bound the observers that wait for an earlier chunk to finish.
  const int wave = 8 * static_cast<int>(workspaces.size());
  for (int begin = 0; begin < data.chunks(); begin += wave) {
    std::vector<Observers> parts(static_cast<std::size_t>(std::min(wave, data.chunks() - begin)));
    parallel_for(parts.size(), static_cast<int>(workspaces.size()), [&](std::size_t i, int worker) {
      auto& workspace = workspaces[static_cast<std::size_t>(worker)];
      if (!workspace) workspace = executor.make_workspace();
      const int index = begin + static_cast<int>(i);
      parts[i] = observe_chunk(executor, *workspace, *data.chunk(index), index * network.batch, spec);
    });
    for (const auto& part : parts)
      for (std::size_t s = 0; s < part.size(); ++s)
        if (part[s]) calibration.observers[s]->merge(*part[s]);
  }
  return calibration;
}

}  // namespace bitplan
