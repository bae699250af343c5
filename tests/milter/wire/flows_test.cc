// Tests milter/wire: connections as the tap passes them on, and what is in the evidence table then.
#include "milter/wire/flows.h"

#include <catch2/catch.hpp>
#include <string>

#include "classifier/dialogue_words.h"
#include "milter/tcp/flags.h"
#include "tests/support/tls_stream.h"
#include "tests/support/wire_script.h"

using classifier::Reason;
using classifier::State;
using classifier::Trace;
using Passed = support::WireScript::Passed;

namespace {

struct Bed {
  evidence::Table table{100, std::chrono::seconds(60)};
  wire::Counters counters;
  wire::Flows flows{table, counters, 100, 4096};
  support::WireScript script{flows};

  // Plays the session up to the server's 354.
  void ask_for_text() {
    script.handshake();
    script.server("220 mx\r\n");
    script.client("EHLO client.example\r\n");
    script.server("250-mx\r\n250 STARTTLS\r\n");
    envelope();
  }
  // Plays the session up to the server's answer to EHLO.
  void offer_chunking() {
    script.handshake();
    script.server("220 mx\r\n");
    script.client("EHLO c\r\n");
    script.server("250 CHUNKING\r\n");
  }
  void envelope() {
    script.client("MAIL FROM:<a@b>\r\n");
    script.server("250 Ok\r\n");
    script.client("RCPT TO:<c@d>\r\n");
    script.server("250 Ok\r\n");
    script.client("DATA\r\n");
    script.server("354 Go ahead\r\n");
  }
  // Plays a session under TLS 1.3 up to the server's answer to DATA.
  void ask_for_text_under_tls() {
    const support::Tls13 tls;
    script.handshake();
    script.server("220 mx\r\n");
    script.client("EHLO client.example\r\n");
    script.server("250-mx\r\n250 STARTTLS\r\n");
    script.client("STARTTLS\r\n");
    script.server("220 go\r\n");
    script.client(tls.client_hello());
    script.server(tls.server_flight());
    script.client(tls.client_finished());
    for (const std::size_t command : {21, 17, 15, 6}) {
      script.client(tls.plain(command), Passed::Records);
      script.server(tls.plain(30), Passed::Records);
    }
  }

  std::optional<Trace> trace(std::uint32_t after = 0, const classifier::ShownSizes& sizes = {}) {
    auto found = table.find({.client = script.client_address(), .after = after, .shown = sizes});
    auto* trace = std::get_if<Trace>(&found);
    return trace != nullptr ? std::optional(std::move(*trace)) : std::nullopt;
  }
  Reason reason(const classifier::ShownSizes& sizes = {}) {
    const auto found = table.find({.client = script.client_address(), .shown = sizes});
    const auto* reason = std::get_if<Reason>(&found);
    return reason != nullptr ? *reason : Reason::None;
  }
};

std::vector<std::uint32_t> sizes_of(const Trace& trace) {
  std::vector<std::uint32_t> sizes;
  for (const auto& segment : trace.segments) sizes.push_back(segment.size);
  return sizes;
}

std::string text(std::size_t size) {
  std::string bytes = "Subject: x\r\n\r\n";
  while (bytes.size() < size) bytes += "It is the way that you say it.\r\n";
  bytes.resize(size);
  return bytes;
}

}  // namespace

TEST_CASE("a message is reported when its end was passed, even if its text was not") {
  Bed bed;
  bed.ask_for_text();
  const std::string body = text(3000);
  bed.script.client(body.substr(0, 1448), Passed::Ends);
  bed.script.client(body.substr(1448, 1448), Passed::Ends);
  CHECK(bed.reason() == Reason::Lost);
  bed.script.client(body.substr(2896) + "\r\n.\r\nQUIT\r\n", Passed::Ends);

  const auto trace = bed.trace();
  REQUIRE(trace);
  CHECK(trace->via == classifier::Via::Wire);
  CHECK(trace->state == State::Complete);
  CHECK(trace->size == 3005);
  CHECK(sizes_of(*trace) == std::vector<std::uint32_t>{1448, 1448, 109});
  CHECK(trace->dialogue.quit_with_dot);
  CHECK(trace->path.rtt_us == 1000);
  CHECK(trace->landmarks.header_end == 0);  // the wire observer does not read the text
  CHECK(trace->landmarks.terminator == 3);

  bed.script.server("250 Ok\r\n");
  CHECK_FALSE(bed.trace());
}

TEST_CASE("how a client talks is known on the wire, too") {
  Bed bed;
  bed.script.handshake();
  bed.script.client("EHLO c.example\r\nMAIL FROM:<a@b>\r\n");
  const auto talk = bed.table.talk({.client = bed.script.client_address()});
  CHECK(classifier::print_words(std::get<std::uint32_t>(talk)) == "early,pipelined,helo-ahead");
}

TEST_CASE("segments that come out of order, twice or in one packet are reported as they came") {
  Bed bed;
  bed.ask_for_text();
  const std::string body = text(3000) + "\r\n.\r\n";
  const std::uint64_t at = bed.script.client_sent();
  bed.script.client_at(at + 1448, body.substr(1448, 1448), Passed::Ends);
  bed.script.client_at(at, body.substr(0, 1448), Passed::Ends);
  bed.script.client_at(at, body.substr(0, 1448), Passed::Ends);
  bed.script.client_at(at + 2896, body.substr(2896), Passed::Ends);
  const auto trace = bed.trace();
  REQUIRE(trace);
  CHECK(trace->size == 3005);
  CHECK(sizes_of(*trace) == std::vector<std::uint32_t>{1448, 1448, 109});
  CHECK(trace->segments[0].late);
  CHECK(trace->segments[0].resent);
}

TEST_CASE("the end of data is found wherever packets cut it") {
  const auto cut = GENERATE(range(1, 5));
  Bed bed;
  bed.ask_for_text();
  const std::string end = "\r\n.\r\n";
  bed.script.client(text(2000) + end.substr(0, cut), Passed::Ends);
  bed.script.client(end.substr(cut), Passed::Ends);
  const auto trace = bed.trace();
  REQUIRE(trace);
  CHECK(trace->size == 2005);
}

TEST_CASE("an end of data inside a packet loses the session, and no message is reported") {
  Bed bed;
  bed.ask_for_text();
  bed.script.client(text(1000) + "\r\n.\r\nMAIL FROM:<e@f>\r\nRCPT TO:<g@h>\r\n", Passed::Ends);
  bed.script.server("250 Ok\r\n250 Ok\r\n250 Ok\r\n");
  CHECK(bed.reason() == Reason::Lost);
}

TEST_CASE("BDAT chunks are counted by their commands") {
  Bed bed;
  bed.offer_chunking();
  bed.script.client("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 1000\r\n");
  bed.script.client(text(1000));
  bed.script.server("250 Ok\r\n250 Ok\r\n250 Ok\r\n");
  bed.script.client("BDAT 500 LAST\r\n" + text(500));
  const auto trace = bed.trace();
  REQUIRE(trace);
  CHECK(trace->transfer == classifier::Transfer::Bdat);
  CHECK(trace->size == 1500);
  CHECK(trace->chunk_begins == std::vector<std::uint32_t>{1000});
}

TEST_CASE("unread commands may begin another message, so the session is lost at once") {
  // The first message is refused for its sender. When Postfix asks about the second one, it has not
  // answered any of these commands yet.
  Bed bed;
  bed.offer_chunking();
  bed.script.client("MAIL FROM:<a@b\r\nRCPT TO:<c@d>\r\nBDAT 828 LAST\r\n");
  bed.script.client(text(500));
  const std::string next = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 828 LAST\r\n" + text(828);
  bed.script.client(text(828).substr(500) + next, Passed::Ends);
  CHECK(bed.reason() == Reason::Lost);
}

TEST_CASE("the text of a chunk need not be read") {
  Bed bed;
  bed.offer_chunking();
  bed.script.client("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 828 LAST\r\n");
  bed.script.client(text(828), Passed::Ends);
  const auto trace = bed.trace();
  REQUIRE(trace);
  CHECK(trace->size == 828);
}

TEST_CASE("bytes that were acknowledged but not passed make only that one message unobserved") {
  Bed bed;
  bed.ask_for_text();
  bed.script.client(text(1448), Passed::Ends);
  bed.script.client_unseen(1448);
  bed.script.client("It is.\r\n.\r\n", Passed::Ends);
  bed.script.server("250 Ok\r\n");
  // The end of the message waited for the missing bytes, so the answer has taken the message away.
  CHECK(bed.reason() == Reason::Lost);
  bed.envelope();
  bed.script.client(text(100) + "\r\n.\r\n", Passed::Ends);
  const auto trace = bed.trace(1);
  REQUIRE(trace);
  CHECK(trace->message == 2);
  CHECK(trace->size == 105);
}

TEST_CASE("under TLS the headers of the records are enough to place a message") {
  const support::Tls13 tls;
  Bed bed;
  bed.ask_for_text_under_tls();
  const std::string records = tls.plain({300, 1703});
  bed.script.client(records.substr(0, 1448), Passed::Records);
  bed.script.client_at(bed.script.client_sent(), records.substr(1448), Passed::Ends);
  const auto trace = bed.trace(0, {.header = 300, .body = 1700, .dots = 0});
  REQUIRE(trace);
  CHECK(trace->tls);
  CHECK(trace->window == classifier::Window::Exact);
  CHECK(trace->records == std::vector<classifier::Record>{{.size = 300}, {.size = 1703}});
}

TEST_CASE("notes about a packet wait for it, whatever comes in between") {
  const support::Tls13 tls;
  Bed bed;
  bed.ask_for_text_under_tls();
  const std::string first = tls.plain({100, 100, 100});
  const std::string second = tls.plain(203);
  const std::uint64_t at = bed.script.client_sent();
  bed.script.note_client(at, first);
  bed.script.client_at(at + first.size(), second, Passed::Records);
  bed.script.client_at(at, first, Passed::Ends);
  const auto trace = bed.trace(0, {.header = 300, .body = 200, .dots = 0});
  REQUIRE(trace);
  CHECK(trace->window == classifier::Window::Exact);
  CHECK(trace->records.size() == 4);
}

TEST_CASE("under TLS bytes that the tap missed lose the session") {
  const support::Tls13 tls;
  Bed bed;
  bed.ask_for_text_under_tls();
  bed.script.client_unseen(500);
  bed.script.client(tls.plain(100), Passed::Records);
  bed.script.server(tls.plain(30), Passed::Records);
  CHECK(bed.reason({.header = 100, .body = 0}) == Reason::Dropped);
}

TEST_CASE("a session whose beginning was not seen is not followed") {
  Bed bed;
  bed.script.client("EHLO client.example\r\n");
  bed.script.server("250 mx\r\n");
  CHECK(bed.flows.size() == 0);
  CHECK(bed.reason() == Reason::NoSession);
}

TEST_CASE("the server's FIN ends a connection, a reset at a wrong place does not") {
  Bed bed;
  bed.ask_for_text();
  bed.script.client_flags(tcp::kRst, bed.script.client_sent() + 5000);
  CHECK(bed.flows.size() == 1);
  bed.script.client(text(100) + "\r\n.\r\n", Passed::Ends);
  bed.script.server_fin();
  CHECK(bed.flows.size() == 0);
  CHECK(bed.trace());  // the session lingers, because Postfix may still ask
}

TEST_CASE("a reset at the stream's current place ends a connection") {
  Bed bed;
  bed.ask_for_text();
  bed.script.client_flags(tcp::kRst, bed.script.client_sent());
  CHECK(bed.flows.size() == 0);
}

TEST_CASE("a SYN begins another session when the client has acknowledged the server's answer") {
  Bed bed;
  bed.ask_for_text();
  bed.script.client(text(100) + "\r\n.\r\n", Passed::Ends);
  REQUIRE(bed.trace());
  support::WireScript next(bed.flows);
  next.syn(1);  // from a stranger
  next.syn(4711);
  CHECK(bed.counters.connections == 1);
  next.syn_ack();
  CHECK(bed.counters.connections == 1);
  next.ack();
  CHECK(bed.flows.size() == 1);
  CHECK(bed.counters.connections == 2);
  next.server("220 mx\r\n");
  next.client("EHLO next.example\r\n");
  CHECK(bed.flows.size() == 1);
}

TEST_CASE("a SYN that the server does not answer changes nothing") {
  Bed bed;
  bed.ask_for_text();
  const std::string body = text(100) + "\r\n.\r\n";
  bed.script.client(body.substr(0, 50), Passed::Ends);
  support::WireScript stranger(bed.flows);
  stranger.syn(4711);
  bed.script.client(body.substr(50), Passed::Ends);
  const auto trace = bed.trace();
  REQUIRE(trace);
  CHECK(sizes_of(*trace) == std::vector<std::uint32_t>{50, 55});
  // An answer to a third SYN changes nothing either.
  stranger.syn(4712);
  bed.script.syn_ack();
  bed.script.ack();
  CHECK(bed.counters.connections == 1);
}

TEST_CASE(
    "a flood of SYNs, answered or not, takes no room from the connections that are followed") {
  Bed bed;
  bed.ask_for_text();
  const std::string body = text(100) + "\r\n.\r\n";
  bed.script.client(body.substr(0, 50), Passed::Ends);
  for (int port = 1; port <= 1000; ++port) {
    support::WireScript stranger(bed.flows, "203.0.113.1:" + std::to_string(port));
    stranger.syn();
    stranger.syn_ack();
  }
  CHECK(bed.flows.size() == 1);
  CHECK(bed.table.size() == 1);
  bed.script.client(body.substr(50), Passed::Ends);
  CHECK(bed.trace());
}

TEST_CASE("an evicted connection gives no evidence, even if Postfix still asks") {
  evidence::Table table(100, std::chrono::seconds(60));
  wire::Counters counters;
  wire::Flows flows(table, counters, 1, 4096);
  support::WireScript first(flows, "192.0.2.1:1");
  first.handshake();
  first.server("220 mx\r\n");
  first.client("EHLO c\r\n");
  first.server("250 CHUNKING\r\n");
  first.client("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 14 LAST\r\n" + text(14));
  const evidence::Question question{.client = first.client_address()};
  REQUIRE(std::holds_alternative<Trace>(table.find(question)));
  support::WireScript second(flows, "192.0.2.2:2");
  second.handshake();
  const auto found = table.find(question);
  REQUIRE(std::holds_alternative<Reason>(found));
  CHECK(std::get<Reason>(found) == Reason::Overload);
}

TEST_CASE("the payload of a SYN belongs to the stream if the server accepted it") {
  for (const bool taken : {true, false}) {
    CAPTURE(taken);
    Bed bed;
    const std::string first = "EHLO client.example\r\n";
    bed.script.syn_with(first);
    if (taken) bed.script.client_unseen(first.size());
    bed.script.syn_ack();
    if (!taken) bed.script.ack();
    if (!taken) bed.script.client(first);
    bed.script.server("220 mx\r\n250 mx\r\n");
    bed.envelope();
    bed.script.client(text(100) + "\r\n.\r\n", Passed::Ends);
    CHECK(bed.reason() == Reason::None);
    const auto trace = bed.trace();
    REQUIRE(trace);
    CHECK(trace->state == State::Complete);
    CHECK(trace->dialogue.greeting == classifier::Dialogue::Greeting::Ehlo);
    CHECK(trace->dialogue.early_talker);
  }
}

TEST_CASE("packets that contradict each other lose the session and its message") {
  struct Row {
    std::string_view label;
    std::uint64_t offset;  // from the beginning of the message
    std::size_t size;
    char text;
    bool acknowledged;
    bool contradicts;
  };
  const std::string body = text(2000) + "\r\n.\r\n";
  const Row rows[] = {
      {"the same again", 0, 1000, 0, false, false},
      {"again, and acknowledged", 0, 1000, 0, true, false},
      {"cut otherwise, when it was acknowledged", 0, 900, 0, true, false},
      {"other text, when it was acknowledged", 0, 1000, 'z', true, false},
      {"cut otherwise", 0, 900, 0, false, true},
      {"more", 0, 1100, 0, false, true},
      {"from its middle", 500, 1000, 0, false, true},
      {"other text", 0, 1000, 'z', false, true},
      {"all of the message, with its end", 0, body.size(), 0, false, true},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    Bed bed;
    bed.ask_for_text();
    const std::uint64_t begin = bed.script.client_sent();
    bed.script.client(body.substr(0, 1000), Passed::Ends);
    if (row.acknowledged) bed.script.acknowledge();
    std::string again = body.substr(row.offset, row.size);
    if (row.text != 0) again.assign(row.size, row.text);
    bed.script.client_at(begin + row.offset, again, Passed::Ends);
    bed.script.client(body.substr(1000), Passed::Ends);
    if (row.contradicts) {
      CHECK(bed.reason() == Reason::Ambiguous);
    } else {
      const auto trace = bed.trace();
      REQUIRE(trace);
      CHECK(sizes_of(*trace) == std::vector<std::uint32_t>{1000, 1005});
    }
  }
}

TEST_CASE("a forged message before the real one is not reported") {
  Bed bed;
  bed.ask_for_text();
  const std::string body = text(2000) + "\r\n.\r\n";
  bed.script.client_at(bed.script.client_sent(), body, Passed::Ends);
  REQUIRE(bed.trace());  // so far nothing contradicts it
  bed.script.client(body.substr(0, 399), Passed::Ends);
  bed.script.client(body.substr(399), Passed::Ends);
  CHECK(bed.reason() == Reason::Ambiguous);
}

TEST_CASE("one segment of a super-packet may come again") {
  Bed bed;
  bed.ask_for_text();
  const std::uint64_t begin = bed.script.client_sent();
  const std::string body = text(4000) + "\r\n.\r\n";
  bed.script.client_super(body, 1000);
  bed.script.client_at(begin + 1000, body.substr(1000, 1000), Passed::Ends);
  const auto trace = bed.trace();
  REQUIRE(trace);
  CHECK(trace->segments.size() == 5);
  bed.script.client_at(begin + 1000, body.substr(1000, 999), Passed::Ends);
  CHECK(bed.reason() == Reason::Ambiguous);
}

TEST_CASE("urgent data loses the session") {
  Bed bed;
  bed.ask_for_text();
  bed.script.client_flags(tcp::kUrg, bed.script.client_sent());
  bed.script.client(text(100) + "\r\n.\r\n", Passed::Ends);
  CHECK(bed.reason() == Reason::Lost);
  CHECK(bed.counters.lost == 1);
}

TEST_CASE("when there is no room, the connection that was silent for longest is evicted") {
  evidence::Table table(100, std::chrono::seconds(60));
  wire::Counters counters;
  wire::Flows flows(table, counters, 2, 4096);
  support::WireScript first(flows, "192.0.2.1:1");
  support::WireScript second(flows, "192.0.2.2:2");
  support::WireScript third(flows, "192.0.2.3:3");
  first.handshake();
  second.handshake();
  first.server("220 mx\r\n");
  third.handshake();
  CHECK(flows.size() == 2);
  CHECK(counters.evicted == 1);
  second.handshake();  // this one was evicted, so it begins again
  CHECK(counters.connections == 4);
}

TEST_CASE("connections that are silent for a long time are forgotten") {
  Bed bed;
  bed.ask_for_text();
  constexpr std::uint64_t kMinute = 60'000'000'000;
  bed.flows.expire(bed.script.now_ns + 14 * kMinute);
  CHECK(bed.flows.size() == 1);
  bed.flows.expire(bed.script.now_ns + 16 * kMinute);
  CHECK(bed.flows.size() == 0);
}

TEST_CASE("too many packets out of order lose the session") {
  Bed bed;
  bed.ask_for_text();
  const std::uint64_t at = bed.script.client_sent();
  for (std::uint64_t i = 1; i <= wire::Flow::kMostWaiting + 1; ++i) {
    bed.script.client_at(at + i * 100, std::string(100, 'y'), Passed::Ends);
  }
  CHECK(bed.reason() == Reason::Dropped);
}

TEST_CASE(
    "when the memory for evidence is used up, new connections are not followed until it is free") {
  evidence::Table table(100, std::chrono::seconds(60), 20'000);
  wire::Counters counters;
  wire::Flows flows(table, counters, 100, 4096);
  evidence::Budget::Share others(table.budget());
  const auto reason = [&](const net::Endpoint& client) {
    const auto found = table.find({.client = client});
    const auto* missing = std::get_if<Reason>(&found);
    return missing != nullptr ? *missing : Reason::None;
  };
  others.set(20'000);
  support::WireScript first(flows, "192.0.2.1:1");
  first.handshake();
  CHECK(reason(first.client_address()) == Reason::Overload);
  CHECK(counters.overload == 1);
  others.set(0);
  support::WireScript second(flows, "192.0.2.2:2");
  second.handshake();
  second.server("220 mx\r\n");
  for (const char* command : {"EHLO c\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n"}) {
    second.client(command);
    second.server("250 Ok\r\n");
  }
  second.client("DATA\r\n");
  second.server("354 Go ahead\r\n");
  for (int i = 0; i < 1000; ++i) second.client(text(100), Passed::Ends);
  CHECK(reason(second.client_address()) == Reason::Overload);
  CHECK(table.budget().used() == 0);
}

TEST_CASE("a connection is followed for a limited time; a message that has begun is finished") {
  evidence::Table table(100, std::chrono::seconds(60));
  wire::Counters counters;
  wire::Flows flows(table, counters, 100, 4096, std::chrono::hours(1));
  support::WireScript script(flows);
  script.handshake();
  script.server("220 mx\r\n");
  const auto ask = [&] {
    for (const char* command : {"EHLO c\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\n"}) {
      script.client(command);
      script.server("250 Ok\r\n");
    }
    script.client("DATA\r\n");
    script.server("354 Go ahead\r\n");
  };
  ask();
  script.client(text(100), Passed::Ends);
  script.now_ns += 3'700'000'000'000;
  script.client(text(100) + "\r\n.\r\n", Passed::Ends);
  CHECK(std::holds_alternative<Trace>(table.find({.client = script.client_address()})));
  script.server("250 queued\r\n");
  ask();
  script.client(text(100) + "\r\n.\r\n", Passed::Ends);
  const auto found = table.find({.client = script.client_address(), .after = 1});
  REQUIRE(std::holds_alternative<Reason>(found));
  CHECK(std::get<Reason>(found) == Reason::Expired);
}
