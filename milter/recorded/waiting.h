// The bytes of one stream that cannot be given yet: they came early, or wait for the other stream.
// They are kept in pieces by their place, and pieces do not overlap. If a byte comes twice, the
// first copy is kept. The owner limits the memory with bytes(). Not thread-safe.
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
  // Payload, or a part of the payload that was not captured (then `bytes` is empty).
  struct Piece {
    std::uint64_t end = 0;
    std::uint64_t order = 0;    // number of the packet, in order of capture
    std::uint64_t time_ns = 0;  // time of that packet
    std::uint64_t needs = 0;    // the sender had seen the other stream up to this offset
    std::string bytes;
    bool missing() const { return bytes.empty(); }
  };

  // `all`: bytes that wait in all streams. This object keeps it up to date; it must outlive this
  // object.
  explicit Waiting(std::size_t& all) : all_(all) {}
  ~Waiting() { clear(); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  // Keeps the new part of the packet's payload. The payload begins at `place`; bytes before `next`
  // are not new. `piece` has the values that all parts share.
  void keep(const TcpPacket& packet, std::uint64_t place, std::uint64_t next, const Piece& piece);
  // Removes bytes before `next`.
  void drop_before(std::uint64_t next);
  void clear();

  bool empty() const { return pieces_.empty(); }
  bool one() const { return pieces_.size() == 1; }
  // The next three functions require: not empty.
  std::uint64_t begin() const { return pieces_.begin()->first; }
  const Piece& front() const { return pieces_.begin()->second; }
  Piece take_front();
  // The first piece no longer waits for the other stream. Requires: not empty.
  void release_front() { pieces_.begin()->second.needs = 0; }
  // Returns the piece that begins at `offset`, or null.
  const Piece* at(std::uint64_t offset) const;
  // Returns the first part of `span` that is waiting; nullopt if none is.
  std::optional<classifier::Span> first_in(classifier::Span span) const;
  // Returns the offset up to which there is no gap, if the bytes before `next` are complete.
  std::uint64_t end_of_run(std::uint64_t next) const;

  // The memory of all pieces with their overhead, so that many small pieces count too.
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
