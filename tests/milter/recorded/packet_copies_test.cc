#include "milter/recorded/packet_copies.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/recorded/tcp_assembly.h"
#include "tests/support/capture_builder.h"

namespace {

using namespace recorded;
using namespace support;
using classifier::State;
using classifier::Trace;

constexpr std::uint64_t kMicrosecond = 1000;
constexpr std::uint64_t kMillisecond = 1'000'000;

class Collector final : public MessageSink {
 public:
  void message(const Connection&, classifier::ObservedMessage&& message) override {
    traces.push_back(std::move(message.trace));
  }
  std::vector<Trace> traces;
};

struct Told {
  std::vector<Trace> traces;
  std::uint64_t copies = 0;
};

Told assemble(std::vector<Packet> packets) {
  Collector out;
  TcpAssembly assembly(out, {});
  for (Packet& packet : packets) assembly.packet(packet.parsed());
  assembly.finish();
  return {out.traces, assembly.copies()};
}

std::string text(std::size_t size, char of = 'y') {
  std::string out = "From: a@example.net\r\nSubject: x\r\n\r\n";
  while (out.size() + 5 < size) out += out.size() % 72 == 70 ? '\n' : of;
  return out + "\r\n.\r\n";
}

Conversation session(char of = 'y', std::uint32_t client_isn = 1000, std::size_t size = 9000) {
  Conversation talk(client_isn);
  talk.open();
  talk.greet();
  talk.send(text(size, of), 1000);
  talk.close();
  return talk;
}

std::size_t resent(const Trace& trace) {
  return static_cast<std::size_t>(std::count_if(trace.segments.begin(), trace.segments.end(),
                                                [](const auto& s) { return s.resent; }));
}

std::vector<Packet> with_copies(const std::vector<Packet>& packets, auto change) {
  std::vector<Packet> out;
  for (const Packet& packet : packets) {
    out.push_back(packet);
    Packet copy = packet;
    copy.time_ns += 30 * kMicrosecond;
    change(copy);
    out.push_back(std::move(copy));
  }
  return out;
}

}  // namespace

TEST_CASE("a capture that has each packet twice gives the same message") {
  auto packets = session().packets;
  std::vector<Packet> doubled;
  SECTION("one after the other") {
    doubled = with_copies(packets, [](Packet&) {});
  }
  SECTION("routed: one hop less") {
    doubled = with_copies(packets, [](Packet& copy) { --copy.hops; });
  }
  SECTION("the copy is tagged") {
    doubled = with_copies(packets, [](Packet& copy) { copy.network = 5; });
  }
  SECTION("in every second pair the tagged one is first") {
    doubled = with_copies(packets, [](Packet& copy) { copy.network = 5; });
    for (std::size_t i = 0; i + 3 < doubled.size(); i += 4) {
      std::swap(doubled[i].network, doubled[i + 1].network);
    }
  }
  SECTION("without identifications") {
    for (Packet& packet : packets) packet.ip_id = 0;
    doubled = with_copies(packets, [](Packet&) {});
  }
  SECTION("three times") {
    doubled = with_copies(with_copies(packets, [](Packet&) {}), [](Packet& p) { p.hops -= 2; });
  }
  SECTION("a burst, and then its copies") {
    for (std::size_t i = 0; i < packets.size(); i += 6) {
      const auto end = std::min(packets.size(), i + 6);
      for (int copy = 0; copy < 2; ++copy) {
        for (std::size_t k = i; k < end; ++k) doubled.push_back(packets[k]);
      }
    }
  }
  const Told once = assemble(packets);
  REQUIRE(once.traces.size() == 1);
  CHECK(once.copies == 0);
  const Told twice = assemble(doubled);
  REQUIRE(twice.traces.size() == 1);
  CHECK(resent(twice.traces[0]) == 0);
  CHECK(twice.copies > 0);
  CHECK(classifier::print(twice.traces[0]) == classifier::print(once.traces[0]));
}

TEST_CASE("a copy is recognised however many packets of other connections are between") {
  // Two sessions at once; the copy of each packet comes after `burst` packets of both.
  const std::size_t burst = GENERATE(64U, 1024U, 8000U);
  const auto one = session('y', 1000, 4'000'000).packets;
  std::vector<Packet> both;
  for (const Packet& packet : one) {
    both.push_back(packet);
    Packet other = packet;
    other.network = 5;
    other.seq += 700'000'000;
    other.ack += 700'000'000;
    both.push_back(std::move(other));
  }
  std::vector<Packet> doubled;
  for (std::size_t i = 0; i < both.size(); i += burst) {
    const auto end = std::min(both.size(), i + burst);
    for (int copy = 0; copy < 2; ++copy) {
      for (std::size_t k = i; k < end; ++k) doubled.push_back(both[k]);
    }
  }
  for (Packet& packet : doubled) packet.time_ns = kMillisecond;
  const Told got = assemble(doubled);
  REQUIRE(got.traces.size() == 2);
  CHECK(resent(got.traces[0]) + resent(got.traces[1]) == 0);
}

TEST_CASE("a copy is recognised where sequence numbers wrap around to 0") {
  const auto packets = session('y', 0U - 4000U).packets;
  const Told got = assemble(with_copies(packets, [](Packet&) {}));
  REQUIRE(got.traces.size() == 1);
  CHECK(resent(got.traces[0]) == 0);
  CHECK(classifier::print(got.traces[0]) == classifier::print(assemble(packets).traces[0]));
}

TEST_CASE("a packet out of order is not a copy, and its copy is one") {
  auto packets = session().packets;
  const auto sent = std::find_if(packets.begin(), packets.end(),
                                 [](const Packet& p) { return p.payload.size() == 1000; });
  std::rotate(sent + 1, sent + 2, sent + 4);
  const Told once = assemble(packets);
  REQUIRE(once.traces.size() == 1);
  CHECK(once.copies == 0);
  const Told twice = assemble(with_copies(packets, [](Packet&) {}));
  REQUIRE(twice.traces.size() == 1);
  CHECK(twice.copies > 0);
  CHECK(classifier::print(twice.traces[0]) == classifier::print(once.traces[0]));
}

TEST_CASE("a copy is recognised if one interface cuts packets that another one captures whole") {
  const auto packets = session().packets;
  std::vector<Packet> doubled;
  for (const Packet& packet : packets) {
    Packet cut = packet;
    cut.wire_size = static_cast<std::uint32_t>(packet.payload.size());
    cut.payload.resize(std::min<std::size_t>(cut.payload.size(), 20));
    doubled.push_back(packet);
    doubled.push_back(cut);
  }
  const Told got = assemble(doubled);
  REQUIRE(got.traces.size() == 1);
  CHECK(classifier::print(got.traces[0]) == classifier::print(assemble(packets).traces[0]));
}

TEST_CASE("a capture that has some packets twice shows no repair") {
  const auto packets = session().packets;
  std::mt19937 random(7);
  std::vector<Packet> some;
  for (const Packet& packet : packets) {
    some.push_back(packet);
    if (random() % 3 == 0) some.push_back(packet);
  }
  const Told got = assemble(some);
  REQUIRE(got.traces.size() == 1);
  CHECK(resent(got.traces[0]) == 0);
  CHECK(classifier::print(got.traces[0]) == classifier::print(assemble(packets).traces[0]));
}

TEST_CASE("a packet that was sent again is a repair") {
  auto packets = session().packets;
  const auto sent = std::find_if(packets.begin(), packets.end(),
                                 [](const Packet& p) { return p.payload.size() == 1000; });
  Packet again = *(sent + 2);
  SECTION("another identification") {
    again.ip_id += 9;
  }
  SECTION("the same identification, much later") {
    again.time_ns += 200 * kMillisecond;
  }
  SECTION("no identification, later") {
    (sent + 2)->ip_id = again.ip_id = 0;
    again.time_ns += 8 * kMillisecond;
  }
  SECTION("no identification, and a gap was reported") {
    (sent + 2)->ip_id = again.ip_id = 0;
    again.time_ns += kMillisecond;
    Packet gap = *sent;
    gap.from_client = false;
    gap.payload.clear();
    gap.seq = again.ack;
    gap.ack = again.seq;
    gap.flags = 0x10;
    gap.options = std::string("\1\1\5\x0a\0\0\0\1\0\0\0\2", 12);
    packets.insert(sent + 3, gap);
  }
  const auto place = std::find_if(packets.begin(), packets.end(), [&](const Packet& p) {
    return p.from_client && p.seq == again.seq + 1000 && !p.payload.empty();
  });
  packets.insert(place + 1, again);
  const Told got = assemble(packets);
  REQUIRE(got.traces.size() == 1);
  CHECK(resent(got.traces[0]) == 1);
  CHECK(got.copies == 0);
}

TEST_CASE("the same addresses and ports in two VLANs are two connections") {
  const std::uint32_t other_isn = GENERATE(1000U, 700000000U);
  std::vector<Packet> one = session('y', 1000, 7000).packets;
  std::vector<Packet> other = session('z', other_isn, 9000).packets;
  for (Packet& packet : one) packet.network = 10;
  for (Packet& packet : other) packet.network = 20;
  std::vector<Packet> both;
  SECTION("one after the other") {
    both = one;
    for (Packet& packet : other) packet.time_ns += 1000 * kMillisecond;
    both.insert(both.end(), other.begin(), other.end());
  }
  SECTION("at the same time") {
    for (std::size_t i = 0; i < std::max(one.size(), other.size()); ++i) {
      if (i < one.size()) both.push_back(one[i]);
      if (i < other.size()) both.push_back(other[i]);
    }
  }
  const Told got = assemble(both);
  REQUIRE(got.traces.size() == 2);
  CHECK(got.traces[0].size == text(7000).size());
  CHECK(got.traces[1].size == text(9000).size());
  CHECK(got.traces[0].state == State::Complete);
  CHECK(got.traces[1].state == State::Complete);
}

TEST_CASE("a connection with another tunnel number in each direction (GTP) is one connection") {
  auto packets = session().packets;
  for (Packet& packet : packets) packet.network = packet.from_client ? 7 : 8;
  const Told got = assemble(packets);
  REQUIRE(got.traces.size() == 1);
  CHECK(classifier::print(got.traces[0]) ==
        classifier::print(assemble(session().packets).traces[0]));
}

TEST_CASE(
    "in more VLANs than are kept apart the first ones are finished, and nothing is kept twice") {
  std::vector<Packet> packets;
  for (std::uint64_t vlan = 1; vlan <= 2 * TcpAssembly::kMaxTwins; ++vlan) {
    for (Packet packet : session('y', static_cast<std::uint32_t>(vlan * 100'000'000)).packets) {
      packet.network = vlan;
      packets.push_back(packet);
    }
  }
  CHECK(assemble(packets).traces.size() == 2 * TcpAssembly::kMaxTwins);
}
