#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "eval/evaluator.hpp"
#include "eval/losses/losses.hpp"
#include "quant/choice.hpp"

namespace bitplan {

/// What a rank is asked to measure: one assignment on some chunks of one data role. It covers whole shards (see
/// chunks_per_shard), several when a rank has many threads.
struct WorkUnit {
  std::uint64_t id = 0;  ///< names this hand-out; a retry gets another
  Assignment assignment{};
  Role role = Role::selection;
  ChunkRange chunks{};
};

/// What came of it.
struct UnitResult {
  enum class Status : std::uint8_t {
    done,         ///< sums holds one entry a chunk
    failed,       ///< an exception; text says which. Worth a retry elsewhere
    input_error,  ///< the user's input is wrong (InputError): the whole run ends with text
    cancelled     ///< stopped because it was told to
  };
  std::uint64_t id = 0;
  Status status = Status::done;
  std::string text{};
  double seconds = 0;
  std::vector<LossSums> sums{};
};

/// Measures one unit: the sums of each chunk, in order. It runs on the evaluation thread of a rank, never twice at a
/// time, and throws Interrupted soon after `stop` becomes true. The thread may outlive the caller when an evaluation
/// does not stop, so capture what it needs by value (a shared_ptr<Evaluator>).
using MeasureUnit = std::function<std::vector<LossSums>(const WorkUnit& unit, const std::atomic<bool>& stop)>;

/// An assignment is cut into shards of this many chunks: at most 8 shards, the same on any number of ranks and threads,
/// so that what is stored can be used again by any other run of the experiment.
///   max(1, ceil(chunks / 8))
constexpr int chunks_per_shard(int chunks) { return chunks <= 8 ? 1 : (chunks + 7) / 8; }

}  // namespace bitplan
