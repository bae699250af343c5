#include "milter/memory/database.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

namespace memory {
namespace {

// How long a writer waits for another one: `segmilter forget` has the file for milliseconds.
constexpr int kPatienceMs = 1000;

Trouble trouble_of(int result) {
  switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Trouble::Busy;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return Trouble::Full;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Trouble::Corrupt;
    default:
      return Trouble::Other;
  }
}

[[noreturn]] void fail(sqlite3* database, int result) {
  const char* file = database == nullptr ? nullptr : sqlite3_db_filename(database, "main");
  std::string what = file == nullptr || *file == '\0' ? "store" : file;
  what += ": ";
  what += database == nullptr ? sqlite3_errstr(result) : sqlite3_errmsg(database);
  if (const int error = database == nullptr ? 0 : sqlite3_system_errno(database); error != 0) {
    what += std::string(" (") + std::strerror(error) + ")";
  }
  throw DatabaseError(trouble_of(result), what);
}

// Opens nothing for writing, not even the files of the write-ahead log: the reader may not be
// allowed to write, and its system calls may not allow it (process/seccomp.h). A file without a
// write-ahead log is at rest: SQLite would make one to read it, unless it is told that the file
// does not change. If a writer comes just now, what it writes goes into a log that this reader does
// not look at.
std::string reading_uri(const std::string& file) {
  std::string uri = "file:";
  for (const char c : file) {
    const bool has_a_meaning = c == '%' || c == '?' || c == '#';
    uri +=
        has_a_meaning ? fmt::format("%{:02x}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  struct stat log {};
  const bool has_log = stat((file + "-wal").c_str(), &log) == 0;
  const bool has_index = access((file + "-shm").c_str(), F_OK) == 0;
  const bool is_at_rest = !has_log || (!has_index && log.st_size == 0);
  return uri + (is_at_rest ? "?immutable=1" : "?readonly_shm=1");
}

// A file that another program has written may have a view in the place of a table, which may never
// end, or a trigger. None of them is used here; the view of a day file is for administrators.
void distrust_schema(sqlite3* database) {
  for (const int option : {SQLITE_DBCONFIG_ENABLE_VIEW, SQLITE_DBCONFIG_ENABLE_TRIGGER,
                           SQLITE_DBCONFIG_TRUSTED_SCHEMA}) {
    constexpr int kOff = 0;
    (void)sqlite3_db_config(database, option, kOff, nullptr);
  }
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  (void)sqlite3_finalize(statement);
}

void Statement::check(int result) const {
  if (result != SQLITE_OK) fail(sqlite3_db_handle(statement_.get()), result);
}

void Statement::bind(int at, std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), at, value));
}

void Statement::bind(int at, double value) {
  check(sqlite3_bind_double(statement_.get(), at, value));
}

void Statement::bind(int at, std::string_view text) {
  check(sqlite3_bind_text(statement_.get(), at, text.data(), static_cast<int>(text.size()),
                          SQLITE_STATIC));
}

void Statement::bind_blob(int at, std::string_view bytes) {
  check(sqlite3_bind_blob(statement_.get(), at, bytes.data(), static_cast<int>(bytes.size()),
                          SQLITE_STATIC));
}

void Statement::bind_null(int at) {
  check(sqlite3_bind_null(statement_.get(), at));
}

bool Statement::step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  const auto database = sqlite3_db_handle(statement_.get());
  try {
    fail(database, result);
  } catch (const DatabaseError&) {
    (void)sqlite3_reset(statement_.get());
    throw;
  }
}

void Statement::reset() {
  (void)sqlite3_reset(statement_.get());
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

std::int64_t Statement::integer(int at) const {
  return sqlite3_column_int64(statement_.get(), at);
}

double Statement::real(int at) const {
  return sqlite3_column_double(statement_.get(), at);
}

std::string_view Statement::text(int at) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), at));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), at))};
}

bool Statement::is_null(int at) const {
  return sqlite3_column_type(statement_.get(), at) == SQLITE_NULL;
}

void Database::Close::operator()(sqlite3* database) const {
  (void)sqlite3_close_v2(database);
}

Database::Database(const std::string& file, Mode mode) {
  sqlite3* opened = nullptr;
  const int flags = mode == Mode::Read ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
                                       : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const auto name = mode == Mode::Read ? reading_uri(file) : file;
  const int result = sqlite3_open_v2(name.c_str(), &opened, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  database_.reset(opened);
  if (result != SQLITE_OK) {
    std::string what = file + ": " + sqlite3_errstr(result);
    const int error = opened == nullptr ? 0 : sqlite3_system_errno(opened);
    if (error != 0) what += std::string(" (") + std::strerror(error) + ")";
    throw DatabaseError(trouble_of(result), what);
  }
  distrust_schema(opened);
  (void)sqlite3_extended_result_codes(opened, 1);
  (void)sqlite3_busy_timeout(opened, kPatienceMs);
}

void Database::execute(const std::string& sql) {
  const int result = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) fail(database_.get(), result);
}

Statement Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) fail(database_.get(), result);
  return Statement(statement);
}

std::int64_t Database::last_id() const {
  return sqlite3_last_insert_rowid(database_.get());
}

std::int64_t Database::changes() const {
  return sqlite3_changes64(database_.get());
}

bool Database::checkpoint() {
  (void)sqlite3_busy_timeout(database_.get(), 0);
  const int result = sqlite3_wal_checkpoint_v2(database_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE,
                                               nullptr, nullptr);
  (void)sqlite3_busy_timeout(database_.get(), kPatienceMs);
  if (result == SQLITE_OK) return true;
  if (trouble_of(result) == Trouble::Busy) return false;
  fail(database_.get(), result);
}

std::string Database::damage(std::chrono::milliseconds most) {
  using Clock = std::chrono::steady_clock;
  constexpr int kInstructions = 10'000;  // of SQLite's machine, between two looks at the clock
  auto end = Clock::now() + most;
  sqlite3_progress_handler(
      database_.get(), kInstructions,
      [](void* until) { return Clock::now() >= *static_cast<Clock::time_point*>(until) ? 1 : 0; },
      &end);
  std::string found;
  {
    auto check = prepare("PRAGMA quick_check(1)");
    const int result = sqlite3_step(check.statement_.get());
    if (result == SQLITE_ROW && check.text(0) != "ok") found = check.text(0);
    if (trouble_of(result) == Trouble::Corrupt) found = sqlite3_errmsg(database_.get());
  }
  sqlite3_progress_handler(database_.get(), 0, nullptr, nullptr);
  return found;
}

Transaction::Transaction(Database& database) : database_(database) {
  database_.execute("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  // A full disk has ended the transaction already.
  if (!open_ || sqlite3_get_autocommit(database_.database_.get()) != 0) return;
  (void)sqlite3_exec(database_.database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

Snapshot::Snapshot(Database& database) : database_(database) {
  database_.execute("BEGIN");
}

Snapshot::~Snapshot() {
  (void)sqlite3_exec(database_.database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace memory
