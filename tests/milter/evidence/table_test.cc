// Tests milter/evidence/table: which trace a question gets, and when evidence goes.
#include "milter/evidence/table.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "milter/evidence/server.h"
#include "tests/support/tls_stream.h"

using classifier::Reason;
using classifier::Trace;
using evidence::Table;
using std::chrono::seconds;

namespace {

const net::Endpoint kClient = *net::Endpoint::parse("192.0.2.7:40112");
const net::Endpoint kOther = *net::Endpoint::parse("[2001:db8::7]:40112");
const evidence::steady_clock::time_point kNow{};

Trace message(std::uint32_t ordinal) {
  return Trace{.message = ordinal, .size = ordinal * 100};
}

// 0 where there is none.
std::uint32_t found(const Table& table, std::uint32_t after = 0) {
  const auto answer = table.find(kClient, after);
  const auto* trace = std::get_if<Trace>(&answer);
  return trace != nullptr ? trace->message : 0;
}

Reason missing(const Table& table, const net::Endpoint& client, std::uint32_t after = 0) {
  const auto answer = table.find(client, after);
  const auto* reason = std::get_if<Reason>(&answer);
  return reason != nullptr ? *reason : Reason::None;
}

}  // namespace

TEST_CASE("a question gets the first unanswered message that was not judged yet") {
  Table table(10, seconds(60));
  table.publish(kClient, 1, message(1));
  table.publish(kClient, 1, message(2));  // pipelined: both are at the server
  CHECK(found(table) == 1);
  CHECK(found(table, 1) == 2);
  CHECK(found(table, 2) == 0);
}

TEST_CASE("an answered message is not given again") {
  Table table(10, seconds(60));
  table.publish(kClient, 1, message(1));
  table.answered(kClient, 1, 1);
  CHECK(found(table) == 0);
  table.publish(kClient, 1, message(2));
  CHECK(found(table) == 2);
}

TEST_CASE("an unknown client has no session, a known one without a message is lost") {
  Table table(10, seconds(60));
  CHECK(missing(table, kOther) == Reason::NoSession);
  table.lost(kClient, 1, Reason::Encrypted);
  CHECK(missing(table, kClient) == Reason::Encrypted);
}

TEST_CASE("a client that left with an unanswered message lingers, then goes") {
  Table table(10, seconds(60));
  table.publish(kClient, 1, message(1));
  table.close(kClient, 1, kNow);
  CHECK(found(table) == 1);
  table.expire(kNow + seconds(59));
  CHECK(found(table) == 1);
  table.expire(kNow + seconds(60));
  CHECK(missing(table, kClient) == Reason::NoSession);
  CHECK(table.size() == 0);
}

TEST_CASE("a client that left with all answered is forgotten at once") {
  Table table(10, seconds(60));
  table.publish(kClient, 1, message(1));
  table.answered(kClient, 1, 1);
  table.close(kClient, 1, kNow);
  CHECK(table.size() == 0);
}

TEST_CASE("a new session on the same port does not get the old one's evidence") {
  Table table(10, seconds(60));
  table.publish(kClient, 1, message(1));
  table.close(kClient, 1, kNow);
  table.publish(kClient, 2, message(1));
  table.answered(kClient, 1, 1);  // late news of the old one
  table.close(kClient, 1, kNow);
  CHECK(found(table) == 1);
  table.expire(kNow + seconds(600));
  CHECK(found(table) == 1);
}

TEST_CASE("a full table refuses evidence and counts it") {
  Table table(1, seconds(60));
  table.publish(kOther, 1, message(1));
  table.publish(kClient, 2, message(1));
  CHECK(missing(table, kClient) == Reason::NoSession);
  CHECK(table.refused() == 1);
}

TEST_CASE("a client that pipelines many messages costs a bounded number of traces") {
  Table table(10, seconds(60));
  for (std::uint32_t i = 1; i <= 100; ++i) table.publish(kClient, 1, message(i));
  CHECK(found(table) == 85);
}

TEST_CASE("threads share a table") {
  Table table(10'000, seconds(60));
  std::vector<std::thread> threads;
  for (std::uint16_t t = 0; t < 4; ++t) {
    threads.emplace_back([&table, t] {
      for (std::uint16_t i = 1; i < 500; ++i) {
        const auto client =
            *net::Endpoint::parse_address("192.0.2.7", static_cast<std::uint16_t>(t * 1000 + i));
        table.publish(client, i, message(1));
        if (i % 2 == 0) table.answered(client, i, 1);
        table.close(client, i, kNow);
        table.find(client, 0);
      }
      table.expire(kNow + seconds(1));
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(table.size() == 4 * 250);  // the unanswered half lingers
}

TEST_CASE("questions are read strictly") {
  Table table(10, seconds(60));
  table.publish(kClient, 1, message(1));
  CHECK(evidence::answer(table, "get 192.0.2.7:40112 after=0").substr(0, 6) == "trace ");
  struct Row {
    const char* question;
    const char* reply;
  };
  const Row rows[] = {
      {"get 192.0.2.7:40113 after=0", "none no-session"},
      {"get 192.0.2.7:40112 after=1", "none lost"},
      {"", "none error"},
      {"get", "none error"},
      {"get 192.0.2.7 after=0", "none error"},
      {"get 192.0.2.7:40112", "none error"},
      {"get 192.0.2.7:40112 after=", "none error"},
      {"get 192.0.2.7:40112 after=-1", "none error"},
      {"get 192.0.2.7:40112 after=0 ", "none error"},
      {"get 192.0.2.7:40112 after=4294967296", "none error"},
      {"put 192.0.2.7:40112 after=0", "none error"},
  };
  for (const auto& row : rows) {
    INFO(row.question);
    CHECK(evidence::answer(table, row.question) == row.reply);
  }
}

TEST_CASE("what turned out to be ambiguous is taken back, what was told before stays") {
  Table table(10, seconds(60));
  table.publish(kClient, 1, message(1));
  table.publish(kClient, 1, message(2));
  table.lost(kClient, 1, Reason::Ambiguous);
  CHECK(found(table) == 1);
  CHECK(missing(table, kClient, 1) == Reason::Ambiguous);
  table.lost(kClient, 1, Reason::Lost);
  CHECK(found(table) == 1);
}

namespace {

// A session whose client has just sent a message of 900 bytes.
std::shared_ptr<evidence::Sealed> sealed_message() {
  const support::Tls13 tls;
  auto sealed = std::make_shared<evidence::Sealed>(classifier::SealedLog::Start{},
                                                   classifier::ArrivalLog(64));
  sealed->client(tls.client_hello());
  sealed->server(tls.server_flight());
  sealed->client(tls.client_finished());
  for (const std::size_t command : {23, 31, 28, 6}) {
    sealed->client(tls.plain(command));
    sealed->server(tls.plain(20));
  }
  const std::string message = tls.plain(900);
  sealed->segment(
      {.offset = sealed->client_offset(), .size = static_cast<std::uint32_t>(message.size())});
  sealed->client(message);
  return sealed;
}

const classifier::ShownSizes kSizes{.header = 200, .body = 697, .dots = 0};

}  // namespace

TEST_CASE("a session under TLS is asked by sizes, also when it has just closed") {
  Table table(10, seconds(60));
  table.seal(kClient, 1, sealed_message());
  const auto during = table.find(kClient, 0, kSizes);
  REQUIRE(std::holds_alternative<Trace>(during));
  CHECK(std::get<Trace>(during).window == classifier::Window::Exact);
  CHECK(std::get<Trace>(during).message == 1);
  table.close(kClient, 1, kNow);
  CHECK(std::holds_alternative<Trace>(table.find(kClient, 0, kSizes)));
  table.expire(kNow + seconds(61));
  CHECK(missing(table, kClient) == Reason::NoSession);
  CHECK(table.size() == 0);
}

TEST_CASE("TLS behind a session in clear is followed, TLS from the first byte on is not") {
  Table table(10, seconds(60));
  CHECK(table.follow(kClient, 1, {.offset = 30}, classifier::ArrivalLog(16)) != nullptr);
  CHECK(table.size() == 1);
  CHECK(table.follow(kOther, 2, {.offset = 0}, classifier::ArrivalLog(16)) == nullptr);
  CHECK(table.size() == 1);
}

TEST_CASE("a session under TLS that was lost says why") {
  Table table(10, seconds(60));
  table.seal(kClient, 1, sealed_message());
  table.lost(kClient, 1, Reason::Encrypted);
  CHECK(missing(table, kClient) == Reason::Encrypted);
}

TEST_CASE("questions are read as they are written, and nearly right ones refused") {
  Table table(10, seconds(60));
  table.seal(kClient, 1, sealed_message());
  CHECK(evidence::answer(table, "get 192.0.2.7:40112 after=0 header=200 body=697 dots=0")
            .find("window=exact") != std::string::npos);
  CHECK(evidence::answer(table, "get 192.0.2.7:40112 header=200 body=697 after=0")
            .find("window=exact") != std::string::npos);
  const char* refused[] = {
      "get 192.0.2.7:40112",
      "get 192.0.2.7:40112 after",
      "get 192.0.2.7:40112 after=",
      "get 192.0.2.7:40112 after=-1",
      "get 192.0.2.7:40112 after=4294967296",
      "get 192.0.2.7:40112  after=0",
      "get 192.0.2.7:40112 after=0 body=18446744073709551616",
      "get 192.0.2.7:40112 after=0 body=1x",
      "get 192.0.2.7:40112 after=0 size=1",
      "put 192.0.2.7:40112 after=0",
      "get 192.0.2.7 after=0",
  };
  for (const char* question : refused) {
    CAPTURE(question);
    CHECK(evidence::answer(table, question) == "none error");
  }
}

TEST_CASE("traces count against the budget; beyond it a message is told of without one") {
  Table table(10, seconds(60), 10'000);
  Trace large = message(1);
  large.segments.resize(400);
  table.publish(kClient, 1, Trace(large));
  const auto used = table.budget().used();
  CHECK(used >= 400 * sizeof(classifier::Segment));
  CHECK(table.budget().exceeded());
  table.publish(kClient, 1, message(2));
  // Not passed over: the third message would be taken for the second.
  auto answer = table.find(kClient, 1);
  REQUIRE(std::holds_alternative<Trace>(answer));
  CHECK(std::get<Trace>(answer) == classifier::unobserved(Reason::Overload, 2));
  CHECK(evidence::answer(table, "get 192.0.2.7:40112 after=1").find("overload") !=
        std::string::npos);
  table.answered(kClient, 1, 1);
  CHECK_FALSE(table.budget().exceeded());
  table.publish(kClient, 1, message(3));
  CHECK(found(table, 2) == 3);
  table.answered(kClient, 1, 3);
  CHECK(table.budget().used() == 0);
}

TEST_CASE("the budget is given back whatever way a trace goes") {
  Table table(10, seconds(60), 1'000'000);
  SECTION("its session lingers, and is forgotten") {
    table.publish(kClient, 1, message(1));
    table.close(kClient, 1, kNow);
    CHECK(table.budget().used() > 0);
    table.expire(kNow + seconds(61));
  }
  SECTION("another session has the same address and port") {
    table.publish(kClient, 1, message(1));
    table.lost(kClient, 2, Reason::Lost);
  }
  SECTION("it turned out to be ambiguous") {
    table.publish(kClient, 1, message(1));
    table.lost(kClient, 1, Reason::Ambiguous);
  }
  SECTION("it was under TLS: when its observer has gone, what is kept of it counts here") {
    table.seal(kClient, 1, sealed_message());
    table.close(kClient, 1, kNow);
    CHECK(table.budget().used() > 0);
    table.expire(kNow + seconds(61));
  }
  SECTION("it was under TLS, and nothing more is told of it") {
    const auto sealed = sealed_message();
    table.seal(kClient, 1, sealed);
    table.lost(kClient, 1, Reason::Overload);
    CHECK(sealed.use_count() == 1);
    table.close(kClient, 1, kNow);
  }
  SECTION("too many were unanswered") {
    for (std::uint32_t i = 1; i <= 100; ++i) table.publish(kClient, 1, message(i));
    table.answered(kClient, 1, 100);
  }
  CHECK(table.budget().used() == 0);
}
