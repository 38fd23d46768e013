#include <algorithm>
#include <cassert>

#include "core/error.hpp"
#include "eval/executor/chunk_waves.hpp"
#include "eval/executor/site_values.hpp"
#include "eval/moments/layer_moments.hpp"
#include "eval/moments/patches.hpp"

namespace bitplan {
namespace {

using MeanSums = std::vector<double>;

/// Over what the means of a linear layer are; those of a convolution are over samples (images) always.
enum class Over { rows, samples };

bool over_samples(const Patches& patches, Over over) { return patches.is_convolution() || over == Over::samples; }

std::size_t sums_of(const Patches& patches, Over over) {
  return static_cast<std::size_t>(over_samples(patches, over) ? patches.values_per_sample() : patches.columns());
}

void add_values(const Patches& patches, Over over, std::span<const float> values, std::int64_t samples,
                MeanSums& sums) {
  if (over_samples(patches, over)) {
    for (std::int64_t s = 0; s < samples; ++s)
      for (std::size_t i = 0; i < sums.size(); ++i)
        sums[i] += static_cast<double>(values[static_cast<std::size_t>(s) * sums.size() + i]);
    return;
  }
  std::vector<float> row(sums.size());
  for (std::int64_t s = 0; s < samples; ++s)
    for (std::int64_t r = 0; r < patches.rows_per_sample(); ++r) {
      patches.copy(values, patches.place(s, r), 0, row.data());
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(row[i]);
    }
}

std::vector<float> divided(const MeanSums& sums, std::int64_t count) {
  std::vector<float> means(sums.size());
  const auto divisor = static_cast<double>(count);
  std::ranges::transform(sums, means.begin(), [&](double sum) { return static_cast<float>(sum / divisor); });
  return means;
}

/// The mean row of each group; for convolutions of the mean image, to which patches are linear.
std::vector<std::vector<float>> means_of(const Patches& patches, const MeanSums& sums, std::int64_t samples) {
  const std::int64_t rows = patches.rows_per_sample();
  const std::vector<float> means = divided(sums, patches.is_convolution() ? samples : samples * rows);
  if (!patches.is_convolution()) return {means};
  std::vector<std::vector<float>> out;
  std::vector<float> row(static_cast<std::size_t>(patches.columns()));
  for (std::int64_t g = 0; g < patches.groups(); ++g) {
    std::vector<double> totals(row.size());
    for (std::int64_t r = 0; r < rows; ++r) {
      patches.copy(means, patches.place(0, r), g, row.data());
      for (std::size_t c = 0; c < row.size(); ++c) totals[c] += static_cast<double>(row[c]);
    }
    for (std::size_t c = 0; c < row.size(); ++c) row[c] = static_cast<float>(totals[c] / static_cast<double>(rows));
    out.push_back(row);
  }
  return out;
}

void add_all(MeanSums& to, const MeanSums& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

/// collect_means and collect_mean_inputs at work.
class MeanPass {
 public:
  MeanPass(const Executor& executor, std::span<const LayerId> layers, const Candidate& candidate, Over over)
      : executor_(executor), layers_(layers), candidate_(candidate), over_(over) {
    for (const LayerId layer : layers) {
      patches_.emplace_back(executor.network(), executor.network().layer(layer));
      const SiteId site = input_site(layer);
      if (std::ranges::find(sites_, site) == sites_.end()) sites_.push_back(site);
    }
    totals_ = zeros();
    samples_.resize(layers.size());
  }

  /// All chunks, in parallel.
  void collect(ChunkedData& data, std::span<Executor::WorkspacePtr> workspaces) {
    struct Slot {
      std::int64_t valid = 0;
      std::vector<MeanSums> sums;
    };
    std::vector<Slot> slots(workspaces.size());
    const auto of_chunk = [&](int index, std::size_t slot, Executor::Workspace& workspace) {
      const auto chunk = data.chunk(index);
      slots[slot] = {chunk->valid, run(*chunk, index, workspace)};
    };
    for_chunks(executor_, data.chunks(), workspaces, of_chunk,
               [&](int, std::size_t slot) { reduce(slots[slot].valid, slots[slot].sums); });
    for (const std::int64_t samples : samples_)
      if (samples == 0) throw InputError("no calibration samples: means need at least one");
  }

  std::vector<LayerMoments> moments() const {
    std::vector<LayerMoments> all(layers_.size());
    for (std::size_t l = 0; l < all.size(); ++l) {
      const Patches& patches = patches_[l];
      all[l].groups = patches.groups();
      all[l].columns = patches.columns();
      all[l].rows = samples_[l] * patches.rows_per_sample();
      all[l].mean = means_of(patches, totals_[l], samples_[l]);
    }
    return all;
  }

  std::vector<std::vector<float>> inputs() const {
    std::vector<std::vector<float>> all(layers_.size());
    for (std::size_t l = 0; l < all.size(); ++l) all[l] = divided(totals_[l], samples_[l]);
    return all;
  }

 private:
  std::vector<MeanSums> zeros() const {
    std::vector<MeanSums> sums(layers_.size());
    for (std::size_t l = 0; l < sums.size(); ++l) sums[l].resize(sums_of(patches_[l], over_));
    return sums;
  }

  std::vector<MeanSums> run(const Chunk& chunk, int index, Executor::Workspace& workspace) const {
    std::vector<MeanSums> sums = zeros();
    const std::int64_t first = index * executor_.network().batch;
    std::vector<float> buffer;
    run_to_sites(executor_, workspace, chunk, first, candidate_, sites_,
                 [&](SiteId site, std::span<const float> values) {
                   add(chunk.valid, site, quantized(candidate_, site, values, buffer), sums);
                 });
    return sums;
  }

  void reduce(std::int64_t valid, const std::vector<MeanSums>& sums) {
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      add_all(totals_[l], sums[l]);
      samples_[l] += patches_[l].samples_of(valid);
    }
  }

  SiteId input_site(LayerId layer) const { return executor_.network().input_site[static_cast<std::size_t>(layer)]; }
  void add(std::int64_t valid, SiteId site, std::span<const float> values, std::vector<MeanSums>& sums) const {
    for (std::size_t l = 0; l < layers_.size(); ++l)
      if (input_site(layers_[l]) == site)
        add_values(patches_[l], over_, values, patches_[l].samples_of(valid), sums[l]);
  }

  const Executor& executor_;
  std::span<const LayerId> layers_;
  const Candidate& candidate_;
  Over over_;
  std::vector<Patches> patches_;
  std::vector<SiteId> sites_;
  std::vector<MeanSums> totals_;
  std::vector<std::int64_t> samples_;
};

}  // namespace

std::vector<LayerMoments> collect_means(const Executor& executor, ChunkedData& data, std::span<const LayerId> layers,
                                        const Candidate& candidate, std::span<Executor::WorkspacePtr> workspaces) {
  check_float(&candidate);
  if (layers.empty()) return {};
  MeanPass pass(executor, layers, candidate, Over::rows);
  pass.collect(data, workspaces);
  return pass.moments();
}

std::vector<std::vector<float>> collect_mean_inputs(const Executor& executor, ChunkedData& data,
                                                    std::span<const LayerId> layers, const Candidate& candidate,
                                                    std::span<Executor::WorkspacePtr> workspaces) {
  check_float(&candidate);
  assert(std::ranges::all_of(layers, [&](LayerId layer) { return executor.element_biases(layer) > 0; }));
  if (layers.empty()) return {};
  MeanPass pass(executor, layers, candidate, Over::samples);
  pass.collect(data, workspaces);
  return pass.inputs();
}

}  // namespace bitplan
