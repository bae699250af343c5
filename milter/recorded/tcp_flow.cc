#include "milter/recorded/tcp_flow.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "classifier/words.h"
#include "milter/net/proxy_protocol.h"
#include "milter/recorded/smtp_words.h"
#include "milter/seal/sha256.h"
#include "milter/tcp/path.h"
#include "milter/tcp/segments.h"
#include "milter/tcp/stream_place.h"
#include "milter/tcp/syn.h"

namespace recorded {
namespace {

using classifier::Reason;

// A sequence number further away than this belongs to no window in use: it is a stray.
constexpr std::int64_t kFarAhead = 16 * 1024 * 1024;

// A longer gap is not filled: the session is searched for a new start instead.
constexpr std::uint64_t kMaxFill = 1024 * 1024;

// All gaps of a flow together: as much as was seen of it, and a little more. Else a few packets far
// apart would cost the time of megabytes.
constexpr std::uint64_t kFreeFill = 64 * 1024;

// A capture may be out of order within so many packets with payload, and no longer than this: what
// is lost on the way is sent again later (RFC 6298 asks for a second, Linux waits for 200 ms).
constexpr std::uint64_t kPatience = 32;
constexpr std::uint64_t kPatienceNs = 50'000'000;

// QUIT, RSET and the like are no longer; a message is.
constexpr std::uint64_t kShortCommand = 32;

// The record of a command is no longer; sealed_message.cc takes what is shorter for one, too.
constexpr std::uint64_t kLongCommand = 300;

// A joined packet is not cut finer, whatever MSS its SYN claims: Linux sends no smaller segments.
constexpr std::uint32_t kSmallestUnit = 48;

// On a port that is not mail's: packets looked at for a start.
constexpr std::uint32_t kMaxSearched = 64;

constexpr std::uint32_t kEthernetV4 = 1460;   // full segment of an unknown path
constexpr std::uint32_t kSmallestFull = 536;  // RFC 9293, 3.7.1
constexpr std::uint32_t kOftenSeen = 3;
constexpr std::uint64_t kNsPerUs = 1000;

// What a chunk that waits costs beside its bytes, so that many small ones count too.
constexpr std::size_t kChunkCost = 256;

// The first byte of a PROXY header of either version.
bool may_be_proxy(char first) {
  return first == 'P' || first == '\r';
}

std::string_view text(std::span<const char> bytes) {
  return {bytes.data(), bytes.size()};
}

// Our end of a cut message may stand where something was captured that never got its turn.
void cut_to_size(classifier::Trace& trace) {
  std::uint64_t sum = segments_size(trace);
  while (sum > trace.size) {
    auto& last = trace.segments.back();
    const auto over =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(sum - trace.size, last.size));
    sum -= over;
    last.size -= over;
    last.after += over;
    if (last.size == 0) trace.segments.pop_back();
  }
}

// What follows a greeting, if `bytes` begin with a whole one.
std::string_view behind_greeting(std::string_view bytes) {
  std::string_view rest = bytes;
  while (is_greeting(rest)) {
    const bool last = rest[3] == ' ';
    const std::size_t lf = rest.find('\n');
    if (lf == rest.npos) break;
    rest.remove_prefix(lf + 1);
    if (last) return rest;
  }
  return bytes;
}

}  // namespace

std::int64_t TcpFlow::Half::place(std::uint32_t number) const {
  return tcp::stream_place(number, base, next);
}

// Numbers out of every window (fabricated captures) say nothing.
std::uint64_t TcpFlow::Half::ahead_at(std::uint32_t number) const {
  const auto here = static_cast<std::int64_t>(next);
  const std::int64_t at = place(number);
  return at > here && at - here <= kFarAhead ? static_cast<std::uint64_t>(at) : 0;
}

TcpFlow::TcpFlow(const TcpEnd& one, const TcpEnd& other, TraceSink& sink, const FlowLimits& limits,
                 std::size_t& all_waiting)
    : ends_{one, other}, sink_(sink), limits_(limits), all_waiting_(all_waiting) {
  const bool one_is = is_mail_port(one.port);
  const bool other_is = is_mail_port(other.port);
  mail_port_ = one_is || other_is;
  if (one_is != other_is) client_ = one_is ? 1 : 0;
}

TcpFlow::~TcpFlow() {
  forget_waiting();
}

void TcpFlow::packet(const TcpPacket& packet) {
  if (state_ == State::Over) return;
  now_ns_ = packet.time_ns;
  const int side = packet.from == ends_[0] ? 0 : 1;
  if (packet.has(TcpPacket::kSyn)) on_syn(side, packet);
  if (packet.has(TcpPacket::kAck)) on_ack(side, packet);
  halves_[side].closed = packet.window_closed;
  const bool urgent = side == client_ && packet.has(TcpPacket::kUrg);
  if (urgent && state_ == State::Following) return on_urgent();
  if (packet.size != 0) on_payload(side, packet);
  while (state_ == State::Following && overdue()) {
    give_up_one();
    pump();
  }
  if (packet.has(TcpPacket::kFin)) on_end(side, packet);
}

bool TcpFlow::reused_by(const TcpPacket& packet) const {
  if (!packet.has(TcpPacket::kSyn) || packet.has(TcpPacket::kAck)) return false;
  const Half& half = halves_[packet.from == ends_[0] ? 0 : 1];
  return half.based && half.base != packet.seq + 1 && (half.syn || half.payload);
}

void TcpFlow::on_syn(int side, const TcpPacket& packet) {
  Half& half = halves_[side];
  const bool from_client = !packet.has(TcpPacket::kAck);
  if (half.next != 0 || !half.waiting.empty()) return;
  half.syn = half.based = true;
  half.base = packet.seq + 1;
  client_ = from_client ? side : 1 - side;
  if (from_client) syn_time_ns_ = packet.time_ns;
  if (const auto syn = tcp::parse_syn(packet.headers)) {
    half.mss = syn->mss;
    half.timestamps = syn->timestamps;
    if (from_client) path_.syn = syn->signature;
  }
  if (state_ == State::Searching && messages_ == 0 && searched_ == 0 && !observer_) start(client_);
}

void TcpFlow::on_ack(int side, const TcpPacket& packet) {
  Half& other = halves_[1 - side];
  // Nobody acknowledges what was not sent: the first ACK seen is where the other stream is now.
  if (!other.based && state_ == State::Following) {
    other.based = true;
    other.base = packet.ack;
  }
  other.acked = std::max(other.acked, other.ahead_at(packet.ack));
  if (side != client_ || path_.rtt_us != 0 || syn_time_ns_ == 0) return;
  if (packet.has(TcpPacket::kSyn) || packet.time_ns <= syn_time_ns_) return;
  // From SYN to its answer's answer is one round trip wherever on the way it was captured.
  path_.rtt_us = static_cast<std::uint32_t>(
      std::min<std::uint64_t>((packet.time_ns - syn_time_ns_) / kNsPerUs, 0xffffffffU));
  if (observer_) learn_path();
}

void TcpFlow::on_end(int side, const TcpPacket& packet) {
  Half& half = halves_[side];
  if (!half.based) return;
  half.fin = true;
  const std::int64_t end = half.place(packet.seq + packet.size);
  half.fin_at = std::max(half.next, static_cast<std::uint64_t>(std::max<std::int64_t>(0, end)));
  const auto over = [](const Half& h) { return h.fin && h.next >= h.fin_at; };
  if (over(halves_[0]) && over(halves_[1]) && waiting_bytes_ == 0) finish();
}

// A PROXY header in front of what the client says: the client is the one that it names.
bool TcpFlow::take_proxy_header(int side, const TcpPacket& packet) {
  const Half& half = halves_[side];
  const bool first = half.next == 0 && !half.payload && half.waiting.empty();
  if (!first || side == 1 - client_ || packet.has(TcpPacket::kSyn)) return false;
  if (half.based && half.base != packet.seq) return false;
  if (packet.payload.empty() || !may_be_proxy(packet.payload.front())) return false;
  const net::ProxyHeader header = net::read_proxy_header(text(packet.payload));
  if (header.outcome != net::ProxyHeader::Outcome::Complete) return false;
  if (!header.local) named_ = TcpEnd{header.client.bytes(), header.client.port()};
  TcpPacket rest = packet;
  const auto size = static_cast<std::uint32_t>(header.size);
  rest.seq += size;
  rest.size -= size;
  rest.payload = packet.payload.subspan(size);
  halves_[side].based = true;
  halves_[side].base = rest.seq;
  if (rest.size != 0) on_payload(side, rest);
  return true;
}

void TcpFlow::on_payload(int side, const TcpPacket& packet) {
  if (take_proxy_header(side, packet)) return;
  if (state_ != State::Following && !find_start(side, packet)) return;
  Half& half = halves_[side];
  Half& other = halves_[1 - side];
  const std::uint32_t seq = packet.seq + (packet.has(TcpPacket::kSyn) ? 1 : 0);
  if (!half.based) {
    half.based = true;
    half.base = seq;
  }
  const std::int64_t place = half.place(seq);
  const std::int64_t ahead = place - static_cast<std::int64_t>(half.next);
  if (ahead > kFarAhead) return;
  const std::int64_t end = place + packet.size;
  // A keep-alive repeats one byte, or none, in front of the stream. RFC 9293, 3.8.4.
  if (end <= 0 || (packet.size == 1 && ahead == -1)) return;
  // A probe of a closed window: one byte, which comes again when there is room. RFC 9293, 3.8.6.1.
  if (packet.size == 1 && other.closed) return;

  if (!half.payload && !mail_port_ && !other.payload) {
    // The first word on an unknown port: a mail server's greeting, or a client that cannot wait.
    const std::string_view first = text(packet.payload);
    if (side == client_ ? !is_start(first) : !is_greeting(first)) {
      state_ = State::Searching;  // a proxy's CONNECT may come before the greeting
      observer_.reset();
      return forget_waiting();
    }
  }
  half.payload = true;
  seen_ += packet.size;
  if (side == client_) announce(packet, place);
  if (end <= static_cast<std::int64_t>(half.next)) return;

  const bool acks = packet.has(TcpPacket::kAck) && other.based;
  const std::uint64_t needs = acks ? other.ahead_at(packet.ack) : 0;
  ++order_;
  const bool whole = packet.payload.size() == packet.size;
  if (waiting_bytes_ == 0 && whole && ahead <= 0 && needs <= other.next && !unheard(side)) {
    return give(side, text(packet.payload).substr(static_cast<std::size_t>(-ahead)));
  }
  keep(side, packet, static_cast<std::uint64_t>(std::max<std::int64_t>(place, 0)), needs);
  pump();
  if (waiting_bytes_ > limits_.waiting_bytes) give_up_until(limits_.waiting_bytes / 2);
}

// Urgent data has a place in the sequence and none in what recv returns, so no later place would be
// right. No mail program sends any. What is under way is lost, as live; in clear the session is
// taken up again at its next MAIL.
void TcpFlow::on_urgent() {
  until_mail_ = observer_->in_transaction();
  search_anew(Reason::Lost);
}

// --- where to begin ---------------------------------------------------------------------------

// Whether a session can be followed from this packet on.
bool TcpFlow::find_start(int side, const TcpPacket& packet) {
  const std::string_view first = text(packet.payload);
  const bool fresh = mail_port_ && state_ == State::Searching && messages_ == 0 && searched_ == 0;
  const bool hello = fresh && side == client_ && is_tls_hello(first);
  const bool server = is_greeting(first) && side != client_;
  const bool client = is_start(first) && !not_mail_ && (client_ < 0 || side == client_);
  // On a mail port a client is followed from anywhere: what its first bytes are will be seen.
  const bool within = mail_port_ && state_ == State::Searching && side == client_ && !not_mail_;
  if (within && !hello && (is_tls_record(first) || classifier::is_binary(first))) {
    state_ = State::Encrypted;
    sealed_told_ = rest_is_told_;
    return false;
  }
  if (!server && !client && !hello && !within) {
    if (++searched_ > kMaxSearched && !mail_port_) state_ = State::Over;
    return false;
  }
  forget_waiting();
  for (Half& half : halves_) {
    half.based = false;
    half.next = half.acked = 0;
    half.fin = false;
  }
  halves_[side].based = true;
  halves_[side].base = packet.seq + (packet.has(TcpPacket::kSyn) ? 1 : 0);
  if (packet.has(TcpPacket::kAck)) {
    halves_[1 - side].based = true;
    halves_[1 - side].base = packet.ack;
  }
  halves_[side].payload = true;
  start(server ? 1 - side : side);
  const bool greeted = starts_with_word(first, "EHLO ") || starts_with_word(first, "HELO ");
  if (client && greeted) {
    give_server("220 unseen\r\n");
    greeting_assumed_ = true;
  } else if (!server && !hello) {
    observer_->command_gap(0);  // replies to commands that were not seen may be under way
  }
  return true;
}

void TcpFlow::start(int client) {
  tell();
  client_ = client;
  state_ = State::Following;
  lost_.reset();
  not_mail_ = false;
  last_ = '\n';
  messages_before_ = messages_;
  observer_ = std::make_unique<classifier::Observer>(
      static_cast<classifier::Observer::Sink&>(*this), classifier::Via::Pcap,
      classifier::Observer::Limits{.segments = limits_.segments, .resumes = true});
  sealed_begun_ = false;
}

void TcpFlow::learn_path() {
  const Half& client = halves_[client_];
  const Half& server = halves_[1 - client_];
  path_.timestamps = client.timestamps && (server.timestamps || !server.syn);
  path_.mss = tcp::full_payload(tcp::smaller_mss(client.mss, server.mss), path_.timestamps);
  observer_->set_path(path_);
}

// --- segments ---------------------------------------------------------------------------------

// Cards and kernels join segments before a capture sees them (GRO, LRO) or cut them behind it
// (TSO). Where a packet is larger than what the server allowed, its pieces are as large as the path
// allows: the segments that came alone tell best, the MSS of both SYNs else. On a path whose MTU
// moves the client's SYN may have said less than it sends, so only the server's MSS is a bound.
std::uint32_t TcpFlow::full_size(const TcpPacket& packet) {
  const std::uint32_t ours = halves_[client_].mss;
  const std::uint32_t theirs = halves_[1 - client_].mss;
  const std::uint32_t options = packet.option_bytes;
  const std::uint32_t bound =
      tcp::payload_of(theirs != 0 ? theirs : std::max(ours, kEthernetV4), options);
  if (packet.size <= bound) {
    if (packet.size > largest_) largest_seen_ = 0;
    largest_ = std::max(largest_, packet.size);
    if (packet.size == largest_) ++largest_seen_;
    return packet.size;
  }
  const std::uint32_t likely = tcp::smaller_mss(bound, tcp::payload_of(ours, options));
  if (largest_ > likely) return largest_;
  const bool told = largest_seen_ >= kOftenSeen && largest_ >= kSmallestFull;
  if (told && (packet.size % largest_ == 0 || packet.size % likely != 0)) return largest_;
  return likely;
}

void TcpFlow::announce(const TcpPacket& packet, std::int64_t place) {
  if (observer_->client_offset() == 0) learn_path();
  // In front of the stream lies what came before the session was found.
  tcp::for_each_segment({.place = place,
                         .size = packet.size,
                         .unit = std::max(kSmallestUnit, full_size(packet)),
                         .time_ns = packet.time_ns,
                         .push = packet.has(TcpPacket::kPsh)},
                        [&](const classifier::Arrival& one) { announce_new(one); });
}

// Bytes that wait for nothing but the server's came in an earlier segment, and count as that one's:
// a sender that sends them again may cut them otherwise. Behind a gap nobody knows which of two
// segments was taken, and the observer is told of both.
void TcpFlow::announce_new(classifier::Arrival arrival) {
  const auto& waiting = halves_[client_].waiting;
  const std::uint64_t start = arrival.offset;
  const std::uint64_t end = start + arrival.size;
  const auto behind = waiting.lower_bound(end);
  const bool overlaps = behind != waiting.begin() && std::prev(behind)->second.end > start;
  const std::uint64_t came = overlaps ? end_of_run(client_) : start;
  if (came > start) {
    observer_->segment_again({start, std::min(came, end)});
    if (came >= end) return;
    arrival.offset = came;
    arrival.size = static_cast<std::uint32_t>(end - came);
  }
  observer_->segment(arrival);
}

// Up to where bytes were captured without a gap: those that were given, and those that wait.
std::uint64_t TcpFlow::end_of_run(int side) const {
  std::uint64_t end = halves_[side].next;
  for (const auto& [begin, chunk] : halves_[side].waiting) {
    if (begin > end) break;
    end = std::max(end, chunk.end);
  }
  return end;
}

// --- bytes that wait --------------------------------------------------------------------------

void TcpFlow::count_waiting(std::size_t bytes) {
  waiting_bytes_ += bytes + kChunkCost;
  all_waiting_ += bytes + kChunkCost;
}

void TcpFlow::forget_waiting() {
  halves_[0].waiting.clear();
  halves_[1].waiting.clear();
  all_waiting_ -= std::exchange(waiting_bytes_, 0);
}

void TcpFlow::keep(int side, const TcpPacket& packet, std::uint64_t place, std::uint64_t needs) {
  std::uint64_t end = place + packet.size;
  const std::uint64_t seen_end = place + packet.payload.size();
  const Chunk chunk{.order = order_, .time_ns = packet.time_ns, .needs = needs};
  insert(side, place, chunk, text(packet.payload));
  if (seen_end == end) return;
  // Of the rest only the size was captured.
  Half& half = halves_[side];
  std::uint64_t begin = std::max(seen_end, half.next);
  const auto after = half.waiting.upper_bound(begin);
  if (after != half.waiting.begin()) begin = std::max(begin, std::prev(after)->second.end);
  if (after != half.waiting.end()) end = std::min(end, after->first);
  if (begin >= end) return;
  Chunk rest = chunk;
  rest.end = end;
  half.waiting.emplace(begin, std::move(rest));
  count_waiting(0);
}

// Keeps what of `bytes` is new: not given, and not waiting already.
void TcpFlow::insert(int side, std::uint64_t begin, Chunk chunk, std::string_view bytes) {
  Half& half = halves_[side];
  const auto drop = [&](std::uint64_t until) {
    if (until <= begin) return;
    const std::uint64_t some = std::min<std::uint64_t>(until - begin, bytes.size());
    bytes.remove_prefix(static_cast<std::size_t>(some));
    begin += some;
  };
  drop(half.next);
  auto after = half.waiting.upper_bound(begin);
  if (after != half.waiting.begin()) drop(std::prev(after)->second.end);
  while (!bytes.empty()) {
    after = half.waiting.lower_bound(begin);
    const std::size_t room =
        after == half.waiting.end()
            ? bytes.size()
            : static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), after->first - begin));
    if (room > 0) {
      chunk.end = begin + room;
      chunk.bytes.assign(bytes.substr(0, room));
      count_waiting(room);
      half.waiting.emplace_hint(after, begin, chunk);
    }
    if (after == half.waiting.end()) return;
    drop(after->second.end);
  }
}

TcpFlow::Chunk TcpFlow::take_front(int side) {
  auto node = halves_[side].waiting.extract(halves_[side].waiting.begin());
  Chunk chunk = std::move(node.mapped());
  waiting_bytes_ -= chunk.bytes.size() + kChunkCost;
  all_waiting_ -= chunk.bytes.size() + kChunkCost;
  return chunk;
}

// What was filled in may have gone beyond chunks that wait.
void TcpFlow::drop_old() {
  for (const int side : {0, 1}) {
    const Half& half = halves_[side];
    while (!half.waiting.empty() && half.waiting.begin()->second.end <= half.next) take_front(side);
  }
}

// The client's bytes wait for the server's first word: should none come, answers are assumed.
bool TcpFlow::unheard(int side) const {
  return side == client_ && !halves_[1 - side].payload && !observer_->answers_assumed();
}

// Nothing of that side was captured, and it has been given up.
bool TcpFlow::deaf_to(int side) const {
  return side != client_ && !halves_[side].payload && observer_->answers_assumed();
}

bool TcpFlow::deliverable(int side) const {
  const Half& half = halves_[side];
  const Half& other = halves_[1 - side];
  if (half.waiting.empty() || half.waiting.begin()->first > half.next) return false;
  if (unheard(side)) return false;
  const Chunk& front = half.waiting.begin()->second;
  if (front.needs > other.next && !deaf_to(1 - side)) return false;
  // What is put in the place of missing bytes depends on what follows them.
  return !front.missing() || half.waiting.size() > 1 ||
         (!other.waiting.empty() && other.waiting.begin()->second.needs >= front.end);
}

// Gives what can be given; where both sides could be, what came first.
void TcpFlow::pump() {
  while (state_ == State::Following && waiting_bytes_ != 0) {
    drop_old();
    const bool zero = deliverable(0);
    const bool one = deliverable(1);
    if (!zero && !one) return;
    int side = zero ? 0 : 1;
    if (zero && one) {
      side = halves_[0].waiting.begin()->second.order < halves_[1].waiting.begin()->second.order
                 ? 0
                 : 1;
    }
    const Half& half = halves_[side];
    if (half.waiting.begin()->second.missing()) {
      skip(side, half.waiting.begin()->second.end);
      continue;
    }
    const Chunk chunk = take_front(side);
    Half& other = halves_[1 - side];
    if (deaf_to(1 - side)) other.next = std::max(other.next, chunk.needs);
    give(side, std::string_view(chunk.bytes)
                   .substr(chunk.bytes.size() - static_cast<std::size_t>(chunk.end - half.next)));
  }
}

void TcpFlow::give_up_until(std::size_t bytes) {
  pump();
  while (state_ == State::Following && waiting_bytes_ > bytes) {
    give_up_one();
    pump();
  }
}

// The side whose first chunk has waited for longest. Requires: something waits.
int TcpFlow::oldest() const {
  const auto& zero = halves_[0].waiting;
  const auto& one = halves_[1].waiting;
  if (zero.empty() || one.empty()) return zero.empty() ? 1 : 0;
  return one.begin()->second.order < zero.begin()->second.order ? 1 : 0;
}

// Whether what is missing will not come any more: its receiver has acknowledged it, and a capture
// that is only out of order would have shown it by now.
bool TcpFlow::overdue() const {
  if (waiting_bytes_ == 0) return false;
  const int side = oldest();
  const Half& half = halves_[side];
  const auto& [begin, front] = *half.waiting.begin();
  const bool patient = order_ - front.order <= kPatience && now_ns_ <= front.time_ns + kPatienceNs;
  if (patient) return false;
  return begin > half.next ? half.acked >= begin : front.needs > halves_[1 - side].next;
}

// Gives up what the oldest chunk waits for.
void TcpFlow::give_up_one() {
  const int side = oldest();
  Half& half = halves_[side];
  Half& other = halves_[1 - side];
  const std::uint64_t begin = half.waiting.begin()->first;
  Chunk& front = half.waiting.begin()->second;
  // What of the other side is missing in front of it.
  const std::uint64_t unsaid =
      other.waiting.empty() ? front.needs : std::min(other.waiting.begin()->first, front.needs);
  // Where both are missing, a server has spoken behind a command, and in front of a text.
  const bool text = side == client_ && observer_->sealed() && begin > half.next + kLongCommand;
  if (begin > half.next && !(text && unsaid > other.next)) {
    skip(side, begin);
  } else if (unheard(side)) {
    observer_->assume_answers();
    settle();
  } else if (unsaid > other.next) {
    skip(1 - side, unsaid);
  } else if (front.missing()) {
    skip(side, front.end);
  } else {
    front.needs = 0;  // each side has seen the other's bytes first: a fabricated capture
  }
}

// Bytes up to `end` were not captured: goes past them, or past those of one kind.
void TcpFlow::skip(int side, std::uint64_t end) {
  Half& half = halves_[side];
  if (end <= half.next) return;
  // What the server says next was said at a certain place.
  const Half& other = halves_[1 - side];
  if (side == client_ && !other.waiting.empty()) {
    const std::uint64_t at = other.waiting.begin()->second.needs;
    if (at > half.next) end = std::min(end, at);
  }
  // Behind DATA comes text, unless it was refused: then a short command.
  const bool in_clear = side == client_ && !observer_->sealed();
  if (in_clear && end - half.next > kShortCommand) observer_->assume_text();
  const std::uint64_t text = in_clear ? observer_->text_left() : 0;
  if (text != 0) end = std::min(end, half.next + std::min(text, end - half.next));
  const std::uint64_t size = end - half.next;
  filled_ += size;
  if (size > kMaxFill || filled_ > kFreeFill + seen_) return search_anew(Reason::Dropped);
  if (observer_->sealed()) return skip_sealed(side, size);
  if (side == client_ && text != 0) {
    observer_->missed_some();
    return fill(side, size, end_of_gap(end));
  }
  half.next = end;
  if (side == client_) {
    observer_->command_gap(size);
    last_ = '\n';
  } else {
    observer_->assume_answers();
  }
  settle();
}

void TcpFlow::skip_sealed(int side, std::uint64_t size) {
  halves_[side].next += size;
  sealed_begun_ = sealed_begun_ || side == client_;
  side == client_ ? observer_->client_gap(size) : observer_->server_gap(size);
  settle();
}

// Puts bytes that mean nothing in the place of `size` that were not captured; `tail` are the last.
void TcpFlow::fill(int side, std::uint64_t size, std::string_view tail) {
  if (tail.size() > size) tail.remove_prefix(tail.size() - static_cast<std::size_t>(size));
  std::uint64_t left = size - tail.size();
  const std::string filler(static_cast<std::size_t>(std::min<std::uint64_t>(left, 4096)), 'x');
  while (left > 0 && state_ == State::Following) {
    const auto some = static_cast<std::size_t>(std::min<std::uint64_t>(left, filler.size()));
    give(side, std::string_view(filler).substr(0, some));
    left -= some;
  }
  if (!tail.empty() && state_ == State::Following) give(side, tail);
}

// What a gap in a message ends in, as far as both sides show it. Within a message a server says
// nothing: where it has spoken, the message is over, even if only the client's ACKs tell of it.
std::string_view TcpFlow::end_of_gap(std::uint64_t end) const {
  if (!observer_->in_data()) return {};
  const Half& client = halves_[client_];
  const Half& server = halves_[1 - client_];
  const bool answered = !server.waiting.empty() && server.waiting.begin()->second.needs == end;
  const auto next = client.waiting.lower_bound(end);
  const Chunk* behind =
      next != client.waiting.end() && next->first == end ? &next->second : nullptr;
  const std::string_view bytes = behind != nullptr ? std::string_view(behind->bytes) : "";
  const bool spoken = behind != nullptr && behind->needs > server.next && !deaf_to(1 - client_);
  if (answered || spoken || is_next_command(bytes)) {
    const std::uint64_t size = end - client.next;
    return size == 3 && last_ == '\n'   ? ".\r\n"
           : size == 4 && last_ == '\r' ? "\n.\r\n"
                                        : "\r\n.\r\n";
  }
  // A dot alone in its packet, or in front of a command, ends the message.
  for (const std::string_view dot : {".\r\n", "\n.\r\n"}) {
    if (bytes.starts_with(dot) &&
        (bytes.size() == dot.size() || is_next_command(bytes.substr(dot.size())))) {
      return dot.front() == '.' ? "\r\n" : "\r";
    }
  }
  return {};
}

// --- bytes in order ---------------------------------------------------------------------------

void TcpFlow::give(int side, std::string_view bytes) {
  halves_[side].next += bytes.size();
  if (side == client_ && observer_->sealed() && !sealed_begun_ && !is_tls_record(bytes)) {
    return follow_in_clear(bytes);
  }
  side == client_ ? give_client(bytes) : give_server(bytes);
  if (side == client_ && observer_) sealed_begun_ = observer_->sealed();
  settle();
}

// Behind STARTTLS comes plain text: a tap that decrypts. A session of its own begins here.
void TcpFlow::follow_in_clear(std::string_view bytes) {
  forget_waiting();
  for (const int side : {0, 1}) {
    Half& half = halves_[side];
    const std::uint64_t given = side == client_ ? bytes.size() : 0;
    half.base += static_cast<std::uint32_t>(half.next - given);
    half.next = half.acked = given;
  }
  start(client_);
  give_server("220 unseen\r\n");
  give_client(bytes);
  settle();
}

void TcpFlow::give_client(std::string_view bytes) {
  if (bytes.empty()) return;
  last_ = bytes.back();
  observer_->client(bytes);
}

void TcpFlow::give_server(std::string_view bytes) {
  // A client that did not wait for the greeting, in a capture that began with it.
  if (std::exchange(greeting_assumed_, false)) bytes = behind_greeting(bytes);
  if (!bytes.empty()) observer_->server(bytes);
}

// What became of the observer with the last bytes.
void TcpFlow::settle() {
  if (!lost_) return;
  const Reason reason = *std::exchange(lost_, std::nullopt);
  if (reason == Reason::Encrypted) {
    sealed_told_ = rest_is_told_;  // of what follows nothing else was told
    observer_.reset();
    forget_waiting();
    state_ = State::Encrypted;
    return;
  }
  if (reason == Reason::NotMail) {
    not_mail_ = true;
    return search_anew(reason);
  }
  bool open = observer_->in_transaction();
  if (reason == Reason::Ambiguous && held_) {
    held_.reset();
    --messages_;
    --messages_before_;
    open = true;
  }
  if (open) unobserved(reason);
  rest_is_told_ = open;
  if (observer_->sealed()) return search_anew(reason);
  observer_->resume();
}

// Leaves the session, to be taken up at the next packet from which that can be done.
void TcpFlow::search_anew(Reason reason) {
  const bool open = observer_ && (observer_->sealed() || observer_->in_transaction());
  lost_.reset();
  rest_is_told_ = open && reason != Reason::NotMail;
  if (rest_is_told_) unobserved(reason);
  observer_.reset();
  forget_waiting();
  state_ = State::Searching;
  searched_ = 1;
}

// --- what comes out ---------------------------------------------------------------------------

void TcpFlow::unobserved(Reason reason) {
  tell();
  auto trace = classifier::unobserved(reason, ++messages_);
  ++messages_before_;
  trace.via = classifier::Via::Pcap;
  trace.tls = reason == Reason::Encrypted;
  trace.path = observer_ ? observer_->path() : path_;
  sink_.message(connection(), std::move(trace));
}

Connection TcpFlow::connection() const {
  return {.client = named_.value_or(ends_[client_]),
          .server = ends_[1 - client_],
          .helo = observer_ ? observer_->helo() : std::string(),
          .time_ns = now_ns_};
}

std::shared_ptr<classifier::SealedStream> TcpFlow::seal(classifier::SealedLog::Start&& start,
                                                        classifier::ArrivalLog&& arrivals) {
  start.sha256 = seal::sha256;
  return std::make_shared<classifier::SealedLog>(std::move(start), std::move(arrivals),
                                                 static_cast<classifier::SealedLog::Sink*>(this));
}

// Behind a message that was lost, its rest is no other one.
void TcpFlow::text_skipped() {
  if (!std::exchange(rest_is_told_, false)) unobserved(Reason::Dropped);
}

void TcpFlow::take(classifier::Trace&& trace) {
  rest_is_told_ = false;
  message_ended_ = true;
  if (added_ != 0) {
    const bool no_byte = trace.segments.empty() && trace.size <= added_;
    if (no_byte) return;  // DATA, and not a byte of the message
    trace.size -= std::min<std::uint64_t>(trace.size, added_);
    cut_to_size(trace);
    trace.landmarks.terminator = 0;
    trace.state = classifier::State::Partial;
    trace.reason = Reason::Dropped;
    trace.dialogue.quit_with_dot = false;
  }
  if (!trace.tls && trace.segments.empty()) return unobserved(Reason::Dropped);
  sealed_told_ = sealed_told_ || trace.tls;
  if (!trace.tls && observer_->answers_assumed()) trace.window = classifier::Window::OneSided;
  trace.message += messages_before_;
  messages_ = trace.message;
  tell();
  held_ = std::move(trace);
  held_for_ = connection();
}

void TcpFlow::tell() {
  if (!held_) return;
  sink_.claimed(std::exchange(claims_, {}));
  sink_.message(held_for_, *std::exchange(held_, std::nullopt));
}

// The capture or the connection ended inside a message. What was seen of it is told, as partial;
// the observer tells of a message when it ends, so an end is put behind it.
void TcpFlow::end_cut_message() {
  if (observer_->behind()) observer_->assume_answers();
  observer_->end_in_clear();
  settle();
  if (state_ != State::Following) return;
  if (observer_->text_left() != 0 && !observer_->in_data()) return unobserved(Reason::Dropped);
  if (!observer_->in_data() || halves_[client_].next == 0) return;
  const std::string_view end = last_ == '\n' ? ".\r\n" : last_ == '\r' ? "\n.\r\n" : "\r\n.\r\n";
  // Byte by byte: what was seen may have the beginning of an end already, and less is added.
  message_ended_ = false;
  for (std::size_t i = 0; i < end.size() && !message_ended_ && !lost_; ++i) {
    ++added_;
    give_client(end.substr(i, 1));
  }
  settle();
}

// What the other side acknowledged, or a FIN says of the stream's length, was sent, though nothing
// of it was captured. An acknowledgement of one byte more may be that of a FIN.
void TcpFlow::give_up_the_end(int side) {
  const Half& half = halves_[side];
  const std::uint64_t end = half.fin ? half.fin_at : half.acked;
  if (half.based && end > half.next + 1) skip(side, end);
  const bool cut = state_ == State::Following && side != client_ && !half.fin;
  if (cut && observer_->sealed()) observer_->server_cut();
}

void TcpFlow::finish() {
  if (state_ == State::Following) give_up_until(0);
  for (const int side : {0, 1}) {
    if (state_ == State::Following) give_up_the_end(side == 0 ? client_ : 1 - client_);
  }
  if (state_ == State::Following && !observer_->sealed()) end_cut_message();
  if (state_ == State::Following && observer_->sealed()) {
    observer_->finish();
    state_ = State::Encrypted;
  }
  tell();
  if (state_ == State::Encrypted && !sealed_told_) unobserved(Reason::Encrypted);
  state_ = State::Over;
  observer_.reset();
  forget_waiting();
}

}  // namespace recorded
