#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "eval/rewrites/rewrite.hpp"

namespace bitplan {

/// `rewrites` of plan.json: [{"kind", parameters…, "folds": [{"tensor", "from", "constants", "caps", "inserted", "to",
/// "factors"}]}]; `put` keeps an array under a name and returns what stands for it.
using PutArray = std::function<nlohmann::ordered_json(const std::string& name, const std::vector<float>& values)>;
nlohmann::ordered_json rewrites_json(std::span<const RewriteRecord> records, const PutArray& put);

/// The texts (RewriteSpec::text) of the plan's rewrites; none when the key is missing. Throws InputError naming file
/// and JSON path.
std::vector<std::string> read_rewrites_json(const std::string& file, const nlohmann::json& plan);

/// A plan is measured on the network that it was made for: its rewrites are those of the experiment, in the same order.
/// Throws InputError naming both.
void check_same_rewrites(const std::string& plan_file, std::span<const std::string> planned,
                         std::span<const RewriteSpec> specs);

}  // namespace bitplan
