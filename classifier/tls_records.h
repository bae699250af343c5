// TLS as somebody sees it who holds no key: the record headers of one direction, and what both
// hellos say in clear.
//
//     5-byte header   fragment                      RFC 8446, 5.1; RFC 5246, 6.2.1
//     ┌────┬───────┬────────┬──────────────────┐
//     │type│version│ length │ length bytes     │   records follow one another without a gap
//     └────┴───────┴────────┴──────────────────┘
//
// Bytes in, records out, however the bytes are cut; a fragment's bytes are passed over, but for the
// hello at the beginning, which is kept up to a limit. What is no record stops the reader for good;
// it searches for the next one only behind bytes that a capture lost:
//
//     record │ rec…  (not seen)  …ord │ record          one stretch, TlsRecord::unseen
//
// A chance header in what is encrypted is one in 2^26 bytes: where the next header then is none,
// the search goes on. Not thread-safe; one reader a direction.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace classifier {

enum class TlsType : std::uint8_t {
  ChangeCipherSpec = 20,
  Alert = 21,
  Handshake = 22,
  ApplicationData = 23,
  Heartbeat = 24,
};

struct TlsRecord {
  TlsType type = TlsType::ApplicationData;
  std::uint16_t version = 0;  // of the record layer: 0x0301 to 0x0303; says little
  std::uint32_t length = 0;   // of the fragment
  std::uint64_t begin = 0;    // of the header, in bytes given to the reader so far
  // Records that were not seen, or not where they began: nobody knows how many. Then `length` is
  // that of the one record that they would be.
  bool unseen = false;
  std::uint64_t end() const { return begin + kHeader + length; }

  static constexpr std::uint32_t kHeader = 5;
  // 2^14 and what RFC 5246, 6.2.3 lets a cipher add; RFC 8446 allows less.
  static constexpr std::uint32_t kMostLength = 16384 + 2048;
  static constexpr std::uint32_t kMostPlain = 16384;
  bool operator==(const TlsRecord&) const = default;
};

class TlsRecordReader {
 public:
  // A ClientHello with post-quantum keys has some 1800 bytes; a longer hello is kept in part.
  static constexpr std::size_t kMostHello = 4096;

  enum class Got : std::uint8_t { More, Record, Malformed };

  // Takes bytes off `bytes` up to the end of one record. After Malformed it takes none.
  Got read(std::span<const char>& bytes, TlsRecord& record);
  // The next `size` bytes were not seen. Takes off it those of a record whose header was seen:
  // Record, where they end it; else all.
  Got skip(std::uint64_t& size, TlsRecord& record);
  // The other side has answered what was sent, so that a record ends here: the stretch that was not
  // seen, if one is open.
  bool end_unseen(TlsRecord& record);
  // The stream has ended: that, or the record of which not all has come.
  bool end(TlsRecord& record);

  // Where the next record begins is not known.
  bool searching() const { return searching_; }
  // Where the record in hand begins, or the next one.
  std::uint64_t at() const { return at_; }
  // The direction's first handshake message, its 4-byte header included: as far as it has come;
  // nothing where some of it was not seen.
  std::span<const char> hello() const { return hello_; }

 private:
  Got find_header(std::span<const char>& bytes, TlsRecord& record);
  bool good_header() const;
  bool likely_header() const;
  void begin_record();
  void forget_hello();
  void keep_hello(std::span<const char> fragment);
  std::size_t hello_size() const;

  std::array<unsigned char, TlsRecord::kHeader> header_{};
  std::size_t header_size_ = 0;
  std::uint32_t left_ = 0;  // of the fragment
  std::uint64_t at_ = 0;
  bool malformed_ = false;
  bool searching_ = false;     // at_ is where the stretch that was not seen begins
  std::uint64_t scanned_ = 0;  // bytes of that stretch
  std::uint64_t skipped_ = 0;  // of them, up to the last one that was not seen
  bool found_ = false;         // the record in hand was found by searching
  bool first_flight_ = true;   // no record but handshake ones so far
  TlsRecord record_;
  std::string hello_;
};

// What the server chose, from its hello. RFC 8446, 4.1.3 and 4.2.1.
struct TlsChoice {
  std::uint16_t version = 0;  // 0x0304 is TLS 1.3; 0: not known
  std::uint16_t cipher = 0;   // cipher suite, IANA's number
  bool operator==(const TlsChoice&) const = default;
};

// Of `hello` as TlsRecordReader kept it; what is not there to its end, or no ServerHello, gives
// zeros: of half a hello TLS 1.3 looks like 1.2.
TlsChoice read_server_hello(std::span<const char> hello);

// How a record's length follows from its plaintext: plain + added, rounded up to blocks (CBC).
struct TlsOverhead {
  std::uint32_t added = 0;
  std::uint32_t block = 1;

  // The largest plaintext that a fragment of `length` bytes can hold, and by how much less it may
  // be.
  std::uint32_t most_plain(std::uint32_t length) const;
  std::uint32_t slack() const { return block - 1; }
  bool operator==(const TlsOverhead&) const = default;
};

// Told by the one record whose plaintext is known: the client's Finished, 12 bytes behind a header
// of 4 (RFC 5246, 7.4.9), or the hash's length (RFC 8446, 4.4.4). So no table of ciphers can be out
// of date, and an implementation that pads (Java's adds 16 bytes to each record) is measured as
// well. Nothing fits: false.
bool overhead_of_finished(const TlsChoice& choice, std::uint32_t length, TlsOverhead& overhead);

}  // namespace classifier
