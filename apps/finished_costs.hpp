#pragma once

#include <cstdint>
#include <vector>

#include "apps/study.hpp"
#include "eval/finish.hpp"

namespace bitplan {

/// Bytes by which final passes change what is stored for a layer: 4 for each number of their bias, less those of its
/// choice's own bias, in whose place it is.
std::int64_t bias_bytes(const Study& study, const Assignment& assignment, const Finish& finish, LayerId layer);

/// The costs of an assignment after final passes, by metric: CostModel::costs with those bytes in weight_bytes and
/// average_weight_bits. Rounding again stores as much as before; other metrics do not count biases.
std::vector<std::int64_t> finished_costs(const Study& study, const Assignment& assignment, const Finish& finish);

}  // namespace bitplan
