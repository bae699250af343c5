#include "milter/recorded/waiting.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace recorded {

using classifier::Span;

namespace {

// Overhead of a piece: a node of the map and an allocation, about 150 bytes, rounded up.
constexpr std::size_t kPieceCost = 256;

}  // namespace

void Waiting::count(std::size_t bytes) {
  bytes_ += bytes + kPieceCost;
  all_ += bytes + kPieceCost;
}

void Waiting::uncount(std::size_t bytes) {
  bytes_ -= bytes + kPieceCost;
  all_ -= bytes + kPieceCost;
}

void Waiting::clear() {
  pieces_.clear();
  all_ -= std::exchange(bytes_, 0);
}

void Waiting::keep(const TcpPacket& packet, std::uint64_t place, std::uint64_t next,
                   const Piece& piece) {
  std::uint64_t end = place + packet.size;
  const std::uint64_t seen_end = place + packet.payload.size();
  insert(place, next, piece, packet.text());
  if (seen_end == end) return;
  // Only the size of the rest was captured.
  std::uint64_t begin = std::max(seen_end, next);
  const auto after = pieces_.upper_bound(begin);
  if (after != pieces_.begin()) begin = std::max(begin, std::prev(after)->second.end);
  if (after != pieces_.end()) end = std::min(end, after->first);
  if (begin >= end) return;
  Piece rest = piece;
  rest.end = end;
  pieces_.emplace(begin, std::move(rest));
  count(0);
}

// Keeps the part of `bytes` that is new: not given yet, and not waiting.
void Waiting::insert(std::uint64_t begin, std::uint64_t next, Piece piece, std::string_view bytes) {
  const auto drop = [&](std::uint64_t until) {
    if (until <= begin) return;
    const std::uint64_t some = std::min<std::uint64_t>(until - begin, bytes.size());
    bytes.remove_prefix(static_cast<std::size_t>(some));
    begin += some;
  };
  drop(next);
  auto after = pieces_.upper_bound(begin);
  if (after != pieces_.begin()) drop(std::prev(after)->second.end);
  while (!bytes.empty()) {
    after = pieces_.lower_bound(begin);
    const std::size_t room =
        after == pieces_.end()
            ? bytes.size()
            : static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), after->first - begin));
    if (room > 0) {
      piece.end = begin + room;
      piece.bytes.assign(bytes.substr(0, room));
      count(room);
      pieces_.emplace_hint(after, begin, piece);
    }
    if (after == pieces_.end()) return;
    drop(after->second.end);
  }
}

Waiting::Piece Waiting::take_front() {
  auto node = pieces_.extract(pieces_.begin());
  uncount(node.mapped().bytes.size());
  return std::move(node.mapped());
}

void Waiting::drop_before(std::uint64_t next) {
  while (!pieces_.empty() && front().end <= next) take_front();
}

const Waiting::Piece* Waiting::at(std::uint64_t offset) const {
  const auto found = pieces_.find(offset);
  return found == pieces_.end() ? nullptr : &found->second;
}

std::optional<Span> Waiting::first_in(Span span) const {
  if (span.begin >= span.end) return std::nullopt;
  auto at = pieces_.upper_bound(span.begin);
  if (at != pieces_.begin() && std::prev(at)->second.end > span.begin) --at;
  if (at == pieces_.end() || at->first >= span.end) return std::nullopt;
  return Span{std::max(at->first, span.begin), std::min(at->second.end, span.end)};
}

std::uint64_t Waiting::end_of_run(std::uint64_t next) const {
  std::uint64_t end = next;
  for (const auto& [begin, piece] : pieces_) {
    if (begin > end) break;
    end = std::max(end, piece.end);
  }
  return end;
}

}  // namespace recorded
