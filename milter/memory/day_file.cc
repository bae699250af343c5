#include "milter/memory/day_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "classifier/signature.h"
#include "classifier/trace_text.h"
#include "milter/memory/word_columns.h"

namespace memory {
namespace {

// "smlt": tells `file` and us that the file is one of the store.
constexpr int kApplication = 0x736d6c74;
constexpr int kMostWal = 16 * 1024 * 1024;

// The columns that hold values, in front of kWordColumns.
constexpr const char* kValueColumns =
    "weight, time, queue_id, address, port, network, helo, tls, score, terms, confidence, size, "
    "block, mss, syn, ja4, signature, dictionary, trace";
constexpr int kValues = 19;

constexpr const char* kTables = R"(
CREATE TABLE about (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
CREATE TABLE hours (hour INTEGER, pattern TEXT, gait TEXT, action TEXT, n INTEGER NOT NULL,
                    PRIMARY KEY (hour, pattern, gait, action)) WITHOUT ROWID;
)";

std::string make_messages() {
  std::string sql =
      "CREATE TABLE messages (id INTEGER PRIMARY KEY, weight INTEGER NOT NULL DEFAULT 1, "
      "time INTEGER NOT NULL, "
      "queue_id TEXT, address TEXT, port INTEGER, network TEXT, helo INTEGER, "
      "tls INTEGER, score REAL, terms TEXT, confidence REAL, size INTEGER, "
      "block INTEGER, mss INTEGER, syn TEXT, ja4 TEXT, signature INTEGER, "
      "dictionary INTEGER, trace BLOB";
  for (const auto* column : kWordColumns) sql += fmt::format(", {} INTEGER", column);
  return sql + ");";
}

// helo: 1 an address in brackets, 2 one word, 4 the confirmed name (HeloShape).
std::string make_view() {
  std::string sql =
      "CREATE VIEW sightings AS SELECT id, weight, strftime('%Y-%m-%dT%H:%M:%S', time / 1000, "
      "'unixepoch') "
      "|| printf('.%03dZ', time % 1000) AS time, queue_id, address, port, network, helo & 1 AS "
      "helo_literal, helo >> 1 & 1 AS helo_dotless, helo >> 2 & 1 AS helo_confirmed, tls, score, "
      "terms, confidence, size, block, mss, syn, ja4, signature";
  for (const auto* column : kWordColumns) {
    sql += fmt::format(", (SELECT word FROM words WHERE words.id = messages.{0}) AS {0}", column);
  }
  return sql + " FROM messages;";
}

std::string insert_row() {
  std::string sql = fmt::format("INSERT INTO messages ({}", kValueColumns);
  for (const auto* column : kWordColumns) sql += fmt::format(", {}", column);
  sql += ") VALUES (?";
  for (std::size_t i = 1; i < kValues + std::size(kWordColumns); ++i) sql += ",?";
  return sql + ")";
}

Database open(const std::string& path) {
  Database database(path, Database::Mode::Write);
  // This applies to a file that does not exist yet. It cannot be changed later.
  database.execute("PRAGMA page_size = 8192");
  auto version = database.prepare("PRAGMA user_version");
  (void)version.step();
  const auto schema = static_cast<int>(version.integer(0));
  if (schema != 0 && schema != DayFile::kSchema) {
    throw OtherSchema(fmt::format("{}: has schema {}, and this program writes {}", path, schema,
                                  DayFile::kSchema),
                      schema);
  }
  return database;
}

// "bot-template:+3.9,contradiction(exim):+3,network:+0.9"
std::string print_terms(const classifier::Reasons& reasons) {
  std::string text;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (reasons.because(i) == classifier::Because::Added) {
      const auto term = reasons.added(i);
      text += fmt::format("{}{}:{:+.4g}", text.empty() ? "" : ",", term.kind, term.weight);
    }
    if (reasons.because(i) != classifier::Because::Term) continue;
    const auto term = reasons.term(i);
    text += fmt::format("{}{}{}:{:+.4g}", text.empty() ? "" : ",", term.sign->key,
                        term.about.empty() ? "" : fmt::format("({})", term.about), term.weight);
  }
  return text;
}

std::int64_t bits(const HeloShape& helo) {
  return (helo.literal ? 1 : 0) | (helo.dotless ? 2 : 0) | (helo.confirmed ? 4 : 0);
}

std::int64_t hour_of(const Sighting& sighting) {
  return std::chrono::floor<std::chrono::hours>(sighting.time).time_since_epoch().count();
}

}  // namespace

// The parameters of a statement, one after the other. They borrow what they are given.
class DayFile::Cells {
 public:
  explicit Cells(Statement& row) : row_(row) {}
  void add(std::int64_t value) { row_.bind(++at_, value); }
  void add(double value) { row_.bind(++at_, value); }
  void add_blob(std::string_view bytes) { row_.bind_blob(++at_, bytes); }
  // An empty text, and a number that is not there, are NULL.
  void add(std::string_view text) {
    ++at_;
    text.empty() ? row_.bind_null(at_) : row_.bind(at_, text);
  }
  void add(std::optional<std::int64_t> value) {
    ++at_;
    value ? row_.bind(at_, *value) : row_.bind_null(at_);
  }

 private:
  Statement& row_;
  int at_ = 0;
};

DayFile::DayFile(const std::string& path) : path_(path), database_(open(path)) {
  database_.execute(fmt::format(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; "
      "PRAGMA journal_size_limit = {}",
      kMostWal));
  make();
  groups_.emplace(database_);
  insert_row_ = database_.prepare(insert_row());
  insert_word_ = database_.prepare("INSERT INTO words (word) VALUES (?)");
  find_word_ = database_.prepare("SELECT id FROM words WHERE word = ?");
  count_hour_ = database_.prepare(
      "INSERT INTO hours VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1");
  struct stat about {};
  if (stat(path.c_str(), &about) == 0) {
    device_ = about.st_dev;
    number_ = about.st_ino;
  }
}

void DayFile::make() {
  Transaction transaction(database_);
  bool is_made = false;
  {
    auto version = database_.prepare("PRAGMA user_version");
    (void)version.step();
    is_made = version.integer(0) != 0;
  }
  if (!is_made) {
    database_.execute(kTables + make_messages() + make_view());
    set_about("schema", std::to_string(kSchema));
    set_about("trace", "segmilter/1");
    set_about("signature", std::to_string(classifier::kSignature));
    set_about("dictionary", std::to_string(TracePacker::kDictionary));
    database_.execute(
        fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplication, kSchema));
  }
  RowGroups::make(database_);
  transaction.commit();
}

void DayFile::set_about(std::string_view key, std::string_view value) {
  auto set = database_.prepare("INSERT OR REPLACE INTO about VALUES (?, ?)");
  set.bind(1, key);
  set.bind(2, value);
  set.run();
}

std::int64_t DayFile::word(std::string_view text) {
  const auto known = words_.find(std::string(text));
  if (known != words_.end()) return known->second;
  find_word_.bind(1, text);
  std::int64_t id = 0;
  if (find_word_.step()) id = find_word_.integer(0);
  find_word_.reset();
  if (id == 0) {
    insert_word_.bind(1, text);
    insert_word_.run();
    id = database_.last_id();
  }
  words_.emplace(text, id);
  return id;
}

void DayFile::insert(const Sighting& sighting, std::uint32_t weight, const AddressForm& form,
                     TracePacker& packer) {
  const auto terms = print_terms(sighting.verdict.reasons);
  const auto trace = classifier::print(sighting.trace);
  const auto& client = sighting.client;
  const auto address = client ? form.address(*client) : std::string();
  const auto network = client ? form.network(*client) : std::string();
  Cells cells(insert_row_);
  cells.add(std::int64_t{weight});
  cells.add(std::int64_t{sighting.time.time_since_epoch().count()});
  cells.add(std::string_view(sighting.queue_id));
  cells.add(std::string_view(address));
  // The port identifies a person as much as the address does.
  cells.add(address.empty() ? std::nullopt : std::optional<std::int64_t>(client->port()));
  cells.add(std::string_view(network));
  add_numbers(cells, sighting, terms);
  cells.add(std::string_view(sighting.trace.path.syn));
  cells.add(std::string_view(sighting.trace.hello.ja4));
  cells.add(std::int64_t{classifier::kSignature});
  cells.add(std::int64_t{TracePacker::kDictionary});
  cells.add_blob(packer.pack(trace));
  add_words(cells, sighting);
  insert_row_.run();
}

// From `helo` to `mss`.
void DayFile::add_numbers(Cells& cells, const Sighting& sighting, std::string_view terms) {
  cells.add(bits(sighting.helo));
  cells.add(std::int64_t{sighting.tls});
  cells.add(sighting.verdict.score);
  cells.add(terms);
  cells.add(sighting.verdict.confidence);
  cells.add(static_cast<std::int64_t>(sighting.trace.size));
  cells.add(std::int64_t{sighting.verdict.block});
  cells.add(std::int64_t{sighting.verdict.mss});
}

// In the order of kWordColumns.
void DayFile::add_words(Cells& cells, const Sighting& sighting) {
  const auto& verdict = sighting.verdict;
  const auto& decision = sighting.decision;
  const std::string_view words[] = {
      sighting.listener,
      name(verdict.pattern),
      name(verdict.writer),
      name(verdict.path),
      verdict.gait,
      verdict.gait_class ? name(*verdict.gait_class) : std::string_view(),
      name(decision.would),
      name(decision.action),
      name(decision.held),
      name(sighting.basis),
      name(sighting.trace.via),
      name(sighting.trace.state),
      name(sighting.trace.reason),
  };
  static_assert(std::size(words) == std::size(kWordColumns));
  for (const auto text : words) {
    cells.add(text.empty() ? std::nullopt : std::optional<std::int64_t>(word(text)));
  }
}

void DayFile::count_hour(const Sighting& sighting) {
  count_hour_.bind(1, hour_of(sighting));
  count_hour_.bind(2, name(sighting.verdict.pattern));
  count_hour_.bind(3, std::string_view(sighting.verdict.gait));
  count_hour_.bind(4, name(sighting.decision.action));
  count_hour_.run();
}

std::size_t DayFile::write(std::span<const Sighting> sightings, const AddressForm& form,
                           TracePacker& packer, Sampler& sampler) {
  std::size_t rows = 0;
  try {
    Transaction transaction(database_);
    for (const Sighting& sighting : sightings) {
      if (const auto weight = sampler.weight(sighting); weight > 0) {
        insert(sighting, weight, form, packer);
        ++rows;
      }
      count_hour(sighting);
    }
    groups_->add_whole();
    transaction.commit();
    return rows;
  } catch (...) {
    words_.clear();  // those of the transaction are not in the file
    throw;
  }
}

bool DayFile::truncate(unsigned rows) {
  auto about = database_.prepare("SELECT value FROM about WHERE key = 'truncated_to'");
  const std::int64_t done = about.step() ? about.integer(0) : 0;
  about.reset();
  // By rows and not by ids: a file that another program has written may have gaps of any size.
  auto last = database_.prepare(
      "SELECT max(id), (SELECT max(id) FROM messages) FROM (SELECT id FROM messages WHERE id > ? "
      "ORDER BY id LIMIT ?)");
  last.bind(1, done);
  last.bind(2, std::int64_t{rows});
  if (!last.step() || last.is_null(0)) return false;
  const auto to = last.integer(0);
  const auto end = last.integer(1);
  last.reset();
  database_.execute("PRAGMA secure_delete = ON");
  Transaction transaction(database_);
  database_.execute(
      fmt::format("UPDATE messages SET address = NULL, port = NULL, queue_id = NULL "
                  "WHERE id > {} AND id <= {}",
                  done, to));
  groups_->drop_exact(to);
  database_.execute(fmt::format("INSERT OR REPLACE INTO about VALUES ('truncated_to', {})", to));
  transaction.commit();
  if (to == end) checkpoint();
  return to < end;
}

bool DayFile::intact() const {
  struct stat about {};
  return stat(path_.c_str(), &about) == 0 && about.st_dev == device_ && about.st_ino == number_;
}

}  // namespace memory
