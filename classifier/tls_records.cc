#include "classifier/tls_records.h"

#include <algorithm>
#include <utility>

#include "classifier/stream.h"
#include "classifier/tls_cursor.h"

namespace classifier {
namespace {

constexpr std::uint16_t kTls12 = 0x0303;
constexpr std::uint16_t kTls13 = 0x0304;

constexpr unsigned char kApplicationData = static_cast<unsigned char>(TlsType::ApplicationData);

bool is_type(unsigned char type) {
  return type >= static_cast<unsigned char>(TlsType::ChangeCipherSpec) &&
         type <= static_cast<unsigned char>(TlsType::Heartbeat);
}

}  // namespace

TlsRecordReader::Got TlsRecordReader::read(std::span<const char>& bytes, TlsRecord& record) {
  if (malformed_) return Got::Malformed;
  if (searching_) return find_header(bytes, record);
  while (header_size_ < header_.size()) {
    if (bytes.empty()) return Got::More;
    header_[header_size_++] = static_cast<unsigned char>(bytes.front());
    bytes = bytes.subspan(1);
    if (header_size_ < header_.size()) continue;
    if (!good_header()) {
      malformed_ = !found_;
      if (malformed_) return Got::Malformed;
      // The place that was found was no header. A new stretch begins.
      searching_ = true;
      scanned_ = header_size_;
      return find_header(bytes, record);
    }
    begin_record();
    found_ = false;
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

bool TlsRecordReader::good_header() const {
  const std::uint32_t length = static_cast<std::uint32_t>(header_[3] << 8 | header_[4]);
  // Only application data may be empty. RFC 8446, 5.1
  const bool empty = length == 0 && header_[0] != kApplicationData;
  return is_type(header_[0]) && header_[1] == 3 && !empty && length <= TlsRecord::kMostLength;
}

// In a search byte by byte, only a header of application data counts, of TLS 1.2 or later. Directly
// after bytes that were not seen, a header of any type counts, because most packets begin with one.
bool TlsRecordReader::likely_header() const {
  const bool next = scanned_ == header_.size() + skipped_;
  const bool version = header_[2] == 3 || (next && header_[2] != 0 && header_[2] < 3);
  return good_header() && version && (next || header_[0] == kApplicationData);
}

void TlsRecordReader::begin_record() {
  record_ = {.type = static_cast<TlsType>(header_[0]),
             .version = static_cast<std::uint16_t>(header_[1] << 8 | header_[2]),
             .length = static_cast<std::uint32_t>(header_[3] << 8 | header_[4]),
             .begin = at_};
  left_ = record_.length;
  first_flight_ = first_flight_ && record_.type == TlsType::Handshake;
}

TlsRecordReader::Got TlsRecordReader::find_header(std::span<const char>& bytes, TlsRecord& record) {
  while (!bytes.empty()) {
    if (header_size_ == header_.size()) {
      std::copy(header_.begin() + 1, header_.end(), header_.begin());
      --header_size_;
    }
    header_[header_size_++] = static_cast<unsigned char>(bytes.front());
    bytes = bytes.subspan(1);
    ++scanned_;
    if (header_size_ < header_.size() || !likely_header()) continue;
    scanned_ -= header_.size();
    header_size_ = 0;
    const bool some = end_unseen(record);
    searching_ = false;
    header_size_ = header_.size();
    begin_record();
    found_ = true;
    if (some) return Got::Record;
    return read(bytes, record);
  }
  return Got::More;
}

TlsRecordReader::Got TlsRecordReader::skip(std::uint64_t& size, TlsRecord& record) {
  if (malformed_) return Got::Malformed;
  if (!searching_ && header_size_ == header_.size()) {
    const auto some = static_cast<std::uint32_t>(std::min<std::uint64_t>(left_, size));
    if (first_flight_ && some != 0) forget_hello();
    left_ -= some;
    size -= some;
    if (left_ != 0) return Got::More;
    at_ = record_.end();
    header_size_ = 0;
    record = record_;
    return Got::Record;
  }
  if (size == 0) return Got::More;
  forget_hello();
  if (!std::exchange(searching_, true)) scanned_ = header_size_;
  scanned_ += std::exchange(size, 0);
  skipped_ = scanned_;
  header_size_ = 0;
  return Got::More;
}

bool TlsRecordReader::end(TlsRecord& record) {
  if (searching_) return end_unseen(record);
  if (malformed_ || header_size_ < header_.size()) return false;
  record = record_;
  return true;
}

bool TlsRecordReader::end_unseen(TlsRecord& record) {
  if (!searching_ || scanned_ == 0) return false;
  const std::uint64_t size = std::exchange(scanned_, 0);
  skipped_ = 0;
  header_size_ = 0;
  const bool some = size > TlsRecord::kHeader;
  if (some) record = {.length = to_u32(size - TlsRecord::kHeader), .begin = at_, .unseen = true};
  at_ += size;
  return some;
}

// If the hello is not complete, it will lack bytes. So it is dropped.
void TlsRecordReader::forget_hello() {
  if (std::exchange(first_flight_, false) && hello_.size() < hello_size()) hello_.clear();
}

// The bytes to keep of the hello. Its header says how long it is.
std::size_t TlsRecordReader::hello_size() const {
  constexpr std::size_t kMessageHeader = 4;  // type and a length of 24 bits. RFC 8446, 4
  if (hello_.size() < kMessageHeader) return kMostHello;
  TlsCursor head(std::span<const char>(hello_.data(), kMessageHeader));
  head.skip(1);
  return std::min(kMostHello, kMessageHeader + head.number(3));
}

void TlsRecordReader::keep_hello(std::span<const char> fragment) {
  const std::size_t wanted = hello_size();
  if (hello_.size() >= wanted) return;
  hello_.append(fragment.data(), std::min(fragment.size(), wanted - hello_.size()));
}

TlsChoice read_server_hello(std::span<const char> hello) {
  constexpr std::uint32_t kServerHello = 2;
  constexpr std::uint32_t kSupportedVersions = 43;
  constexpr std::size_t kRandom = 32;
  TlsCursor in(hello);
  if (in.number(1) != kServerHello) return {};
  in = in.part(in.number(3));  // the whole message, without the next one
  TlsChoice choice;
  choice.version = static_cast<std::uint16_t>(in.number(2));
  in.skip(kRandom);
  in.skip(in.number(1));  // session id
  choice.cipher = static_cast<std::uint16_t>(in.number(2));
  in.skip(1);  // compression
  if (!in.good()) return {};
  TlsCursor extensions = in.part(in.number(2));
  while (extensions.good() && extensions.left() > 0) {
    const std::uint32_t type = extensions.number(2);
    TlsCursor body = extensions.part(extensions.number(2));
    if (type != kSupportedVersions || body.left() != 2) continue;
    choice.version = static_cast<std::uint16_t>(body.number(2));
    break;
  }
  return choice;
}

std::uint32_t TlsOverhead::most_plain(std::uint32_t length) const {
  if (block == 1) return length > added ? length - added : 0;
  // CBC adds at least one byte of padding.
  return length > added ? length - added - 1 : 0;
}

bool overhead_of_finished(const TlsChoice& choice, std::uint32_t length, TlsOverhead& overhead) {
  constexpr std::uint32_t kHeader = 4;
  if (choice.version == kTls13) {
    constexpr std::uint16_t kAes256Sha384 = 0x1302;
    constexpr std::uint32_t kLeast = 17;        // RFC 8446, 5.2: the type and a tag of 16
    constexpr std::uint32_t kMostPadded = 256;  // a longer record is no Finished
    const std::uint32_t plain = kHeader + (choice.cipher == kAes256Sha384 ? 48 : 32);
    // The tag of AES_128_CCM_8 has 8 bytes.
    if (length < plain + kLeast - 8 || length > plain + kLeast + kMostPadded) return false;
    overhead = {length - plain, 1};
    return true;
  }
  // An explicit nonce or IV comes before the plaintext, and a MAC or tag after it. CBC pads to
  // blocks.
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
