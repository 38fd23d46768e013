#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "apps/study.hpp"
#include "plan/plan.hpp"

namespace bitplan {

/// {"kl": {"value", "low", "high"}, …} flattened as DESIGN §4 asks: values under their names, intervals under "intervals".
nlohmann::ordered_json losses_json(const Figures& figures);
nlohmann::ordered_json intervals_json(const Figures& figures);
/// Costs by metric label, in display units, with "units".
nlohmann::ordered_json costs_json(const CostModel& costs, const std::vector<std::int64_t>& values);  ///< by metric

/// The role that --on names. Throws UsageError.
Role role_named(const std::string& name);

/// The name of a uniform assignment in the tables: its most frequent choices ("uniform int4/int8").
std::string uniform_name(const Study& study, const Assignment& assignment);

/// "0.1237 [0.1102, 0.1371]"; fractions as per cent: "91.5 % [89.6, 93.1]".
std::string show(const std::string& metric, const Loss& loss);

/// The assignment that --plan, --uniform or --float names, with the study that knows its choices.
struct Asked {
  Study study;
  Assignment assignment;
  std::string name;
  std::vector<std::string> finish{};  ///< final passes of the plan
};
Asked study_for(Experiment experiment, const std::optional<std::filesystem::path>& plan, const std::string& uniform);

}  // namespace bitplan
