#include "cluster/sqlite.hpp"

#include <sqlite3.h>

#include <cassert>
#include <stdexcept>

#include "core/error.hpp"

namespace bitplan {
namespace {

constexpr int kBusyMilliseconds = 10000;  ///< a reader may hold the file for a moment

}  // namespace

Sqlite::Sqlite(std::filesystem::path file, Mode mode) : file_(std::move(file)) {
  const int flags = mode == Mode::read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  if (sqlite3_open_v2(file_.c_str(), &handle_, flags, nullptr) != SQLITE_OK) {
    const std::string reason = handle_ ? sqlite3_errmsg(handle_) : "out of memory";
    sqlite3_close(handle_);
    throw std::runtime_error(file_.string() + ": cannot be opened: " + reason);
  }
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, kBusyMilliseconds);
}

Sqlite::~Sqlite() { sqlite3_close(handle_); }

void Sqlite::fail() const {
  const int code = sqlite3_extended_errcode(handle_) & 0xff;
  const std::string reason = file_.string() + ": " + sqlite3_errmsg(handle_);
  switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      fail_as_damaged();
    case SQLITE_FULL:
    case SQLITE_IOERR:
      throw std::runtime_error(reason + "; what was stored before is kept: make space, then go on with --resume");
    default:
      throw std::runtime_error(reason);
  }
}

void Sqlite::fail_as_damaged() const {
  throw InputError(file_.string() + ": " + sqlite3_errmsg(handle_) +
                   "; the file is damaged: restore it, or start again in another directory");
}

void Sqlite::run(std::string_view sql) const {
  if (sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail();
}

std::int64_t Sqlite::integer(std::string_view sql) const {
  Statement statement(*this, sql);
  return statement.step() ? statement.integer(0) : 0;
}

std::string Sqlite::text(std::string_view sql) const {
  Statement statement(*this, sql);
  return statement.step() ? statement.text(0) : std::string();
}

std::int64_t Sqlite::last_id() const { return sqlite3_last_insert_rowid(handle_); }
bool Sqlite::changed() const { return sqlite3_changes(handle_) > 0; }

Statement::Statement(const Sqlite& db, std::string_view sql) : db_(db) {
  const int code = sqlite3_prepare_v2(db.handle_, sql.data(), static_cast<int>(sql.size()), &handle_, nullptr);
  if (code == SQLITE_ERROR) db.fail_as_damaged();  // our statements are right, so the tables must be wrong
  if (code != SQLITE_OK) db.fail();
}

Statement::~Statement() { sqlite3_finalize(handle_); }

void Statement::reset() {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
}

bool Statement::step() {
  switch (sqlite3_step(handle_)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      sqlite3_reset(handle_);
      return false;
    default:
      db_.fail();
  }
}

void Statement::run() {
  [[maybe_unused]] const bool row = step();
  assert(!row);
}

void Statement::bind_at(int index, std::int64_t value) {
  if (sqlite3_bind_int64(handle_, index, value) != SQLITE_OK) db_.fail();
}

void Statement::bind_at(int index, double value) {
  if (sqlite3_bind_double(handle_, index, value) != SQLITE_OK) db_.fail();
}

void Statement::bind_at(int index, const std::string& value) {
  if (sqlite3_bind_text(handle_, index, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT) != SQLITE_OK)
    db_.fail();
}

void Statement::bind_at(int index, const std::vector<std::byte>& value) {
  if (sqlite3_bind_blob(handle_, index, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT) != SQLITE_OK)
    db_.fail();
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_, column); }
double Statement::real(int column) const { return sqlite3_column_double(handle_, column); }

std::string Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  return text ? std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))) : std::string();
}

std::vector<std::byte> Statement::blob(int column) const {
  const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(handle_, column));
  return data ? std::vector<std::byte>(data, data + sqlite3_column_bytes(handle_, column)) : std::vector<std::byte>();
}

Transaction::~Transaction() {
  if (committed_) return;
  try {
    db_.run("ROLLBACK");
  } catch (const std::exception&) {  // a failed statement has rolled it back already
  }
}

void Transaction::commit() {
  db_.run("COMMIT");
  committed_ = true;
}

}  // namespace bitplan
