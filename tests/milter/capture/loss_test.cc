// Captures that lost packets: which messages are still told, and that no other ones are.
//
// The truth does not come from the code under test: each conversation is made here, and a reader of
// twenty lines finds its messages in the whole stream of the client. A message is whole when none
// of the packets between the D of DATA (or the first B of BDAT) and its last byte is missing; such
// a message must be told with its size and its segments, all of it, whatever else is missing. A
// trace that fits no whole message must be one of a message that lost something; it may be complete
// where all of the message's bytes came again in other packets, and then ends of its segments are
// ends of those.
//
// SEGMILTER_LOSS_CAPTURES=FOLDER makes the same of each pcap file in that folder.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "milter/capture/pcap_reader.h"
#include "milter/capture/tcp_assembly.h"
#include "tests/support/capture_builder.h"

namespace {

using namespace support;
using classifier::State;
using classifier::Trace;

class Collector final : public capture::TraceSink {
 public:
  void message(const capture::Connection& connection, Trace&& trace) override {
    traces.push_back(std::move(trace));
    clients.push_back(connection.client);
  }
  std::vector<Trace> traces;
  std::vector<capture::TcpEnd> clients;
};

// A packet of a capture with bytes of its own.
struct Kept {
  capture::TcpPacket packet;
  std::string payload;
  std::vector<std::uint8_t> headers;
};

using Capture = std::vector<Kept>;

Kept keep(const capture::TcpPacket& packet) {
  return {packet, std::string(packet.payload.begin(), packet.payload.end()),
          std::vector<std::uint8_t>(packet.headers.begin(), packet.headers.end())};
}

Capture capture_of(std::vector<Packet> packets) {
  Capture out;
  for (Packet& packet : packets) out.push_back(keep(packet.parsed()));
  return out;
}

Collector assemble(const Capture& capture, const std::vector<bool>& lost) {
  Collector out;
  capture::TcpAssembly assembly(out, {});
  for (std::size_t i = 0; i < capture.size(); ++i) {
    if (lost[i]) continue;
    capture::TcpPacket packet = capture[i].packet;
    packet.payload = capture[i].payload;
    packet.headers = capture[i].headers;
    packet.options = packet.headers.last(packet.options.size());  // they end both headers
    assembly.packet(packet);
  }
  assembly.finish();
  CHECK(assembly.waiting_bytes() == 0);
  return out;
}

// Of one client's stream, by sequence number.
struct Message {
  std::uint64_t command = 0;  // where DATA or the first BDAT begins
  std::uint64_t end = 0;
  std::uint64_t size = 0;  // of the text
  bool refused = false;
};

std::vector<Message> messages_in(const std::string& stream) {
  std::vector<Message> out;
  std::size_t at = 0;
  Message chunks;
  while (at < stream.size()) {
    const std::size_t lf = stream.find('\n', at);
    if (lf == stream.npos) break;
    std::string line = stream.substr(at, lf + 1 - at);
    std::transform(line.begin(), line.end(), line.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    const std::size_t begin = std::exchange(at, lf + 1);
    if (line == "DATA\r\n") {
      if (stream.compare(at, 3, ".\r\n") == 0) {
        out.push_back({begin, at + 3, 3});
      } else {
        const std::size_t dot = stream.find("\r\n.\r\n", at);
        if (dot == stream.npos) break;
        out.push_back({begin, dot + 5, dot + 5 - at});
      }
      at = static_cast<std::size_t>(out.back().end);
    } else if (line.starts_with("BDAT ")) {
      const std::uint64_t size = std::strtoull(line.c_str() + 5, nullptr, 10);
      if (chunks.size == 0) chunks.command = begin;
      chunks.size += size;
      at += static_cast<std::size_t>(size);
      chunks.end = at;
      if (line.find("LAST") != line.npos) out.push_back(std::exchange(chunks, {}));
    }
  }
  return out;
}

struct Connection {
  std::vector<Message> messages;
  std::string bytes;
  std::map<std::size_t, std::pair<std::uint64_t, std::uint64_t>>
      packets;  // of the client, by index
};

// By the client's address and port.
using Truth = std::map<std::string, Connection>;

std::string name_of(const capture::TcpEnd& end) {
  return end.endpoint().print();
}

Truth truth_of(const Capture& capture) {
  struct Stream {
    std::uint32_t base = 0;
    std::string bytes;
    Connection connection;
  };
  std::map<std::string, Stream> streams;
  for (std::size_t i = 0; i < capture.size(); ++i) {
    const auto& packet = capture[i].packet;
    const bool client = packet.to.port == 25 || packet.to.port == 465;
    if (!client) continue;
    Stream& stream = streams[name_of(packet.from)];
    if (packet.has(capture::TcpPacket::kSyn)) stream.base = packet.seq + 1;
    if (packet.size == 0) continue;
    const std::uint64_t begin = packet.seq - stream.base;
    stream.bytes.resize(std::max<std::size_t>(stream.bytes.size(), begin + packet.size), 'x');
    stream.bytes.replace(begin, packet.size, capture[i].payload);
    stream.connection.packets[i] = {begin, begin + packet.size};
  }
  Truth out;
  for (auto& [client, stream] : streams) {
    stream.connection.messages = messages_in(stream.bytes);
    stream.connection.bytes = std::move(stream.bytes);
    out[client] = std::move(stream.connection);
  }
  return out;
}

std::vector<std::uint32_t> sizes(const Trace& trace) {
  std::vector<std::uint32_t> out;
  for (const auto& segment : trace.segments) out.push_back(segment.size);
  return out;
}

bool alike(const Trace& one, const Trace& other) {
  return one.size == other.size && sizes(one) == sizes(other) && one.records == other.records;
}

struct Tally {
  std::uint64_t whole = 0;     // messages whose own bytes are all there
  std::uint64_t found = 0;     // of them, told with their size and segments
  std::uint64_t silent = 0;    // messages that lost something, and nothing was told of
  std::uint64_t wrong = 0;     // complete traces that are of no message
  std::uint64_t broken = 0;    // messages that lost something of their own
  std::uint64_t rows = 0;      // traces that are not of a whole message
  std::uint64_t invented = 0;  // of them, more than there are broken ones, or complete
  bool operator==(const Tally&) const = default;
};

// The ends and beginnings of the packets that are left, if they hold each byte of the message; else
// none. A packet of several segments (GRO) may be cut anywhere.
struct Left {
  bool whole = false;
  std::set<std::uint64_t> edges;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> joined;

  bool may_end(std::uint64_t at) const {
    return edges.count(at) != 0 || std::any_of(joined.begin(), joined.end(), [&](const auto& one) {
             return one.first < at && at < one.second;
           });
  }
};

Left left_of(const Connection& truth, const Message& message, const std::vector<bool>& lost) {
  constexpr std::uint64_t kOneSegment = 1460;
  Left left;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [index, range] : truth.packets) {
    if (lost[index]) continue;
    ranges.push_back(range);
    left.edges.insert({range.first, range.second});
    if (range.second - range.first > kOneSegment) left.joined.push_back(range);
  }
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t covered = message.end - message.size;
  for (const auto& [begin, end] : ranges) {
    if (begin <= covered) covered = std::max(covered, end);
  }
  left.whole = covered >= message.end;
  return left;
}

// A complete trace of a message whose bytes are all left, though not all packets.
bool is_of(const Trace& trace, const Connection& truth, const std::vector<bool>& lost) {
  return std::any_of(truth.messages.begin(), truth.messages.end(), [&](const Message& message) {
    if (trace.size != message.size || trace.transfer != classifier::Transfer::Data) return false;
    const Left left = left_of(truth, message, lost);
    std::uint64_t at = message.end - message.size;
    return left.whole && std::all_of(trace.segments.begin(), trace.segments.end(),
                                     [&](const auto& segment) {
                                       at += segment.size;
                                       return at == message.end || left.may_end(at);
                                     });
  });
}

// Holds what was told of one client against the truth; `before` is what was told without loss.
void compare(const Connection& truth, const std::vector<bool>& lost,
             const std::vector<Trace>& before, const std::vector<Trace>& after, Tally& tally) {
  std::size_t next = 0;
  std::uint64_t other = 0;
  std::uint64_t broken = 0;
  const auto observed = [](const Trace& trace) { return trace.state != State::Unobserved; };
  const auto pass = [&](const Trace& trace) {
    if (observed(trace)) ++other;
    if (trace.state != State::Complete) return;
    // DATA may be lost, and the text be there.
    const bool sound = std::any_of(before.begin(), before.end(), [&](const Trace& one) {
      return alike(one, trace);
    });
    if (!sound && !is_of(trace, truth, lost)) ++tally.wrong;
  };
  for (std::size_t m = 0; m < truth.messages.size(); ++m) {
    const Message& message = truth.messages[m];
    bool whole = true;
    for (const auto& [index, range] : truth.packets) {
      if (lost[index] && range.first < message.end && range.second > message.command) whole = false;
    }
    if (!whole) {
      ++broken;
      continue;
    }
    ++tally.whole;
    std::size_t at = next;
    while (at < after.size() && !(observed(after[at]) && alike(after[at], before[m]))) {
      ++at;
    }
    if (at == after.size()) continue;
    for (; next < at; ++next) pass(after[next]);
    next = at + 1;
    ++tally.found;
  }
  for (; next < after.size(); ++next) pass(after[next]);
  tally.broken += broken;
  tally.silent += truth.messages.size() - std::min(truth.messages.size(), after.size());
  tally.rows += other;
  if (other > broken) tally.invented += other - broken;
}

std::map<std::string, std::vector<Trace>> by_client(Collector&& out) {
  std::map<std::string, std::vector<Trace>> traces;
  for (std::size_t i = 0; i < out.traces.size(); ++i) {
    traces[name_of(out.clients[i])].push_back(std::move(out.traces[i]));
  }
  return traces;
}

class Bench {
 public:
  explicit Bench(Capture capture)
      : capture_(std::move(capture)),
        truth_(truth_of(capture_)),
        before_(by_client(assemble(capture_, std::vector<bool>(capture_.size())))) {}

  // The capture as it is tells each message: else there is nothing to compare with.
  bool sound() const {
    return std::all_of(truth_.begin(), truth_.end(), [&](const auto& entry) {
      const auto found = before_.find(entry.first);
      const std::size_t told = found == before_.end() ? 0 : found->second.size();
      return told == entry.second.messages.size();
    });
  }
  std::size_t messages() const {
    std::size_t count = 0;
    for (const auto& [client, connection] : truth_) count += connection.messages.size();
    return count;
  }
  std::size_t packets() const { return capture_.size(); }

  Tally without(const std::vector<bool>& lost) const {
    Tally tally;
    const auto after = by_client(assemble(capture_, lost));
    for (const auto& [client, connection] : truth_) {
      if (connection.messages.empty()) continue;
      const auto found = after.find(client);
      compare(connection, lost, before_.at(client),
              found == after.end() ? std::vector<Trace>{} : found->second, tally);
    }
    return tally;
  }

  void lose_each(const std::string& what) const {
    for (std::size_t i = 0; i < packets(); ++i) {
      std::vector<bool> lost(packets());
      lost[i] = true;
      expect(what, "packet " + std::to_string(i), lost);
    }
  }
  void lose_at_random(const std::string& what, unsigned percent, unsigned seeds) const {
    for (unsigned seed = 1; seed <= seeds; ++seed) {
      std::mt19937 random(seed);
      std::vector<bool> lost(packets());
      for (std::size_t i = 0; i < packets(); ++i) lost[i] = random() % 100 < percent;
      expect(what, std::to_string(percent) + " %, seed " + std::to_string(seed), lost);
    }
  }

 private:
  void expect(const std::string& what, const std::string& which,
              const std::vector<bool>& lost) const {
    INFO(what << ", without " << which);
    const Tally tally = without(lost);
    CHECK(tally.found == tally.whole);
    CHECK(tally.invented == 0);
    CHECK(tally.wrong == 0);
    CHECK(tally.silent == 0);
  }

  Capture capture_;
  Truth truth_;
  std::map<std::string, std::vector<Trace>> before_;
};

// --- captures that are made ---------------------------------------------------------------------

std::string text_of(std::size_t number, std::size_t size, bool dot) {
  std::string text = "From: a" + std::to_string(number) + "@example.net\r\nSubject: x\r\n\r\n";
  while (text.size() < size) text += text.size() % 72 == 70 ? "\r\n" : "y";
  return dot ? text + "\r\n.\r\n" : text + "\r\n";
}

enum class Way { Waiting, Pipelined, DotApart, QuitWithDot, Bdat, BdatChunks, ClientOnly, Proxied };

Capture made(Way way, std::size_t messages, std::size_t size) {
  Conversation talk;
  talk.open();
  if (way == Way::Proxied) talk.client("PROXY TCP4 192.0.2.1 198.51.100.1 40000 25\r\n");
  talk.server("220 mx.example.org ESMTP\r\n");
  talk.client("EHLO client.example.net\r\n");
  talk.server("250-mx.example.org\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
  for (std::size_t i = 0; i < messages; ++i) {
    const bool bdat = way == Way::Bdat || way == Way::BdatChunks;
    std::string text = text_of(i, size + 97 * i, !bdat);
    if (way == Way::Pipelined) {
      talk.client("MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n");
      talk.server("250 ok\r\n");
      talk.server("250 ok\r\n354 go\r\n");
    } else {
      talk.client("MAIL FROM:<a@example.net>\r\n");
      talk.server("250 ok\r\n");
      talk.client("RCPT TO:<b@example.org>\r\n");
      talk.server("250 ok\r\n");
      if (!bdat) {
        talk.client("DATA\r\n");
        talk.server("354 go\r\n");
      }
    }
    if (way == Way::BdatChunks) {
      const std::string first = text.substr(0, text.size() / 2);
      talk.send("BDAT " + std::to_string(first.size()) + "\r\n" + first, 1460);
      talk.server("250 ok\r\n");
      text.erase(0, first.size());
    }
    if (bdat) {
      talk.send("BDAT " + std::to_string(text.size()) + " LAST\r\n" + text, 1460);
    } else if (way == Way::DotApart) {
      talk.send(text.substr(0, text.size() - 3), 1460);
      talk.client(".\r\n");
    } else if (way == Way::QuitWithDot && i + 1 == messages) {
      talk.send(text + "QUIT\r\n", 1460);
    } else {
      talk.send(text, 1460);
    }
    if (i + 1 < messages) talk.server("250 queued\r\n");
  }
  if (way == Way::QuitWithDot) {
    talk.server("250 queued\r\n221 bye\r\n");
  } else {
    talk.close();
  }
  if (way == Way::ClientOnly) {
    std::erase_if(talk.packets, [](const Packet& packet) { return !packet.from_client; });
  }
  return capture_of(talk.packets);
}

struct Row {
  const char* what;
  Way way;
  std::size_t messages;
  std::size_t size;
};
constexpr Row kRows[] = {
    {"one message", Way::Waiting, 1, 9000},
    {"five messages", Way::Waiting, 5, 4000},
    {"short messages", Way::Waiting, 6, 200},
    {"pipelined", Way::Pipelined, 5, 4000},
    {"short and pipelined", Way::Pipelined, 6, 200},
    {"the dot apart", Way::DotApart, 4, 3000},
    {"QUIT with the dot", Way::QuitWithDot, 3, 3000},
    {"BDAT", Way::Bdat, 4, 4000},
    {"BDAT in two chunks", Way::BdatChunks, 4, 4000},
    {"BDAT in two short chunks", Way::BdatChunks, 4, 300},
    {"the client's side alone", Way::ClientOnly, 4, 4000},
    {"short, the client's side alone", Way::ClientOnly, 4, 200},
    {"twenty messages", Way::Waiting, 20, 3000},
};

}  // namespace

TEST_CASE("whichever single packet is lost, each message whose own bytes are there is told") {
  for (const Row& row : kRows) {
    const Bench bench(made(row.way, row.messages, row.size));
    INFO(row.what);
    REQUIRE(bench.sound());
    REQUIRE(bench.messages() == row.messages);
    bench.lose_each(row.what);
  }
}

TEST_CASE("with one and five percent of all packets lost, the same holds") {
  for (const Row& row : kRows) {
    const Bench bench(made(row.way, row.messages, row.size));
    bench.lose_at_random(row.what, 1, 20);
    bench.lose_at_random(row.what, 5, 20);
  }
}

TEST_CASE("captures of one's own lose packets in the same ways") {
  const char* folder = std::getenv("SEGMILTER_LOSS_CAPTURES");
  if (folder == nullptr) return;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".pcap") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    REQUIRE(file.good());
    std::string bytes(std::istreambuf_iterator<char>(file), {});
    Capture packets;
    capture::PcapReader reader(read_from(std::move(bytes)));
    capture::TcpPacket packet;
    while (reader.next(packet) == capture::PcapReader::Got::Packet) packets.push_back(keep(packet));
    const Bench bench(std::move(packets));
    const std::string name = entry.path().filename();
    if (!bench.sound() || bench.messages() == 0) {
      std::printf("%s: left out: not every message is told without loss\n", name.c_str());
      continue;
    }
    std::printf("%s: %zu packets, %zu messages\n", name.c_str(), bench.packets(), bench.messages());
    if (bench.packets() <= 2000) bench.lose_each(name);
    bench.lose_at_random(name, 1, 20);
    bench.lose_at_random(name, 5, 20);
  }
}
