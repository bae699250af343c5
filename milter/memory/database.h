// SQLite's objects with owners, and its errors as exceptions. This header hides sqlite3.h; nothing
// here knows of messages. A Database and its Statements belong to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace memory {

// What the caller can do about it.
enum class Trouble : std::uint8_t {
  Busy,     // another process has the file; the same can be tried again
  Full,     // no room on the disk, or it cannot be written
  Corrupt,  // the file is not a database, or is damaged
  Other,
};

class DatabaseError : public std::runtime_error {
 public:
  DatabaseError(Trouble trouble, const std::string& what)
      : std::runtime_error(what), trouble_(trouble) {}
  Trouble trouble() const { return trouble_; }

 private:
  Trouble trouble_;
};

class Statement {
 public:
  Statement() = default;  // nothing but to be assigned to
  // Parameters count from 1. Texts and blobs must stay until the statement is reset.
  void bind(int at, std::int64_t value);
  void bind(int at, double value);
  void bind(int at, std::string_view text);
  void bind_blob(int at, std::string_view bytes);
  void bind_null(int at);
  // True: there is a row. Throws DatabaseError.
  bool step();
  void reset();
  // Steps to the end and resets: for statements without rows.
  void run();

  // Columns count from 0. A text lives until the next step.
  std::int64_t integer(int at) const;
  double real(int at) const;
  std::string_view text(int at) const;  // of a blob too
  bool is_null(int at) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  void check(int result) const;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  enum class Mode {
    Write,  // the file is made where it is not there
    Read,   // nothing is written, in no file
  };
  // Throws DatabaseError "FILE: …".
  Database(const std::string& file, Mode mode);

  void execute(const std::string& sql);
  Statement prepare(std::string_view sql);
  std::int64_t last_id() const;
  std::int64_t changes() const;  // rows that the last statement has changed
  // Moves the write-ahead log into the file and makes it empty. False: a reader holds it.
  bool checkpoint();
  // What is damaged, in SQLite's words. Empty: nothing is, as far as it could look in `most`.
  std::string damage(std::chrono::milliseconds most);

 private:
  friend class Transaction;
  friend class Snapshot;
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::unique_ptr<sqlite3, Close> database_;
};

// Rolled back unless it is committed.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

// What is read while it lives is of one moment. The write-ahead log cannot be emptied until then.
class Snapshot {
 public:
  explicit Snapshot(Database& database);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

 private:
  Database& database_;
};

}  // namespace memory
