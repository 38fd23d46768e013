#include "eval/moments/staged_moments.hpp"

#include <cassert>

#include "eval/executor/chunk_waves.hpp"
#include "eval/executor/site_values.hpp"

namespace bitplan {

StagedMoments::StagedMoments(const Executor& executor, ChunkedData& data, MomentsOf of,
                             std::span<Executor::WorkspacePtr> workspaces, std::size_t held_bytes)
    : executor_(executor),
      data_(data),
      of_(of),
      workspaces_(workspaces),
      held_bytes_(held_bytes),
      runs_(static_cast<std::size_t>(data.chunks())) {}

std::vector<SiteId> StagedMoments::in_order(const std::vector<SiteId>& sites) {
  std::vector<SiteId> order;
  if (sites.empty()) return order;
  auto& workspace = workspaces_.front();
  if (!workspace) workspace = executor_.make_workspace();
  run_to_sites(executor_, *workspace, *data_.chunk(0), 0, {}, sites,
               [&](SiteId site, std::span<const float>) { order.push_back(site); });
  return order;
}

std::vector<LayerMoments> StagedMoments::collect(SiteId site, std::span<const MomentsRequest> requests,
                                                 const Candidate& candidate) {
  check_float(&candidate);
  const Network& network = executor_.network();
  std::vector<Patches> patches;
  for (const MomentsRequest& request : requests) {
    assert(network.input_site[static_cast<std::size_t>(request.layer)] == site);
    patches.emplace_back(network, network.layer(request.layer));
  }
  std::vector<MomentSums> sums;
  for (const Patches& of_layer : patches) sums.emplace_back(of_layer, of_, static_cast<int>(workspaces_.size()));
  std::vector<Inputs> inputs(workspaces_.size());
  for_chunks(
      executor_, data_.chunks(), workspaces_,
      [&](int index, std::size_t slot, Executor::Workspace& workspace) {
        run(site, candidate, index, workspace, inputs[slot]);
      },
      [&](int index, std::size_t slot) {
        limit(index);
        const Inputs& in = inputs[slot];
        for (std::size_t l = 0; l < requests.size(); ++l)
          sums[l].add(of_ == MomentsOf::inputs ? in.xq : in.x, in.xq,
                      rows_of_chunk(patches[l], data_, index, in.valid, network.batch, requests[l].max_rows));
      });
  std::vector<LayerMoments> all;
  for (MomentSums& of_layer : sums) all.push_back(of_layer.finish());
  return all;
}

void StagedMoments::run(SiteId site, const Candidate& candidate, int index, Executor::Workspace& workspace,
                        Inputs& in) {
  const auto chunk = data_.chunk(index);
  const std::int64_t first = index * executor_.network().batch;
  Runs& runs = runs_[static_cast<std::size_t>(index)];
  in.valid = chunk->valid;
  if (of_ != MomentsOf::inputs)
    run_to_site(
        executor_, workspace, *chunk, first, {}, site,
        [&](SiteId, std::span<const float> values) { in.x.assign(values.begin(), values.end()); }, runs.plain);
  run_to_site(
      executor_, workspace, *chunk, first, candidate, site,
      [&](SiteId, std::span<const float> values) {
        if (quantized(candidate, site, values, in.xq).data() == values.data())
          in.xq.assign(values.begin(), values.end());
      },
      runs.quantized);
}

/// Lets go of the chunk's runs when there are too many bytes.
void StagedMoments::limit(int index) {
  std::size_t bytes = 0;
  for (const Runs& runs : runs_) bytes += runs.bytes();
  if (bytes > held_bytes_) runs_[static_cast<std::size_t>(index)] = {};
}

}  // namespace bitplan
