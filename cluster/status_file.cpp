#include "cluster/status_file.hpp"

#include <array>
#include <cmath>
#include <ctime>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/files.hpp"

namespace bitplan {
namespace {

constexpr std::array kStates{RunState::running, RunState::done, RunState::interrupted, RunState::failed,
                             RunState::infeasible};

RunState state_from(const std::string& name) {
  for (const RunState state : kStates)
    if (name_of(state) == name) return state;
  throw InputError("'" + name + "' is no state of a run");
}

nlohmann::ordered_json json_of(const RunStatus& status) {
  nlohmann::ordered_json best = nullptr;
  if (status.best)
    best = {{"trial", status.best->trial},
            {"stage", status.best->stage},
            {"loss", status.best->loss},
            {"costs", status.best->costs}};
  return {{"state", name_of(status.state)},
          {"reason", status.reason},
          {"name", status.name},
          {"version", status.version},
          {"stage", status.stage},
          {"trials",
           {{"done", status.trials},
            {"planned", status.trials_planned},
            {"invalid", status.trials_invalid},
            {"failed", status.trials_failed}}},
          {"units", {{"done", status.units_done}, {"reused", status.units_reused}, {"retried", status.units_retried}}},
          {"best", best},
          {"ranks", status.ranks},
          {"ranks_lost", status.ranks_lost},
          {"pid", status.pid},
          {"seconds", status.seconds},
          {"started", status.started},
          {"updated", status.updated}};
}

RunStatus status_from(const nlohmann::json& json) {
  RunStatus status;
  status.state = state_from(json.at("state").get<std::string>());
  json.at("reason").get_to(status.reason);
  json.at("name").get_to(status.name);
  json.at("version").get_to(status.version);
  json.at("stage").get_to(status.stage);
  const auto& trials = json.at("trials");
  trials.at("done").get_to(status.trials);
  trials.at("planned").get_to(status.trials_planned);
  trials.at("invalid").get_to(status.trials_invalid);
  trials.at("failed").get_to(status.trials_failed);
  const auto& units = json.at("units");
  units.at("done").get_to(status.units_done);
  units.at("reused").get_to(status.units_reused);
  units.at("retried").get_to(status.units_retried);
  if (const auto& best = json.at("best"); !best.is_null()) {
    status.best.emplace();
    best.at("trial").get_to(status.best->trial);
    best.at("stage").get_to(status.best->stage);
    const auto& loss = best.at("loss");  // JSON has no infinity
    status.best->loss = loss.is_null() ? std::numeric_limits<double>::infinity() : loss.get<double>();
    best.at("costs").get_to(status.best->costs);
  }
  json.at("ranks").get_to(status.ranks);
  json.at("ranks_lost").get_to(status.ranks_lost);
  json.at("pid").get_to(status.pid);
  json.at("seconds").get_to(status.seconds);
  json.at("started").get_to(status.started);
  json.at("updated").get_to(status.updated);
  return status;
}

}  // namespace

std::string_view name_of(RunState state) {
  switch (state) {
    case RunState::running:
      return "running";
    case RunState::done:
      return "done";
    case RunState::interrupted:
      return "interrupted";
    case RunState::failed:
      return "failed";
    case RunState::infeasible:
      return "infeasible";
  }
  return "";
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

std::string to_json(const RunStatus& status) {
  // Reasons may quote file names in any encoding.
  return json_of(status).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

void write_status(const std::filesystem::path& directory, const RunStatus& status) {
  write_text_atomically(directory / "status.json", to_json(status));
}

RunStatus read_status(const std::filesystem::path& directory) {
  const auto file = directory / "status.json";
  const std::string text = read_text(file);
  try {
    return status_from(nlohmann::json::parse(text));
  } catch (const InputError& error) {
    throw InputError(file.string() + ": " + error.what());
  } catch (const nlohmann::json::exception& error) {
    throw InputError(file.string() + ": is no status file: " + error.what());
  }
}

}  // namespace bitplan
