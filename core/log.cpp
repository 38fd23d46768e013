#include "core/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

namespace bitplan {
namespace {

std::shared_ptr<spdlog::logger>& people() {
  static auto logger = [] {
    auto made = std::make_shared<spdlog::logger>("people", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    return made;
  }();
  return logger;
}

std::shared_ptr<spdlog::logger>& events() {
  static std::shared_ptr<spdlog::logger> logger;
  return logger;
}

std::string now_utc() {
  const auto now = std::chrono::system_clock::now();
  const auto seconds = std::chrono::system_clock::to_time_t(now);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const auto n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  return std::string(text, n) + fmt::format(".{:03d}Z", ms);
}

}  // namespace

void open_event_log(const std::filesystem::path& file) {
  try {
    auto logger = std::make_shared<spdlog::logger>(
        "events", std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string(), /*truncate=*/false));
    logger->set_pattern("%v");
    logger->flush_on(spdlog::level::info);
    logger->set_error_handler([](const std::string& why) {
      static bool said = false;
      if (!said) people()->warn("bitplan: warning: the log can no longer be written: " + why);
      said = true;
    });
    events() = std::move(logger);
  } catch (const spdlog::spdlog_ex& e) {
    throw std::runtime_error(file.string() + ": cannot be written: " + e.what());
  }
}

void silence_log() { people()->set_level(spdlog::level::off); }

void log_info(std::string_view line) { people()->info("{}", line); }

void log_warning(std::string_view line) {
  people()->warn("bitplan: warning: {}", line);
  log_event("warning", {{"text", line}});
}

void log_event(std::string_view event, const nlohmann::json& fields) {
  if (!events()) return;
  nlohmann::ordered_json row{{"ts", now_utc()}, {"level", event == "warning" ? "warning" : "info"}, {"event", event}};
  for (const auto& [key, value] : fields.items()) row[key] = value;
  events()->info("{}", row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace bitplan
