// Removes packets from a capture, and compares the traces with those of the whole capture.
//
// The truth does not come from the code under test. A reader of twenty lines finds the messages in
// the client's whole stream; under TLS it only looks for records of the sizes that the test knows.
// A message is whole if none of the packets from its first byte (in clear: the D of DATA, or the
// first B of BDAT) to its last byte is missing. Such a message must be reported with its size, all
// its segments and all its records, whatever else is missing. Any other trace must be of a message
// that lost something. It may be complete only if all bytes of the message came again in other
// packets; then the ends of its segments are ends of those.
//
// This file has more than 450 lines, because reader, losses and comparison belong together: what
// counts as whole is said once, for all of them.
#pragma once

#include <catch2/catch.hpp>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "milter/recorded/tcp_assembly.h"
#include "milter/tcp/flags.h"
#include "tests/support/capture_builder.h"

namespace support {

using classifier::State;
using classifier::Trace;

class Collector final : public recorded::MessageSink {
 public:
  void message(const recorded::Connection& connection,
               classifier::ObservedMessage&& message) override {
    traces.push_back(std::move(message.trace));
    clients.push_back(connection.client);
  }
  std::vector<Trace> traces;
  std::vector<recorded::TcpEnd> clients;
};

// A packet of a capture together with its own copy of the bytes.
struct Kept {
  recorded::TcpPacket packet;
  std::string payload;
  std::vector<std::uint8_t> headers;
};

using Capture = std::vector<Kept>;

inline Kept keep(const recorded::TcpPacket& packet) {
  return {packet, std::string(packet.payload.begin(), packet.payload.end()),
          std::vector<std::uint8_t>(packet.headers.begin(), packet.headers.end())};
}

inline Capture capture_of(std::vector<Packet> packets) {
  Capture out;
  for (Packet& packet : packets) out.push_back(keep(packet.parsed()));
  return out;
}

inline Collector assemble(const Capture& capture, const std::vector<bool>& lost) {
  Collector out;
  recorded::TcpAssembly assembly(out, {});
  for (std::size_t i = 0; i < capture.size(); ++i) {
    if (lost[i]) continue;
    recorded::TcpPacket packet = capture[i].packet;
    packet.payload = capture[i].payload;
    packet.headers = capture[i].headers;
    packet.options = packet.headers.last(packet.options.size());  // they end both headers
    assembly.packet(packet);
  }
  assembly.finish();
  CHECK(assembly.waiting_bytes() == 0);
  return out;
}

// A message in one client's stream, by sequence numbers.
struct Message {
  std::uint64_t command = 0;  // where DATA or the first BDAT begins
  std::uint64_t end = 0;
  std::uint64_t size = 0;  // of the text
  bool refused = false;
};

inline std::vector<Message> messages_in(const std::string& stream) {
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
  // Under TLS: without one of these packets the lengths of records cannot be read, and the session
  // gets a row of its own.
  std::set<std::size_t> hellos;
  std::size_t client_hello = 0;  // a session that was captured only after this packet has a row too

  bool unreadable(const std::vector<bool>& lost) const {
    const auto first = std::find(lost.begin(), lost.end(), false) - lost.begin();
    if (client_hello != 0 && first > static_cast<std::ptrdiff_t>(client_hello)) return true;
    return std::any_of(hellos.begin(), hellos.end(), [&](std::size_t i) { return lost[i]; });
  }
};

// By the client's address and port.
using Truth = std::map<std::string, Connection>;

inline std::string name_of(const recorded::TcpEnd& end) {
  return end.endpoint().print();
}

inline Truth truth_of(const Capture& capture) {
  struct Stream {
    std::uint32_t base = 0;
    std::string bytes;
    Connection connection;
  };
  std::map<std::string, Stream> streams;
  for (std::size_t i = 0; i < capture.size(); ++i) {
    const auto& packet = capture[i].packet;
    const bool client = packet.to.port == 25 || packet.to.port == 465;
    if (!client) {
      const bool hello = capture[i].payload.starts_with("\x16\x03");
      if (hello) streams[name_of(packet.to)].connection.hellos.insert(i);
      continue;
    }
    Stream& stream = streams[name_of(packet.from)];
    if (packet.has(tcp::kSyn)) stream.base = packet.seq + 1;
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

inline std::vector<std::uint32_t> sizes(const Trace& trace) {
  std::vector<std::uint32_t> out;
  for (const auto& segment : trace.segments) out.push_back(segment.size);
  return out;
}

// Under TLS: finds the messages of `traces`, in this order, where records of exactly their sizes
// lie.
inline void find_under_tls(const std::vector<Trace>& traces, Connection& connection) {
  constexpr std::size_t kHeader = 5;
  constexpr char kApplicationData = 0x17;
  const std::string& bytes = connection.bytes;
  struct Range {
    std::uint64_t begin, end;
  };
  std::vector<Range> records;
  const std::size_t hello = bytes.find("\x16\x03");
  for (std::size_t at = hello; at + kHeader <= bytes.size();) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[at + i]); };
    const std::size_t end = at + kHeader + byte(3) * 256U + byte(4);
    if (bytes[at] == kApplicationData) records.push_back({at, end});
    at = end;
  }
  std::size_t next = 0;
  for (const Trace& trace : traces) {
    const bool tls13 = trace.hello.version == 0x0304;
    // The client's Finished: a hash with 4 bytes before it, and the overhead of each record.
    if (records.empty()) return;
    const std::size_t hash = trace.hello.cipher == 0x1302 ? 48 : 32;
    const std::size_t finished = records.front().end - records.front().begin;
    const std::size_t added = tls13 ? finished - hash - 4 : kHeader + 24;
    const auto fits = [&](std::size_t first) {
      for (std::size_t i = 0; i < trace.records.size(); ++i) {
        const auto& [begin, end] = records[first + i];
        const auto& record = trace.records[i];
        if (end - begin - added != record.before + record.size + record.after) return false;
      }
      return true;
    };
    const std::size_t count = trace.records.size();
    while (next + count <= records.size() && !fits(next)) ++next;
    if (count == 0 || next + count > records.size()) return;
    connection.messages.push_back(
        {records[next].begin, records[next + count - 1].end, trace.size, false});
    next += count;
    // The client's Finished, and the records before it.
    const std::uint64_t sealed = tls13 ? records.front().end : records.front().begin;
    for (const auto& [index, range] : connection.packets) {
      if (range.first == hello) connection.client_hello = index;
      if (range.first > hello && range.first < sealed) connection.hellos.insert(index);
    }
  }
}

inline bool alike(const Trace& one, const Trace& other) {
  return one.size == other.size && sizes(one) == sizes(other) && one.records == other.records;
}

// Under TLS the server's second answer shows that QUIT is in the message's last record. If that
// answer was not captured, the message is partial.
inline bool alike_but_quit(const Trace& sound, Trace told) {
  if (told.state != State::Partial || told.records.empty()) return false;
  if (sound.records.empty() || sound.records.back().after == 0) return false;
  auto& last = told.records.back();
  last.after = sound.records.back().after;
  last.size -= std::min(last.size, last.after);
  told.size -= std::min<std::uint64_t>(told.size, last.after);
  return alike(sound, told);
}

struct Tally {
  std::uint64_t whole = 0;     // messages all of whose bytes are there
  std::uint64_t found = 0;     // of these: reported with their size and segments
  std::uint64_t silent = 0;    // messages that lost something and were not reported
  std::uint64_t wrong = 0;     // complete traces that belong to no message
  std::uint64_t broken = 0;    // messages that lost some of their own bytes
  std::uint64_t rows = 0;      // traces that do not belong to a whole message
  std::uint64_t invented = 0;  // of these: complete ones, or more than there are broken messages
  bool operator==(const Tally&) const = default;
};

// The ends and beginnings of the packets that are left, if they hold every byte of the message;
// else none. A packet of several segments (GRO) may be cut anywhere.
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

inline Left left_of(const Connection& truth, const Message& message,
                    const std::vector<bool>& lost) {
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

// Whether this is a complete trace of a message all of whose bytes are left, though not all
// packets.
inline bool is_of(const Trace& trace, const Connection& truth, const std::vector<bool>& lost) {
  return std::any_of(truth.messages.begin(), truth.messages.end(), [&](const Message& message) {
    if (trace.size != message.size || trace.transfer != classifier::Transfer::Data) return false;
    if (trace.tls) return false;
    const Left left = left_of(truth, message, lost);
    std::uint64_t at = message.end - message.size;
    return left.whole &&
           std::all_of(trace.segments.begin(), trace.segments.end(), [&](const auto& segment) {
             at += segment.size;
             return at == message.end || left.may_end(at);
           });
  });
}

// How many messages have part of their text in the capture, from its first packet to its last.
inline std::size_t messages_within(const Connection& truth, const std::vector<bool>& lost) {
  const auto first = std::find(lost.begin(), lost.end(), false) - lost.begin();
  const auto last = lost.rend() - std::find(lost.rbegin(), lost.rend(), false);
  return static_cast<std::size_t>(
      std::count_if(truth.messages.begin(), truth.messages.end(), [&](const Message& message) {
        return std::any_of(truth.packets.begin(), truth.packets.end(), [&](const auto& packet) {
          const auto index = static_cast<std::ptrdiff_t>(packet.first);
          return first <= index && index < last && packet.second.first < message.end &&
                 packet.second.second > std::max(message.command, message.end - message.size);
        });
      }));
}

// Compares the traces of one client with the truth. `before` are the traces without loss.
inline void compare(const Connection& truth, const std::vector<bool>& lost,
                    const std::vector<Trace>& before, const std::vector<Trace>& after,
                    Tally& tally) {
  std::size_t next = 0;
  std::uint64_t other = 0;
  std::uint64_t broken = 0;
  const auto observed = [](const Trace& trace) { return trace.state != State::Unobserved; };
  const auto pass = [&](const Trace& trace) {
    if (observed(trace)) ++other;
    if (trace.state != State::Complete) return;
    // DATA may be lost while the text is there.
    const bool sound = std::any_of(before.begin(), before.end(),
                                   [&](const Trace& one) { return alike(one, trace); });
    if (!sound && !is_of(trace, truth, lost)) ++tally.wrong;
  };
  for (std::size_t m = 0; m < truth.messages.size(); ++m) {
    const Message& message = truth.messages[m];
    bool whole = !truth.unreadable(lost);
    for (const auto& [index, range] : truth.packets) {
      if (lost[index] && range.first < message.end && range.second > message.command) whole = false;
    }
    if (!whole) {
      ++broken;
      continue;
    }
    ++tally.whole;
    std::size_t at = next;
    while (at < after.size() && !(observed(after[at]) && (alike(after[at], before[m]) ||
                                                          alike_but_quit(before[m], after[at])))) {
      ++at;
    }
    if (at == after.size()) continue;
    for (; next < at; ++next) pass(after[next]);
    next = at + 1;
    ++tally.found;
  }
  for (; next < after.size(); ++next) pass(after[next]);
  tally.broken += broken;
  std::size_t least = messages_within(truth, lost);
  if (truth.unreadable(lost)) least = std::min<std::size_t>(least, 1);
  tally.silent += least - std::min(least, after.size());
  tally.rows += other;
  if (other > broken) tally.invented += other - broken;
}

inline std::map<std::string, std::vector<Trace>> by_client(Collector&& out) {
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
        before_(by_client(assemble(capture_, std::vector<bool>(capture_.size())))) {
    for (const auto& [client, traces] : before_) {
      if (!traces.empty() && traces.front().tls) find_under_tls(traces, truth_[client]);
    }
  }

  // Whether the whole capture reports each message. Otherwise there is nothing to compare with.
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

  const std::vector<Trace>& told() const { return before_.begin()->second; }

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
  // Lets the capture begin and end at any packet, like the files of a ring buffer.
  void begin_and_end_anywhere(const std::string& what) const {
    for (std::size_t i = 1; i < packets(); ++i) {
      std::vector<bool> lost(packets());
      std::fill_n(lost.begin(), i, true);
      expect(what, std::to_string(i) + " packets in front", lost);
      lost.flip();
      expect(what, "packet " + std::to_string(i) + " and those after it", lost);
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

}  // namespace support
