#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "eval/data/evaluator_data.hpp"
#include "eval/executor/executor.hpp"
#include "quant/observers/observer.hpp"

namespace bitplan {

/// What the calibration data say of each activation site.
struct Calibration {
  std::vector<std::unique_ptr<Observer>> observers;  ///< by SiteId; null for weights
  std::vector<std::string> notes;
};

/// Of a site's values in a chunk those of the valid samples, where the tensor leads with the batch; else all.
std::span<const float> valid_part(const Network& network, SiteId site, const Chunk& chunk,
                                  std::span<const float> values);

/// Runs the float network over all chunks, spread over the workspaces' threads. Each chunk has observers of its own,
/// which are merged in chunk order: the result does not depend on the number of threads. Of a padded chunk an observer
/// gets the part of the valid samples when the tensor's leading dimension is the batch, else everything, and a note
/// says so.
Calibration calibrate(const Executor& executor, ChunkedData& data, const ObserverSpec& spec,
                      std::span<Executor::WorkspacePtr> workspaces);

}  // namespace bitplan
