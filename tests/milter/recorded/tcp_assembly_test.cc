#include "milter/recorded/tcp_assembly.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "classifier/trace_text.h"
#include "tests/support/capture_builder.h"
#include "tests/support/tls_stream.h"

namespace {

using namespace recorded;
using namespace support;
using classifier::Reason;
using classifier::State;
using classifier::Trace;

const std::string kHeader = "From: a@example.net\r\nSubject: x\r\n\r\n";

std::string message_of(std::size_t size) {
  std::string text = kHeader;
  while (text.size() + 3 < size) text += text.size() % 72 == 70 ? "\r\n" : "y";
  return text + "\r\n.\r\n";
}

class Collector final : public MessageSink {
 public:
  void message(const Connection& connection, classifier::ObservedMessage&& message) override {
    connections.push_back(connection);
    traces.push_back(std::move(message.trace));
  }
  std::vector<Connection> connections;
  std::vector<Trace> traces;
};

std::vector<Trace> assemble(std::vector<Packet> packets, TcpAssembly::Limits limits = {}) {
  Collector out;
  TcpAssembly assembly(out, limits);
  for (Packet& packet : packets) assembly.packet(packet.parsed());
  assembly.finish();
  CHECK(assembly.waiting_bytes() == 0);
  return out.traces;
}

std::vector<std::uint32_t> sizes(const Trace& trace) {
  std::vector<std::uint32_t> out;
  for (const auto& segment : trace.segments) out.push_back(segment.size);
  return out;
}

// A session with one message. Its packets with text begin at index `first_text`.
struct Session {
  Conversation talk;
  std::size_t first_text = 0;
  std::size_t texts = 0;
};

Session session(const std::string& text, std::size_t segment, Conversation talk = Conversation()) {
  talk.open();
  talk.greet();
  Session out{.talk = std::move(talk)};
  out.first_text = out.talk.packets.size();
  out.talk.send(text, segment);
  out.texts = out.talk.packets.size() - out.first_text;
  out.talk.close();
  return out;
}

using Sizes = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("a session gives the message's segments, the path and the round trip") {
  const auto traces = assemble(session(message_of(3000), 1460).talk.packets);
  REQUIRE(traces.size() == 1);
  const Trace& trace = traces[0];
  CHECK(trace.state == State::Complete);
  CHECK(trace.via == classifier::Via::Pcap);
  CHECK(trace.path.mss == 1460);
  CHECK(trace.path.rtt_us == 2000);
  CHECK_FALSE(trace.path.syn.empty());
  CHECK(sizes(trace).front() == 1460);
  CHECK(trace.size == message_of(3000).size());
  CHECK(trace.segments.back().push);
  CHECK_FALSE(trace.segments.front().push);
  CHECK(trace.landmarks.body_begin == kHeader.size());
}

TEST_CASE("segments out of order are put in order and marked") {
  Session s = session(message_of(6000), 1000);
  std::swap(s.talk.packets[s.first_text + 1], s.talk.packets[s.first_text + 2]);
  const auto traces = assemble(s.talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Complete);
  CHECK(traces[0].segments[1].late);
  CHECK(traces[0].size == message_of(6000).size());
}

TEST_CASE("bytes that come twice count once, and the first copy is used") {
  Session s = session(message_of(4000), 1000);
  Packet copy = s.talk.packets[s.first_text + 1];
  std::fill(copy.payload.begin(), copy.payload.end(), '\n');
  copy.payload.replace(10, 5, "\r\n.\r\n");
  s.talk.packets.insert(s.talk.packets.begin() + s.first_text + 2, copy);
  const auto traces = assemble(s.talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Complete);
  CHECK(traces[0].size == message_of(4000).size());
  CHECK(traces[0].segments[1].resent);
}

TEST_CASE("a probe of a closed window is not a segment of the message") {
  const auto with_probe = [](std::uint16_t window) {
    Session s = session(message_of(4000), 1000);
    auto& packets = s.talk.packets;
    const auto behind = packets.begin() + static_cast<std::ptrdiff_t>(s.first_text) + 2;
    Packet probe = *behind;
    probe.payload.resize(1);
    probe.ip_id = 99;
    Packet answer = packets[s.first_text - 1];  // the 354, without its text
    answer.seq += static_cast<std::uint32_t>(answer.payload.size());
    answer.payload.clear();
    answer.ack = probe.seq;
    answer.window = window;
    packets.insert(behind, {answer, probe});
    return assemble(packets);
  };
  const auto traces = with_probe(0);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Complete);
  CHECK(sizes(traces[0]) == sizes(assemble(session(message_of(4000), 1000).talk.packets)[0]));
  CHECK_FALSE(traces[0].segments[2].resent);
  // A single byte is a segment if the window is open.
  CHECK(sizes(with_probe(64240)[0])[2] == 1);
}

TEST_CASE("if packets overlap ahead of the stream, it is unknown which one was received") {
  Session s = session(message_of(4000), 1000);
  Packet early = s.talk.packets[s.first_text + 3];
  early.seq -= 100;
  early.payload.insert(0, std::string(100, 'z'));
  s.talk.packets.insert(s.talk.packets.begin() + s.first_text + 2, early);
  const auto traces = assemble(s.talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Partial);
  CHECK(traces[0].reason == Reason::Dropped);
  CHECK(traces[0].size == message_of(4000).size());
  REQUIRE(traces[0].segments.size() == 3);
  CHECK(traces[0].segments[2].hole);
}

// A session whose second segment was lost: the third arrives, and then one packet has bytes of the
// second and half of the third. `said`: the server has reported the third by SACK.
std::vector<Packet> sent_again_over_the_next(bool said) {
  Session s = session(message_of(4000), 1000);
  auto& packets = s.talk.packets;
  const auto second = static_cast<std::ptrdiff_t>(s.first_text) + 1;
  const Packet third = packets[s.first_text + 2];
  Packet again = packets[s.first_text + 1];
  again.payload += third.payload.substr(0, 500);
  again.flags |= 0x08;
  Packet ack;
  ack.from_client = false;
  ack.flags = 0x10;
  ack.seq = again.ack;
  ack.ack = again.seq;
  if (said) {
    ack.options = "\x01\x01\x05\x0a";
    support::put32(ack.options, third.seq);
    support::put32(ack.options, third.seq + 1000);
  }
  packets.erase(packets.begin() + second);
  packets.insert(packets.begin() + second + 1, {ack, again});
  return packets;
}

TEST_CASE("bytes after a gap that the server has reported count as their first segment's") {
  const auto traces = assemble(sent_again_over_the_next(true));
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Complete);
  CHECK(sizes(traces[0]) == Sizes{1000, 1000, 1000, 1000, 2});
  CHECK(traces[0].segments[1].late);
  CHECK_FALSE(traces[0].segments[1].push);  // PSH was at the end of the bytes that came again
  CHECK(traces[0].segments[2].resent);
}

TEST_CASE("if the server has reported nothing, it is unknown which segment was received") {
  const auto traces = assemble(sent_again_over_the_next(false));
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Partial);
  CHECK(traces[0].reason == Reason::Dropped);
}

TEST_CASE("bytes that wait for a lost reply count as their first segment's") {
  Session s = session(message_of(4000), 1000);
  auto& packets = s.talk.packets;
  const auto first = packets.begin() + static_cast<std::ptrdiff_t>(s.first_text);
  Packet again = *(first + 1);
  again.payload.resize(600);
  again.ip_id = 99;
  again.time_ns += 30'000'000;
  packets.insert(first + 3, again);
  const auto whole = assemble(packets);
  packets.erase(packets.begin() + static_cast<std::ptrdiff_t>(s.first_text) - 1);  // 354
  const auto traces = assemble(packets);
  REQUIRE(whole.size() == 1);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Complete);
  CHECK(traces[0].segments == whole[0].segments);
  CHECK(traces[0].segments[1].resent);
}

TEST_CASE("urgent data loses the current message, and the next message is reported") {
  constexpr std::uint8_t kUrgent = 0x38;
  Conversation talk;
  talk.open();
  talk.greet();
  SECTION("before DATA") {
    talk.packets.resize(talk.packets.size() - 2);  // removes DATA and the 354
    talk.client("!", kUrgent);
    talk.client("DATA\r\n");
    talk.server("354 go\r\n");
    talk.send(message_of(4000), 1000);
  }
  SECTION("before the text") {
    talk.client("!", kUrgent);
    talk.send(message_of(4000), 1000);
  }
  SECTION("within the text") {
    const std::string text = message_of(4000);
    talk.send(text.substr(0, 100), 1000);
    talk.client("!", kUrgent);
    talk.send(text.substr(100), 1000);
  }
  talk.server("250 queued\r\n");
  talk.next_message();
  talk.send(message_of(3000), 1000);
  talk.close();
  const auto traces = assemble(talk.packets);
  REQUIRE(traces.size() == 2);
  CHECK(traces[0].state == State::Unobserved);
  CHECK(traces[0].reason == Reason::Lost);
  CHECK(traces[1].state == State::Complete);
  CHECK(traces[1].message == 2);
  CHECK(traces[1].size == message_of(3000).size());
}

TEST_CASE("sequence numbers wrap around within a message") {
  for (const std::uint32_t before : {50U, 200U, 1500U, 3000U}) {
    const auto traces = assemble(
        session(message_of(5000), 1460, Conversation(0U - before, 0U - before)).talk.packets);
    REQUIRE(traces.size() == 1);
    CHECK(traces[0].state == State::Complete);
    CHECK(traces[0].size == message_of(5000).size());
  }
}

TEST_CASE("a segment that the capture lost leaves a hole and a partial trace") {
  Session s = session(message_of(6000), 1000);
  s.talk.packets.erase(s.talk.packets.begin() + s.first_text + 2);
  const auto traces = assemble(s.talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Partial);
  CHECK(traces[0].reason == Reason::Dropped);
  CHECK(traces[0].segments[2].hole);
  CHECK(traces[0].size == message_of(6000).size());
}

TEST_CASE("a message whose end the capture lost ends where the server answers it") {
  Session s = session(message_of(3500), 1000);
  s.talk.packets.erase(s.talk.packets.begin() + s.first_text + s.texts - 1);
  const auto traces = assemble(s.talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Partial);
  CHECK(traces[0].size == message_of(3500).size());
}

TEST_CASE("a reply that was captured before its command waits for it") {
  Session s = session(message_of(3000), 1000);
  auto& packets = s.talk.packets;
  for (std::size_t i = 3; i + 1 < packets.size(); ++i) {
    if (packets[i].from_client && !packets[i + 1].from_client && !packets[i + 1].payload.empty()) {
      std::swap(packets[i], packets[i + 1]);
      ++i;
    }
  }
  const auto traces = assemble(packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Complete);
  CHECK_FALSE(traces[0].dialogue.early_data);
}

TEST_CASE("a reply that was not captured is assumed") {
  for (std::size_t lost = 0; lost < 6; ++lost) {
    Session s = session(message_of(3000), 1000);
    std::size_t seen = 0;
    std::erase_if(s.talk.packets, [&](const Packet& packet) {
      return !packet.from_client && !packet.payload.empty() && seen++ == lost;
    });
    INFO("reply " << lost);
    const auto traces = assemble(s.talk.packets);
    REQUIRE(traces.size() == 1);
    CHECK(traces[0].size == message_of(3000).size());
  }
}

TEST_CASE("a capture that begins inside a session is followed from the next start on") {
  Conversation talk;
  talk.open();
  talk.greet();
  talk.send(message_of(3000), 1000);
  talk.server("250 queued\r\n");
  talk.next_message();
  talk.send(message_of(2000), 1000);
  talk.close();
  for (const std::size_t begin : {1, 3, 4, 12, 13}) {
    INFO("from packet " << begin);
    const auto traces =
        assemble({talk.packets.begin() + static_cast<std::ptrdiff_t>(begin), talk.packets.end()});
    REQUIRE_FALSE(traces.empty());
    CHECK(traces.back().size == message_of(2000).size());
    CHECK(traces.size() == 2);
    CHECK((traces[0].state == State::Unobserved) == (begin > 5));
  }
}

TEST_CASE("a capture of only the client's side is followed with assumed replies") {
  Conversation talk;
  talk.open();
  talk.greet();
  talk.send(message_of(9000), 1460);
  talk.server("250 queued\r\n");
  talk.client("MAIL FROM:<a@example.net>\r\n");
  talk.server("250 ok\r\n");
  talk.client("RCPT TO:<b@example.org>\r\n");
  talk.server("250 ok\r\n");
  talk.client("BDAT 14\r\nA: b\r\n\r\ntext\r\n");
  talk.server("250 ok\r\n");
  talk.client("BDAT 4 LAST\r\nend\n");
  talk.close();
  std::erase_if(talk.packets, [](const Packet& packet) { return !packet.from_client; });
  const auto traces = assemble(talk.packets);
  REQUIRE(traces.size() == 2);
  CHECK(traces[0].state == State::Complete);
  CHECK(traces[0].size == message_of(9000).size());
  CHECK_FALSE(traces[0].dialogue.early_talker);
  CHECK(traces[1].transfer == classifier::Transfer::Bdat);
  CHECK(traces[1].message == 2);
  CHECK(traces[1].size == 18);
}

TEST_CASE("joined segments are split into the size that the path carries") {
  struct Row {
    const char* what;
    std::uint16_t client_mss;
    std::uint16_t server_mss;
    Sizes packets;  // payload sizes as captured
    Sizes segments;
  };
  const Row rows[] = {
      {"by the MSS of the SYN", 1460, 1460, {5000}, {1460, 1460, 1460, 620}},
      {"the server's MSS is a bound", 1460, 1000, {2500}, {1000, 1000, 500}},
      {"alone as large as the server allows: one", 536, 1460, {1400, 1400}, {1400, 1400}},
      {"as large as segments that came alone",
       536,
       1460,
       {1400, 1400, 1400, 2800, 300},
       {1400, 1400, 1400, 1400, 1400, 300}},
      {"a smaller path",
       1460,
       1460,
       {1348, 1348, 1348, 2696, 99},
       {1348, 1348, 1348, 1348, 1348, 99}},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    Conversation talk;
    talk.open(row.client_mss, row.server_mss);
    talk.greet();
    std::uint32_t total = 0;
    for (const std::uint32_t size : row.packets) total += size;
    std::string text = message_of(total);
    text.insert(kHeader.size(), total > text.size() ? total - text.size() : 0, 'q');
    text.erase(kHeader.size(), text.size() - total);
    std::size_t at = 0;
    for (const std::uint32_t size : row.packets) {
      talk.client(std::string_view(text).substr(at, size));
      at += size;
    }
    talk.close();
    const auto traces = assemble(talk.packets);
    REQUIRE(traces.size() == 1);
    CHECK(sizes(traces[0]) == row.segments);
    CHECK(traces[0].segments.back().push);
  }
}

TEST_CASE("the sizes of packets that the snap length has cut are known") {
  Session s = session(message_of(5100), 1000);
  for (Packet& packet : s.talk.packets) {
    constexpr std::size_t kKept = 40;
    if (packet.payload.size() <= kKept) continue;
    packet.wire_size = static_cast<std::uint32_t>(packet.payload.size());
    packet.payload.resize(kKept);
  }
  const auto traces = assemble(s.talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Partial);
  CHECK(traces[0].size == message_of(5100).size());
  CHECK(sizes(traces[0]) == Sizes{1000, 1000, 1000, 1000, 1000, 102});
}

TEST_CASE("a message that is cut off is reported as partial") {
  Session s = session(message_of(5000), 1000);
  s.talk.packets.resize(s.first_text + 3);
  const auto traces = assemble(s.talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Partial);
  CHECK(traces[0].size == 3000);
  CHECK(sizes(traces[0]) == Sizes{1000, 1000, 1000});
  CHECK(traces[0].landmarks.terminator == 0);
}

namespace {

void ask_for_tls(Conversation& talk) {
  talk.open();
  talk.server("220 mx\r\n");
  talk.client("EHLO x\r\n");
  talk.server("250 STARTTLS\r\n");
  talk.client("STARTTLS\r\n");
  talk.server("220 go\r\n");
}

}  // namespace

TEST_CASE("TLS that cannot be followed gives one unobserved trace for each flow") {
  Conversation talk;
  ask_for_tls(talk);
  SECTION("STARTTLS") {
    talk.client("\x16\x03\x01");
  }
  SECTION("later bytes are ignored") {
    talk.client("\x16\x03\x01");
    talk.server("\x16\x03\x01");
    talk.client("MAIL FROM:<a@example.net>\r\n");
  }
  SECTION("implicit") {
    talk = Conversation();
    talk.server_port = 465;
    talk.open();
    talk.client("\x16\x03\x01 hello");
    talk.server("\x16\x03\x01 hello");
    talk.client("\x17\x03\x03 more");
  }
  const auto traces = assemble(talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Unobserved);
  CHECK(traces[0].reason == Reason::Encrypted);
  CHECK(traces[0].tls);
  CHECK(traces[0].message == 1);
}

namespace {

// A session under TLS 1.3 from its first record on: commands one by one, `writes` as the message,
// QUIT.
void talk_under_tls(Conversation& talk, std::initializer_list<std::size_t> writes) {
  const support::Tls13 tls;
  const auto turn = [&](std::initializer_list<std::size_t> sizes) {
    const std::string bytes = tls.plain(sizes);
    for (std::size_t at = 0; at < bytes.size(); at += 1000) talk.client(bytes.substr(at, 1000));
    talk.server(tls.plain(20));
  };
  talk.client(tls.client_hello());
  talk.server(tls.server_flight());
  talk.client(tls.client_finished());
  for (const std::size_t command : {23, 31, 28, 6}) turn({command});
  turn(writes);
  turn({6});
}

}  // namespace

TEST_CASE("a message under TLS is reported by its records") {
  Conversation talk;
  SECTION("after STARTTLS") {
    ask_for_tls(talk);
  }
  SECTION("from the first byte on") {
    talk.server_port = 465;
    talk.open();
  }
  talk_under_tls(talk, {4096, 4096, 700});
  auto packets = talk.packets;
  SECTION("in order") {}
  SECTION("two segments reordered, one sent again") {
    std::swap(packets[packets.size() - 9], packets[packets.size() - 10]);
    packets.insert(packets.end() - 8, packets[packets.size() - 9]);
  }
  const auto traces = assemble(packets);
  REQUIRE(traces.size() == 1);
  const auto& trace = traces[0];
  CHECK(trace.state == State::Complete);
  CHECK(trace.tls);
  CHECK(trace.window == classifier::Window::Inferred);
  CHECK(trace.hello.version == 0x0304);
  CHECK(trace.size == 8892);
  REQUIRE(trace.records.size() == 3);
  CHECK(trace.records[2].size == 700);
  CHECK(sizes(trace) == Sizes{1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 958});
}

TEST_CASE("a loss inside a record hides no size, a lost header hides the records after it") {
  Conversation talk;
  talk.server_port = 465;
  talk.open();
  talk_under_tls(talk, {4096, 4096, 700});
  auto packets = talk.packets;
  const auto first =
      std::find_if(packets.begin(), packets.end(),
                   [](const support::Packet& packet) { return packet.payload.size() == 1000; });
  SECTION("inside") {
    packets.erase(first + 1);
    const auto traces = assemble(packets);
    REQUIRE(traces.size() == 1);
    CHECK(traces[0].state == State::Partial);
    CHECK(traces[0].records.size() == 3);
  }
  SECTION("a header") {
    packets.erase(first + 4);
    const auto traces = assemble(packets);
    REQUIRE(traces.size() == 1);
    CHECK(traces[0].state == State::Partial);
    CHECK(traces[0].reason == Reason::Dropped);
    CHECK(traces[0].records.empty());
  }
}

TEST_CASE(
    "a bare LF around the dot ends a message when the server answers, and is ambiguous when not") {
  Conversation talk;
  talk.open();
  talk.server("220 mx\r\n");
  talk.client("EHLO x\r\n");
  talk.server("250 ok\r\n");
  talk.next_message();
  talk.client("Subject: x\n\n" + std::string(900, 'y') + "\n.\n");
  SECTION("answered") {
    talk.close();
    const auto traces = assemble(talk.packets);
    REQUIRE(traces.size() == 1);
    CHECK(traces[0].state == State::Complete);
    CHECK(traces[0].size == 915);
  }
  SECTION("read on") {
    talk.client("more\r\n.\r\n");
    talk.close();
    const auto traces = assemble(talk.packets);
    REQUIRE(traces.size() == 1);
    CHECK(traces[0].state == State::Unobserved);
    CHECK(traces[0].reason == Reason::Ambiguous);
    CHECK(traces[0].message == 1);
  }
}

TEST_CASE("urgent data under TLS loses the session") {
  Conversation talk;
  ask_for_tls(talk);
  talk_under_tls(talk, {4096, 700});
  const auto of_text = std::find_if(talk.packets.begin(), talk.packets.end(), [](const Packet& p) {
    return p.from_client && p.payload.size() == 1000;
  });
  REQUIRE(of_text != talk.packets.end());
  of_text->flags |= 0x20;
  const auto traces = assemble(talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Unobserved);
  CHECK(traces[0].reason == Reason::Lost);
}

TEST_CASE("plain text after STARTTLS, as a decrypting tap shows it, is followed") {
  Conversation talk;
  ask_for_tls(talk);
  talk.client("EHLO x\r\n");
  talk.server("250 ok\r\n");
  talk.next_message();
  talk.send(message_of(2000), 1000);
  talk.close();
  const auto traces = assemble(talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Complete);
}

TEST_CASE("a connection to another port is mail if the server's greeting says so") {
  Session s;
  s.talk.server_port = 3535;
  s = session(message_of(2000), 1000, s.talk);
  CHECK(assemble(s.talk.packets).size() == 1);
  Conversation web;
  web.server_port = 80;
  web.open();
  web.client("GET / HTTP/1.1\r\n\r\n");
  web.server("HTTP/1.1 200 OK\r\n\r\n");
  CHECK(assemble(web.packets).empty());
}

TEST_CASE("a port that is used again begins a new session") {
  Session one = session(message_of(2000), 1000);
  one.talk.packets.resize(one.talk.packets.size() - 2);  // the connection is never closed
  const Session two = session(message_of(3000), 1000, Conversation(77777, 88888));
  std::vector<Packet> packets = one.talk.packets;
  packets.insert(packets.end(), two.talk.packets.begin(), two.talk.packets.end());
  const auto traces = assemble(packets);
  REQUIRE(traces.size() == 2);
  CHECK(traces[1].message == 1);
  CHECK(traces[1].size == message_of(3000).size());
}

TEST_CASE(
    "a connection that is silent for a quarter of an hour has ended, by the capture's clock") {
  const auto told_after = [](std::uint64_t seconds) {
    Session cut = session(message_of(3000), 1000);
    cut.talk.packets.resize(cut.first_text + 2);
    Conversation other;
    other.client_port = 40001;
    other.open();
    Collector out;
    TcpAssembly assembly(out, {});
    for (Packet& packet : cut.talk.packets) assembly.packet(packet.parsed());
    Packet& last = other.packets.front();
    last.time_ns = cut.talk.packets.back().time_ns + seconds * 1'000'000'000;
    assembly.packet(last.parsed());
    CHECK(assembly.flows() == (out.traces.empty() ? 2 : 1));
    return out.traces.size();
  };
  CHECK(told_after(15 * 60) == 0);
  CHECK(told_after(15 * 60 + 1) == 1);
}

TEST_CASE("a message is reported with the client's EHLO name and the time of its end") {
  Session s = session(message_of(3000), 1000);
  Collector out;
  TcpAssembly assembly(out, {});
  for (Packet& packet : s.talk.packets) assembly.packet(packet.parsed());
  REQUIRE(out.connections.size() == 1);
  CHECK(out.connections[0].helo == "client.example.net");
  CHECK(out.connections[0].time_ns == s.talk.packets[s.first_text + s.texts - 1].time_ns);
}

TEST_CASE("under TLS a message is reported at the next command, with the EHLO name said in clear") {
  Conversation talk;
  ask_for_tls(talk);
  talk_under_tls(talk, {4096, 4096, 700});
  Collector out;
  TcpAssembly assembly(out, {});
  std::size_t told_at = 0;
  for (std::size_t i = 0; i < talk.packets.size(); ++i) {
    assembly.packet(talk.packets[i].parsed());
    if (told_at == 0 && !out.traces.empty()) told_at = i;
  }
  REQUIRE(out.connections.size() == 1);
  CHECK(talk.packets[told_at].from_client);
  CHECK(told_at + 2 == talk.packets.size());
  CHECK(out.connections[0].helo == "x");
}

TEST_CASE("the number of flows and their waiting bytes are bounded") {
  Collector out;
  TcpAssembly::Limits limits;
  limits.flows = 10;
  limits.waiting_bytes = 100'000;
  TcpAssembly assembly(out, limits);
  for (std::uint16_t port = 1; port <= 100; ++port) {
    Conversation talk;
    talk.client_port = static_cast<std::uint16_t>(2000 + port);
    talk.open();
    talk.greet();
    talk.send(message_of(60000), 1000);
    // The first segment of the text never arrives, so all others wait.
    talk.packets.erase(talk.packets.begin() + 12);
    for (Packet& packet : talk.packets) {
      assembly.packet(packet.parsed());
      CHECK(assembly.flows() <= 10);
      CHECK(assembly.waiting_bytes() <= limits.waiting_bytes + 2000);
    }
  }
  assembly.finish();
  CHECK(out.traces.size() == 100);
}

TEST_CASE("a capture that is out of order in any way gives the same messages") {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const std::size_t segment = 100 + random() % 1300;
    const std::string text = message_of(200 + random() % 20000);
    Session s = session(
        text, segment,
        Conversation(static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random())));
    auto& packets = s.talk.packets;
    for (std::size_t i = 4; i + 1 < packets.size(); ++i) {
      if (random() % 4 == 0) std::swap(packets[i], packets[i + 1]);
      if (random() % 10 == 0)
        packets.insert(packets.begin() + static_cast<std::ptrdiff_t>(i), packets[i]);
    }
    INFO("round " << round);
    const auto traces = assemble(packets);
    REQUIRE(traces.size() == 1);
    CHECK(traces[0].state == State::Complete);
    CHECK(traces[0].size == text.size());
    Sizes expected(text.size() / segment, static_cast<std::uint32_t>(segment));
    if (text.size() % segment != 0)
      expected.push_back(static_cast<std::uint32_t>(text.size() % segment));
    CHECK(sizes(traces[0]) == expected);
  }
}

TEST_CASE("after a PROXY header the client is the one that it names") {
  for (const std::uint16_t port : {std::uint16_t{25}, std::uint16_t{10025}}) {
    INFO("port " << port);
    Collector out;
    TcpAssembly assembly(out, {});
    Conversation talk;
    talk.server_port = port;
    talk.open();
    talk.client("PROXY TCP4 203.0.113.7 198.51.100.1 40123 25\r\n");
    talk.greet();
    talk.send(message_of(3000), 1460);
    talk.close();
    for (Packet& packet : talk.packets) assembly.packet(packet.parsed());
    assembly.finish();
    REQUIRE(out.traces.size() == 1);
    CHECK(out.traces[0].state == State::Complete);
    CHECK(out.traces[0].size == message_of(3000).size());
    CHECK(out.connections[0].client.endpoint().print() == "203.0.113.7:40123");
  }
}

TEST_CASE("bytes that only begin like a PROXY header name no client") {
  for (const char* line :
       {"PROXY TCP4 203.0.113.7\r\n", "PROXY TCP4 203.0.113.300 1.2.3.4 1 2\r\n"}) {
    Collector out;
    TcpAssembly assembly(out, {});
    Conversation talk;
    talk.open();
    talk.client(line);
    talk.greet();
    talk.send(message_of(3000), 1460);
    talk.close();
    for (Packet& packet : talk.packets) assembly.packet(packet.parsed());
    assembly.finish();
    for (const auto& connection : out.connections) {
      CHECK(connection.client.endpoint().print() == "192.0.2.1:40000");
    }
  }
}

TEST_CASE("after a lost command its contents are unknown, and the message is whole") {
  Session s = session(message_of(3000), 1460);
  const auto mail = std::find_if(s.talk.packets.begin(), s.talk.packets.end(),
                                 [](const Packet& p) { return p.payload.starts_with("MAIL"); });
  mail->payload.insert(mail->payload.size() - 2, " SIZE=3000");
  for (auto later = mail + 1; later != s.talk.packets.end(); ++later) {
    (later->from_client ? later->seq : later->ack) += 10;
  }
  CHECK(assemble(s.talk.packets)[0].dialogue.declared == 3000);
  s.talk.packets.erase(mail);
  const auto traces = assemble(s.talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Complete);
  CHECK(traces[0].window == classifier::Window::OneSided);
  CHECK(traces[0].dialogue.declared == 0);
}

TEST_CASE("a header that has a hole shows no fields") {
  Session s = session(message_of(3000), 20);
  s.talk.packets.erase(s.talk.packets.begin() + static_cast<std::ptrdiff_t>(s.first_text) + 1);
  const auto traces = assemble(s.talk.packets);
  REQUIRE(traces.size() == 1);
  CHECK(traces[0].state == State::Partial);
  CHECK(traces[0].size == message_of(3000).size());
  CHECK(traces[0].landmarks.fields.empty());
  CHECK(traces[0].landmarks.header_end == 0);
}

TEST_CASE("a command that was refused without a byte of text is not reported") {
  for (const char* command : {"DATA\r\n", "BDAT x LAST\r\n"}) {
    INFO(command);
    Conversation talk;
    talk.open();
    talk.server("220 mx.example.org\r\n");
    talk.client("EHLO x\r\n");
    talk.server("250 CHUNKING\r\n");
    talk.client("MAIL FROM:<a@example.net>\r\n");
    talk.server("250 ok\r\n");
    talk.client("RCPT TO:<b@example.org>\r\n");
    talk.server("250 ok\r\n");
    talk.client(command);
    talk.server("501 no\r\n");
    talk.client("RSET\r\n");
    talk.server("250 ok\r\n");
    talk.next_message();
    talk.send(message_of(2000), 1000);
    talk.close();
    const auto traces = assemble(talk.packets);
    REQUIRE(traces.size() == 1);
    CHECK(traces[0].size == message_of(2000).size());
  }
}
