#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/commands.hpp"
#include "apps/table.hpp"
#include "cluster/run_lock.hpp"
#include "cluster/status_file.hpp"
#include "core/error.hpp"
#include "core/units.hpp"

namespace bitplan {
namespace {

/// A run that says "running" while nobody holds its lock was killed.
bool was_killed(const std::filesystem::path& run, const RunStatus& status) {
  return status.state == RunState::running && !RunLock::holder(run);
}

}  // namespace

int status_command(const StatusOptions& options) {
  const auto status = read_status(options.run);
  const bool killed = was_killed(options.run, status);
  auto json = nlohmann::ordered_json::parse(to_json(status));
  json["killed"] = killed;
  if (options.json) {
    std::cout << json.dump(1) << '\n';
  } else if (!options.field.empty()) {
    if (!json.contains(options.field)) {
      std::string known;
      for (const auto& [key, value] : json.items()) known += (known.empty() ? "" : ", ") + key;
      throw UsageError("--field '" + options.field + "' is not known; known: " + known);
    }
    const auto& value = json[options.field];
    std::cout << (value.is_string() ? value.get<std::string>() : value.dump()) << '\n';
  } else {
    std::cout << options.run.string() << ": " << status.name << " is " << name_of(status.state)
              << (killed ? ", but its process is gone: go on with --resume" : "") << '\n';
    if (!status.reason.empty()) std::cout << "reason   " << status.reason << '\n';
    std::cout << "stage    " << status.stage << "\ntrials   " << status.trials;
    if (status.trials_planned > 0) std::cout << " of about " << status.trials_planned;
    std::cout << " (" << status.trials_invalid << " invalid, " << status.trials_failed << " failed)\nunits    "
              << status.units_done << " measured, " << status.units_reused << " reused, " << status.units_retried
              << " tried again\n";
    if (status.best)
      std::cout << "best     trial " << status.best->trial << " by " << status.best->stage << ", loss "
                << significant(status.best->loss) << '\n';
    std::cout << "ranks    " << status.ranks << " (" << status.ranks_lost << " lost)\ntime     "
              << format_seconds(status.seconds) << ", started " << status.started << ", updated " << status.updated << '\n';
  }
  return 0;
}

}  // namespace bitplan
