#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cluster/work_unit.hpp"

namespace bitplan {

class Sqlite;

/// How values stand in run.db (cluster/run_store.hpp says what the tables mean).
inline constexpr std::int64_t kRunSchema = 2;  ///< 2: LossSums of positions
inline constexpr std::int64_t kRunApplication = 0x62706c6e;  ///< "bpln", in SQLite's application_id

inline constexpr const char* kCreateRun = R"(
  CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE candidates(id INTEGER PRIMARY KEY, assignment TEXT NOT NULL UNIQUE);
  CREATE TABLE units(candidate INTEGER NOT NULL, role INTEGER NOT NULL, first_chunk INTEGER NOT NULL,
                     chunks INTEGER NOT NULL, sums BLOB NOT NULL, rank INTEGER NOT NULL, seconds REAL NOT NULL,
                     attempts INTEGER NOT NULL, UNIQUE(candidate, role, first_chunk, chunks));
  CREATE TABLE failures(candidate INTEGER NOT NULL, role INTEGER NOT NULL, reason TEXT NOT NULL,
                        UNIQUE(candidate, role));
  CREATE TABLE trials(id INTEGER PRIMARY KEY, stage TEXT NOT NULL, candidate INTEGER NOT NULL,
                      status INTEGER NOT NULL, reason TEXT NOT NULL, loss REAL NOT NULL, costs TEXT NOT NULL,
                      feasible INTEGER NOT NULL, sums BLOB NOT NULL);
  CREATE TABLE alarms(id INTEGER PRIMARY KEY, at TEXT NOT NULL, text TEXT NOT NULL);
)";

/// Throws InputError when the file is not a run of this schema.
void check_schema(const Sqlite& db, const std::filesystem::path& file);

std::string assignment_text(const Assignment& assignment);  ///< "3,0,5"
std::string costs_text(const std::vector<std::int64_t>& costs);
/// These throw InputError naming the file when the stored value is damaged.
Assignment assignment_from(const std::string& text, const std::filesystem::path& file);
std::vector<LossSums> sums_from(const std::vector<std::byte>& blob, const std::filesystem::path& file);
std::vector<std::int64_t> costs_from(const std::string& text, const std::filesystem::path& file);

}  // namespace bitplan
