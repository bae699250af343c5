#include "milter/capture/tcp_flow.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "milter/capture/saved_syn.h"
#include "milter/capture/sha256.h"
#include "milter/capture/smtp_words.h"

namespace capture {
namespace {

using classifier::Reason;

// A sequence number further away than this belongs to no window in use: it is a stray.
constexpr std::int64_t kFarAhead = 16 * 1024 * 1024;

// A longer gap is not filled: the session is searched for a new start instead.
constexpr std::uint64_t kMaxFill = 1024 * 1024;

// All gaps of a flow together: as much as was seen of it, and a little more. Else a few packets far
// apart would cost the time of megabytes.
constexpr std::uint64_t kFreeFill = 64 * 1024;

// A joined packet is not cut finer, whatever MSS its SYN claims: Linux sends no smaller segments.
constexpr std::uint32_t kSmallestUnit = 48;

// On a port that is not mail's: packets looked at for a start.
constexpr std::uint32_t kMaxSearched = 64;

constexpr std::uint32_t kTimestampOption = 12;  // RFC 7323, appendix A: with its padding
constexpr std::uint32_t kEthernetV4 = 1460;     // full segment of an unknown path
constexpr std::uint32_t kSmallestFull = 536;    // RFC 9293, 3.7.1
constexpr std::uint32_t kOftenSeen = 3;
constexpr std::uint64_t kNsPerUs = 1000;

// What a chunk that waits costs beside its bytes, so that many small ones count too.
constexpr std::size_t kChunkCost = 256;

constexpr std::string_view kDataCommand = "DATA\r\n";

// Whether a transaction begins among commands. Its beginning is looked at: commands are short.
bool has_mail_command(std::string_view bytes) {
  constexpr std::size_t kLook = 512;
  bytes = bytes.substr(0, kLook);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    if (starts_with_word(bytes.substr(at), "MAIL FROM")) return true;
    at = bytes.find('\n', at);
    if (at == bytes.npos) return false;
  }
  return false;
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
  const bool urgent = side == client_ && packet.has(TcpPacket::kUrg);
  if (urgent && state_ == State::Following) return on_urgent();
  if (packet.size != 0) on_payload(side, packet);
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
  if (const auto syn = parse_syn(packet.headers)) {
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
  half.fin_at =
      half.next + static_cast<std::uint64_t>(std::max<std::int64_t>(
                      0, static_cast<std::int32_t>(packet.seq + packet.size - half.base -
                                                   static_cast<std::uint32_t>(half.next))));
  const auto over = [](const Half& h) { return h.fin && h.next >= h.fin_at; };
  if (over(halves_[0]) && over(halves_[1]) && waiting_bytes_ == 0) finish();
}

void TcpFlow::on_payload(int side, const TcpPacket& packet) {
  if (state_ != State::Following && !find_start(side, packet)) return;
  Half& half = halves_[side];
  Half& other = halves_[1 - side];
  const std::uint32_t seq = packet.seq + (packet.has(TcpPacket::kSyn) ? 1 : 0);
  if (!half.based) {
    half.based = true;
    half.base = seq;
  }
  const std::int64_t ahead =
      static_cast<std::int32_t>(seq - half.base - static_cast<std::uint32_t>(half.next));
  if (ahead > kFarAhead) return;
  const std::int64_t place = static_cast<std::int64_t>(half.next) + ahead;
  const std::int64_t end = place + packet.size;
  // A keep-alive repeats one byte, or none, in front of the stream. RFC 9293, 3.8.4.
  if (end <= 0 || (packet.size == 1 && ahead == -1)) return;

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

  // ACK numbers out of every window (fabricated captures) say nothing.
  std::uint64_t needs = 0;
  if (packet.has(TcpPacket::kAck) && other.based) {
    const std::int64_t seen =
        static_cast<std::int32_t>(packet.ack - other.base - static_cast<std::uint32_t>(other.next));
    if (seen > 0 && seen <= kFarAhead) needs = other.next + static_cast<std::uint64_t>(seen);
  }
  if (stand_in_) needs = 0;
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
  mail_open_ = mail_open_ || observer_->sealed();
  lost_ = Reason::Lost;
  after_loss();
}

// --- where to begin ---------------------------------------------------------------------------

// Whether a session can be followed from this packet on.
bool TcpFlow::find_start(int side, const TcpPacket& packet) {
  const std::string_view first = text(packet.payload);
  const bool fresh = mail_port_ && state_ == State::Searching && messages_ == 0 && searched_ == 0;
  const bool hello = fresh && side == client_ && is_tls_hello(first);
  const bool server = is_greeting(first) && side != client_;
  const bool client = is_start(first) && !not_mail_ && (client_ < 0 || side == client_);
  if (!server && !client && !hello) {
    if (++searched_ > kMaxSearched && !mail_port_) state_ = State::Over;
    return false;
  }
  forget_waiting();
  for (Half& half : halves_) {
    half.based = false;
    half.next = 0;
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
  if (client) give_server("220 unseen\r\n");
  greeting_assumed_ = client;
  return true;
}

void TcpFlow::start(int client) {
  tell();
  client_ = client;
  state_ = State::Following;
  stand_in_.reset();
  lost_.reset();
  not_mail_ = text_asked_ = mail_open_ = false;
  reply_head_.clear();
  reply_line_open_ = false;
  messages_before_ = messages_;
  observer_ = std::make_unique<classifier::Observer>(
      static_cast<classifier::Observer::Sink&>(*this), classifier::Via::Pcap,
      classifier::Observer::Limits{.segments = limits_.segments});
  sealed_begun_ = false;
}

// What the client may send is bound by its own link, for which the MSS it announces stands, and by
// what the server announced.
void TcpFlow::learn_path() {
  const Half& client = halves_[client_];
  const Half& server = halves_[1 - client_];
  std::uint32_t mss = client.mss;
  if (server.mss != 0 && (mss == 0 || server.mss < mss)) mss = server.mss;
  path_.timestamps = client.timestamps && (server.timestamps || !server.syn);
  path_.mss = path_.timestamps && mss > kTimestampOption ? mss - kTimestampOption : mss;
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
  const auto less_options = [&](std::uint32_t mss) { return mss > options ? mss - options : mss; };
  const std::uint32_t bound = less_options(theirs != 0 ? theirs : ours != 0 ? ours : kEthernetV4);
  if (packet.size <= bound) {
    if (packet.size > largest_) largest_seen_ = 0;
    largest_ = std::max(largest_, packet.size);
    if (packet.size == largest_) ++largest_seen_;
    return packet.size;
  }
  const std::uint32_t likely = std::min(bound, ours != 0 ? less_options(ours) : bound);
  if (largest_ > likely) return largest_;
  const bool told = largest_seen_ >= kOftenSeen && largest_ >= kSmallestFull;
  if (told && (packet.size % largest_ == 0 || packet.size % likely != 0)) return largest_;
  return likely;
}

void TcpFlow::announce(const TcpPacket& packet, std::int64_t place) {
  if (observer_->client_offset() == 0) learn_path();
  const std::uint32_t unit = std::max(kSmallestUnit, full_size(packet));
  std::uint32_t left = packet.size;
  while (left > 0) {
    const std::uint32_t size = std::min(left, unit);
    left -= size;
    // In front of offset 0 lies what came before the session was found.
    if (place >= 0) {
      observer_->segment({.offset = static_cast<std::uint64_t>(place),
                          .size = size,
                          .time_ns = packet.time_ns,
                          // What is joined ends at a segment with PSH, so it belongs to the last.
                          .push = left == 0 && packet.has(TcpPacket::kPsh)});
    }
    place += size;
  }
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
  const Chunk chunk{.order = order_, .needs = needs};
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

// The client's bytes wait for the server's first word: should none come, a stand-in answers.
bool TcpFlow::unheard(int side) const {
  return side == client_ && !halves_[1 - side].payload && !stand_in_;
}

bool TcpFlow::deliverable(int side) const {
  const Half& half = halves_[side];
  const Half& other = halves_[1 - side];
  if (half.waiting.empty() || half.waiting.begin()->first > half.next) return false;
  if (unheard(side)) return false;
  const Chunk& front = half.waiting.begin()->second;
  if (!front.missing()) return front.needs <= other.next;
  // What is filled in depends on what follows it.
  return half.waiting.size() > 1 ||
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
      const bool last = half.waiting.size() == 1;
      fill(side, take_front(side).end, last);
      continue;
    }
    const Chunk chunk = take_front(side);
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

// Gives up what the oldest chunk waits for.
void TcpFlow::give_up_one() {
  int side = 0;
  if (halves_[0].waiting.empty()) {
    side = 1;
  } else if (!halves_[1].waiting.empty() &&
             halves_[1].waiting.begin()->second.order < halves_[0].waiting.begin()->second.order) {
    side = 1;
  }
  Half& half = halves_[side];
  Half& other = halves_[1 - side];
  if (half.waiting.empty()) return;
  const std::uint64_t begin = half.waiting.begin()->first;
  Chunk& front = half.waiting.begin()->second;
  if (begin > half.next) {
    fill(side, begin, false);
  } else if (front.missing()) {
    fill(side, take_front(side).end, false);
  } else if (unheard(side)) {
    stand_in_ = std::make_unique<StandInServer>(*observer_, reply_head_.empty());
    for (auto& [offset, chunk] : half.waiting) chunk.needs = 0;
  } else if (!other.waiting.empty() && other.waiting.begin()->first > other.next) {
    // The other side's gap is certain: there is something behind it.
    const std::uint64_t to = std::min(other.waiting.begin()->first, front.needs);
    fill(1 - side, to, side != client_ && to == front.needs);
  } else if (side != client_ && in_data()) {
    fill(client_, front.needs, true);  // it answers a message whose end was not captured
  } else {
    front.needs = 0;
  }
}

// Puts something in the place of bytes up to `end`, which were not captured. With `dot` they are
// the end of what the client said before a reply; inside a message, that is the message's end.
void TcpFlow::fill(int side, std::uint64_t end, bool dot) {
  constexpr std::string_view kEnd = "\r\n.\r\n";
  Half& half = halves_[side];
  if (end <= half.next) return;
  std::uint64_t left = end - half.next;
  filled_ += left;
  if (left > kMaxFill || filled_ > kFreeFill + seen_) {
    if (mail_open_) unobserved(Reason::Dropped);
    observer_.reset();
    state_ = State::Searching;
    return forget_waiting();
  }
  if (side != client_ && !observer_->sealed()) {
    half.next = end;
    return guess_reply();
  }
  if (side == client_) observer_->missed_some();
  const bool with_end = dot && side == client_ && in_data() && left >= kEnd.size();
  if (with_end) left -= kEnd.size();
  const std::string filler(static_cast<std::size_t>(std::min<std::uint64_t>(left, 4096)), 'x');
  while (left > 0 && state_ == State::Following) {
    const auto some = static_cast<std::size_t>(std::min<std::uint64_t>(left, filler.size()));
    give(side, std::string_view(filler).substr(0, some));
    left -= some;
  }
  if (with_end && state_ == State::Following) give(side, kEnd);
}

// --- bytes in order ---------------------------------------------------------------------------

void TcpFlow::give(int side, std::string_view bytes) {
  halves_[side].next += bytes.size();
  if (side == client_ && observer_->sealed() && !sealed_begun_ && !is_tls_hello(bytes)) {
    return follow_in_clear(bytes);
  }
  side == client_ ? give_client(bytes) : give_server(bytes);
  if (side == client_) sealed_begun_ = observer_->sealed();
  if (lost_) after_loss();
}

// Behind STARTTLS comes plain text: a tap that decrypts. A session of its own begins here.
void TcpFlow::follow_in_clear(std::string_view bytes) {
  forget_waiting();
  for (const int side : {0, 1}) {
    Half& half = halves_[side];
    const std::uint64_t given = side == client_ ? bytes.size() : 0;
    half.base += static_cast<std::uint32_t>(half.next - given);
    half.next = given;
  }
  start(client_);
  give_server("220 unseen\r\n");
  give_client(bytes);
  if (lost_) after_loss();
}

void TcpFlow::give_client(std::string_view bytes) {
  if (observer_->sealed()) return observer_->client(bytes);
  client_spoke_ = true;
  if (!mail_open_ && !in_data()) mail_open_ = has_mail_command(bytes);
  if (bytes.size() >= kDataCommand.size()) {
    client_tail_.assign(bytes.substr(bytes.size() - kDataCommand.size()));
  } else {
    client_tail_.append(bytes);
    if (client_tail_.size() > kDataCommand.size()) {
      client_tail_.erase(0, client_tail_.size() - kDataCommand.size());
    }
  }
  if (stand_in_) {
    stand_in_->client(bytes);
  } else {
    observer_->client(bytes);
  }
}

void TcpFlow::give_server(std::string_view bytes) {
  if (stand_in_) return;  // what it said has been answered already
  // A client that did not wait for the greeting, in a capture that began with it.
  if (std::exchange(greeting_assumed_, false)) bytes = behind_greeting(bytes);
  if (observer_->sealed()) return observer_->server(bytes);
  client_spoke_ = false;
  for (std::size_t at = 0; at < bytes.size();) {
    if (!reply_line_open_) reply_head_.clear();
    const std::size_t lf = bytes.find('\n', at);
    const std::size_t size = lf == bytes.npos ? bytes.size() - at : lf + 1 - at;
    constexpr std::size_t kHead = 4;
    if (reply_head_.size() < kHead) {
      reply_head_.append(bytes.substr(at, std::min(size, kHead - reply_head_.size())));
    }
    if (reply_head_.starts_with("354")) text_asked_ = true;
    reply_line_open_ = lf == bytes.npos;
    at += size;
  }
  if (!bytes.empty()) observer_->server(bytes);
}

// A reply was not captured, or its end was not. One that is cut is ended; of one that is missing
// the client's last words tell what it was.
void TcpFlow::guess_reply() {
  if (stand_in_) return;
  std::string reply;
  const bool continued = reply_head_.size() == 4 && reply_head_[3] == '-';
  if (reply_line_open_ && reply_head_.size() == 4) reply = "\r\n";
  if (continued) reply += reply_head_.substr(0, 3) + " unseen\r\n";
  if (reply.empty()) {
    if (!client_spoke_ && !reply_line_open_ && !reply_head_.empty()) return;  // nothing was asked
    const bool data = starts_with_word(client_tail_, kDataCommand);
    const bool first = observer_->client_offset() == 0 && reply_head_.empty();
    reply = data ? "354" : first ? "220" : "250";
    reply = reply.substr(reply_line_open_ ? std::min<std::size_t>(3, reply_head_.size()) : 0);
    reply += " unseen\r\n";
  }
  give_server(reply);
  if (lost_) after_loss();
}

bool TcpFlow::in_data() const {
  return stand_in_ ? stand_in_->in_data() : text_asked_;
}

void TcpFlow::after_loss() {
  const Reason reason = *std::exchange(lost_, std::nullopt);
  observer_.reset();
  stand_in_.reset();
  text_asked_ = false;
  forget_waiting();
  state_ = State::Searching;
  searched_ = 0;
  if (reason == Reason::Encrypted) {
    state_ = State::Encrypted;
    return;
  }
  if (reason == Reason::Ambiguous && held_) {
    held_.reset();
    --messages_;
    mail_open_ = true;
  }
  not_mail_ = reason == Reason::NotMail;
  if (!not_mail_ && std::exchange(mail_open_, false)) unobserved(reason);
}

// --- what comes out ---------------------------------------------------------------------------

void TcpFlow::unobserved(Reason reason) {
  tell();
  auto trace = classifier::unobserved(reason, ++messages_);
  trace.via = classifier::Via::Pcap;
  trace.tls = reason == Reason::Encrypted;
  trace.path = observer_ ? observer_->path() : path_;
  sink_.message(connection(), std::move(trace));
}

Connection TcpFlow::connection() const {
  return {.client = ends_[client_],
          .server = ends_[1 - client_],
          .helo = observer_ ? observer_->helo() : std::string(),
          .time_ns = now_ns_};
}

std::shared_ptr<classifier::SealedStream> TcpFlow::seal(classifier::SealedLog::Start&& start,
                                                        classifier::ArrivalLog&& arrivals) {
  start.sha256 = sha256;
  return std::make_shared<classifier::SealedLog>(std::move(start), std::move(arrivals),
                                                 static_cast<classifier::SealedLog::Sink*>(this));
}

void TcpFlow::take(classifier::Trace&& trace) {
  if (stand_in_) stand_in_->message_ended();
  text_asked_ = mail_open_ = false;
  message_ended_ = true;
  if (added_ != 0) {
    if (trace.segments.empty()) return;  // DATA, and not a byte of the message
    trace.size -= std::min<std::uint64_t>(trace.size, added_);
    cut_to_size(trace);
    if (trace.segments.empty()) return;
    trace.landmarks.terminator = 0;
    trace.state = classifier::State::Partial;
    trace.reason = Reason::Dropped;
    trace.dialogue.quit_with_dot = false;
  }
  sealed_told_ = sealed_told_ || trace.tls;
  if (stand_in_) trace.window = classifier::Window::OneSided;
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
  if (!in_data() || halves_[client_].next == 0) return;
  const char last = client_tail_.empty() ? '\n' : client_tail_.back();
  const std::string_view end = last == '\n' ? ".\r\n" : last == '\r' ? "\n.\r\n" : "\r\n.\r\n";
  // Byte by byte: what was seen may have the beginning of an end already, and less is added.
  message_ended_ = false;
  for (std::size_t i = 0; i < end.size() && !message_ended_ && !lost_; ++i) {
    ++added_;
    give_client(end.substr(i, 1));
  }
  if (lost_) after_loss();
}

void TcpFlow::finish() {
  if (state_ == State::Following) give_up_until(0);
  if (state_ == State::Following && !observer_->sealed()) end_cut_message();
  if (state_ == State::Following && observer_->sealed()) {
    observer_->finish();
    state_ = State::Encrypted;
  }
  tell();
  if (state_ == State::Encrypted && !sealed_told_) unobserved(Reason::Encrypted);
  state_ = State::Over;
  observer_.reset();
  stand_in_.reset();
  forget_waiting();
}

}  // namespace capture
