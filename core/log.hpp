#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace bitplan {

/// Lines for people go to stderr; events for programs go to log.jsonl, one JSON object a line:
/// {"ts": "2026-11-22T03:00:01.123Z", "level": "info", "event": "stage", …fields}. Only rank 0 logs.
/// A log that can no longer be written (full disk) is dropped with one warning; a run never dies of its log.

/// Appends events to this file from now on. Throws std::runtime_error when it cannot be opened.
void open_event_log(const std::filesystem::path& file);
/// Silences lines for people (ranks other than 0, tests).
void silence_log();

void log_info(std::string_view line);
/// "bitplan: warning: …", and an event.
void log_warning(std::string_view line);
void log_event(std::string_view event, const nlohmann::json& fields);

}  // namespace bitplan
