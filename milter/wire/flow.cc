#include "milter/wire/flow.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "classifier/dialogue_words.h"
#include "milter/seal/sha256.h"
#include "milter/tcp/flags.h"
#include "milter/tcp/path.h"
#include "milter/tcp/segments.h"
#include "milter/tcp/stream_place.h"
#include "milter/tcp/syn.h"

namespace wire {
namespace {

using capture::WirePacket;
using classifier::Reason;
using classifier::Span;

// Replaces a byte that the tap did not pass. It is no line end, no dot, and begins no command.
constexpr char kFiller = 'x';

std::chrono::steady_clock::time_point at(std::uint64_t ns) {
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(ns));
}

// Whether `inner` (`begin` to `end`) can be a run of the segments of `outer`, judged by its ends.
bool same_segments(std::uint64_t outer_begin, std::uint64_t outer_end, std::uint32_t unit,
                   std::uint64_t begin, std::uint64_t end) {
  if (begin < outer_begin || end > outer_end) return false;
  return (begin - outer_begin) % unit == 0 && (end == outer_end || (end - outer_begin) % unit == 0);
}

std::optional<tcp::Syn> syn_of(const WirePacket& packet) {
  return tcp::parse_syn(
      {reinterpret_cast<const std::uint8_t*>(packet.head.data()), packet.head.size()});
}

}  // namespace

Flow::Flow(const WirePacket& syn, std::uint64_t session, const Shared& shared)
    : shared_(shared),
      session_{syn.client, syn.server, session, at(syn.time_ns)},
      began_ns_(syn.time_ns),
      share_(shared.table.budget()) {
  client_.first = syn.seq + 1;
  if (syn.size != 0 && syn.head.size() > syn.size) {
    const auto data = syn.head.last(syn.size);
    syn_data_.assign(data.begin(), data.end());
  }
  if (auto seen = syn_of(syn)) {
    path_.mss = seen->mss;
    client_timestamps_ = seen->timestamps;
    path_.syn = std::move(seen->signature);
  }
  if (!shared.table.open(session_)) return;
  if (shared.table.budget().exceeded()) {
    ++shared.counters.overload;
    lost(Reason::Overload);
    return;
  }
  observer_.emplace(static_cast<classifier::Observer::Sink&>(*this), classifier::Via::Wire,
                    classifier::Observer::Limits{.segments = shared.max_segments});
}

Flow::~Flow() {
  close();
}

// The offset of `seq` in its stream, near the bytes that were given last.
std::optional<std::uint64_t> Flow::place(const Direction& direction, std::uint32_t seq) {
  const std::int64_t offset = tcp::stream_place(seq, *direction.first, direction.next);
  if (offset < 0) return std::nullopt;
  return static_cast<std::uint64_t>(offset);
}

void Flow::packet(const WirePacket& packet) {
  if (over_) return;
  if ((packet.tcp_flags & tcp::kSyn) != 0) return handshake(packet);
  Direction& direction = packet.from_server ? server_ : client_;
  if (!direction.first) return;
  if (packet.note) return note(direction, packet);
  const bool urgent = !packet.from_server && (packet.tcp_flags & tcp::kUrg) != 0;
  if (urgent && observer_) lose(Reason::Lost);
  if (!packet.from_server && asked_ns_ != 0) {
    const std::uint64_t rtt_us = (packet.time_ns - asked_ns_) / 1000;
    path_.rtt_us = classifier::to_u32(std::max<std::uint64_t>(rtt_us, 1));
    asked_ns_ = 0;
    if (observer_) observer_->set_path(path_);
  }
  // Bytes that the server has acknowledged have come, even if the tap had no room for them.
  if (packet.from_server) {
    if (const auto acked = place(client_, packet.ack)) {
      missed(std::min(*acked, client_.end.value_or(*acked)));
      forget_given(*acked);
    }
  }
  if (observer_ && packet.time_ns - began_ns_ >= shared_.max_session_ns && observer_->idle()) {
    lose(Reason::Expired);
  }
  if (packet.size != 0) payload(direction, packet);
  if (observer_ && !greeted_ && observer_->greeted()) {
    greeted_ = true;
    shared_.table.greeted(session_, at(packet.time_ns));
  }
  if (observer_ && behind() != behind_) {
    behind_ = !behind_;
    shared_.table.behind(session_, behind_);
  }
  if (observer_) {
    const std::uint32_t words = classifier::words_of(observer_->dialogue());
    if (words != words_) shared_.table.talks(session_, words_ = words);
  }
  account();
  if ((packet.tcp_flags & tcp::kFin) != 0) {
    if (const auto offset = place(direction, packet.seq)) direction.end = *offset + packet.size;
    if (packet.from_server) close();
  }
  // RFC 5961, 3.2: a reset is valid at the stream's current place; any other may be forged.
  if ((packet.tcp_flags & tcp::kRst) != 0 && place(direction, packet.seq) == direction.next) {
    close();
  }
}

// If a packet was not seen here, Postfix may still have received it and what waits for it.
bool Flow::behind() const {
  return observer_->behind() || !client_.waiting.empty();
}

void Flow::handshake(const WirePacket& packet) {
  if (!packet.from_server || server_.first) return;
  const std::uint32_t taken = packet.ack - *client_.first;
  if (taken != 0 && taken != syn_data_.size()) return;  // the server answers another SYN
  server_.first = packet.seq + 1;
  asked_ns_ = packet.time_ns;
  learn_path(packet);
  if (taken != 0) take_syn_data(packet.time_ns);
}

void Flow::learn_path(const WirePacket& syn_ack) {
  const auto seen = syn_of(syn_ack);
  if (!seen) return;
  path_.timestamps = client_timestamps_ && seen->timestamps;
  path_.mss = tcp::full_payload(tcp::smaller_mss(path_.mss, seen->mss), path_.timestamps);
  if (observer_) observer_->set_path(path_);
}

// RFC 7413: the server has accepted the payload of the SYN.
void Flow::take_syn_data(std::uint64_t time_ns) {
  const std::string data = std::exchange(syn_data_, {});
  WirePacket packet;
  packet.seq = packet.taken = *client_.first;
  packet.size = static_cast<std::uint32_t>(data.size());
  packet.time_ns = time_ns;
  packet.head = data;
  payload(client_, packet);
}

void Flow::note(Direction& direction, const WirePacket& packet) {
  const auto offset = place(direction, packet.seq);
  if (!offset || direction.notes.size() >= kMostNotes) return;
  for (Known& known : known_of(packet, *offset)) direction.notes.push_back(std::move(known));
}

// The bytes of the packet that the tap passed.
std::vector<Flow::Known> Flow::known_of(const WirePacket& packet, std::uint64_t offset) {
  std::vector<Known> known;
  const auto add = [&known](std::uint64_t at, std::string bytes) {
    known.push_back({at, std::move(bytes)});
  };
  for (std::uint32_t i = 0; packet.gso_size != 0 && i < WirePacket::kMostMarked; ++i) {
    const std::uint64_t end = std::uint64_t{i + 1} * packet.gso_size;
    if (end >= packet.size) break;
    if ((packet.line_feeds >> i & 1) != 0) add(offset + end - 1, "\n");
    if ((packet.returns >> i & 1) != 0) add(offset + end - 1, "\r");
  }
  for (const capture::WireRecord& record : packet.records) {
    const char header[] = {static_cast<char>(record.type), 3, static_cast<char>(record.minor),
                           static_cast<char>(record.length >> 8),
                           static_cast<char>(record.length & 0xff)};
    const std::int64_t at = static_cast<std::int64_t>(offset) + record.at;
    if (at >= 0) add(static_cast<std::uint64_t>(at), std::string(header, sizeof header));
  }
  if (!packet.head.empty()) add(offset, {packet.head.begin(), packet.head.end()});
  if (!packet.tail.empty() && packet.head.size() < packet.size) {
    add(offset + packet.size - packet.tail.size(), {packet.tail.begin(), packet.tail.end()});
  }
  return known;
}

void Flow::arrivals(const WirePacket& packet, std::uint64_t offset) {
  tcp::for_each_segment({.place = static_cast<std::int64_t>(offset),
                         .size = packet.size,
                         .unit = packet.gso_size,
                         .time_ns = packet.time_ns,
                         .push = (packet.tcp_flags & tcp::kPsh) != 0},
                        [&](const classifier::Arrival& one) { observer_->segment(one); });
}

void Flow::payload(Direction& direction, const WirePacket& packet) {
  if (!observer_) return;
  const auto offset = place(direction, packet.seq);
  if (!offset) return;
  const std::uint64_t end = *offset + packet.size;
  Piece piece{end, packet.gso_size != 0 ? packet.gso_size : packet.size, known_of(packet, *offset)};
  if (&direction == &client_) {
    const auto taken = place(client_, packet.taken).value_or(0);
    if (end > taken && contradicted(*offset, piece, taken)) return lose(Reason::Ambiguous);
    arrivals(packet, *offset);
  }
  if (end <= direction.next) return;
  take_notes(direction, *offset, piece);
  if (*offset <= direction.next) {
    give(direction, *offset, std::move(piece));
    return give_waiting(direction);
  }
  // This machine sends its packets in order, so a gap in them means that the tap missed one.
  if (&direction == &server_ || direction.waiting.size() >= kMostWaiting) {
    return lose(Reason::Dropped);
  }
  const auto [at, fresh] = direction.waiting.try_emplace(*offset, std::move(piece));
  if (!fresh && at->second.end < end) at->second = std::move(piece);
}

// Bytes that were acknowledged can no longer be forged, so they need no comparison.
void Flow::forget_given(std::uint64_t taken) {
  while (!client_.given.empty() && client_.given.begin()->second.end <= taken) {
    client_.given.erase(client_.given.begin());
  }
}

// Whether an earlier packet over the same bytes differs from `piece`. Only bytes that the server
// had not acknowledged (`taken`) when this packet came are compared.
bool Flow::contradicted(std::uint64_t begin, const Piece& piece, std::uint64_t taken) {
  forget_given(taken);
  const auto unlike = [&](std::uint64_t other_begin, const Piece& other) {
    if (other.end <= begin || other_begin >= piece.end) return false;
    if (!same_segments(other_begin, other.end, other.unit, begin, piece.end) &&
        !same_segments(begin, piece.end, piece.unit, other_begin, other.end)) {
      return true;
    }
    return !read_alike(piece.known, other.known);
  };
  for (const Pieces* pieces : {&client_.given, &client_.waiting}) {
    for (const auto& [other_begin, other] : *pieces) {
      if (unlike(other_begin, other)) return true;
    }
  }
  return false;
}

// Whether the bytes that are known of both are the same. Of many records the first 64 are enough:
// what follows is ciphertext, which shows no more than the sizes of the packets do. The limit
// bounds the work, which grows with the square.
bool Flow::read_alike(const std::vector<Known>& left, const std::vector<Known>& right) {
  constexpr std::size_t kMost = 64;
  for (std::size_t i = 0; i < std::min(left.size(), kMost); ++i) {
    for (std::size_t j = 0; j < std::min(right.size(), kMost); ++j) {
      const Known& a = left[i];
      const Known& b = right[j];
      const std::uint64_t from = std::max(a.offset, b.offset);
      const std::uint64_t to = std::min(a.offset + a.bytes.size(), b.offset + b.bytes.size());
      if (from >= to) continue;
      if (a.bytes.compare(from - a.offset, to - from, b.bytes, from - b.offset, to - from) != 0) {
        return false;
      }
    }
  }
  return true;
}

// Other packets may come between a packet and its notes, because two processors worked on them.
void Flow::take_notes(Direction& direction, std::uint64_t begin, Piece& piece) {
  std::erase_if(direction.notes, [&](Known& known) {
    const std::uint64_t end = known.offset + known.bytes.size();
    if (end <= direction.next) return true;
    if (known.offset >= piece.end || end <= begin) return false;
    piece.known.push_back(std::move(known));
    return true;
  });
}

void Flow::give_waiting(Direction& direction) {
  while (observer_ && !direction.waiting.empty() &&
         direction.waiting.begin()->first <= direction.next) {
    auto node = direction.waiting.extract(direction.waiting.begin());
    if (node.mapped().end > direction.next) give(direction, node.key(), std::move(node.mapped()));
  }
}

// Gives the stream from `direction.next` to the end of the piece, which begins at `begin`.
void Flow::give(Direction& direction, std::uint64_t begin, Piece&& piece) {
  const std::uint64_t here = direction.next;
  std::vector<char>& bytes = shared_.scratch;
  bytes.assign(static_cast<std::size_t>(piece.end - here), kFiller);
  for (const Known& known : piece.known) {
    const std::uint64_t from = std::max(known.offset, here);
    const std::uint64_t to = std::min(known.offset + known.bytes.size(), piece.end);
    if (from >= to) continue;
    std::memcpy(bytes.data() + (from - here), known.bytes.data() + (from - known.offset),
                static_cast<std::size_t>(to - from));
  }
  direction.next = piece.end;
  if (&direction == &server_) {
    observer_->server(bytes);
  } else {
    give_client(here, bytes, piece.known);
    if (observer_ && client_.given.size() < kMostWaiting) {
      client_.given.insert_or_assign(begin, std::move(piece));
    }
  }
  if (observer_ && observer_->lost()) forget();
}

// Gives `bytes` of the client's stream, from `begin` on. Only those of `known` were really read.
void Flow::give_client(std::uint64_t begin, std::span<const char> bytes,
                       const std::vector<Known>& known) {
  const std::uint64_t end = begin + bytes.size();
  std::vector<Span> read;
  for (const Known& some : known) {
    const Span span{std::max(some.offset, begin), std::min(some.offset + some.bytes.size(), end)};
    if (span.begin < span.end) read.push_back(span);
  }
  std::sort(read.begin(), read.end(), [](Span a, Span b) { return a.begin < b.begin; });
  read.push_back({end, end});
  std::uint64_t given = begin;
  std::uint64_t read_to = begin;
  const auto give_to = [&](std::uint64_t to) {
    observer_->client(bytes.subspan(given - begin, to - given));
    given = to;
  };
  for (const Span& span : read) {
    if (span.begin > read_to) {
      give_to(read_to);
      if (span.begin - read_to > observer_->text_ahead()) return lose(Reason::Lost);
    }
    read_to = std::max(read_to, span.end);
  }
  give_to(end);
}

// The client's bytes up to `end` have come, but the tap did not pass all of them, because the ring
// was full. Under TLS the header of a record may have been among them.
void Flow::missed(std::uint64_t end) {
  while (observer_ && client_.next < end) {
    if (observer_->under_tls()) return lose(Reason::Dropped);
    const std::uint64_t until =
        client_.waiting.empty() ? end : std::min(end, client_.waiting.begin()->first);
    // The missing bytes are replaced by fillers, which need a buffer. 1 MB was chosen, not
    // measured: it bounds that buffer. A message with more missing bytes would be too partial for a
    // label.
    if (until - client_.next > (1U << 20)) return lose(Reason::Dropped);
    observer_->missed_some();
    give(client_, client_.next, {until, 1, {}});
    give_waiting(client_);
  }
}

void Flow::close() {
  if (std::exchange(over_, true)) return;
  share_.set(0);
  shared_.table.close(session_, std::chrono::steady_clock::now());
}

void Flow::account() {
  share_.set(observer_ ? observer_->memory_used() : 0);
  if (!shared_.table.budget().has_to_go(share_)) return;
  ++shared_.counters.overload;
  lose(Reason::Overload);
}

void Flow::give_up(Reason reason) {
  if (!over_) lose(reason);
}

void Flow::lose(Reason reason) {
  forget();
  lost(reason);
}

void Flow::forget() {
  observer_.reset();
  share_.set(0);
  client_.waiting.clear();
  client_.given.clear();
}

// --- Observer::Sink: what the observer reports ---------------------------------------------------

void Flow::message(classifier::ObservedMessage&& message) {
  ++shared_.counters.messages;
  // The wire observer does not read the text, so it knows no landmarks in it.
  auto& landmarks = message.trace.landmarks;
  const auto terminator = landmarks.terminator;
  landmarks = {};
  landmarks.terminator = terminator;
  shared_.table.publish(session_, std::move(message));
}

void Flow::answered(std::uint32_t ordinal) {
  shared_.table.answered(session_, ordinal);
}

void Flow::lost(Reason reason) {
  ++shared_.counters.lost;
  shared_.table.lost(session_, reason);
}

std::shared_ptr<classifier::TlsStream> Flow::follow_tls(classifier::TlsLog::Start&& start,
                                                        classifier::ArrivalLog&& arrivals) {
  start.sha256 = seal::sha256;
  return shared_.table.follow(session_, std::move(start), std::move(arrivals));
}

}  // namespace wire
