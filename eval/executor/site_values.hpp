#pragma once

#include <span>
#include <vector>

#include "eval/data/evaluator_data.hpp"
#include "eval/executor/executor.hpp"

namespace bitplan {

/// Runs the network on a chunk until each of `sites` was seen once, and no further: what comes after them costs
/// nothing. `see` gets their float values, row-major, padding samples included; the workspace has no outputs
/// afterwards. Throws InputError naming the site and the samples (the chunk's first one is number `first`) when values
/// are not finite.
void run_to_sites(const Executor& executor, Executor::Workspace& workspace, const Chunk& chunk, std::int64_t first,
                  const Candidate& candidate, std::span<const SiteId> sites, const Executor::Tap& see);

/// Runs on from where `held` was left to one site (Executor::run_to), otherwise as above.
void run_to_site(const Executor& executor, Executor::Workspace& workspace, const Chunk& chunk, std::int64_t first,
                 const Candidate& candidate, SiteId site, const Executor::Tap& see, HeldRun& held);

/// Asserts that the candidate's weights are computed in float.
void check_float(const Candidate* candidate);

/// `values` as layers read them: quantized where the candidate has a quantizer for the site. The result stands in
/// `values` or in `out`.
std::span<const float> quantized(const Candidate& candidate, SiteId site, std::span<const float> values,
                                 std::vector<float>& out);

}  // namespace bitplan
