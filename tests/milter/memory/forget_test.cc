#include "milter/memory/forget.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "milter/memory/database.h"
#include "milter/memory/forget_requests.h"
#include "milter/memory/store.h"
#include "tests/support/sightings.h"

using memory::forget;
namespace fs = std::filesystem;

namespace {

class Filled {
 public:
  explicit Filled(config::Memory::Addresses addresses = config::Memory::Addresses::Full) {
    settings.folder = mkdtemp(name_);
    settings.addresses = addresses;
    settings.key_file = settings.folder + "/key";
    std::ofstream(settings.key_file) << "k1:" << std::string(64, 'a') << '\n';
    fs::permissions(settings.key_file, fs::perms::owner_read);
    memory::Store store(settings.folder);
    std::vector<memory::Sighting> batch;
    for (const char* client :
         {"192.0.2.7:1", "192.0.2.7:2", "192.0.2.8:1", "198.51.100.7:1", "[2001:db8:1::7]:1"}) {
      batch.push_back(memory::bot_sighting(memory::kNoon, client));
      batch.push_back(memory::bot_sighting(memory::kNoon - 86'400'000, client));
    }
    REQUIRE(store.write(batch, memory::AddressForm(settings)).rows == 10);
  }
  ~Filled() { fs::remove_all(settings.folder); }

  std::string rest() const {
    std::string all;
    for (const char* day : {"messages-20261126.db", "messages-20261127.db"}) {
      memory::Database database(settings.folder + "/" + day, memory::Database::Mode::Read);
      auto count = database.prepare("SELECT count(*) FROM messages");
      REQUIRE(count.step());
      all += (all.empty() ? "" : " ") + std::to_string(count.integer(0));
    }
    return all;
  }

  config::Memory settings;

 private:
  char name_[32] = "/tmp/segmilter-forget-XXXXXX";
};

}  // namespace

TEST_CASE("the rows of an address or a network are forgotten, on each day") {
  struct Row {
    const char* who;
    std::size_t rows;
    const char* rest;
  };
  const Row rows[] = {
      {"192.0.2.7", 4, "3 3"},       {"192.0.2.0/24", 6, "2 2"},  {"192.0.2.0/29", 4, "3 3"},
      {"2001:db8:1::7", 2, "4 4"},   {"2001:db8::/32", 2, "4 4"}, {"203.0.113.1", 0, "5 5"},
      {"198.51.100.0/25", 2, "4 4"},
  };
  for (const Row& row : rows) {
    INFO(row.who);
    const Filled store;
    const auto forgotten = forget(store.settings, row.who);
    CHECK(forgotten.rows == row.rows);
    CHECK(forgotten.files == 2);
    CHECK(forgotten.problems.empty());
    CHECK(store.rest() == row.rest);
  }
}

TEST_CASE("their bytes are gone too") {
  const Filled store;
  REQUIRE(forget(store.settings, "198.51.100.7").rows == 2);
  // What the memory process is told goes when it has read it.
  memory::ForgetRequests requests(store.settings.folder);
  const auto taken = requests.take(2);
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].print() == "198.51.100.7/32");
  CHECK(requests.take(2).empty());
  for (const auto& entry : fs::directory_iterator(store.settings.folder)) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    INFO(entry.path());
    CHECK(bytes.find("198.51.100.7") == bytes.npos);
  }
}

TEST_CASE("rows with a network only go when all of it is forgotten") {
  const Filled store(config::Memory::Addresses::Truncated);
  CHECK(forget(store.settings, "192.0.2.7").rows == 0);
  CHECK(forget(store.settings, "192.0.2.0/25").rows == 0);
  CHECK(forget(store.settings, "192.0.2.0/24").rows == 6);
  CHECK(forget(store.settings, "2001:db8:1::/64").rows == 0);
  CHECK(forget(store.settings, "2001:db8::/32").rows == 2);
}

TEST_CASE("a row that has become another one since it was found is not forgotten") {
  const Filled store;
  memory::Database other(store.settings.folder + "/messages-20261127.db",
                         memory::Database::Mode::Write);
  std::size_t rows = 0;
  std::thread forgetting;
  {
    memory::Transaction transaction(other);
    forgetting = std::thread([&] { rows = forget(store.settings, "192.0.2.7").rows; });
    // It finds its rows, and waits for this transaction to remove them.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    other.execute("UPDATE messages SET address = '198.18.0.1' WHERE address = '192.0.2.7'");
    transaction.commit();
  }
  forgetting.join();
  CHECK(rows == 2);  // of the day before
  CHECK(store.rest() == "3 5");
}

TEST_CASE("keyed addresses are found by the key") {
  const Filled store(config::Memory::Addresses::Keyed);
  CHECK(forget(store.settings, "192.0.2.7").rows == 4);
  CHECK(forget(store.settings, "192.0.2.0/24").rows == 2);
  CHECK(forget(store.settings, "2001:db8:0001:0::/48").rows == 2);
  CHECK_THROWS_WITH(forget(store.settings, "192.0.0.0/16"),
                    Catch::Contains("can be an IPv4 /24 or an IPv6 /48 only"));
  std::ofstream(store.settings.folder + "/other") << "k1:" << std::string(64, 'b') << '\n';
  fs::permissions(store.settings.folder + "/other", fs::perms::owner_read);
  auto other = store.settings;
  other.key_file = store.settings.folder + "/other";
  CHECK(forget(other, "198.51.100.7").rows == 0);
  CHECK(forget(store.settings, "198.51.100.7").rows == 2);
}

TEST_CASE(
    "rows are found in the form of their time: before a change of the setting and of the key") {
  const Filled store;  // with full addresses
  auto settings = store.settings;
  settings.addresses = config::Memory::Addresses::Keyed;
  const auto write_one = [&settings] {
    memory::Store rows(settings.folder);
    const auto sighting = memory::bot_sighting();
    REQUIRE(rows.write({&sighting, 1}, memory::AddressForm(settings)).rows == 1);
  };
  write_one();
  // Another key comes in front, and the old one stays in the file.
  fs::permissions(settings.key_file, fs::perms::owner_read | fs::perms::owner_write);
  std::ofstream(settings.key_file)
      << "k2:" << std::string(64, 'b') << "\nk1:" << std::string(64, 'a') << '\n';
  write_one();
  CHECK(store.rest() == "5 7");
  CHECK(forget(settings, "192.0.2.7").rows == 6);
  CHECK(store.rest() == "3 3");
  write_one();
  settings.addresses = config::Memory::Addresses::Full;  // the key file is still named
  CHECK(forget(settings, "192.0.2.0/24").rows == 3);
  CHECK(forget(settings, "198.51.0.0/16").rows == 2);
}

TEST_CASE(
    "a text that is not an address is refused, and a file that cannot be changed is reported") {
  const Filled store;
  for (const char* who : {"", "mail.example.org", "192.0.2", "192.0.2.0/33", "192.0.2.7:25"}) {
    INFO(who);
    CHECK_THROWS_AS(forget(store.settings, who), std::invalid_argument);
  }
  {
    memory::Database old(store.settings.folder + "/messages-20261125.db",
                         memory::Database::Mode::Write);
    old.execute("CREATE TABLE messages (old); PRAGMA user_version = 7");
  }
  std::ofstream(store.settings.folder + "/messages-20261124.db.corrupt-1") << "x";
  const auto forgotten = forget(store.settings, "192.0.2.7");
  CHECK(forgotten.rows == 4);
  REQUIRE(forgotten.problems.size() == 2);
  CHECK(forgotten.problems[0].find("is damaged: remove the file") != std::string::npos);
  CHECK(forgotten.problems[1].find("has schema 7") != std::string::npos);
}

TEST_CASE("a link in the place of the requests leads to no other file") {
  const Filled store;
  const auto other = store.settings.folder + "/other";
  std::ofstream(other) << "of root\n";
  fs::permissions(other, fs::perms::owner_all);
  const auto requests = store.settings.folder + "/" + std::string(memory::kForgetRequests);
  fs::create_symlink(other, requests);
  CHECK_THROWS_AS(forget(store.settings, "192.0.2.7"), std::system_error);
  CHECK(store.rest() == "3 3");  // the rows are gone all the same
  CHECK(memory::ForgetRequests(store.settings.folder).take(1).empty());
  std::string line;
  std::getline(std::ifstream(other), line);
  CHECK(line == "of root");
  CHECK(fs::file_size(other) == 8);
}
