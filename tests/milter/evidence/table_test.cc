// Tests milter/evidence/table: which session and which message a question is about, and when
// evidence is removed.
#include "milter/evidence/table.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "milter/evidence/server.h"
#include "tests/support/tls_stream.h"

using classifier::ObservedMessage;
using classifier::Reason;
using classifier::Trace;
using evidence::Question;
using evidence::SessionKey;
using evidence::Table;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

net::Endpoint endpoint(std::string_view text) {
  return *net::Endpoint::parse(text);
}

const net::Endpoint kClient = endpoint("192.0.2.7:40112");
const net::Endpoint kServer = endpoint("198.51.100.25:25");
const net::Endpoint kOtherServer = endpoint("198.51.100.26:25");
const evidence::steady_clock::time_point kNow{seconds(1000)};

SessionKey session(std::uint64_t number, const net::Endpoint& server = kServer,
                   evidence::steady_clock::time_point opened = kNow) {
  return {kClient, server, number, opened};
}
const SessionKey kSession = session(1);

// A message with header fields of these sizes and a body of the given size.
ObservedMessage message(std::uint32_t ordinal, std::vector<std::uint32_t> fields = {},
                        std::uint32_t body = 100) {
  ObservedMessage made{.trace = {.message = ordinal}};
  classifier::Landmarks& marks = made.trace.landmarks;
  for (const std::uint32_t size : fields) {
    marks.header_end += size;
    marks.fields.push_back({.end = marks.header_end});
  }
  marks.body_begin = marks.header_end + 2;
  marks.terminator = 3;
  made.trace.size = marks.body_begin + body + 3;
  made.envelope.add_mail(12);
  made.envelope.add_rcpt(15);
  return made;
}

Question question(std::uint32_t after = 0) {
  return {.client = kClient, .server = kServer, .after = after};
}

Question about(std::vector<std::uint32_t> fields, std::uint64_t body, std::uint32_t after = 0) {
  Question asked = question(after);
  asked.shown.header = 2;
  for (const std::uint32_t size : fields) asked.shown.header += size;
  asked.shown.fields = std::move(fields);
  asked.shown.body = body;
  asked.shown.envelope.add_mail(12);
  asked.shown.envelope.add_rcpt(15);
  return asked;
}

// 0 if there is no trace.
std::uint32_t found(const Table& table, const Question& asked = question()) {
  const auto answer = table.find(asked);
  const auto* trace = std::get_if<Trace>(&answer);
  return trace != nullptr ? trace->message : 0;
}

Reason missing(const Table& table, const Question& asked = question()) {
  const auto answer = table.find(asked);
  const auto* reason = std::get_if<Reason>(&answer);
  return reason != nullptr ? *reason : Reason::None;
}

struct OneSession {
  Table table{10, seconds(60)};
  OneSession() { table.open(kSession); }
};

}  // namespace

TEST_CASE("a question gets the only message that is not answered") {
  OneSession bed;
  bed.table.publish(kSession, message(1));
  CHECK(found(bed.table) == 1);
  CHECK(found(bed.table, question(1)) == 0);
  bed.table.answered(kSession, 1);
  CHECK(found(bed.table) == 0);
  bed.table.publish(kSession, message(2));
  CHECK(found(bed.table) == 2);
}

TEST_CASE("of several messages at once, a question gets the one that fits what was shown") {
  OneSession bed;
  bed.table.publish(kSession, message(1, {40, 60, 25}, 3000));
  bed.table.publish(kSession, message(2, {40, 61, 25}, 700));
  bed.table.publish(kSession, message(3, {90, 130, 44, 51}, 700));
  CHECK(found(bed.table, about({40, 60, 25}, 3000)) == 1);
  CHECK(found(bed.table, about({90, 130, 44, 51}, 700, 1)) == 3);
  // The first was refused, and there was no question about it.
  CHECK(found(bed.table, about({40, 61, 25}, 700)) == 2);
}

TEST_CASE("a question that fits several messages gets none") {
  OneSession bed;
  bed.table.publish(kSession, message(1, {40, 60, 25}, 700));
  bed.table.publish(kSession, message(2, {40, 60, 25}, 700));
  CHECK(missing(bed.table, about({40, 60, 25}, 700)) == Reason::Ambiguous);
  // Also if nothing was shown.
  CHECK(missing(bed.table) == Reason::Ambiguous);
  // The first one was judged, so only the second is possible.
  CHECK(found(bed.table, about({40, 60, 25}, 700, 1)) == 2);
  bed.table.answered(kSession, 1);
  CHECK(found(bed.table, about({40, 60, 25}, 700)) == 2);
}

TEST_CASE("changes that Postfix makes to a message are no contradiction") {
  struct Row {
    const char* label;
    std::vector<std::uint32_t> shown;
    std::uint64_t body;
  };
  const Row rows[] = {
      {"a policy service put a field in front", {80, 40, 60, 25, 31}, 700},
      {"what was missing was added", {40, 60, 25, 31, 37, 64}, 700},
      {"header_checks took one out", {40, 25, 31}, 700},
      {"header_checks replaced one", {40, 77, 25, 31}, 700},
      {"bare LF in header and body", {40, 61, 25, 31}, 723},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    OneSession bed;
    bed.table.publish(kSession, message(1, {40, 60, 25, 31}, 700));
    bed.table.publish(kSession, message(2, {90, 130, 44}, 2500));
    CHECK(found(bed.table, about(row.shown, row.body)) == 1);
  }
}

TEST_CASE("a question that fits no message gets none") {
  OneSession bed;
  bed.table.publish(kSession, message(1, {40, 60, 25}, 700));
  // One contradiction is tolerated: Postfix may be configured to change much.
  CHECK(found(bed.table, about({40, 60, 25}, 9000)) == 1);
  CHECK(missing(bed.table, about({90, 130, 44}, 9000)) == Reason::Ambiguous);
  bed.table.publish(kSession, message(2, {41, 62, 27}, 1700));
  CHECK(missing(bed.table, about({40, 60, 25}, 9000)) == Reason::Ambiguous);
}

TEST_CASE("recipients distinguish messages") {
  OneSession bed;
  ObservedMessage first = message(1);
  first.envelope.add_rcpt(30);  // this recipient was refused
  bed.table.publish(kSession, std::move(first));
  ObservedMessage second = message(2);
  second.envelope.add_rcpt(20);
  bed.table.publish(kSession, std::move(second));
  Question asked = question();
  asked.shown.envelope.add_mail(12);
  asked.shown.envelope.add_rcpt(20);
  CHECK(found(bed.table, asked) == 2);
  asked.shown.envelope = {};
  asked.shown.envelope.add_rcpt(15);
  CHECK(missing(bed.table, asked) == Reason::Ambiguous);
}

TEST_CASE("while the observer is behind, Postfix may process a message that was not published") {
  OneSession bed;
  bed.table.publish(kSession, message(1));
  bed.table.behind(kSession, true);
  CHECK(missing(bed.table) == Reason::Ambiguous);
  bed.table.behind(kSession, false);
  CHECK(found(bed.table) == 1);
}

TEST_CASE("a session without a message gives lost, and an unknown session gives no-session") {
  OneSession bed;
  CHECK(missing(bed.table) == Reason::Lost);
  CHECK(missing(bed.table, {.client = endpoint("[2001:db8::7]:40112")}) == Reason::NoSession);
  bed.table.lost(kSession, Reason::Encrypted);
  CHECK(missing(bed.table) == Reason::Encrypted);
}

TEST_CASE("a lost session drops its unanswered messages") {
  // It will not be seen when they are answered, so a later message could be taken for them.
  OneSession bed;
  bed.table.publish(kSession, message(1));
  bed.table.lost(kSession, Reason::Ambiguous);
  CHECK(missing(bed.table) == Reason::Ambiguous);
  bed.table.lost(kSession, Reason::Lost);
  bed.table.publish(kSession, message(2));
  CHECK(missing(bed.table) == Reason::Ambiguous);
}

TEST_CASE("a session that ends with an unanswered message is kept for the linger time") {
  OneSession bed;
  bed.table.publish(kSession, message(1));
  bed.table.close(kSession, kNow);
  CHECK(found(bed.table) == 1);
  bed.table.expire(kNow + seconds(59));
  CHECK(found(bed.table) == 1);
  bed.table.expire(kNow + seconds(60));
  CHECK(missing(bed.table) == Reason::NoSession);
  CHECK(bed.table.size() == 0);
}

TEST_CASE("a session that ends with all messages answered is removed at once") {
  OneSession bed;
  bed.table.publish(kSession, message(1));
  bed.table.answered(kSession, 1);
  bed.table.close(kSession, kNow);
  CHECK(bed.table.size() == 0);
}

TEST_CASE("two sessions of one client port to two server addresses are separate") {
  OneSession bed;
  const SessionKey other = session(2, kOtherServer);
  bed.table.open(other);
  bed.table.publish(kSession, message(1));
  bed.table.publish(other, message(7));
  CHECK(found(bed.table) == 1);
  CHECK(found(bed.table, {.client = kClient, .server = kOtherServer}) == 7);
  // A question that does not name the server's address.
  CHECK(missing(bed.table, {.client = kClient}) == Reason::Ambiguous);
  bed.table.close(other, kNow);
  bed.table.expire(kNow + seconds(60));
  CHECK(found(bed.table, {.client = kClient}) == 1);
}

TEST_CASE("two sessions of one client port, one after the other, are distinguished by time") {
  OneSession bed;
  bed.table.greeted(kSession, kNow + milliseconds(20));
  bed.table.publish(kSession, message(1));
  bed.table.close(kSession, kNow + milliseconds(50));
  const SessionKey next = session(2, kServer, kNow + milliseconds(60));
  bed.table.open(next);
  bed.table.publish(next, message(1, {}, 900));
  const auto asked = [](int ms) {
    Question one = question();
    one.began = kNow + milliseconds(ms);
    return one;
  };
  const auto size = [&](int ms) {
    const auto answer = bed.table.find(asked(ms));
    const auto* trace = std::get_if<Trace>(&answer);
    return trace != nullptr ? trace->size : 0;
  };
  CHECK(size(10) == 105);
  CHECK(size(70) == 905);  // its greeting has not passed yet
  CHECK(missing(bed.table, asked(40)) == Reason::NoSession);
  // The question does not say when the session began.
  CHECK(missing(bed.table) == Reason::Ambiguous);
  bed.table.greeted(next, kNow + milliseconds(80));
  CHECK(size(70) == 905);
  CHECK(missing(bed.table, asked(90)) == Reason::NoSession);
  bed.table.answered(kSession, 1);  // late news about the old session
  CHECK(size(70) == 905);
}

TEST_CASE("sessions are not distinguished if the first was not greeted before the next began") {
  OneSession bed;
  bed.table.publish(kSession, message(1));
  bed.table.close(kSession, kNow + milliseconds(5));
  bed.table.open(session(2, kServer, kNow + milliseconds(10)));
  Question asked = question();
  asked.began = kNow + milliseconds(20);
  CHECK(missing(bed.table, asked) == Reason::Ambiguous);
}

TEST_CASE("a port that is reused many times costs a bounded number of sessions") {
  Table table(1000, seconds(60));
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const SessionKey one = session(i, kServer, kNow + milliseconds(10 * i));
    table.open(one);
    table.greeted(one, one.opened + milliseconds(5));
    table.publish(one, message(1));
    table.close(one, kNow + seconds(2));
  }
  CHECK(table.size() == Table::kMostOfPort);
  Question asked = question();
  asked.began = kNow + milliseconds(1002);
  CHECK(missing(table, asked) == Reason::Ambiguous);
  table.expire(kNow + seconds(62));
  CHECK(table.size() == 0);
  table.open(kSession);
  table.publish(kSession, message(1));
  CHECK(found(table) == 1);
}

TEST_CASE("a full table refuses a session, and later calls for it have no effect") {
  Table table(1, seconds(60));
  CHECK(table.open({endpoint("192.0.2.8:1"), kServer, 2, kNow}));
  CHECK_FALSE(table.open(kSession));
  table.publish(kSession, message(1));
  table.greeted(kSession, kNow);
  table.answered(kSession, 1);
  table.lost(kSession, Reason::Lost);
  table.close(kSession, kNow);
  CHECK(missing(table) == Reason::NoSession);
  CHECK(table.refused() == 1);
  CHECK(table.size() == 1);
}

TEST_CASE("a client that pipelines many messages costs a bounded number of traces, and markers") {
  OneSession bed;
  const auto most = static_cast<std::uint32_t>(Table::kMostTraces);
  for (std::uint32_t i = 1; i <= 100; ++i)
    bed.table.publish(kSession, message(i, {9 * i, 9 * i}, i * 999));
  CHECK(found(bed.table, about({45, 45}, 5 * 999)) == 5);
  const auto answer = bed.table.find(about({9 * most + 9, 9 * most + 9}, (most + 1) * 999));
  REQUIRE(std::holds_alternative<Trace>(answer));
  CHECK(std::get<Trace>(answer) == classifier::unobserved(Reason::Full, most + 1));
  // When some are answered, there is room for the next ones.
  bed.table.answered(kSession, 100);
  bed.table.publish(kSession, message(101));
  CHECK(found(bed.table) == 101);
}

TEST_CASE("several threads can use one table") {
  Table table(10'000, seconds(60));
  std::vector<std::thread> threads;
  for (std::uint16_t t = 0; t < 4; ++t) {
    threads.emplace_back([&table, t] {
      for (std::uint16_t i = 1; i < 500; ++i) {
        const auto port = static_cast<std::uint16_t>(t * 1000 + i);
        const SessionKey key{*net::Endpoint::parse_address("192.0.2.7", port), kServer, i, kNow};
        table.open(key);
        table.publish(key, message(1));
        if (i % 2 == 0) table.answered(key, 1);
        table.close(key, kNow);
        table.find({.client = key.client});
      }
      table.expire(kNow + seconds(1));
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(table.size() == 4 * 250);  // the unanswered half is kept for the linger time
}

TEST_CASE("an answer is a trace or the reason for none") {
  OneSession bed;
  bed.table.publish(kSession, message(1));
  CHECK(evidence::answer(bed.table, "get client=192.0.2.7:40112 after=0").starts_with("trace "));
  CHECK(evidence::answer(bed.table, "get client=192.0.2.7:40113 after=0") == "none no-session");
  CHECK(evidence::answer(bed.table, "get client=192.0.2.7:40112 after=1") == "none lost");
  CHECK(evidence::answer(bed.table, "put client=192.0.2.7:40112 after=0") == "none error");
}

namespace {

// A session in which the client has just sent a message of 900 bytes.
void send_under_tls(Table& table, std::shared_ptr<evidence::TlsEvidence>& sealed) {
  const support::Tls13 tls;
  table.open(kSession);
  sealed = table.follow(kSession, {.offset = 30}, classifier::ArrivalLog(64).from(30));
  REQUIRE(sealed != nullptr);
  sealed->client(tls.client_hello());
  sealed->server(tls.server_flight());
  sealed->client(tls.client_finished());
  for (const std::size_t command : {23, 31, 28, 6}) {
    sealed->client(tls.plain(command));
    sealed->server(tls.plain(20));
  }
  const std::string text = tls.plain(900);
  sealed->segment(
      {.offset = sealed->client_offset(), .size = static_cast<std::uint32_t>(text.size())});
  sealed->client(text);
}

Question of_900_bytes() {
  Question asked = question();
  asked.shown = {.header = 200, .body = 697};
  return asked;
}

}  // namespace

TEST_CASE("in a session under TLS sizes find the message, also just after it has closed") {
  Table table(10, seconds(60));
  std::shared_ptr<evidence::TlsEvidence> sealed;
  send_under_tls(table, sealed);
  if (GENERATE(true, false)) table.close(kSession, kNow);
  const auto during = table.find(of_900_bytes());
  REQUIRE(std::holds_alternative<Trace>(during));
  CHECK(std::get<Trace>(during).window == classifier::Window::Exact);
  CHECK(std::get<Trace>(during).message == 1);
  // Each turn ends one message.
  CHECK(missing(table, of_900_bytes()) == Reason::Ambiguous);
  table.close(kSession, kNow);
  table.expire(kNow + seconds(61));
  CHECK(missing(table) == Reason::NoSession);
  CHECK(table.size() == 0);
}

TEST_CASE("TLS after STARTTLS is followed, TLS from the first byte on is not") {
  OneSession bed;
  CHECK(bed.table.follow(kSession, {.offset = 30}, classifier::ArrivalLog(16)) != nullptr);
  CHECK(bed.table.follow(kSession, {.offset = 0}, classifier::ArrivalLog(16)) == nullptr);
  CHECK(bed.table.follow(session(2), {.offset = 30}, classifier::ArrivalLog(16)) == nullptr);
}

TEST_CASE("a session under TLS that was lost gives the reason") {
  Table table(10, seconds(60));
  std::shared_ptr<evidence::TlsEvidence> sealed;
  send_under_tls(table, sealed);
  table.lost(kSession, Reason::Encrypted);
  CHECK(missing(table) == Reason::Encrypted);
  CHECK(sealed.use_count() == 1);
}

TEST_CASE("traces count against the budget, and beyond it a message leaves only a marker") {
  Table table(10, seconds(60), 10'000);
  table.open(kSession);
  ObservedMessage large = message(1, {10}, 50'000);
  large.trace.segments.resize(400);
  table.publish(kSession, std::move(large));
  CHECK(table.budget().used() >= 400 * sizeof(classifier::Segment));
  CHECK(table.budget().exceeded());
  table.publish(kSession, message(2, {20}, 3000));
  // The third message is not skipped: otherwise it would be taken for the second.
  const auto answer = table.find(about({20}, 3000));
  REQUIRE(std::holds_alternative<Trace>(answer));
  CHECK(std::get<Trace>(answer) == classifier::unobserved(Reason::Overload, 2));
  table.answered(kSession, 1);
  CHECK_FALSE(table.budget().exceeded());
  table.publish(kSession, message(3));
  CHECK(found(table, question(2)) == 3);
  table.answered(kSession, 3);
  CHECK(table.budget().used() == 0);
}

TEST_CASE("beyond the budget the largest shares must be given up, and small ones stay") {
  evidence::Budget budget(1'000'000);
  std::vector<evidence::Budget::Share> hoards;
  for (int i = 0; i < 10; ++i) hoards.emplace_back(budget).set(100'000);
  evidence::Budget::Share honest(budget);
  honest.set(20'000);
  CHECK(budget.exceeded());
  CHECK_FALSE(budget.has_to_go(honest));
  CHECK(budget.has_to_go(hoards.front()));
  hoards.front().set(0);
  CHECK_FALSE(budget.exceeded());
  CHECK_FALSE(budget.has_to_go(hoards.back()));
}

TEST_CASE("beyond the budget a closed session with much evidence loses it before its time") {
  Table table(10, seconds(60), 10'000);
  table.open(kSession);
  ObservedMessage large = message(1);
  large.trace.segments.resize(200);
  table.publish(kSession, std::move(large));
  table.close(kSession, kNow);
  table.expire(kNow);
  CHECK(found(table) == 1);
  evidence::Budget::Share others(table.budget());
  others.set(9'000);
  table.expire(kNow);
  CHECK(missing(table) == Reason::Overload);
}

TEST_CASE("the budget gets its bytes back in whatever way a trace is removed") {
  Table table(10, seconds(60), 1'000'000);
  std::shared_ptr<evidence::TlsEvidence> sealed;
  SECTION("its session is kept for the linger time, and is removed") {
    table.open(kSession);
    table.publish(kSession, message(1));
    table.close(kSession, kNow);
    CHECK(table.budget().used() > 0);
    table.expire(kNow + seconds(61));
  }
  SECTION("its session was lost") {
    table.open(kSession);
    table.publish(kSession, message(1));
    table.lost(kSession, Reason::Ambiguous);
  }
  SECTION("it was under TLS: after its observer has gone, its log counts in the table") {
    send_under_tls(table, sealed);
    table.close(kSession, kNow);
    CHECK(table.budget().used() > 0);
    table.expire(kNow + seconds(61));
  }
  SECTION("it was under TLS, and its evidence was lost") {
    send_under_tls(table, sealed);
    table.lost(kSession, Reason::Overload);
    table.close(kSession, kNow);
  }
  SECTION("too many were unanswered") {
    table.open(kSession);
    for (std::uint32_t i = 1; i <= 100; ++i) table.publish(kSession, message(i));
    table.answered(kSession, 100);
  }
  CHECK(table.budget().used() == 0);
}

TEST_CASE("how a client talks is known from its own session only") {
  OneSession bed;
  const evidence::SessionQuestion asked{.client = kClient, .server = kServer};
  const auto words = [&](const evidence::SessionQuestion& question) {
    const auto talk = bed.table.talk(question);
    const auto* found = std::get_if<std::uint32_t>(&talk);
    return found != nullptr ? static_cast<int>(*found) : -1;
  };
  CHECK(words(asked) == 0);
  bed.table.talks(kSession, 5);
  CHECK(words(asked) == 5);
  CHECK(words({.client = kClient, .server = kOtherServer}) == -1);
  CHECK(words({.client = endpoint("192.0.2.7:40113")}) == -1);
  bed.table.open(session(2, kOtherServer));
  CHECK(words(asked) == 5);
  CHECK(words({.client = kClient}) == -1);
  bed.table.open(session(3, kServer, kNow + seconds(9)));
  CHECK(words(asked) == -1);
  bed.table.greeted(kSession, kNow + seconds(1));
  CHECK(words({kClient, kServer, kNow + milliseconds(500)}) == 5);
  CHECK(words({kClient, kServer, kNow + seconds(9)}) == 0);
}

TEST_CASE("words that were seen stay when the evidence is lost; that there are none is not known") {
  OneSession bed;
  const evidence::SessionQuestion asked{.client = kClient, .server = kServer};
  bed.table.lost(kSession, Reason::Encrypted);
  CHECK(std::get<Reason>(bed.table.talk(asked)) == Reason::Encrypted);
  bed.table.talks(kSession, 1);
  CHECK(std::get<std::uint32_t>(bed.table.talk(asked)) == 1);
}

TEST_CASE("the size of the whole text tells messages apart") {
  OneSession bed;
  bed.table.publish(kSession, message(1, {70, 40}, 3000));
  bed.table.publish(kSession, message(2, {70, 40}, 9000));
  Question asked = question();
  CHECK(missing(bed.table, asked) == Reason::Ambiguous);
  asked.shown.text = 70 + 40 + 2 + 9000;
  CHECK(found(bed.table, asked) == 2);
  asked.shown.text = 70 + 40 + 2 + 3000;
  CHECK(found(bed.table, asked) == 1);
  asked.shown.text = 6000;
  CHECK(missing(bed.table, asked) == Reason::Ambiguous);
}
