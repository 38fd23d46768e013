#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "eval/moments/layer_moments.hpp"
#include "eval/moments/moment_sums.hpp"

namespace bitplan {

/// Moments of one input of the network after the other, while the layers before each are being quantized: after
/// collect() of a site the caller changes the weights of the layers that read it, and the run of the data goes on from
/// there with these.
///
/// Runs are held between sites (Executor::run_to): all collect() together cost one run of the data, and with moments of
/// both networks a second one in float. Runs that do not fit into kHeldBytes begin at the inputs each time: up to half
/// a run a site; results are the same. Otherwise as collect_moments(), all sums of a site's requests being in memory at
/// once.
class StagedMoments {
 public:
  static constexpr std::size_t kHeldBytes = std::size_t{512} << 20;

  StagedMoments(const Executor& executor, ChunkedData& data, MomentsOf of, std::span<Executor::WorkspacePtr> workspaces,
                std::size_t held_bytes = kHeldBytes);

  /// The sites in the order in which collect() has to be called for them.
  std::vector<SiteId> in_order(const std::vector<SiteId>& sites);
  /// Moments of layers that read `site`, as `candidate` makes their inputs. Its weights must be float arithmetic.
  std::vector<LayerMoments> collect(SiteId site, std::span<const MomentsRequest> requests, const Candidate& candidate);

 private:
  struct Runs {
    HeldRun plain, quantized;
    std::size_t bytes() const { return plain.alive.size() + quantized.alive.size(); }
  };
  struct Inputs {
    std::vector<float> x, xq;
    std::int64_t valid = 0;
  };
  void run(SiteId site, const Candidate& candidate, int index, Executor::Workspace& workspace, Inputs& in);
  void limit(int index);

  const Executor& executor_;
  ChunkedData& data_;
  MomentsOf of_;
  std::span<Executor::WorkspacePtr> workspaces_;
  std::size_t held_bytes_;
  std::vector<Runs> runs_;  ///< by chunk
};

}  // namespace bitplan
