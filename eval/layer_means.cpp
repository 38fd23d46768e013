#include <algorithm>

#include "core/error.hpp"
#include "eval/chunk_waves.hpp"
#include "eval/layer_moments.hpp"
#include "eval/patches.hpp"
#include "eval/site_values.hpp"

namespace bitplan {
namespace {

/// Sums for the means of one layer: over samples for a convolution (an image), over rows otherwise.
using MeanSums = std::vector<double>;

std::size_t sums_of(const Patches& patches) {
  return static_cast<std::size_t>(patches.is_convolution() ? patches.values_per_sample() : patches.columns());
}

void add_values(const Patches& patches, std::span<const float> values, std::int64_t samples,
                std::vector<double>& sums) {
  if (patches.is_convolution()) {
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

/// The mean row of each group; for convolutions of the mean image, to which patches are linear.
std::vector<std::vector<float>> means_of(const Patches& patches, const std::vector<double>& sums,
                                         std::int64_t samples) {
  const std::int64_t rows = patches.rows_per_sample();
  const double divisor = static_cast<double>(patches.is_convolution() ? samples : samples * rows);
  std::vector<float> means(sums.size());
  std::ranges::transform(sums, means.begin(), [&](double sum) { return static_cast<float>(sum / divisor); });
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

void add_all(std::vector<double>& to, const std::vector<double>& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

/// collect_means at work.
class MeanPass {
 public:
  MeanPass(const Executor& executor, std::span<const LayerId> layers, const Candidate& candidate)
      : executor_(executor), layers_(layers), candidate_(candidate) {
    for (const LayerId layer : layers) {
      patches_.emplace_back(executor.network(), executor.network().layer(layer));
      const SiteId site = input_site(layer);
      if (std::ranges::find(sites_, site) == sites_.end()) sites_.push_back(site);
    }
    totals_ = zeros();
    samples_.resize(layers.size());
  }

  std::vector<MeanSums> zeros() const {
    std::vector<MeanSums> sums(layers_.size());
    for (std::size_t l = 0; l < sums.size(); ++l) sums[l].resize(sums_of(patches_[l]));
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

  std::vector<LayerMoments> finish() const {
    std::vector<LayerMoments> all(layers_.size());
    for (std::size_t l = 0; l < all.size(); ++l) {
      if (samples_[l] == 0) throw InputError("no calibration samples: means need at least one");
      const Patches& patches = patches_[l];
      all[l].groups = patches.groups();
      all[l].columns = patches.columns();
      all[l].rows = samples_[l] * patches.rows_per_sample();
      all[l].mean = means_of(patches, totals_[l], samples_[l]);
    }
    return all;
  }

 private:
  SiteId input_site(LayerId layer) const { return executor_.network().input_site[static_cast<std::size_t>(layer)]; }
  void add(std::int64_t valid, SiteId site, std::span<const float> values, std::vector<MeanSums>& sums) const {
    for (std::size_t l = 0; l < layers_.size(); ++l)
      if (input_site(layers_[l]) == site) add_values(patches_[l], values, patches_[l].samples_of(valid), sums[l]);
  }

  const Executor& executor_;
  std::span<const LayerId> layers_;
  const Candidate& candidate_;
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
  MeanPass pass(executor, layers, candidate);
  struct Slot {
    std::int64_t valid = 0;
    std::vector<MeanSums> sums;
  };
  std::vector<Slot> slots(workspaces.size());
  const auto run = [&](int index, std::size_t slot, Executor::Workspace& workspace) {
    const auto chunk = data.chunk(index);
    slots[slot] = {chunk->valid, pass.run(*chunk, index, workspace)};
  };
  for_chunks(executor, data.chunks(), workspaces, run,
             [&](int, std::size_t slot) { pass.reduce(slots[slot].valid, slots[slot].sums); });
  return pass.finish();
}

}  // namespace bitplan
