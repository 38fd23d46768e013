#include "eval/moments/layer_moments.hpp"

#include <algorithm>
#include <set>

#include "eval/executor/chunk_waves.hpp"
#include "eval/executor/site_values.hpp"
#include "eval/moments/moment_sums.hpp"

namespace bitplan {
namespace {

/// What layers read in one chunk, by place in the list of sites.
struct ChunkInputs {
  std::vector<std::vector<float>> x, xq;
  std::int64_t valid = 0;
};

void assign(std::vector<float>& to, std::span<const float> from) { to.assign(from.begin(), from.end()); }

class Collector {
 public:
  Collector(const Executor& executor, ChunkedData& data, std::span<const MomentsRequest> requests,
            const Candidate* candidate, int threads)
      : executor_(executor), data_(data), requests_(requests), candidate_(candidate) {
    const Network& network = executor.network();
    std::set<SiteId> sites;
    patches_.reserve(requests.size());
    for (const MomentsRequest& request : requests) {
      patches_.emplace_back(network, network.layer(request.layer));
      sites.insert(site_of(request));
    }
    sites_.assign(sites.begin(), sites.end());
    for (const Patches& patches : patches_)
      sums_.emplace_back(patches, candidate ? MomentsOf::cross : MomentsOf::inputs, threads);
  }

  ChunkInputs empty() const {
    return {std::vector<std::vector<float>>(sites_.size()), std::vector<std::vector<float>>(sites_.size()), 0};
  }

  void run(int index, ChunkInputs& in, Executor::Workspace& workspace) const {
    const auto chunk = data_.chunk(index);
    const std::int64_t first = index * executor_.network().batch;
    in.valid = chunk->valid;
    run_to_sites(executor_, workspace, *chunk, first, {}, sites_,
                 [&](SiteId site, std::span<const float> values) { assign(in.x[place(site)], values); });
    if (!candidate_) return;
    run_to_sites(executor_, workspace, *chunk, first, *candidate_, sites_,
                 [&](SiteId site, std::span<const float> values) {
                   auto& xq = in.xq[place(site)];
                   if (quantized(*candidate_, site, values, xq).data() == values.data()) assign(xq, values);
                 });
  }

  void add(int index, const ChunkInputs& in) {
    for (std::size_t l = 0; l < requests_.size(); ++l) {
      const auto rows =
          rows_of_chunk(patches_[l], data_, index, in.valid, executor_.network().batch, requests_[l].max_rows);
      const std::size_t at = place(site_of(requests_[l]));
      sums_[l].add(in.x[at], in.xq[at], rows);
    }
  }

  std::vector<LayerMoments> finish() {
    std::vector<LayerMoments> all;
    for (MomentSums& sums : sums_) all.push_back(sums.finish());
    return all;
  }

 private:
  SiteId site_of(const MomentsRequest& request) const {
    return executor_.network().input_site[static_cast<std::size_t>(request.layer)];
  }
  std::size_t place(SiteId site) const {
    return static_cast<std::size_t>(std::ranges::lower_bound(sites_, site) - sites_.begin());
  }

  const Executor& executor_;
  ChunkedData& data_;
  std::span<const MomentsRequest> requests_;
  const Candidate* candidate_;
  std::vector<Patches> patches_;
  std::vector<SiteId> sites_;
  std::vector<MomentSums> sums_;
};

}  // namespace

std::vector<LayerMoments> collect_moments(const Executor& executor, ChunkedData& data,
                                          std::span<const MomentsRequest> requests, const Candidate* candidate,
                                          std::span<Executor::WorkspacePtr> workspaces) {
  check_float(candidate);
  Collector collector(executor, data, requests, candidate, static_cast<int>(workspaces.size()));
  std::vector<ChunkInputs> inputs(workspaces.size(), collector.empty());
  for_chunks(
      executor, data.chunks(), workspaces,
      [&](int index, std::size_t slot, Executor::Workspace& workspace) {
        collector.run(index, inputs[slot], workspace);
      },
      [&](int index, std::size_t slot) { collector.add(index, inputs[slot]); });
  return collector.finish();
}

}  // namespace bitplan
