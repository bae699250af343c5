#include "milter/recorded/tcp_flow.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "classifier/smtp_words.h"
#include "classifier/tls_message.h"
#include "milter/net/proxy_protocol.h"
#include "milter/recorded/first_words.h"
#include "milter/tcp/flags.h"
#include "milter/tcp/path.h"
#include "milter/tcp/segments.h"
#include "milter/tcp/syn.h"

namespace recorded {
namespace {

using classifier::Reason;
// All chosen, not measured. A longer gap is not filled; the session is searched for a new start.
constexpr std::uint64_t kMaxFill = 1024 * 1024;
// All gaps of a flow together may be as large as the payload that was seen, plus this. Otherwise a
// few packets far apart would cost as much time as megabytes of data.
constexpr std::uint64_t kFreeFill = 64 * 1024;
// Commands such as QUIT and RSET are at most this long; a message is longer.
constexpr std::uint64_t kShortCommand = 32;
// Packets that are searched for a start on a port that is not a mail port.
constexpr std::uint32_t kMaxSearched = 64;

constexpr std::uint64_t kNsPerUs = 1000;

}  // namespace

TcpFlow::TcpFlow(const TcpEnd& one, const TcpEnd& other, MessageSink& sink,
                 const FlowLimits& limits, std::size_t& all_waiting)
    : ends_{one, other}, limits_(limits), streams_(all_waiting), session_(sink, limits.segments) {
  const bool one_is = is_mail_port(one.port);
  const bool other_is = is_mail_port(other.port);
  mail_port_ = one_is || other_is;
  if (one_is != other_is) set_client(one_is ? 1 : 0);
}

void TcpFlow::set_client(int side) {
  client_ = side;
  session_.set_ends(named_.value_or(ends_[side]), ends_[1 - side]);
}

void TcpFlow::packet(const TcpPacket& packet) {
  if (over()) return;
  session_.set_time(packet.time_ns);
  streams_.set_time(packet.time_ns);
  const int side = packet.from == ends_[0] ? 0 : 1;
  if (packet.has(tcp::kSyn)) on_syn(side, packet);
  if (packet.has(tcp::kAck)) on_ack(side, packet);
  streams_[side].closed = packet.window_closed;
  // Urgent data has sequence numbers, but recv does not return it with the stream, so all later
  // places would be wrong. No mail program sends it. The current message is lost, as in live
  // capture. A session in clear continues at its next MAIL.
  const bool urgent = side == client_ && packet.has(tcp::kUrg);
  if (urgent && session_.following()) {
    session_.leave_until_mail(Reason::Lost);
    return settle();
  }
  if (packet.size != 0) on_payload(side, packet);
  while (session_.following() && streams_.overdue()) {
    give_up_one();
    pump();
  }
  if (packet.has(tcp::kFin)) on_end(side, packet);
}

bool TcpFlow::reused_by(const TcpPacket& packet) const {
  if (!packet.has(tcp::kSyn) || packet.has(tcp::kAck)) return false;
  const Half& half = streams_[packet.from == ends_[0] ? 0 : 1];
  return half.based && half.base != packet.seq + 1 && (half.syn || half.payload);
}

void TcpFlow::on_syn(int side, const TcpPacket& packet) {
  Half& half = streams_[side];
  const bool from_client = !packet.has(tcp::kAck);
  if (half.next != 0 || !half.waiting.empty()) return;
  half.syn = true;
  half.begin_at(packet.seq + 1);
  set_client(from_client ? side : 1 - side);
  if (from_client) syn_time_ns_ = packet.time_ns;
  if (const auto syn = tcp::parse_syn(packet.headers)) {
    half.mss = syn->mss;
    half.timestamps = syn->timestamps;
    if (from_client) path_.syn = syn->signature;
  }
  learn_path();
  if (session_.fresh() && searched_ == 0) session_.start();
}

void TcpFlow::on_ack(int side, const TcpPacket& packet) {
  Half& other = streams_[1 - side];
  // Only bytes that were sent are acknowledged: the first ACK shows where the other stream is now.
  if (!other.based && session_.following()) other.begin_at(packet.ack);
  other.acked = std::max(other.acked, other.ahead_at(packet.ack));
  if (other.based && !other.waiting.empty()) other.note_sack(read_sack(packet.options));
  if (side != client_ || path_.rtt_us != 0 || syn_time_ns_ == 0) return;
  if (packet.has(tcp::kSyn) || packet.time_ns <= syn_time_ns_) return;
  // The time from the SYN to the client's ACK of the SYN-ACK is one round trip, wherever on the way
  // it was captured.
  path_.rtt_us = classifier::to_u32((packet.time_ns - syn_time_ns_) / kNsPerUs);
  learn_path();
}

void TcpFlow::on_end(int side, const TcpPacket& packet) {
  Half& half = streams_[side];
  if (!half.based) return;
  half.end_at(packet.seq + packet.size);
  if (streams_[0].over() && streams_[1].over() && !streams_.waits()) finish();
}

void TcpFlow::on_payload(int side, const TcpPacket& packet) {
  if (take_proxy_header(side, packet)) return;
  if (!session_.following() && !find_start(side, packet)) return;
  Half& half = streams_[side];
  Half& other = streams_[1 - side];
  if (!half.based) half.begin_at(packet.first_payload());
  const std::int64_t place = half.place(packet.first_payload());
  const std::int64_t ahead = place - static_cast<std::int64_t>(half.next);
  if (ahead > Half::kFarAhead) return;
  const std::int64_t end = place + packet.size;
  // A keep-alive repeats one byte, or none, before the next byte of the stream. RFC 9293, 3.8.4.
  if (end <= 0 || (packet.size == 1 && ahead == -1)) return;
  // A probe of a closed window: one byte, which is sent again when there is room. RFC 9293,
  // 3.8.6.1.
  if (packet.size == 1 && other.closed) return;
  if (!mail_port_ && !half.payload && !other.payload && !is_mail_begun_by(side, packet)) {
    session_.drop();  // a CONNECT to a proxy may come before the greeting
    return streams_.forget_waiting();
  }
  half.payload = true;
  seen_ += packet.size;
  if (side == client_) announce(packet, place);
  if (end <= static_cast<std::int64_t>(half.next)) return;

  streams_.count_packet();
  const std::uint64_t needs = streams_.needs(side, packet);
  const bool whole = packet.payload.size() == packet.size;
  const bool in_order = ahead <= 0 && needs <= other.next && !streams_.waits();
  if (in_order && whole && !streams_.unheard(side, reading())) {
    return give(side, packet.text().substr(static_cast<std::size_t>(-ahead)));
  }
  streams_.keep(side, packet, static_cast<std::uint64_t>(std::max<std::int64_t>(place, 0)), needs);
  pump();
  if (streams_.waiting_bytes() > limits_.waiting_bytes) give_up_until(limits_.waiting_bytes / 2);
}

// --- where to begin ---------------------------------------------------------------------------

// A PROXY header before the client's first command names the real client.
bool TcpFlow::take_proxy_header(int side, const TcpPacket& packet) {
  Half& half = streams_[side];
  if (!half.untouched() || side == 1 - client_ || packet.has(tcp::kSyn)) return false;
  if (half.based && half.base != packet.seq) return false;
  if (!may_be_proxy_header(packet.text())) return false;
  const net::ProxyHeader header = net::read_proxy_header(packet.text());
  if (header.outcome != net::ProxyHeader::Outcome::Complete) return false;
  if (!header.local) named_ = TcpEnd{header.client.bytes(), header.client.port()};
  if (client_ >= 0) set_client(client_);
  TcpPacket rest = packet;
  const auto size = static_cast<std::uint32_t>(header.size);
  rest.seq += size;
  rest.size -= size;
  rest.payload = packet.payload.subspan(size);
  half.begin_at(rest.seq);
  if (rest.size != 0) on_payload(side, rest);
  return true;
}

// The first words on a port that is not a mail port: a greeting, or a client that does not wait for
// it.
bool TcpFlow::is_mail_begun_by(int side, const TcpPacket& packet) const {
  return side == client_ ? is_start(packet.text()) : is_greeting(packet.text());
}

// True if a session can be followed from this packet on.
bool TcpFlow::find_start(int side, const TcpPacket& packet) {
  const std::string_view first = packet.text();
  const bool not_mail = session_.not_mail();
  const bool fresh = mail_port_ && session_.fresh() && searched_ == 0;
  const bool hello = fresh && side == client_ && is_tls_hello(first);
  const bool server = is_greeting(first) && side != client_;
  const bool client = is_start(first) && !not_mail && (client_ < 0 || side == client_);
  // On a mail port the client is followed from any place; its next bytes show what they are.
  const bool searching = session_.state() == FollowedSession::State::Searching;
  const bool within = mail_port_ && searching && side == client_ && !not_mail;
  if (within && !hello && (is_tls_record(first) || classifier::is_binary(first))) {
    session_.begin_encrypted();
    return false;
  }
  if (!server && !client && !hello && !within) {
    if (++searched_ > kMaxSearched && !mail_port_) session_.give_up();
    return false;
  }
  begin_streams(side, packet);
  set_client(server ? 1 - side : side);
  session_.start();
  const bool greeted = starts_with_word(first, "EHLO ") || starts_with_word(first, "HELO ");
  if (client && greeted) {
    session_.observer().assume_greeting();
  } else if (!server && !hello) {
    session_.commands_missed(0);  // replies to commands that were not captured may follow
  }
  return true;
}

// Lets both streams begin at this packet.
void TcpFlow::begin_streams(int side, const TcpPacket& packet) {
  streams_.forget();
  streams_[side].begin_at(packet.first_payload());
  if (packet.has(tcp::kAck)) streams_[1 - side].begin_at(packet.ack);
  streams_[side].payload = true;
}

void TcpFlow::learn_path() {
  const Half& client = streams_[client_];
  const Half& server = streams_[1 - client_];
  path_.timestamps = client.timestamps && (server.timestamps || !server.syn);
  path_.mss = tcp::full_payload(tcp::smaller_mss(client.mss, server.mss), path_.timestamps);
  session_.set_path(path_);
}

// --- segments ---------------------------------------------------------------------------------

void TcpFlow::announce(const TcpPacket& packet, std::int64_t place) {
  const std::uint32_t unit =
      segment_size_.of(packet, streams_[client_].mss, streams_[1 - client_].mss);
  // Bytes before the beginning of the stream came before the session was found.
  tcp::for_each_segment({.place = place,
                         .size = packet.size,
                         .unit = unit,
                         .time_ns = packet.time_ns,
                         .push = packet.has(tcp::kPsh)},
                        [&](const classifier::Arrival& one) { announce_new(one); });
}

// Some of these bytes may have come in an earlier segment. Bytes that wait only for the server's
// bytes count as part of the earlier segment, because a sender may cut them differently when it
// sends them again. The same holds for bytes after a gap that the server has reported by SACK. For
// other bytes after a gap it is unknown which of the two segments the server took, so the observer
// gets both.
void TcpFlow::announce_new(classifier::Arrival arrival) {
  const Half& client = streams_[client_];
  const std::uint64_t start = arrival.offset;
  const std::uint64_t end = start + arrival.size;
  const bool push = arrival.push;
  if (client.waiting.empty()) return session_.observer().segment(arrival);
  const bool overlaps = client.waiting.first_in({start, end}).has_value();
  const std::uint64_t came = overlaps ? client.waiting.end_of_run(client.next) : start;
  if (came > start) {
    session_.observer().segment_again({start, std::min(came, end)});
    if (came >= end) return;
  }
  for (std::uint64_t at = std::max(came, start); at < end;) {
    const auto received = client.first_received_in({at, end});
    const std::uint64_t until = received ? received->begin : end;
    if (until > at) {
      arrival.offset = at;
      arrival.size = static_cast<std::uint32_t>(until - at);
      arrival.push = push && until == end;  // PSH belongs to the last byte
      session_.observer().segment(arrival);
    }
    if (received) session_.observer().segment_again(*received);
    at = received ? received->end : end;
  }
}

// --- bytes in order ---------------------------------------------------------------------------

Streams::Reading TcpFlow::reading() const {
  return {.client = client_, .silent_given_up = session_.observer().answers_assumed()};
}

// Gives all bytes that can be given. If both sides could go on, the one that was captured first
// goes first.
void TcpFlow::pump() {
  while (session_.following() && streams_.waits()) {
    const int side = streams_.ready(reading());
    if (side < 0) return;
    if (streams_[side].waiting.front().missing()) {
      skip(side, streams_[side].waiting.front().end);
    } else {
      give(side, streams_.take(side, reading()).bytes);
    }
  }
}

void TcpFlow::give(int side, std::string_view bytes) {
  streams_[side].next += bytes.size();
  if (side == client_ && session_.is_decrypted(bytes)) return follow_in_clear(bytes);
  side == client_ ? session_.client(bytes) : session_.server(bytes);
  settle();
}

// A tap that decrypts: after STARTTLS a new session begins in clear.
void TcpFlow::follow_in_clear(std::string_view bytes) {
  streams_.forget_waiting();
  streams_[client_].begin_anew(bytes.size());
  streams_[1 - client_].begin_anew(0);
  session_.start();
  session_.observer().assume_greeting();
  session_.client(bytes);
  settle();
}

// If the session was left, nothing that waits is needed.
void TcpFlow::settle() {
  if (session_.following()) return;
  streams_.forget_waiting();
  searched_ = 1;
}

// --- gaps -------------------------------------------------------------------------------------

void TcpFlow::give_up_until(std::size_t bytes) {
  if (!session_.following()) return;
  pump();
  while (session_.following() && streams_.waiting_bytes() > bytes) {
    give_up_one();
    pump();
  }
}

// Gives up the bytes that the oldest piece waits for.
void TcpFlow::give_up_one() {
  const Streams::Wanted wanted = streams_.wanted();
  const int side = wanted.side;
  Half& half = streams_[side];
  // Under TLS both a text and replies may be missing. A server speaks after a command and before a
  // text. So a long gap is taken for a text, and the missing replies come first.
  const bool text = side == client_ && session_.observer().under_tls() &&
                    wanted.gap > half.next + classifier::kLeastMessage;
  if (wanted.gap != 0 && !(text && wanted.unsaid != 0)) {
    skip(side, wanted.gap);
  } else if (streams_.unheard(side, reading())) {
    session_.replies_missed();
    settle();
  } else if (wanted.unsaid != 0) {
    skip(1 - side, wanted.unsaid);
  } else if (half.waiting.front().missing()) {
    skip(side, half.waiting.front().end);
  } else {
    // Each side acknowledges the other's bytes first: a fabricated capture.
    half.waiting.release_front();
  }
}

// The bytes up to `end` were not captured. Skips them, or the first part of them if they are of two
// kinds.
void TcpFlow::skip(int side, std::uint64_t end) {
  Half& half = streams_[side];
  if (end <= half.next) return;
  classifier::Observer& observer = session_.observer();
  // The server's next words have a known place in the client's stream; the skipped part ends there.
  const Waiting& other = streams_[1 - side].waiting;
  if (side == client_ && !other.empty()) {
    const std::uint64_t at = other.front().needs;
    if (at > half.next) end = std::min(end, at);
  }
  // After DATA a text follows, or a short command if DATA was refused.
  const bool in_clear = side == client_ && !observer.under_tls();
  if (in_clear && end - half.next > kShortCommand) observer.assume_text();
  const std::uint64_t text = in_clear ? observer.text_left() : 0;
  if (text != 0) end = std::min(end, half.next + std::min(text, end - half.next));
  const std::uint64_t size = end - half.next;
  filled_ += size;
  if (size > kMaxFill || filled_ > kFreeFill + seen_) {
    session_.leave(Reason::Dropped);
  } else if (text != 0) {
    observer.missed_some();
    return fill(size, end_of_gap(end));
  } else {
    half.next = end;
    if (observer.under_tls()) {
      session_.records_missed(side == client_, size);
    } else {
      side == client_ ? session_.commands_missed(size) : session_.replies_missed();
    }
  }
  settle();
}

// Replaces `size` bytes of the client that were not captured with meaningless bytes. `tail` are the
// last of them.
void TcpFlow::fill(std::uint64_t size, std::string_view tail) {
  if (tail.size() > size) tail.remove_prefix(tail.size() - static_cast<std::size_t>(size));
  std::uint64_t left = size - tail.size();
  const std::string filler(static_cast<std::size_t>(std::min<std::uint64_t>(left, 4096)), 'x');
  while (left > 0 && session_.following()) {
    const auto some = static_cast<std::size_t>(std::min<std::uint64_t>(left, filler.size()));
    give(client_, std::string_view(filler).substr(0, some));
    left -= some;
  }
  if (!tail.empty() && session_.following()) give(client_, tail);
}

// Returns the last bytes of a gap in a message, as far as the captured bytes show them. A server is
// silent during a message. So if it has spoken, the message has ended, even if only the client's
// ACKs show it.
std::string_view TcpFlow::end_of_gap(std::uint64_t end) const {
  const classifier::Observer& observer = session_.observer();
  if (!observer.in_data()) return {};
  const Half& client = streams_[client_];
  const Half& server = streams_[1 - client_];
  const bool answered = !server.waiting.empty() && server.waiting.front().needs == end;
  const Waiting::Piece* behind = client.waiting.at(end);
  const std::string_view bytes = behind != nullptr ? std::string_view(behind->bytes) : "";
  const bool spoken =
      behind != nullptr && behind->needs > server.next && !streams_.deaf_to(1 - client_, reading());
  if (answered || spoken || is_next_command(bytes)) {
    const std::uint64_t size = end - client.next;
    const classifier::Tail tail = observer.text_tail();
    return size == 3 && tail == classifier::Tail::Lf   ? ".\r\n"
           : size == 4 && tail == classifier::Tail::Cr ? "\n.\r\n"
                                                       : "\r\n.\r\n";
  }
  // A single dot in its own packet, or before a command, ends the message.
  for (const std::string_view dot : {".\r\n", "\n.\r\n"}) {
    if (bytes.starts_with(dot) &&
        (bytes.size() == dot.size() || is_next_command(bytes.substr(dot.size())))) {
      return dot.front() == '.' ? "\r\n" : "\r";
    }
  }
  return {};
}

// Bytes at the end of a stream may be missing: the other side acknowledged them, or a FIN shows the
// length of the stream. One acknowledged byte more may be the FIN itself.
void TcpFlow::give_up_the_end(int side) {
  const Half& half = streams_[side];
  const std::uint64_t end = half.fin ? half.fin_at : half.acked;
  if (half.based && end > half.next + 1) skip(side, end);
  const bool cut = session_.following() && side != client_ && !half.fin;
  if (cut && session_.observer().under_tls()) session_.observer().server_cut();
}

void TcpFlow::finish() {
  give_up_until(0);
  for (const int side : {0, 1}) {
    if (session_.following()) give_up_the_end(side == 0 ? client_ : 1 - client_);
  }
  session_.finish();
  streams_.forget_waiting();
}

}  // namespace recorded
