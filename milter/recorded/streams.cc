#include "milter/recorded/streams.h"

#include <algorithm>

#include "milter/tcp/flags.h"
#include "milter/tcp/stream_place.h"

namespace recorded {
namespace {

// A capture counts as out of order for so many packets with new payload, and for at most this time.
// Packets lost on the way are sent again later than that: RFC 6298 requires one second, Linux waits
// 200 ms. The 32 packets are chosen, not measured: with fewer, a capture from several queues of a
// network card would lose bytes that it has.
constexpr std::uint64_t kPatience = 32;
constexpr std::uint64_t kPatienceNs = 50'000'000;

}  // namespace

std::int64_t Half::place(std::uint32_t number) const {
  return tcp::stream_place(number, base, next);
}

// Sequence numbers outside every window occur only in fabricated captures and are ignored.
std::uint64_t Half::ahead_at(std::uint32_t number) const {
  const auto here = static_cast<std::int64_t>(next);
  const std::int64_t at = place(number);
  return at > here && at - here <= kFarAhead ? static_cast<std::uint64_t>(at) : 0;
}

void Half::end_at(std::uint32_t number) {
  fin = true;
  fin_at = std::max(next, static_cast<std::uint64_t>(std::max<std::int64_t>(0, place(number))));
}

void Half::note_sack(const SackOption& sack) {
  sacked.drop_before(next);
  for (std::size_t i = 0; i < sack.count; ++i) {
    const std::uint64_t begin = ahead_at(sack.blocks[i].begin);
    const std::uint64_t end = ahead_at(sack.blocks[i].end);
    if (begin != 0) sacked.add({begin, end});
  }
}

std::optional<classifier::Span> Half::first_received_in(classifier::Span span) const {
  if (sacked.empty()) return std::nullopt;
  while (const auto waits = waiting.first_in(span)) {
    if (const auto received = sacked.first_in(*waits)) return received;
    span.begin = waits->end;
  }
  return std::nullopt;
}

void Half::begin_anew(std::uint64_t given) {
  base += static_cast<std::uint32_t>(next - given);
  next = acked = given;
  sacked.clear();
}

void Half::forget() {
  based = false;
  next = acked = 0;
  sacked.clear();
  fin = false;
}

void Streams::forget_waiting() {
  for (Half& half : halves_) half.waiting.clear();
}

void Streams::forget() {
  forget_waiting();
  for (Half& half : halves_) half.forget();
}

bool Streams::unheard(int side, Reading how) const {
  return side == how.client && !halves_[1 - side].payload && !how.silent_given_up;
}

bool Streams::deaf_to(int side, Reading how) const {
  return side != how.client && !halves_[side].payload && how.silent_given_up;
}

std::uint64_t Streams::needs(int side, const TcpPacket& packet) const {
  const Half& other = halves_[1 - side];
  return packet.has(tcp::kAck) && other.based ? other.ahead_at(packet.ack) : 0;
}

void Streams::keep(int side, const TcpPacket& packet, std::uint64_t place, std::uint64_t needs) {
  Half& half = halves_[side];
  half.waiting.keep(packet, place, half.next,
                    {.order = order_, .time_ns = packet.time_ns, .needs = needs});
}

bool Streams::ready(int side, Reading how) const {
  const Half& half = halves_[side];
  const Half& other = halves_[1 - side];
  if (half.waiting.empty() || half.waiting.begin() > half.next) return false;
  if (unheard(side, how)) return false;
  const Waiting::Piece& front = half.waiting.front();
  if (front.needs > other.next && !deaf_to(1 - side, how)) return false;
  // The replacement for missing bytes depends on the bytes after them.
  return !front.missing() || !half.waiting.one() ||
         (!other.waiting.empty() && other.waiting.front().needs >= front.end);
}

int Streams::ready(Reading how) {
  // A gap that was filled may have extended beyond pieces that wait.
  for (Half& half : halves_) half.waiting.drop_before(half.next);
  const bool zero = ready(0, how);
  const bool one = ready(1, how);
  if (!zero && !one) return -1;
  if (zero && one) return oldest();
  return zero ? 0 : 1;
}

Waiting::Piece Streams::take(int side, Reading how) {
  Half& half = halves_[side];
  Half& other = halves_[1 - side];
  Waiting::Piece piece = half.waiting.take_front();
  if (deaf_to(1 - side, how)) other.next = std::max(other.next, piece.needs);
  const std::size_t fresh = static_cast<std::size_t>(piece.end - half.next);
  piece.bytes.erase(0, piece.bytes.size() - fresh);
  return piece;
}

// Returns the side whose first piece has waited longest. Requires: something waits.
int Streams::oldest() const {
  const Waiting& zero = halves_[0].waiting;
  const Waiting& one = halves_[1].waiting;
  if (zero.empty() || one.empty()) return zero.empty() ? 1 : 0;
  return one.front().order < zero.front().order ? 1 : 0;
}

Streams::Wanted Streams::wanted() const {
  Wanted out{.side = oldest()};
  const Half& half = halves_[out.side];
  const Half& other = halves_[1 - out.side];
  const std::uint64_t begin = half.waiting.begin();
  const std::uint64_t needs = half.waiting.front().needs;
  const std::uint64_t unsaid =
      other.waiting.empty() ? needs : std::min(other.waiting.begin(), needs);
  if (begin > half.next) out.gap = begin;
  if (unsaid > other.next) out.unsaid = unsaid;
  return out;
}

bool Streams::overdue() const {
  if (!waits()) return false;
  const int side = oldest();
  const Half& half = halves_[side];
  const Waiting::Piece& front = half.waiting.front();
  const bool patient = order_ - front.order <= kPatience && now_ns_ <= front.time_ns + kPatienceNs;
  if (patient) return false;
  const std::uint64_t begin = half.waiting.begin();
  return begin > half.next ? half.acked >= begin : front.needs > halves_[1 - side].next;
}

}  // namespace recorded
