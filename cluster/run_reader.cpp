#include <charconv>
#include <nlohmann/json.hpp>

#include "cluster/run_schema.hpp"
#include "cluster/run_store.hpp"
#include "cluster/sqlite.hpp"
#include "cluster/wire.hpp"
#include "core/error.hpp"

namespace bitplan {
namespace {

std::filesystem::path existing_run(const std::filesystem::path& directory) {
  const auto file = directory / "run.db";
  if (!std::filesystem::exists(file)) throw InputError(directory.string() + ": holds no run (there is no run.db)");
  if (const auto holder = RunLock::holder(directory); holder && !holder->this_host)
    throw InputError(directory.string() + ": is being written on " + holder->host +
                     "; read its status.json, or come back when the run has ended");
  return file;
}

}  // namespace

std::string assignment_text(const Assignment& assignment) {
  std::string text;
  for (const ChoiceId choice : assignment) {
    if (!text.empty()) text += ',';
    text += std::to_string(choice);
  }
  return text;
}

Assignment assignment_from(const std::string& text, const std::filesystem::path& file) {
  Assignment assignment;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end; ++at) {
    ChoiceId choice = 0;
    const auto [next, error] = std::from_chars(at, end, choice);
    if (error != std::errc() || (next != end && *next != ','))
      throw InputError(file.string() + ": is damaged: '" + text + "' is no assignment");
    assignment.push_back(choice);
    at = next;
  }
  return assignment;
}

std::vector<LossSums> sums_from(const std::vector<std::byte>& blob, const std::filesystem::path& file) {
  try {
    return decode_sums(blob);
  } catch (const std::runtime_error& error) {
    throw InputError(file.string() + ": is damaged: stored sums: " + error.what());
  }
}

std::vector<std::int64_t> costs_from(const std::string& text, const std::filesystem::path& file) {
  try {
    return nlohmann::json::parse(text).get<std::vector<std::int64_t>>();
  } catch (const nlohmann::json::exception&) {
    throw InputError(file.string() + ": is damaged: '" + text + "' is no list of costs");
  }
}

std::string costs_text(const std::vector<std::int64_t>& costs) { return nlohmann::json(costs).dump(); }

void check_schema(const Sqlite& db, const std::filesystem::path& file) {
  const auto application = db.integer("PRAGMA application_id");
  const auto version = db.integer("PRAGMA user_version");
  if (application != kRunApplication) throw InputError(file.string() + ": is no run of bitplan");
  if (version != kRunSchema)
    throw InputError(file.string() + ": has schema version " + std::to_string(version) + ", this program knows " +
                     std::to_string(kRunSchema));
}

RunReader::RunReader(const std::filesystem::path& directory) : file_(existing_run(directory)) {
  db_ = std::make_unique<Sqlite>(file_, Sqlite::Mode::read);
  if (db_->integer("SELECT count(*) FROM sqlite_schema") == 0)
    throw InputError(directory.string() + ": holds no run (its run.db is empty)");
  check_schema(*db_, file_);
}

RunReader::RunReader(std::filesystem::path file, std::unique_ptr<Sqlite> db)
    : file_(std::move(file)), db_(std::move(db)) {}

RunReader::~RunReader() = default;

std::optional<std::string> RunReader::meta(const std::string& key) const {
  Statement statement(*db_, "SELECT value FROM meta WHERE key = ?");
  if (!statement.bind(key).step()) return std::nullopt;
  return statement.text(0);
}

std::vector<Trial> RunReader::trials() const {
  Statement statement(*db_,
                      "SELECT trials.id, stage, assignment, status, reason, loss, costs, feasible, sums "
                      "FROM trials JOIN candidates ON candidates.id = candidate ORDER BY trials.id");
  std::vector<Trial> trials;
  while (statement.step()) {
    Trial trial;
    trial.id = statement.integer(0);
    trial.stage = statement.text(1);
    trial.assignment = assignment_from(statement.text(2), file_);
    const auto status = statement.integer(3);
    if (status < 0 || status > static_cast<int>(Measurement::Status::failed))
      throw InputError(file_.string() + ": is damaged: trial status " + std::to_string(status));
    trial.measurement.status = static_cast<Measurement::Status>(status);
    trial.measurement.reason = statement.text(4);
    trial.measurement.loss = statement.real(5);
    trial.measurement.costs = costs_from(statement.text(6), file_);
    trial.measurement.feasible = statement.integer(7) != 0;
    const auto sums = sums_from(statement.blob(8), file_);
    if (sums.size() == 1) trial.measurement.sums = sums.front();
    trials.push_back(std::move(trial));
  }
  return trials;
}

RunReader::Counts RunReader::counts() const {
  Statement statement(*db_,
                      "SELECT (SELECT count(*) FROM trials),"
                      " (SELECT count(*) FROM trials WHERE status = 0), (SELECT count(*) FROM trials WHERE status = 1),"
                      " (SELECT count(*) FROM trials WHERE status = 2), (SELECT count(*) FROM candidates),"
                      " (SELECT count(*) FROM units), (SELECT count(*) FROM failures), (SELECT count(*) FROM alarms),"
                      " (SELECT total(seconds) FROM units)");
  statement.step();
  return {.trials = statement.integer(0),
          .trials_ok = statement.integer(1),
          .trials_invalid = statement.integer(2),
          .trials_failed = statement.integer(3),
          .candidates = statement.integer(4),
          .units = statement.integer(5),
          .failures = statement.integer(6),
          .alarms = statement.integer(7),
          .unit_seconds = statement.real(8)};
}

std::vector<RunReader::RankWork> RunReader::work_by_rank() const {
  Statement statement(*db_, "SELECT rank, count(*), total(seconds) FROM units GROUP BY rank ORDER BY rank");
  std::vector<RankWork> ranks;
  while (statement.step())
    ranks.push_back({static_cast<int>(statement.integer(0)), statement.integer(1), statement.real(2)});
  return ranks;
}

std::vector<std::string> RunReader::alarms() const {
  Statement statement(*db_, "SELECT text FROM alarms ORDER BY id");
  std::vector<std::string> alarms;
  while (statement.step()) alarms.push_back(statement.text(0));
  return alarms;
}

}  // namespace bitplan
