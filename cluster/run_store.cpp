#include "cluster/run_store.hpp"

#include <limits>

#include "cluster/run_schema.hpp"
#include "cluster/sqlite.hpp"
#include "cluster/status_file.hpp"
#include "cluster/wire.hpp"
#include "core/error.hpp"

namespace bitplan {
namespace {

constexpr std::uintmax_t kLeastDatabase = 512;

std::string quoted(const RunStore::Unit& unit) {
  return "assignment " + assignment_text(unit.assignment) + ", role " + std::to_string(static_cast<int>(unit.role)) +
         ", chunks " + std::to_string(unit.chunks.first) + " to " +
         std::to_string(unit.chunks.first + unit.chunks.count - 1);
}

/// Commits do not wait for the disk while this lives.
class Unsynchronized {
 public:
  explicit Unsynchronized(const Sqlite& db) : db_(db) { db_.run("PRAGMA synchronous = NORMAL"); }
  ~Unsynchronized() {
    try {
      db_.run("PRAGMA synchronous = FULL");
    } catch (const std::exception&) {  // only while memory is out: add_units checks
    }
  }
  Unsynchronized(const Unsynchronized&) = delete;
  Unsynchronized& operator=(const Unsynchronized&) = delete;

 private:
  const Sqlite& db_;
};

/// SQLite takes a file shorter than its header for an empty one and would overwrite it.
std::filesystem::path checked(const std::filesystem::path& file) {
  std::error_code absent;
  const auto size = std::filesystem::file_size(file, absent);
  if (!absent && size > 0 && size < kLeastDatabase)
    throw InputError(file.string() + ": is damaged: it has only " + std::to_string(size) + " bytes");
  return file;
}

double stored_loss(double loss) {  // SQLite turns NaN into NULL
  return loss == loss ? loss : std::numeric_limits<double>::infinity();
}

}  // namespace

RunStore::RunStore(const std::filesystem::path& directory, const std::string& identity, const std::string& version,
                   Mode mode)
    : RunStore(RunLock(directory), directory) {
  if (db_->integer("SELECT count(*) FROM sqlite_schema") == 0) {
    begin_run(identity, version);
    return;
  }
  check_schema(*db_, file_);
  if (mode == Mode::fresh)
    throw InputError(directory.string() +
                     ": holds a run already; go on with it by --resume, or choose another directory");
  check_run(identity, version);
  resumed_ = true;
}

RunStore::RunStore(RunLock lock, const std::filesystem::path& directory)
    : RunReader(directory / "run.db", std::make_unique<Sqlite>(checked(directory / "run.db"), Sqlite::Mode::create)),
      lock_(std::move(lock)) {
  db_->run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
}

RunStore::~RunStore() = default;

void RunStore::begin_run(const std::string& identity, const std::string& version) {
  Transaction transaction(*db_);
  db_->run(kCreateRun);
  db_->run("PRAGMA application_id = " + std::to_string(kRunApplication));
  db_->run("PRAGMA user_version = " + std::to_string(kRunSchema));
  Statement insert(*db_, "INSERT INTO meta(key, value) VALUES (?, ?)");
  insert.bind(std::string("identity"), identity).run();
  insert.bind(std::string("version"), version).run();
  insert.bind(std::string("created"), utc_now()).run();
  transaction.commit();
}

void RunStore::check_run(const std::string& identity, const std::string& version) const {
  if (const auto found = db_->text("PRAGMA quick_check(1)"); found != "ok")
    throw InputError(file_.string() + ": is damaged: " + found);
  // SQLite reads a last page that is cut short as if zeros followed, and its check sees nothing wrong in them.
  if (std::filesystem::file_size(file_) % static_cast<std::uintmax_t>(db_->integer("PRAGMA page_size")) != 0)
    throw InputError(file_.string() + ": is damaged: it ends in the middle of a page");
  if (const auto found = meta("version").value_or(""); found != version)
    throw InputError(file_.string() + ": was begun by bitplan " + found + ", this is " + version +
                     "; figures of two versions may differ, so start again in another directory");
  if (const auto found = meta("identity").value_or(""); found != identity)
    throw InputError(file_.string() + ": was begun with another experiment, model or data (" + found + ", now " +
                     identity + "); start again in another directory");
}

void RunStore::set_meta(const std::string& key, const std::string& value) {
  Statement(*db_, "INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)").bind(key, value).run();
}

void RunStore::add_alarm(const std::string& text) {
  Statement(*db_, "INSERT INTO alarms(at, text) VALUES (?, ?)").bind(utc_now(), text).run();
}

std::int64_t RunStore::candidate_id(const Assignment& assignment) {
  const std::string text = assignment_text(assignment);
  Statement(*db_, "INSERT OR IGNORE INTO candidates(assignment) VALUES (?)").bind(text).run();
  if (db_->changed()) return db_->last_id();
  Statement select(*db_, "SELECT id FROM candidates WHERE assignment = ?");
  select.bind(text).step();
  return select.integer(0);
}

std::vector<std::string> RunStore::add_units(std::span<const Unit> units) {
  std::vector<std::string> alarms;
  if (units.empty()) return alarms;
  Transaction transaction(*db_);
  Statement insert(*db_, "INSERT OR IGNORE INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  Statement select(*db_,
                   "SELECT sums, rank FROM units WHERE candidate = ? AND role = ? AND first_chunk = ? AND chunks = ?");
  for (const Unit& unit : units) {
    const auto candidate = candidate_id(unit.assignment);
    const int role = static_cast<int>(unit.role);
    const auto sums = encode_sums(unit.sums);
    insert.bind(candidate, role, unit.chunks.first, unit.chunks.count, sums, unit.rank, unit.seconds, unit.attempts)
        .run();
    if (db_->changed()) continue;
    select.bind(candidate, role, unit.chunks.first, unit.chunks.count).step();
    if (select.blob(0) == sums) continue;
    alarms.push_back(quoted(unit) + ": rank " + std::to_string(unit.rank) + " measured other sums than rank " +
                     std::to_string(select.integer(1)) + " before; the first are kept");
    add_alarm(alarms.back());
  }
  transaction.commit();
  return alarms;
}

std::vector<RunStore::Unit> RunStore::units(const Assignment& assignment, Role role) const {
  Statement select(
      *db_,
      "SELECT first_chunk, chunks, sums, rank, seconds, attempts FROM units"
      " JOIN candidates ON candidates.id = candidate WHERE assignment = ? AND role = ? ORDER BY first_chunk");
  select.bind(assignment_text(assignment), static_cast<int>(role));
  std::vector<Unit> units;
  while (select.step()) {
    Unit unit{.assignment = assignment, .role = role};
    unit.chunks = {static_cast<int>(select.integer(0)), static_cast<int>(select.integer(1))};
    unit.sums = sums_from(select.blob(2), file_);
    if (unit.sums.size() != static_cast<std::size_t>(unit.chunks.count))
      throw InputError(file_.string() + ": is damaged: " + quoted(unit) + " has " + std::to_string(unit.sums.size()) +
                       " sums");
    unit.rank = static_cast<int>(select.integer(3));
    unit.seconds = select.real(4);
    unit.attempts = static_cast<int>(select.integer(5));
    units.push_back(std::move(unit));
  }
  return units;
}

void RunStore::add_failure(const Assignment& assignment, Role role, const std::string& reason) {
  Transaction transaction(*db_);
  Statement(*db_, "INSERT OR IGNORE INTO failures VALUES (?, ?, ?)")
      .bind(candidate_id(assignment), static_cast<int>(role), reason)
      .run();
  transaction.commit();
}

std::optional<std::string> RunStore::failure(const Assignment& assignment, Role role) const {
  Statement select(*db_,
                   "SELECT reason FROM failures JOIN candidates ON candidates.id = candidate"
                   " WHERE assignment = ? AND role = ?");
  if (!select.bind(assignment_text(assignment), static_cast<int>(role)).step()) return std::nullopt;
  return select.text(0);
}

std::int64_t RunStore::forget_failures(const std::string& text) {
  Transaction transaction(*db_);
  Statement count(*db_, "SELECT count(*) FROM failures WHERE instr(reason, ?) > 0");
  count.bind(text).step();
  const auto forgotten = count.integer(0);
  Statement(*db_, "DELETE FROM failures WHERE instr(reason, ?) > 0").bind(text).run();
  transaction.commit();
  return forgotten;
}

std::vector<std::string> RunStore::add_trials(std::span<const Trial> trials) {
  std::vector<std::string> alarms;
  if (trials.empty()) return alarms;
  const Unsynchronized fast(*db_);
  Transaction transaction(*db_);
  Statement select(*db_, "SELECT stage, candidate, status, loss, costs, feasible FROM trials WHERE id = ?");
  Statement insert(*db_, "INSERT OR REPLACE INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  for (const Trial& trial : trials) {
    const Measurement& m = trial.measurement;
    const auto candidate = candidate_id(trial.assignment);
    const auto status = static_cast<int>(m.status);
    const auto costs = costs_text(m.costs);
    const auto loss = stored_loss(m.loss);
    if (select.bind(trial.id).step()) {
      if (select.text(0) == trial.stage && select.integer(1) == candidate && select.integer(2) == status &&
          select.real(3) == loss && select.text(4) == costs && (select.integer(5) != 0) == m.feasible)
        continue;
      alarms.push_back("trial " + std::to_string(trial.id) +
                       " is not what the interrupted run had there; the new one is kept");
      add_alarm(alarms.back());
    }
    insert
        .bind(trial.id, trial.stage, candidate, status, m.reason, loss, costs, static_cast<int>(m.feasible),
              encode_sums({&m.sums, 1}))
        .run();
  }
  transaction.commit();
  return alarms;
}

}  // namespace bitplan
