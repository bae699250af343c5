// Tests milter/proxy/watch: the evidence of a session, by the real kernel filter and by reads.
#include "milter/proxy/watch.h"

#include <netinet/tcp.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "classifier/dialogue_words.h"
#include "tests/support/forged.h"
#include "tests/support/proxy_bed.h"

using namespace std::chrono_literals;
using support::kDraining;
using support::kToData;
using support::observed;
using support::ProxyBed;
using support::reason;
using test::C;
using test::raw;
using test::S;

namespace {

const net::Endpoint kClient = *net::Endpoint::parse("192.0.2.7:40112");
const net::Endpoint kCalled = *net::Endpoint::parse("198.51.100.1:25");

void behind_balancers(config::Config& settings) {
  settings.proxy.balancers = {*net::Network::parse("127.0.0.0/8")};
}
void behind_transparent_balancers(config::Config& settings) {
  behind_balancers(settings);
  settings.proxy.balancer_transparent = true;
}

const classifier::Trace& trace_of(const support::Found& found) {
  REQUIRE(observed(found));
  return std::get<classifier::Trace>(found);
}

}  // namespace

TEST_CASE(
    "evidence of a message is in the table before Postfix has its last byte, and goes with the "
    "answer") {
  const bool kernel = GENERATE(true, false);
  INFO((kernel ? "kernel filter" : "reads"));
  ProxyBed bed({.kernel = kernel});
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  const auto self = support::local_address(client.get());
  bed.play(kToData, client, server);
  CHECK(reason(bed.table.find({.client = self})) == classifier::Reason::Lost);
  bed.say(client, server, "Subject: hello\r\n\r\n");
  bed.say(client, server, "text\r\n.\r\n");
  const auto found = bed.table.find({.client = self});
  const auto& trace = trace_of(found);
  CHECK(trace.via == (kernel ? classifier::Via::Kernel : classifier::Via::Read));
  CHECK(trace.state == classifier::State::Complete);
  CHECK(trace.size == 18 + 9);
  REQUIRE(trace.segments.size() == 2);
  CHECK(trace.segments[0].size == 18);
  CHECK(trace.segments[1].size == 9);
  CHECK(trace.landmarks.header_end == 16);
  CHECK(trace.path.mss > 1000);
  CHECK(trace.path.syn.substr(0, 2) == "4:");
  bed.say(server, client, "250 queued\r\n");
  CHECK_FALSE(observed(bed.table.find({.client = self})));
}

TEST_CASE("how a client talks is in the table before Postfix has its bytes") {
  ProxyBed bed({.kernel = true});
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  const auto self = support::local_address(client.get());
  const auto words = [&] {
    return classifier::print_words(std::get<std::uint32_t>(bed.table.talk({.client = self})));
  };
  bed.say(client, server, "EHLO client.example\r\nMAIL FROM:<a@example>\r\n");
  CHECK(words() == "early,pipelined,helo-ahead");
  bed.say(server, client, "220 mx ESMTP\r\n250 ok\r\n250 ok\r\n");
  bed.say(client, server, "RCPT TO:");
  bed.say(client, server, "<b@example>\r\n");
  CHECK(words() == "early,pipelined,helo-ahead,split");
}

TEST_CASE("the kernel filter sees the segments that one read has joined") {
  ProxyBed bed({.kernel = true});
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  bed.play(kToData, client, server);
  std::vector<std::uint32_t> sizes;
  std::string all;
  for (const char* write : {"Subject: ", "one", "\r\n", "From: a\r\n\r\n", "x\r\n.\r\n"}) {
    support::send_all(client.get(), write);  // nothing is read in between
    sizes.push_back(static_cast<std::uint32_t>(std::string_view(write).size()));
    all += write;
  }
  REQUIRE(bed.read(server, all.size()) == all);
  const auto found = bed.table.find({.client = support::local_address(client.get())});
  std::vector<std::uint32_t> seen;
  for (const auto& segment : trace_of(found).segments) seen.push_back(segment.size);
  CHECK(seen == sizes);
}

TEST_CASE("the segments of all clients are read with the bytes of any of them") {
  ProxyBed bed({.kernel = true});
  const auto first = bed.connect();
  const auto first_server = bed.serve(first);
  const auto second = bed.connect();
  const auto second_server = bed.serve(second);
  bed.play(kToData, first, first_server);
  bed.play(kToData, second, second_server);
  // Both have sent before either is read, so draining the ring once brings the segments of both.
  support::send_all(first.get(), "Subject: a\r\n");
  support::send_all(second.get(), "Subject: second\r\n\r\n");
  support::send_all(first.get(), "\r\n.\r\n");
  support::send_all(second.get(), ".\r\n");
  CHECK(bed.read(first_server, 17) == "Subject: a\r\n\r\n.\r\n");
  CHECK(bed.read(second_server, 22) == "Subject: second\r\n\r\n.\r\n");
  const auto sizes = [&](const net::Fd& client) {
    const auto found = bed.table.find({.client = support::local_address(client.get())});
    std::vector<std::uint32_t> seen;
    for (const auto& segment : trace_of(found).segments) seen.push_back(segment.size);
    return seen;
  };
  CHECK(sizes(first) == std::vector<std::uint32_t>{12, 5});
  CHECK(sizes(second) == std::vector<std::uint32_t>{19, 3});
}

TEST_CASE("data with the handshake's last ACK is the stream's first segment") {
  ProxyBed bed({.kernel = true});
  const net::Fd client(socket(AF_INET, SOCK_STREAM, 0));
  const int seconds = 1;  // client option: its ACK waits for data
  REQUIRE(setsockopt(client.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) == 0);
  sockaddr_storage to{};
  const socklen_t size = bed.address().fill(to);
  REQUIRE(connect(client.get(), reinterpret_cast<sockaddr*>(&to), size) == 0);
  support::no_delay(client);
  const std::string talk = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
  support::send_all(client.get(), talk + "Subject: he");
  bed.accept();
  const auto server = bed.serve(client);
  REQUIRE(bed.read(server, talk.size() + 11) == talk + "Subject: he");
  bed.play({raw("llo\r\n\r\ntext\r\n.\r\n"), S("220 mx"), S("250 ok"), S("250 ok"), S("250 ok"),
            S("354 go on")},
           client, server);
  const auto found = bed.table.find({.client = support::local_address(client.get())});
  const auto& trace = trace_of(found);
  CHECK(trace.state == classifier::State::Complete);
  REQUIRE(trace.segments.size() == 2);
  CHECK(trace.segments[0].before == talk.size());
  CHECK(trace.segments[0].size == 11);
}

TEST_CASE("urgent data ends the observing, and the stream stays as it is without a proxy") {
  for (const bool in_text : {true, false}) {
    ProxyBed bed({.kernel = true});
    const auto client = bed.connect();
    const auto server = bed.serve(client);
    if (!in_text) REQUIRE(send(client.get(), "!", 1, MSG_OOB) == 1);
    bed.play(kToData, client, server);
    if (in_text) REQUIRE(send(client.get(), "!", 1, MSG_OOB) == 1);
    CHECK(reason(bed.message(client, server)) == classifier::Reason::Lost);
  }
}

TEST_CASE(
    "packets that TCP refuses do no harm if they are far away, and hide the message if they "
    "overlap it") {
  struct Row {
    const char* label;
    bool greeted;  // the client has already spoken
    std::uint32_t ahead, acknowledges_more;
    bool urgent;
    bool harmless;
  };
  const Row rows[] = {
      {"far ahead", true, 17U << 20, 0, false, true},
      {"far behind", true, -(17U << 20), 0, false, true},
      {"over the message, but acknowledges anything", true, 0, 1U << 30, false, true},
      {"urgent, but acknowledges anything", true, 0, 1U << 30, true, true},
      {"urgent, before the client speaks", false, 1U << 20, 1U << 30, true, true},
      {"over the message", true, 0, 0, false, false},
      {"over a part of it", true, 10, 0, false, false},
      {"after it", true, 1000, 0, false, true},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    ProxyBed bed({.kernel = true});
    const auto client = bed.connect();
    const auto server = bed.serve(client);
    const auto stranger = [&] {
      const auto numbers = support::numbers_of(client.get());
      support::forge(support::local_address(client.get()), bed.address(),
                     {.seq = numbers.sends + row.ahead,
                      .ack = numbers.takes + row.acknowledges_more,
                      .urgent = row.urgent});
    };
    if (!row.greeted) stranger();
    bed.play(kToData, client, server);
    if (row.greeted) stranger();
    const auto found = bed.message(client, server);
    const auto& trace = trace_of(found);
    CHECK(trace.segments.size() == (row.harmless ? 1 : 0));
    CHECK(trace.reason == (row.harmless ? classifier::Reason::None : classifier::Reason::Dropped));
  }
}

TEST_CASE("a session that begins while the process is too busy is relayed, unobserved") {
  ProxyBed bed;
  bed.set_busy(true);
  const auto client = bed.connect();
  bed.set_busy(false);
  const auto server = bed.serve(client);
  bed.play(kToData, client, server);
  CHECK(reason(bed.message(client, server)) == classifier::Reason::Overload);
}

TEST_CASE("a session whose evidence needs too much memory is still relayed") {
  ProxyBed bed({.max_bytes = 20'000});
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  bed.play(kToData, client, server);
  for (int i = 0; i < 1000; ++i) bed.say(client, server, "a line of the message\r\n");
  CHECK(reason(bed.message(client, server)) == classifier::Reason::Overload);
  CHECK(bed.counters.overload_memory == 1);
  CHECK(bed.table.budget().used() == 0);
  bed.say(server, client, "250 queued\r\n");
}

TEST_CASE("a session is observed for a limited time; a message that has begun is finished") {
  const bool kernel = GENERATE(true, false);
  INFO((kernel ? "kernel filter" : "reads"));
  ProxyBed bed(
      {.change = [](config::Config& c) { c.capture.max_session_time = 60s; }, .kernel = kernel});
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  bed.play(kToData, client, server);
  bed.say(client, server, "X-First: half\r\n");
  bed.pass(60s);
  CHECK(observed(bed.message(client, server)));
  bed.play({S("250 queued"), C("MAIL FROM:<a@example>"), S("250 ok"), C("DATA"), S("354 go on")},
           client, server);
  CHECK(reason(bed.message(client, server, 1)) == classifier::Reason::Expired);
  // The ends of its transactions are still known.
  bed.drain();
  support::send_all(server.get(), "250 queued\r\n");
  CHECK(bed.read_to_end(client) == "250 queued\r\n" + kDraining);
}

TEST_CASE("a draining session behind a balancer knows where a transaction ends, too") {
  ProxyBed bed({.change = behind_balancers, .kernel = true});
  const auto client = bed.connect();
  support::send_all(client.get(), net::proxy_v2(kClient, kCalled));
  const auto server = bed.serve(kClient, kCalled);
  bed.play(kToData, client, server);
  bed.drain();
  bed.say(client, server, support::kMessage);
  CHECK(reason(bed.table.find({.client = kClient})) == classifier::Reason::Balancer);
  support::send_all(server.get(), "250 queued\r\n");
  CHECK(bed.read_to_end(client) == "250 queued\r\n" + kDraining);
}

TEST_CASE("a transparent balancer's segments count as the client's, but its header does not") {
  const bool kernel = GENERATE(true, false);
  const bool early = GENERATE(true, false);
  INFO((kernel ? "kernel filter" : "reads") << (early ? ", early" : ""));
  ProxyBed bed({.change = behind_transparent_balancers, .kernel = kernel});
  const auto client = bed.connect();
  // One segment: the header followed by the first command.
  const std::string ehlo = "EHLO client.example\r\n";
  support::send_all(client.get(), net::proxy_v2(kClient, kCalled) + (early ? ehlo : ""));
  const auto server = bed.serve(kClient, kCalled);
  if (early) {
    REQUIRE(bed.read(server, ehlo.size()) == ehlo);
    bed.play({S("220 mx ESMTP"), S("250 mx"), C("MAIL FROM:<a@example>"), S("250 ok"),
              C("RCPT TO:<b@example>"), S("250 ok"), C("DATA"), S("354 go on")},
             client, server);
  } else {
    bed.play(kToData, client, server);
  }
  bed.say(client, server, "Subject: hello\r\n\r\n");
  bed.say(client, server, "text\r\n.\r\n");
  const auto found = bed.table.find({.client = kClient});
  const auto& trace = trace_of(found);
  CHECK(trace.via == (kernel ? classifier::Via::Balancer : classifier::Via::Read));
  CHECK(trace.state == classifier::State::Complete);
  CHECK(trace.dialogue.early_talker == early);
  CHECK_FALSE(trace.dialogue.split_command);
  REQUIRE(trace.segments.size() == 2);
  CHECK(trace.segments[0].size == 18);
  CHECK(trace.segments[0].before == 0);
  CHECK(trace.segments[1].size == 9);
  CHECK(trace.segments[1].count == 1);
}
