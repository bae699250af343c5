// Tests the pages on a small store: what they show, in which forms, and what they refuse.
#include "milter/desk/site.h"

#include <sqlite3.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "milter/desk/lists.h"
#include "milter/memory/store.h"
#include "tests/support/sightings.h"

namespace {

namespace fs = std::filesystem;
using desk::Request;
using desk::Response;
using history::Pairs;
using memory::bot_sighting;
using memory::kNoon;

// A folder for a store, and the site that shows it as if it were half past noon.
class Bed {
 public:
  Bed() : folder_(mkdtemp(name_)) { config_.memory.folder = folder_; }
  ~Bed() { fs::remove_all(folder_); }

  const std::string& folder() const { return folder_; }
  config::Config& config() { return config_; }

  void write(const std::vector<memory::Sighting>& sightings) const {
    memory::Store store(folder_);
    const auto written = store.write(sightings, memory::AddressForm(config_.memory));
    REQUIRE(written.error.empty());
    REQUIRE(written.rows == sightings.size());
  }

  // Waits for what has to be looked up.
  Response ask(std::string path, Pairs query = {}) {
    if (site_ == nullptr) {
      lookups_ = std::make_unique<desk::Lookups>(config_.memory, [] {});
      lookups_->start();
      site_ =
          std::make_unique<desk::Site>(std::make_shared<const config::Config>(config_), families_,
                                       *lookups_, [] { return memory::at_ms(kNoon + 1'800'000); });
    }
    const Request request{.path = std::move(path), .query = std::move(query)};
    for (int i = 0; i < 2000; ++i) {
      if (auto response = site_->answer(request)) return *response;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    FAIL("no answer in ten seconds");
    return {};
  }

 private:
  char name_[32] = "/tmp/segmilter-desk-XXXXXX";
  const std::string folder_;
  config::Config config_;
  const process::Families families_;
  std::unique_ptr<desk::Lookups> lookups_;
  std::unique_ptr<desk::Site> site_;
};

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

// Some messages in three networks, one of them rejected.
std::vector<memory::Sighting> some() {
  std::vector<memory::Sighting> all;
  for (int i = 0; i < 60; ++i) {
    all.push_back(bot_sighting(kNoon + i * 1000, "192.0.2." + std::to_string(i % 3) + ":4000",
                               "4Qa" + std::to_string(i)));
  }
  all.push_back(bot_sighting(kNoon - 7'200'000, "198.51.100.9:25", "4Qold"));
  all.back().decision = {.action = classifier::Action::Reject, .would = classifier::Action::Reject};
  all.push_back(bot_sighting(kNoon - 7'000'000, "[2001:db8::7]:25", "4Qsix"));
  return all;
}

}  // namespace

TEST_CASE("the first page has the numbers of 48 hours, as a picture and as tables") {
  Bed bed;
  bed.write(some());
  const auto page = bed.ask("/");
  CHECK(page.code == 200);
  CHECK(page.type == desk::kHtml);
  CHECK(has(page.body, "<dt>messages in 48 hours</dt><dd>62</dd>"));
  CHECK(has(page.body, "<svg class=\"bars\" role=\"img\"><title>"));
  CHECK(has(page.body, "href=\"/messages?pattern=bot-template&amp;since=48h\""));
  CHECK(has(page.body, "Counted just now"));
  CHECK(page.body.size() < 200'000);
  const auto json = nlohmann::json::parse(bed.ask("/now.json").body);
  CHECK(json["messages"] == 62);
  CHECK(json["refused"] == 1);
  CHECK(json["networks"] == 3);
  CHECK(json["bins"].size() == 192);
}

TEST_CASE("messages are listed 50 a page, newest first, and each page leads to the others") {
  Bed bed;
  bed.write(some());
  const auto first = bed.ask("/messages");
  CHECK(has(first.body, ">4Qa59</a>"));
  CHECK(has(first.body, ">4Qa10</a>"));
  CHECK_FALSE(has(first.body, ">4Qa9</a>"));
  CHECK_FALSE(has(first.body, "Newer</a>"));
  const auto begin = first.body.find("/messages?before=") + 17;
  const auto before = first.body.substr(begin, first.body.find('"', begin) - begin);
  const auto second = bed.ask("/messages", {{"before", before}});
  CHECK(has(second.body, ">4Qa9</a>"));
  CHECK(has(second.body, ">4Qold</a>"));
  CHECK_FALSE(has(second.body, ">4Qa10</a>"));
  CHECK_FALSE(has(second.body, "Older</a>"));
  const auto at = second.body.find("/messages?after=") + 16;
  const auto after = second.body.substr(at, second.body.find('"', at) - at);
  const auto newer = bed.ask("/messages", {{"after", after}});
  CHECK(has(newer.body, ">4Qa59</a>"));
  CHECK(has(newer.body, ">4Qa10</a>"));
  CHECK_FALSE(has(newer.body, ">4Qa9</a>"));
  CHECK_FALSE(has(newer.body, "Newer</a>"));
  CHECK(has(newer.body, "Older</a>"));
}

TEST_CASE("filters are in the address, and the form shows them") {
  Bed bed;
  bed.write(some());
  const auto page = bed.ask("/messages", {{"action", "reject"}});
  CHECK(has(page.body, ">4Qold</a>"));
  CHECK_FALSE(has(page.body, ">4Qsix</a>"));
  CHECK(has(page.body, "<option selected>reject</option>"));
  const auto other = bed.ask("/messages", {{"client", "!192.0.2.0/24"}, {"writer", "template"}});
  CHECK(has(other.body, ">4Qsix</a>"));
  CHECK_FALSE(has(other.body, ">4Qa1</a>"));
  CHECK(has(other.body, "name=\"writer\" value=\"template\""));
  CHECK(has(other.body, "name=\"client\" value=\"!192.0.2.0/24\""));
}

TEST_CASE("the same list is there as JSON and CSV") {
  Bed bed;
  bed.write(some());
  const auto json = nlohmann::json::parse(bed.ask("/messages.json").body);
  CHECK(json["messages"].size() == 62);
  CHECK(json["older"].is_null());
  const auto csv = bed.ask("/messages.csv", {{"action", "reject"}});
  CHECK(csv.type == desk::kCsv);
  CHECK(std::count(csv.body.begin(), csv.body.end(), '\n') == 2);
  CHECK(has(csv.body, "4Qold"));
}

TEST_CASE("a message is explained: strips, reasons that add up, header, trace, others") {
  Bed bed;
  bed.write(some());
  const auto page = bed.ask("/messages/4Qa5");
  CHECK(page.code == 200);
  const auto sighting = bot_sighting();
  CHECK(has(page.body, "<svg class=\"picture\""));
  CHECK(has(page.body, fmt::format("<strong>{:+.1f}</strong>", sighting.verdict.score)));
  CHECK(has(page.body, "X-Protocol-Pattern: "));
  CHECK(has(page.body, "pattern=bot-template;"));
  CHECK(has(page.body, "seg=399p,29p,184pn,1440,1377pn"));
  CHECK(has(page.body, "from the same network"));
  double sum = 0;
  for (std::size_t at = 0;
       (at = page.body.find("data-name=\"part of the score\"", at)) != page.body.npos;) {
    at = page.body.find('>', at) + 1;
    if (page.body[at] != '<') sum += std::stod(page.body.substr(at));
  }
  CHECK(sum == Approx(sighting.verdict.score).margin(0.1));
  CHECK(bed.ask("/messages/4Qnone").code == 404);
  CHECK(bed.ask("/messages/4Q%3C").code == 404);
  CHECK(bed.ask("/messages/<script>").code == 404);
  CHECK_FALSE(has(bed.ask("/messages/<script>").body, "<script>"));
}

TEST_CASE("senders are grouped by network, gait or pattern") {
  Bed bed;
  bed.write(some());
  CHECK(has(bed.ask("/senders").body, "192.0.2.0/24"));
  CHECK(has(bed.ask("/senders", {{"by", "gait"}}).body, "by gait"));
  CHECK(has(bed.ask("/senders", {{"by", "pattern"}}).body, "bot-template"));
  CHECK(has(bed.ask("/senders.csv").body, "192.0.2.0/24,"));
  const auto json = nlohmann::json::parse(bed.ask("/senders.json").body);
  CHECK(json[0]["network"] == "192.0.2.0/24");
  CHECK(json[0]["messages"] == 60);
}

TEST_CASE("other thresholds are tried on the messages of the store") {
  Bed bed;
  bed.write(some());
  const auto none = nlohmann::json::parse(
      bed.ask("/what-if.json", {{"tempfail", "off"}, {"quarantine", "off"}, {"reject", "off"}})
          .body);
  CHECK(none["messages"] == 62);
  CHECK(none["reject"] == 0);
  const auto all = nlohmann::json::parse(
      bed.ask("/what-if.json", {{"tempfail", "1"}, {"quarantine", "off"}, {"reject", "off"}}).body);
  CHECK(all["tempfail"] == 62);
  const auto some_of = nlohmann::json::parse(bed.ask("/what-if.json", {{"reject", "1"},
                                                                       {"tempfail", "off"},
                                                                       {"quarantine", "off"},
                                                                       {"client", "!192.0.2.0/24"}})
                                                 .body);
  CHECK(some_of["messages"] == 2);
  CHECK(some_of["reject"] == 2);
  const auto page =
      bed.ask("/what-if", {{"tempfail", "1"}, {"quarantine", "off"}, {"reject", "90"}});
  CHECK(has(page.body, "tempfail = 1\nquarantine = &quot;off&quot;\nreject = 90") !=
        has(page.body, "tempfail = 1\nquarantine = \"off\"\nreject = 90"));
  CHECK(bed.ask("/what-if", {{"tempfail", "much"}}).code == 400);
  CHECK(bed.ask("/what-if", {{"tempfail", "9"}, {"quarantine", "8"}}).code == 400);
}

TEST_CASE("unknown keys and values are refused with a reason") {
  Bed bed;
  const std::pair<std::string, Pairs> rows[] = {
      {"/", {{"a", "b"}}},
      {"/messages", {{"sender", "x"}}},
      {"/messages", {{"pattern", "spam"}}},
      {"/messages", {{"before", "x"}}},
      {"/messages", {{"before", "1-0-1"}, {"after", "1-0-1"}}},
      {"/senders", {{"by", "name"}}},
      {"/senders", {{"x", "y"}}},
      {"/health", {{"x", "y"}}},
      {"/messages/4Qa", {{"at", "x"}}},
      {"/what-if", {{"gait", "<b>"}}},
  };
  for (const auto& [path, query] : rows) {
    INFO(path << " " << query.front().key);
    const auto page = bed.ask(path, query);
    CHECK(page.code == 400);
    CHECK_FALSE(has(page.body, "<b>"));
  }
  for (const auto* path :
       {"/x", "/messages/", "/now", "/health.csv", "/style.css/", "/messages.xml"}) {
    INFO(path);
    CHECK(bed.ask(path).code == 404);
  }
}

TEST_CASE("a store that is missing, locked, damaged or off gives a page that says so") {
  SECTION("missing") {
    Bed bed;
    bed.config().memory.folder = bed.folder() + "/none";
    const auto page = bed.ask("/");
    CHECK(page.code == 503);
    CHECK(has(page.body, "there is no such folder"));
    CHECK(bed.ask("/messages").code == 503);
    CHECK(bed.ask("/health").code == 200);
    CHECK(has(bed.ask("/health").body, "there is no such folder"));
  }
  SECTION("empty") {
    Bed bed;
    CHECK(has(bed.ask("/messages").body, "no such message"));
    CHECK(bed.ask("/").code == 200);
  }
  SECTION("off") {
    Bed bed;
    bed.config().memory.enabled = false;
    bed.config().memory.folder = bed.folder() + "/none";
    CHECK(has(bed.ask("/").body, "memory.enabled is false"));
  }
  SECTION("damaged") {
    Bed bed;
    bed.write(some());
    std::ofstream(bed.folder() + "/messages-20261127.db") << "this is not a database";
    const auto page = bed.ask("/messages");
    CHECK(page.code == 200);
    CHECK(has(page.body, "could not be read"));
    CHECK(has(bed.ask("/").body, "could not be read"));
  }
  SECTION("moved aside, with a hostile name") {
    Bed bed;
    bed.write(some());
    std::ofstream(bed.folder() + "/messages-20261127.db.corrupt-<img src=x onerror=alert(1)>")
        << "x";
    const auto page = bed.ask("/messages");
    CHECK(has(page.body, "&lt;img src=x"));
    CHECK_FALSE(has(page.body, "<img"));
  }
  SECTION("locked by a writer that does not let go") {
    Bed bed;
    bed.write(some());
    sqlite3* writer = nullptr;
    REQUIRE(sqlite3_open((bed.folder() + "/messages-20261127.db").c_str(), &writer) == SQLITE_OK);
    REQUIRE(sqlite3_exec(writer, "BEGIN EXCLUSIVE; DELETE FROM messages", nullptr, nullptr,
                         nullptr) == SQLITE_OK);
    CHECK(has(bed.ask("/messages").body, ">4Qa59</a>"));  // a reader does not wait for it
    sqlite3_close(writer);
  }
}

TEST_CASE("hostile words of the store are shown and have no effect") {
  Bed bed;
  bed.write({bot_sighting()});
  sqlite3* writer = nullptr;
  REQUIRE(sqlite3_open((bed.folder() + "/messages-20261127.db").c_str(), &writer) == SQLITE_OK);
  REQUIRE(sqlite3_exec(writer,
                       "UPDATE words SET word = '<script>alert(1)</script>\"''>' WHERE word = 'mx';"
                       "UPDATE words SET word = '\xe2\x80\xae<b>gait</b>' WHERE id IN (SELECT gait "
                       "FROM messages);"
                       "UPDATE messages SET queue_id = '4Q\"><i>', address = '<u>net</u>', network "
                       "= '<u>net</u>'",
                       nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(writer);
  const auto list = bed.ask("/messages");
  CHECK(has(list.body, "&lt;u&gt;net"));
  CHECK(has(list.body, "\\u202e&lt;b&gt;gait"));
  const auto at = list.body.find("at=") + 3;
  const auto cursor = list.body.substr(at, list.body.find('"', at) - at);
  const auto one = bed.ask("/messages/-", {{"at", cursor}});
  CHECK(one.code == 200);
  for (const auto& page : {list, one, bed.ask("/senders"), bed.ask("/"), bed.ask("/what-if"),
                           bed.ask("/senders", {{"by", "gait"}})}) {
    for (const auto* tag : {"<script>alert", "<b>", "<i>", "<u>", "\xe2\x80\xae"}) {
      INFO(tag);
      CHECK_FALSE(has(page.body, tag));
    }
  }
  for (const auto* path : {"/messages.json", "/senders.json", "/now.json"}) {
    CHECK_FALSE(has(bed.ask(path).body, "<"));
  }
}
