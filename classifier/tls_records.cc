#include "classifier/tls_records.h"

#include <algorithm>

namespace classifier {
namespace {

constexpr std::uint16_t kTls12 = 0x0303;
constexpr std::uint16_t kTls13 = 0x0304;

bool is_type(unsigned char type) {
  return type >= static_cast<unsigned char>(TlsType::ChangeCipherSpec) &&
         type <= static_cast<unsigned char>(TlsType::Heartbeat);
}

// Big-endian numbers off the front of a text that may end anywhere; once it was too short, all is
// 0.
class Cursor {
 public:
  explicit Cursor(std::span<const char> bytes) : bytes_(bytes) {}

  std::uint32_t number(std::size_t size) {
    if (!take(size)) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = at_ - size; i < at_; ++i) {
      value = value << 8 | static_cast<unsigned char>(bytes_[i]);
    }
    return value;
  }
  void skip(std::size_t size) { take(size); }
  bool good() const { return good_; }

 private:
  bool take(std::size_t size) {
    good_ = good_ && size <= bytes_.size() - at_;
    if (good_) at_ += size;
    return good_;
  }

  std::span<const char> bytes_;
  std::size_t at_ = 0;
  bool good_ = true;
};

}  // namespace

TlsRecordReader::Got TlsRecordReader::read(std::span<const char>& bytes, TlsRecord& record) {
  if (malformed_) return Got::Malformed;
  while (header_size_ < header_.size()) {
    if (bytes.empty()) return Got::More;
    header_[header_size_++] = static_cast<unsigned char>(bytes.front());
    bytes = bytes.subspan(1);
    if (header_size_ < header_.size()) continue;
    record_.type = static_cast<TlsType>(header_[0]);
    record_.version = static_cast<std::uint16_t>(header_[1] << 8 | header_[2]);
    record_.length = static_cast<std::uint32_t>(header_[3] << 8 | header_[4]);
    record_.begin = at_;
    left_ = record_.length;
    // Only application data may be empty. RFC 8446, 5.1
    const bool empty = record_.length == 0 && record_.type != TlsType::ApplicationData;
    malformed_ =
        !is_type(header_[0]) || header_[1] != 3 || empty || record_.length > TlsRecord::kMostLength;
    if (malformed_) return Got::Malformed;
    first_flight_ = first_flight_ && record_.type == TlsType::Handshake;
  }
  const auto fragment = bytes.first(std::min<std::size_t>(left_, bytes.size()));
  if (first_flight_) keep_hello(fragment);
  left_ -= static_cast<std::uint32_t>(fragment.size());
  bytes = bytes.subspan(fragment.size());
  if (left_ != 0) return Got::More;
  at_ = record_.end();
  header_size_ = 0;
  record = record_;
  return Got::Record;
}

void TlsRecordReader::keep_hello(std::span<const char> fragment) {
  constexpr std::size_t kMessageHeader = 4;  // type and a length of 24 bits. RFC 8446, 4
  std::size_t wanted = kMostHello;
  if (hello_.size() >= kMessageHeader) {
    Cursor head(std::span<const char>(hello_.data(), kMessageHeader));
    head.skip(1);
    wanted = std::min(kMostHello, kMessageHeader + head.number(3));
  }
  if (hello_.size() >= wanted) return;
  hello_.append(fragment.data(), std::min(fragment.size(), wanted - hello_.size()));
}

TlsChoice read_server_hello(std::span<const char> hello) {
  constexpr std::uint32_t kServerHello = 2;
  constexpr std::uint32_t kSupportedVersions = 43;
  constexpr std::size_t kRandom = 32;
  Cursor in(hello);
  if (in.number(1) != kServerHello) return {};
  in.skip(3);
  TlsChoice choice;
  choice.version = static_cast<std::uint16_t>(in.number(2));
  in.skip(kRandom);
  in.skip(in.number(1));  // session id
  choice.cipher = static_cast<std::uint16_t>(in.number(2));
  in.skip(1);  // compression
  if (!in.good()) return {};
  constexpr std::uint32_t kExtensionHeader = 4;
  std::uint32_t left = in.number(2);
  while (in.good() && left >= kExtensionHeader) {
    const std::uint32_t type = in.number(2);
    const std::uint32_t size = in.number(2);
    if (type == kSupportedVersions && size == 2) {
      const std::uint32_t version = in.number(2);
      if (in.good()) choice.version = static_cast<std::uint16_t>(version);
      break;
    }
    in.skip(size);
    left -= std::min(left, kExtensionHeader + size);
  }
  return choice;
}

std::uint32_t TlsOverhead::most_plain(std::uint32_t length) const {
  if (block == 1) return length > added ? length - added : 0;
  // CBC always adds at least one byte of padding.
  return length > added ? length - added - 1 : 0;
}

bool overhead_of_finished(const TlsChoice& choice, std::uint32_t length, TlsOverhead& overhead) {
  constexpr std::uint32_t kHeader = 4;
  if (choice.version == kTls13) {
    constexpr std::uint16_t kAes256Sha384 = 0x1302;
    constexpr std::uint32_t kLeast = 17;        // RFC 8446, 5.2: the type and a tag of 16
    constexpr std::uint32_t kMostPadded = 256;  // more is no Finished
    const std::uint32_t plain = kHeader + (choice.cipher == kAes256Sha384 ? 48 : 32);
    // AES_128_CCM_8's tag has 8.
    if (length < plain + kLeast - 8 || length > plain + kLeast + kMostPadded) return false;
    overhead = {length - plain, 1};
    return true;
  }
  // In front of the rest: an explicit nonce or IV, behind it a MAC or tag; CBC pads to blocks.
  struct Row {
    std::uint32_t length;
    TlsOverhead overhead;
  };
  constexpr Row kExplicit[] = {
      {32, {16, 1}},   // ChaCha20-Poly1305, CCM_8
      {40, {24, 1}},   // GCM, CCM
      {36, {20, 1}},   // RC4 and SHA-1
      {48, {28, 8}},   // 3DES
      {64, {36, 16}},  // AES-CBC and SHA-1
      {68, {36, 16}},  // the same, encrypt-then-MAC: RFC 7366
      {80, {48, 16}},  // SHA-256
      {96, {64, 16}},  // SHA-384
  };
  constexpr Row kImplicit[] = {{36, {20, 1}}, {40, {20, 8}}, {48, {20, 16}}};  // TLS 1.0
  const auto find = [&](std::span<const Row> rows) {
    for (const Row& row : rows) {
      if (row.length != length) continue;
      overhead = row.overhead;
      return true;
    }
    return false;
  };
  if (choice.version >= 0x0302 && choice.version <= kTls12) return find(kExplicit);
  return choice.version == 0x0301 && find(kImplicit);
}

}  // namespace classifier
