#pragma once

#include <algorithm>
#include <string>

namespace bitplan {

/// How the coordinator works: `run:` of the experiment, and who we are.
struct ClusterOptions {
  int threads = 1;                  ///< that share a unit's chunks on rank 0
  double evaluation_timeout = 300;  ///< seconds for one work unit
  int retries = 2;                  ///< of a unit that failed or took too long; then its candidate is failed
  double heartbeat = 2;             ///< seconds

  /// What experiment, data and program this rank was set up with (any text, a hash). A worker with another is refused.
  std::string identity{};

  double shortest_silence = 10;  ///< seconds; smaller in tests
  /// A silent rank is given up after max(10 s, 5 heartbeats).
  double silence() const { return std::max(shortest_silence, 5 * heartbeat); }
};

}  // namespace bitplan
