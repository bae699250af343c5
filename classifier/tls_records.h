// TLS without a key: the record headers of one direction, and what both hellos say in clear.
//
//     5-byte header   fragment                      RFC 8446, 5.1; RFC 5246, 6.2.1
//     ┌────┬───────┬────────┬──────────────────┐
//     │type│version│ length │ length bytes     │   records follow one another without a gap
//     └────┴───────┴────────┴──────────────────┘
//
// Bytes go in and records come out, however the bytes are cut. The bytes of a fragment are skipped,
// except those of the first hello, which is kept up to a limit. Bytes that are not a record stop
// the reader permanently. It searches for the next record only after bytes that a capture lost:
//
//     record │ rec…  (not seen)  …ord │ record          one stretch, TlsRecord::unseen
//
// In encrypted bytes, one place in 2^26 looks like a header by chance. If no header follows the
// record after such a place, the search continues. Not thread-safe; one reader for each direction.
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
  std::uint64_t begin = 0;    // offset of the header, in the bytes given to the reader
  // These are an unknown number of records, because they or their beginnings were not seen.
  // `length` is the length that they would have as one record.
  bool unseen = false;
  std::uint64_t end() const { return begin + kHeader + length; }

  static constexpr std::uint32_t kHeader = 5;
  // 2^14, and the bytes that RFC 5246, 6.2.3 allows a cipher to add. RFC 8446 allows fewer.
  static constexpr std::uint32_t kMostLength = 16384 + 2048;
  static constexpr std::uint32_t kMostPlain = 16384;
  bool operator==(const TlsRecord&) const = default;
};

class TlsRecordReader {
 public:
  // A ClientHello with post-quantum keys has some 1800 bytes. Of a longer hello only the beginning
  // is kept.
  static constexpr std::size_t kMostHello = 4096;

  enum class Got : std::uint8_t { More, Record, Malformed };

  // Takes bytes off `bytes` up to the end of one record. After Malformed it takes none.
  Got read(std::span<const char>& bytes, TlsRecord& record);
  // The next `size` bytes were not seen. If they belong to a record whose header was seen, takes
  // that record's bytes off `size` and returns Record at its end. Else takes off all.
  Got skip(std::uint64_t& size, TlsRecord& record);
  // The other side has answered, so a record ends here. If a stretch of bytes was not seen, returns
  // it in `record`.
  bool end_unseen(TlsRecord& record);
  // The stream has ended. Returns in `record` such a stretch, or the record that is not complete.
  bool end(TlsRecord& record);

  // Is it unknown where the next record begins?
  bool searching() const { return searching_; }
  // Where the current record begins; between two records, the next one.
  std::uint64_t at() const { return at_; }
  // The first handshake message of this direction with its 4-byte header, as far as it has come.
  // Empty if a part of it was not seen.
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
  std::uint32_t left_ = 0;  // bytes of the fragment that are still to come
  std::uint64_t at_ = 0;
  bool malformed_ = false;
  bool searching_ = false;     // at_ is where the stretch begins that was not seen
  std::uint64_t scanned_ = 0;  // bytes of that stretch
  std::uint64_t skipped_ = 0;  // the part of them up to the last byte that was not seen
  bool found_ = false;         // the current record was found by searching
  bool first_flight_ = true;   // all records so far are handshake records
  TlsRecord record_;
  std::string hello_;
};

// What the server chose, by its hello. RFC 8446, 4.1.3 and 4.2.1.
struct TlsChoice {
  std::uint16_t version = 0;  // 0x0304 is TLS 1.3; 0: not known
  std::uint16_t cipher = 0;   // cipher suite, IANA's number
  bool operator==(const TlsChoice&) const = default;
};

// `hello`: as TlsRecordReader kept it. Zeros for an incomplete hello, and for a message that is no
// ServerHello. Half a hello of TLS 1.3 looks like one of TLS 1.2.
TlsChoice read_server_hello(std::span<const char> hello);

// How the length of a record follows from its plaintext: plain + added, rounded up to blocks (CBC).
struct TlsOverhead {
  std::uint32_t added = 0;
  std::uint32_t block = 1;

  // most_plain(): the largest plaintext that a fragment of `length` bytes can hold. slack(): the
  // bytes by which it may be smaller.
  std::uint32_t most_plain(std::uint32_t length) const;
  std::uint32_t slack() const { return block - 1; }
  bool operator==(const TlsOverhead&) const = default;
};

// Measures the overhead at the one record whose plaintext is known: the client's Finished. It has
// 12 bytes after a header of 4 (RFC 5246, 7.4.9), or as many as the hash (RFC 8446, 4.4.4). So
// there is no table of ciphers that could be out of date. An implementation that pads is measured
// as well (Java's adds 16 bytes to each record). Returns false if nothing fits.
bool overhead_of_finished(const TlsChoice& choice, std::uint32_t length, TlsOverhead& overhead);

}  // namespace classifier
