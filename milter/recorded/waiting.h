// What of one stream came early, or waits for the other stream: pieces by their place, which do not
// overlap. The first copy of a byte counts. Bounded by whoever keeps pieces, by bytes().
// Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "classifier/stream.h"
#include "milter/recorded/tcp_packet.h"

namespace recorded {

class Waiting {
 public:
  // Payload, or a part of it that was not captured (then `bytes` is empty).
  struct Piece {
    std::uint64_t end = 0;
    std::uint64_t order = 0;    // of arrival
    std::uint64_t time_ns = 0;  // likewise
    std::uint64_t needs = 0;    // offset in the other stream that its sender had seen
    std::string bytes;
    bool missing() const { return bytes.empty(); }
  };

  // `all`: bytes that wait in all streams; kept up to date, and outlives this.
  explicit Waiting(std::size_t& all) : all_(all) {}
  ~Waiting() { clear(); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  // Keeps what of the packet's payload is new: it begins at `place`, nothing in front of `next` is
  // new, and `piece` says what its parts have in common.
  void keep(const TcpPacket& packet, std::uint64_t place, std::uint64_t next, const Piece& piece);
  // Removes what lies in front of `next`.
  void drop_before(std::uint64_t next);
  void clear();

  bool empty() const { return pieces_.empty(); }
  bool one() const { return pieces_.size() == 1; }
  // Of these three, requires: not empty.
  std::uint64_t begin() const { return pieces_.begin()->first; }
  const Piece& front() const { return pieces_.begin()->second; }
  Piece take_front();
  // The first piece waits for the other stream no longer. Requires: not empty.
  void release_front() { pieces_.begin()->second.needs = 0; }
  // The piece that begins there; null: none does.
  const Piece* at(std::uint64_t offset) const;
  // The first part of `span` that waits; nothing: none does.
  std::optional<classifier::Span> first_in(classifier::Span span) const;
  // Up to where bytes were captured without a gap, if those in front of `next` were.
  std::uint64_t end_of_run(std::uint64_t next) const;

  // What the pieces take, with what they cost beside their bytes, so that many small ones count.
  std::size_t bytes() const { return bytes_; }

 private:
  void insert(std::uint64_t begin, std::uint64_t next, Piece piece, std::string_view bytes);
  void count(std::size_t bytes);
  void uncount(std::size_t bytes);

  std::size_t& all_;
  std::size_t bytes_ = 0;
  std::map<std::uint64_t, Piece> pieces_;  // by first offset
};

}  // namespace recorded
