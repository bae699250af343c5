// The store on real files: what is written can be read, and what goes wrong with a disk or a file
// costs rows of that moment and nothing else.
#include "milter/memory/store.h"

#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/memory/database.h"
#include "milter/memory/forget.h"
#include "milter/memory/totals.h"
#include "tests/support/captured_stderr.h"
#include "tests/support/sightings.h"

using memory::AddressForm;
using memory::bot_sighting;
using memory::Database;
using memory::Day;
using memory::kNoon;
using memory::numbered_sighting;
using memory::Sighting;
using memory::Store;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kHourMs = 3'600'000;
constexpr Day kToday{std::chrono::year(2026) / 11 / 27};

class Folder {
 public:
  Folder() : path_(mkdtemp(name_)) {}
  ~Folder() { fs::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string day(const char* name = "messages-20261127.db") const { return path_ + "/" + name; }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(path_)) all.push_back(entry.path().filename());
    std::sort(all.begin(), all.end());
    return all;
  }

 private:
  char name_[32] = "/tmp/segmilter-store-XXXXXX";
  const std::string path_;
};

AddressForm form(config::Memory::Addresses addresses = config::Memory::Addresses::Full,
                 const std::string& key_file = "") {
  config::Memory settings;
  settings.addresses = addresses;
  settings.key_file = key_file;
  return AddressForm(settings);
}

std::vector<Sighting> numbered(std::uint32_t first, std::uint32_t count) {
  std::vector<Sighting> all;
  for (std::uint32_t i = first; i < first + count; ++i) all.push_back(numbered_sighting(i));
  return all;
}

// One value as text.
std::string ask(const std::string& file, std::string_view sql) {
  Database database(file, Database::Mode::Read);
  auto statement = database.prepare(sql);
  if (!statement.step()) return "no row";
  return statement.is_null(0) ? "null" : std::string(statement.text(0));
}

// As an administrator asks, with another program: this one reads no view.
std::string ask_view(const std::string& file, const char* sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
  std::string text;
  const auto take = [](void* to, int, char** values, char**) {
    *static_cast<std::string*>(to) = values[0] == nullptr ? "null" : values[0];
    return 0;
  };
  CHECK(sqlite3_exec(database, sql, take, &text, nullptr) == SQLITE_OK);
  CHECK(sqlite3_close(database) == SQLITE_OK);
  return text;
}

std::string count_of(const std::string& file) {
  return ask(file, "SELECT CAST(count(*) AS TEXT) FROM messages");
}

void write_one(Store& store, std::int64_t ms = kNoon) {
  const Sighting sighting = bot_sighting(ms);
  const auto written = store.write({&sighting, 1}, form());
  CHECK(written.error == "");
  CHECK(written.rows == 1);
}

// Runs `body` in a process of its own; true: it ended with 0.
bool in_child(const std::function<bool()>& body) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) _exit(body() ? 0 : 1);
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return status == 0;
}

}  // namespace

TEST_CASE("a row has the whole sighting, in words") {
  const Folder folder;
  Store store(folder.path());
  write_one(store);
  const auto file = folder.day();
  CHECK(ask_view(file, "SELECT time FROM sightings") == "2026-11-27T12:00:00.000Z");
  CHECK(ask_view(
            file,
            "SELECT queue_id || ' ' || address || ' ' || port || ' ' || network FROM sightings") ==
        "4abcDEF 192.0.2.7 40112 192.0.2.0/24");
  CHECK(ask_view(file,
                 "SELECT pattern || ' ' || writer || ' ' || path || ' ' || gait FROM sightings") ==
        "bot-template template full " + bot_sighting().verdict.gait);
  CHECK(ask_view(file,
                 "SELECT would || ' ' || action || ' ' || held || ' ' || basis FROM sightings") ==
        "tempfail none monitor evidence");
  CHECK(ask_view(file,
                 "SELECT listener || ' ' || via || ' ' || state || ' ' || reason FROM sightings") ==
        "mx kernel complete none");
  CHECK(ask_view(file,
                 "SELECT helo_literal || helo_dotless || helo_confirmed || tls FROM sightings") ==
        "0100");
  CHECK(ask_view(file, "SELECT size || ' ' || mss || ' ' || syn FROM sightings") ==
        "3429 1440 4:64:0:1460:*,7:mss,sok,ts,nop,ws:df:0");
  CHECK(ask_view(file, "SELECT terms FROM sightings").find("bot-template:+") == 0);
  memory::TracePacker packer;
  CHECK(packer.unpack(ask(file, "SELECT trace FROM messages"), 1) ==
        classifier::print(bot_sighting().trace));
  CHECK(ask(file, "SELECT CAST(n AS TEXT) FROM hours WHERE pattern = 'bot-template'") == "1");
  CHECK(ask(file, "SELECT weight || ' ' || signature || ' ' || dictionary FROM messages") ==
        "1 1 1");
  CHECK(ask(file, "SELECT group_concat(key || '=' || value) FROM about") ==
        "dictionary=1,schema=1,signature=1,trace=segmilter/1");
}

TEST_CASE("of too many messages the harmless ones are sampled, and the hours count all") {
  const Folder folder;
  Store store(folder.path());
  store.sample(4);
  auto batch = numbered(0, 100);
  for (std::size_t i = 0; i < 90; ++i) {
    batch[i].verdict.score = 0;
    batch[i].decision = {};
  }
  const auto written = store.write(batch, form());
  CHECK(written.done == 100);
  CHECK(written.rows == 22 + 10);
  CHECK(ask(folder.day(), "SELECT sum(weight) || ' ' || max(weight) FROM messages") == "98 4");
  CHECK(ask(folder.day(), "SELECT sum(weight) || '' FROM messages WHERE score > 0") == "10");
  CHECK(ask(folder.day(), "SELECT CAST(sum(n) AS TEXT) FROM hours") == "100");
  // The next row stands for the two that have none.
  store.sample(1);
  CHECK(store.write({batch.data(), 1}, form()).rows == 1);
  CHECK(ask(folder.day(), "SELECT sum(weight) || '' FROM messages") == "101");
}

TEST_CASE(
    "a row has the terms of the reputation, but not the address or network that they are about") {
  const Folder folder;
  Store store(folder.path());
  auto sighting = bot_sighting();
  sighting.verdict.reasons.add_added({.kind = "address", .name = "192.0.2.7", .weight = 0.4});
  CHECK(store.write({&sighting, 1}, form()).rows == 1);
  const auto terms = ask_view(folder.day(), "SELECT terms FROM sightings");
  CHECK(terms.find(",address:+0.4") != std::string::npos);
  CHECK(terms.find("192.0.2.7") == std::string::npos);
}

TEST_CASE("a file can be read by its group and by nobody else") {
  const Folder folder;
  const auto before = umask(0027);
  Store store(folder.path());
  write_one(store);
  umask(before);
  struct stat about {};
  REQUIRE(stat(folder.day().c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0640);
}

TEST_CASE("addresses are stored as the configuration says") {
  using Addresses = config::Memory::Addresses;
  const Folder folder;
  const auto key_file = folder.path() + "/key";
  std::ofstream(key_file) << "k1:" << std::string(64, 'a') << '\n';
  fs::permissions(key_file, fs::perms::owner_read);
  const auto six = *net::Endpoint::parse("[2001:db8:1:2::7]:25");
  CHECK(form().address(six) == "2001:db8:1:2::7");
  CHECK(form().network(six) == "2001:db8:1::/48");
  const auto keyed = form(Addresses::Keyed, key_file);
  CHECK(keyed.address(six).size() == 16);
  CHECK(keyed.address(six) != keyed.network(six));
  CHECK(keyed.address(six) == keyed.address(*net::Endpoint::parse("[2001:db8:1:2::7]:99")));
  CHECK(keyed.network(six) == keyed.network(*net::Endpoint::parse("[2001:db8:1:ffff::9]:25")));
  CHECK(keyed.network(six) != keyed.network(*net::Endpoint::parse("[2001:db8:2::9]:25")));
  Store store(folder.path());
  const Sighting sighting = bot_sighting();
  CHECK(store.write({&sighting, 1}, form(Addresses::Truncated)).rows == 1);
  CHECK(ask(folder.day(), "SELECT address FROM messages") == "null");
  CHECK(ask(folder.day(), "SELECT port FROM messages") == "null");
  CHECK(ask(folder.day(), "SELECT network FROM messages") == "192.0.2.0/24");
}

TEST_CASE("each day has a file, also when the clock goes back over midnight") {
  const Folder folder;
  Store store(folder.path());
  const std::int64_t midnight = kNoon + 12 * kHourMs;
  std::vector<Sighting> batch;
  for (const auto ms : {midnight - 1, midnight, midnight + kHourMs / 2, midnight - kHourMs / 2,
                        midnight + kHourMs}) {
    batch.push_back(bot_sighting(ms));
  }
  const auto written = store.write(batch, form());
  CHECK(written.error == "");
  CHECK(written.rows == 5);
  CHECK(count_of(folder.day()) == "2");
  CHECK(count_of(folder.day("messages-20261128.db")) == "3");
}

TEST_CASE("an hour that the clock goes through twice is one hour, and no row is lost or removed") {
  const Folder folder;
  Store store(folder.path());
  const memory::Limits limits{14, 1 << 30, 0};
  for (const auto hours : {0, 1, 0, 1, 12, 11, 12}) {  // noon, one hour on, back, …, over midnight
    const auto now = kNoon + hours * kHourMs;
    write_one(store, now);
    const auto today = memory::day_of(memory::at_ms(now));
    CHECK(store.clean(limits, today).removed == 0);
    CHECK_FALSE(store.truncate_some(1000, today));
  }
  CHECK(count_of(folder.day()) == "5");
  CHECK(count_of(folder.day("messages-20261128.db")) == "2");
  CHECK(ask(folder.day(), "SELECT group_concat(n) FROM (SELECT n FROM hours ORDER BY hour)") ==
        "2,2,1");
  CHECK(ask(folder.day(), "SELECT count(address) || '' FROM messages") == "5");
}

TEST_CASE("a clock that is three days ahead removes addresses early, but never a row") {
  const Folder folder;
  Store store(folder.path());
  write_one(store);
  while (store.truncate_some(1000, kToday + memory::kExactDays)) {
  }
  CHECK(ask(folder.day(), "SELECT count(address) || '' FROM messages") == "0");
  write_one(store);  // the clock is right again
  CHECK(ask(folder.day(), "SELECT count(*) || ' ' || count(address) FROM messages") == "2 1");
  while (store.truncate_some(1000, kToday + memory::kExactDays)) {
  }
  CHECK(ask(folder.day(), "SELECT count(*) || ' ' || count(address) FROM messages") == "2 0");
}

TEST_CASE("a row that gets the id of a forgotten row loses its address in time too") {
  const Folder folder;
  Store store(folder.path());
  write_one(store);
  while (store.truncate_some(1000, kToday + memory::kExactDays)) {
  }
  config::Memory settings;
  settings.folder = folder.path();
  CHECK(memory::forget(settings, "192.0.2.0/24").rows == 1);
  write_one(store);
  CHECK(ask(folder.day(), "SELECT max(id) || ' ' || count(address) FROM messages") == "1 1");
  while (store.truncate_some(1000, kToday + memory::kExactDays)) {
  }
  CHECK(ask(folder.day(), "SELECT count(*) || ' ' || count(address) FROM messages") == "1 0");
}

TEST_CASE(
    "the addresses of a file are removed at once, however large the gaps between its row ids are") {
  const Folder folder;
  {
    Store store(folder.path());
    write_one(store);
    write_one(store);
  }
  memory::Database(folder.day(), memory::Database::Mode::Write)
      .execute("UPDATE messages SET id = 9000000000000000000 WHERE id = 2");
  Store store(folder.path());
  int turns = 0;
  while (store.truncate_some(1, kToday + memory::kExactDays)) REQUIRE(++turns < 10);
  CHECK(ask(folder.day(), "SELECT count(*) || ' ' || count(address) FROM messages") == "2 0");
}

TEST_CASE("a new process adds rows to the file that another one has left") {
  const Folder folder;
  for (int i = 0; i < 3; ++i) {
    Store store(folder.path());
    write_one(store);
  }
  CHECK(count_of(folder.day()) == "3");
  CHECK(ask(folder.day(), "SELECT CAST(count(*) AS TEXT) FROM words WHERE word = 'bot-template'") ==
        "1");
}

TEST_CASE("no committed row is lost when the writer is killed at any moment") {
  const Folder folder;
  std::mt19937 random(20261127);
  std::uint32_t known = 0;
  for (int round = 0; round < 100; ++round) {
    int line[2];
    REQUIRE(pipe(line) == 0);
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      Store store(folder.path());
      for (std::uint32_t next = known;;) {
        const auto batch = numbered(next, 20);
        if (store.write(batch, form()).rows != batch.size()) _exit(1);
        next += 20;
        if (::write(line[1], &next, sizeof next) != sizeof next) _exit(1);
      }
    }
    close(line[1]);
    std::uint32_t committed = known;
    REQUIRE(read(line[0], &committed, sizeof committed) == sizeof committed);
    usleep(std::uniform_int_distribution<useconds_t>(0, 5000)(random));
    kill(pid, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFSIGNALED(status));
    while (read(line[0], &committed, sizeof committed) == sizeof committed) {
    }
    close(line[0]);
    const auto rows = static_cast<std::uint32_t>(std::stoul(count_of(folder.day())));
    REQUIRE(rows >= committed);
    REQUIRE(rows <= committed + 20);
    known = rows;
  }
  CHECK(ask(folder.day(), "PRAGMA quick_check") == "ok");
  CHECK(ask(folder.day(), "SELECT CAST(sum(n) AS TEXT) FROM hours") == std::to_string(known));
  CHECK(ask(folder.day(), "SELECT CAST(count(DISTINCT queue_id) AS TEXT) FROM messages") ==
        std::to_string(known));
}

TEST_CASE("a full disk refuses rows, and takes them again when there is room") {
  if (geteuid() != 0) return;  // only root can mount a disk of its own
  const Folder folder;
  CHECK(in_child([&] {
    // A mount namespace of its own, so that no other process sees the small disk.
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return false;
    if (mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=2m") != 0) return false;
    Store store(folder.path());
    std::size_t rows = 0;
    Store::Written written;
    for (std::uint32_t next = 0; next < 100'000 && written.error.empty(); next += 100) {
      written = store.write(numbered(next, 100), form());
      rows += written.rows;
    }
    const bool refused = !written.error.empty() && rows > 1000;
    const bool still = !store.write(numbered(0, 100), form()).error.empty();
    // Whole days are all that can be given up on a full disk.
    const auto cleaned = store.clean({14, 1 << 20, 0}, kToday + std::chrono::days(1));
    const auto again = store.write(numbered(0, 100), form());
    const auto check = ask(folder.day(), "PRAGMA quick_check");
    const auto kept = ask(folder.path() + "/totals.db", "SELECT CAST(sum(n) AS TEXT) FROM hours");
    return refused && still && cleaned.removed == 1 && again.rows == 100 && check == "ok" &&
           kept == std::to_string(rows);
  }));
}

TEST_CASE("a file that is damaged is moved aside, and a new one is begun") {
  const Folder folder;
  std::ofstream(folder.day()) << std::string(20'000, 'x');
  Store store(folder.path());
  const support::CapturedStderr log;
  write_one(store);
  CHECK(store.corrupt() == 1);
  CHECK(count_of(folder.day()) == "1");
  const auto names = folder.names();
  CHECK(std::count_if(names.begin(), names.end(), [](const std::string& name) {
          return name.starts_with("messages-20261127.db.corrupt-");
        }) == 1);
  CHECK(log.text().find("is moved to " + folder.day() + ".corrupt-") != std::string::npos);
}

TEST_CASE("a file that is damaged while it is in use is moved aside too") {
  const Folder folder;
  Store store(folder.path());
  REQUIRE(store.write(numbered(0, 500), form()).rows == 500);
  store.checkpoint();
  {
    const int file = open(folder.day().c_str(), O_WRONLY | O_CLOEXEC);
    const std::string noise(8192, 'x');
    for (off_t page = 1; page < 60; ++page) {
      (void)pwrite(file, noise.data(), noise.size(), page * 8192);
    }
    close(file);
  }
  Store next(folder.path());  // with nothing in its cache
  const support::CapturedStderr log;
  CHECK(next.write(numbered(500, 100), form()).rows == 100);
  CHECK(next.corrupt() == 1);
  CHECK(ask(folder.day(), "PRAGMA quick_check") == "ok");
}

TEST_CASE("damage is found at the start, also in a part of the file that no row would touch") {
  const Folder folder;
  {
    Store store(folder.path());
    REQUIRE(store.write(numbered(0, 5000), form()).rows == 5000);
  }
  {
    Store sound(folder.path());
    sound.check(kToday);
    CHECK(sound.corrupt() == 0);
  }
  {
    const int file = open(folder.day().c_str(), O_WRONLY | O_CLOEXEC);
    const std::string noise(8192, 'x');
    REQUIRE(pwrite(file, noise.data(), noise.size(), 20 * 8192) == 8192);
    close(file);
  }
  Store store(folder.path());
  const support::CapturedStderr log;
  store.check(kToday + std::chrono::days(1));
  CHECK(store.corrupt() == 0);
  store.check(kToday);
  CHECK(store.corrupt() == 1);
  CHECK(log.text().find(folder.day() + ": ") != std::string::npos);
  CHECK_FALSE(fs::exists(folder.day()));
  write_one(store);
  CHECK(count_of(folder.day()) == "1");
}

TEST_CASE("a damaged file whose addresses are due is moved aside, and removed three days later") {
  const Folder folder;
  std::ofstream(folder.day("messages-20261120.db")) << std::string(20'000, 'x');
  Store store(folder.path());
  const support::CapturedStderr log;
  CHECK(store.truncate_some(1000, kToday));
  CHECK(store.corrupt() == 1);
  REQUIRE(folder.names().size() == 1);
  CHECK(folder.names()[0].starts_with("messages-20261120.db.corrupt-"));
  const Day moved = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  const memory::Limits limits{10'000, 1 << 30, 0};
  (void)store.clean(limits, moved + std::chrono::days(2));
  CHECK(folder.names().size() == 1);
  CHECK(store.clean(limits, moved + std::chrono::days(3)).uses.empty());
  CHECK(folder.names().empty());
}

TEST_CASE("the file of another version is kept under another name") {
  const Folder folder;
  {
    Database old(folder.day(), Database::Mode::Write);
    old.execute("CREATE TABLE messages (old); PRAGMA user_version = 7");
  }
  Store store(folder.path());
  const support::CapturedStderr log;
  write_one(store);
  CHECK(store.corrupt() == 0);
  CHECK(count_of(folder.day()) == "1");
  CHECK(ask(folder.day("messages-20261127-schema7.db"), "SELECT sql FROM sqlite_master") ==
        "CREATE TABLE messages (old)");
}

TEST_CASE("a file that somebody has removed is made again") {
  const Folder folder;
  Store store(folder.path());
  write_one(store);
  for (const auto& name : folder.names()) fs::remove(folder.path() + "/" + name);
  store.forget_lost_files();
  write_one(store);
  CHECK(count_of(folder.day()) == "1");
}

TEST_CASE(
    "a reader with a snapshot does not hinder the writer, and the write-ahead log is emptied after "
    "it") {
  const Folder folder;
  Store store(folder.path());
  write_one(store);
  const auto log = folder.day() + "-wal";
  {
    Database reader(folder.day(), Database::Mode::Read);
    reader.execute("BEGIN");
    auto count = reader.prepare("SELECT count(*) FROM messages");
    REQUIRE(count.step());
    for (std::uint32_t i = 0; i < 20'000; i += 500) {
      REQUIRE(store.write(numbered(i, 500), form()).rows == 500);
    }
    store.checkpoint();
    CHECK(count.integer(0) == 1);
    CHECK(fs::file_size(log) > 4'000'000);
  }
  store.checkpoint();
  CHECK(fs::file_size(log) == 0);
  CHECK(count_of(folder.day()) == "20001");
}

TEST_CASE("after three days a row has a network, and no address, port or queue id") {
  const Folder folder;
  Store store(folder.path());
  REQUIRE(store.write(numbered(0, 2500), form()).rows == 2500);
  CHECK_FALSE(store.truncate_some(1000, kToday + std::chrono::days(2)));
  CHECK(ask(folder.day(), "SELECT CAST(count(address) AS TEXT) FROM messages") == "2500");
  const auto later = kToday + memory::kExactDays;
  unsigned turns = 0;
  while (store.truncate_some(1000, later)) REQUIRE(++turns < 10);
  CHECK(ask(folder.day(),
            "SELECT count(address) || count(port) || count(queue_id) || ' ' || "
            "count(network) FROM messages") == "000 2500");
  CHECK(ask(folder.day(), "PRAGMA quick_check") == "ok");
  // Nor are they in the bytes of the file.
  for (const auto& name : folder.names()) {
    std::ifstream in(folder.path() + "/" + name, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    INFO(name);
    CHECK(bytes.find("4q9c3") == bytes.npos);        // the last queue id
    CHECK(bytes.find("192.0.9.195") == bytes.npos);  // and address
  }
}

TEST_CASE("before a day is removed, the totals of its hours are kept") {
  const Folder folder;
  Store store(folder.path());
  REQUIRE(store.write(numbered(0, 100), form()).rows == 100);
  write_one(store, kNoon + kHourMs);
  write_one(store, kNoon + 24 * kHourMs);
  const auto cleaned = store.clean({1, 1 << 30, 0}, kToday + std::chrono::days(1));
  CHECK(cleaned.removed == 1);
  CHECK(cleaned.uses.size() == 1);
  CHECK_FALSE(cleaned.full);
  CHECK_FALSE(fs::exists(folder.day()));
  const auto totals = folder.path() + "/totals.db";
  CHECK(ask(totals, "SELECT group_concat(n) FROM (SELECT n FROM hours ORDER BY hour)") == "100,1");
  CHECK(ask(totals, "SELECT pattern || ' ' || action FROM hours") == "bot-template none");
  // A crash in between has it done twice.
  const auto hours = memory::read_hours(folder.day("messages-20261128.db"));
  memory::keep_hours(hours, totals);
  memory::keep_hours(hours, totals);
  CHECK(ask(totals, "SELECT CAST(sum(n) AS TEXT) FROM hours") == "102");
}

TEST_CASE("a folder that is not there is an error for each batch, until it is there") {
  const Folder folder;
  const auto missing = folder.path() + "/missing";
  Store store(missing);
  const Sighting sighting = bot_sighting();
  const auto written = store.write({&sighting, 1}, form());
  CHECK(written.rows == 0);
  CHECK(written.error.find(missing) != std::string::npos);
  REQUIRE(fs::create_directory(missing));
  CHECK(store.write({&sighting, 1}, form()).rows == 1);
}
