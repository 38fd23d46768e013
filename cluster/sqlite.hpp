#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace bitplan {

class Sqlite;

/// One prepared statement. Parameters and columns are counted from 1 and 0, as SQLite does.
class Statement {
 public:
  Statement(const Sqlite& db, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  template <class... Values>
  Statement& bind(const Values&... values) {
    reset();
    int index = 0;
    (bind_at(++index, values), ...);
    return *this;
  }
  bool step();  ///< true: a row is there
  void run();   ///< for statements without rows

  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  std::vector<std::byte> blob(int column) const;

 private:
  void reset();
  void bind_at(int index, std::int64_t value);
  void bind_at(int index, int value) { bind_at(index, std::int64_t{value}); }
  void bind_at(int index, double value);
  void bind_at(int index, const std::string& value);
  void bind_at(int index, const std::vector<std::byte>& value);

  const Sqlite& db_;
  sqlite3_stmt* handle_ = nullptr;
};

/// One open SQLite file. Errors name the file: InputError when it is damaged or no database, std::runtime_error when
/// the system refuses (disk full, no permission).
class Sqlite {
 public:
  enum class Mode { read, create };
  Sqlite(std::filesystem::path file, Mode mode);
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  void run(std::string_view sql) const;  ///< one or more statements without results
  std::int64_t integer(std::string_view sql) const;
  std::string text(std::string_view sql) const;
  std::int64_t last_id() const;
  bool changed() const;  ///< did the last INSERT, UPDATE or DELETE change a row

 private:
  friend class Statement;
  [[noreturn]] void fail() const;
  [[noreturn]] void fail_as_damaged() const;
  std::filesystem::path file_;
  sqlite3* handle_ = nullptr;
};

/// All or nothing: rolled back unless commit() returned.
class Transaction {
 public:
  explicit Transaction(const Sqlite& db) : db_(db) { db_.run("BEGIN IMMEDIATE"); }
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  const Sqlite& db_;
  bool committed_ = false;
};

}  // namespace bitplan
