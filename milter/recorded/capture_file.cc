#include "milter/recorded/capture_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "milter/net/bytes.h"

namespace recorded {
namespace {

using net::Bytes;
using net::get32;
using net::little32;

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kNsPerUs = 1000;

// pcap's magic numbers as the first four bytes of a big-endian file.
constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kNanoseconds = 0xa1b23c4d;
constexpr std::uint32_t kModified = 0xa1b2cd34;  // record headers of 24 bytes
constexpr std::size_t kFileHeader = 24;
constexpr std::size_t kModifiedRecord = 24;
// The bits above are the length of a frame check sequence.
constexpr std::uint32_t kLinkTypeBits = 0x03ffffff;

// pcapng's block types.
constexpr std::uint32_t kSection = 0x0a0d0d0a;
constexpr std::uint32_t kInterface = 1;
constexpr std::uint32_t kOldPacket = 2;
constexpr std::uint32_t kSimplePacket = 3;
constexpr std::uint32_t kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrder = 0x1a2b3c4d;
constexpr std::size_t kBlockEnds = 12;  // type, length, and the length repeated at the end

constexpr std::uint16_t kEndOfOptions = 0;
constexpr std::uint16_t kResolution = 9;  // if_tsresol
constexpr std::uint16_t kOffset = 14;     // if_tsoffset

}  // namespace

CaptureFile::CaptureFile(ReadBytes read)
    : read_(std::move(read)), buffer_(std::make_unique_for_overwrite<Buffer>()) {
  constexpr std::size_t kMagic = 4;
  if (!ensure(kMagic)) throw std::runtime_error("the file ends within its first four bytes");
  if (get32(there(), 0) == kSection) {
    format_ = Format::PcapNg;
    std::uint32_t length = 0;
    if (!begin_section(length)) throw std::runtime_error(error_);
    return;
  }
  begin_pcap();
}

// --- bytes ------------------------------------------------------------------------------------

// Returns whether `size` unused bytes are in the buffer, and reads more if needed. Requires: `size`
// is at most kMaxBlock.
bool CaptureFile::ensure(std::size_t size) {
  if (end_ - begin_ >= size) return true;
  const std::size_t left = end_ - begin_;
  std::memmove(buffer_->bytes + kMaxBlock - left, buffer_->bytes + begin_, left);
  begin_ = kMaxBlock - left;
  end_ = kMaxBlock;
  while (end_ - begin_ < size) {
    const std::size_t got = read_({reinterpret_cast<char*>(buffer_->bytes + end_), kChunk});
    if (got == 0) return false;
    end_ += got;
  }
  return true;
}

void CaptureFile::use(std::size_t size) {
  begin_ += size;
  offset_ += size;
}

bool CaptureFile::skip(std::uint64_t size) {
  while (size > 0) {
    if (begin_ == end_ && !ensure(1)) return false;
    const auto some = static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - begin_));
    use(some);
    size -= some;
  }
  return true;
}

std::uint32_t CaptureFile::word(Bytes bytes, std::size_t at) const {
  return big_endian_ ? get32(bytes, at) : little32(bytes, at);
}

std::uint16_t CaptureFile::half(Bytes bytes, std::size_t at) const {
  return static_cast<std::uint16_t>(big_endian_ ? bytes[at] << 8 | bytes[at + 1]
                                                : bytes[at + 1] << 8 | bytes[at]);
}

CaptureFile::Got CaptureFile::damaged(std::string why) {
  error_ = std::move(why);
  return Got::Damaged;
}

// The file has fewer bytes than the next record or block needs.
CaptureFile::Got CaptureFile::ended() {
  if (begin_ == end_) return Got::End;
  return damaged("truncated: the file ends within a packet or block, or is still being written");
}

// --- pcap -------------------------------------------------------------------------------------

void CaptureFile::begin_pcap() {
  const std::uint32_t big = get32(there(), 0);
  const std::uint32_t little = little32(there(), 0);
  constexpr std::array kMagics = {kMicroseconds, kNanoseconds, kModified};
  const auto known = [&](std::uint32_t magic) {
    return std::find(kMagics.begin(), kMagics.end(), magic) != kMagics.end();
  };
  if (!known(big) && !known(little)) throw std::runtime_error("neither pcap nor pcapng");
  big_endian_ = known(big);
  const std::uint32_t magic = big_endian_ ? big : little;
  if (!ensure(kFileHeader)) throw std::runtime_error("truncated: the file ends within its header");
  const Bytes header = there();
  if (half(header, 4) != 2) {
    throw std::runtime_error(fmt::format("version {} of pcap is not known", half(header, 4)));
  }
  minor_ = half(header, 6);
  nanoseconds_ = magic == kNanoseconds;
  if (magic == kModified) record_header_ = kModifiedRecord;
  interfaces_.push_back({.link_type = word(header, 20) & kLinkTypeBits});
  use(kFileHeader);
}

CaptureFile::Got CaptureFile::next_record(Frame& frame) {
  if (!ensure(record_header_)) return ended();
  const Bytes header = there();
  const std::uint32_t seconds = word(header, 0);
  const std::uint32_t fraction = word(header, 4);
  std::uint32_t captured = word(header, 8);
  std::uint32_t wire = word(header, 12);
  if (minor_ < 3 || (minor_ == 3 && captured > wire)) std::swap(captured, wire);
  if (captured > kMaxFrame) {
    return damaged(fmt::format(
        "a packet of {} bytes: too long for a packet, so the file is damaged here", captured));
  }
  if (!ensure(record_header_ + captured)) return ended();
  frame.link_type = interfaces_.front().link_type;
  frame.time_ns = seconds * kNsPerSecond + std::uint64_t{fraction} * (nanoseconds_ ? 1 : kNsPerUs);
  // A record may claim to have more bytes than the wire had. The captured bytes are used.
  frame.wire_size = std::max(captured, wire);
  frame.bytes = there().subspan(record_header_, captured);
  use(record_header_ + captured);
  return Got::Frame;
}

// --- pcapng -----------------------------------------------------------------------------------

// Reads a section header block; the file is at its beginning. Returns false with the reason in
// error_.
bool CaptureFile::begin_section(std::uint32_t& length) {
  constexpr std::size_t kFixed = 28;  // includes the length at its end
  if (!ensure(kFixed)) {
    error_ = "truncated: the file ends within the header of a section";
    return false;
  }
  const Bytes header = there();
  big_endian_ = get32(header, 8) == kByteOrder;
  if (!big_endian_ && little32(header, 8) != kByteOrder) {
    error_ = "a section of pcapng without a byte order";
    return false;
  }
  length = word(header, 4);
  if (half(header, 12) != 1) {
    error_ = fmt::format("version {} of pcapng is not known", half(header, 12));
    return false;
  }
  interfaces_.clear();
  return true;
}

CaptureFile::Got CaptureFile::next_block(Frame& frame) {
  constexpr std::size_t kHead = 8;
  for (;;) {
    if (!ensure(kBlockEnds)) return ended();
    std::uint32_t type = word(there(), 0);
    std::uint32_t length = word(there(), 4);
    if (get32(there(), 0) == kSection) {
      if (!begin_section(length)) return Got::Damaged;
      type = kSection;
    }
    if (length < kBlockEnds || length % 4 != 0) {
      return damaged(fmt::format("a block of {} bytes: the file is damaged here", length));
    }
    const bool used = type == kInterface || type == kOldPacket || type == kSimplePacket ||
                      type == kEnhancedPacket;
    if (!used) {
      if (!skip(length - 4) || !ensure(4)) {
        return damaged("truncated: the file ends within a block, or is still being written");
      }
      if (word(there(), 0) != length) return damaged("a block whose two lengths differ");
      use(4);
      continue;
    }
    if (length > kMaxBlock) return damaged(fmt::format("a block of {} bytes: too long", length));
    if (!ensure(length)) return ended();
    if (word(there(), length - 4) != length) return damaged("a block whose two lengths differ");
    const Bytes body = there().subspan(kHead, length - kBlockEnds);
    Got got = Got::Frame;
    if (type != kInterface) {
      got = packet(type, body, frame);
    } else if (!add_interface(body)) {
      got = Got::Damaged;
    }
    if (got == Got::Damaged) return got;
    use(length);
    if (type != kInterface) return got;
  }
}

bool CaptureFile::add_interface(Bytes body) {
  constexpr std::size_t kFixed = 8;
  if (body.size() < kFixed) {
    error_ = "an interface of pcapng that is too short";
    return false;
  }
  if (interfaces_.size() >= kMaxInterfaces) {
    error_ = fmt::format("more than {} interfaces in a section", kMaxInterfaces);
    return false;
  }
  Interface interface { .link_type = half(body, 0), .snap_length = word(body, 4) };
  for (std::size_t at = kFixed; at + 4 <= body.size();) {
    const std::uint16_t code = half(body, at);
    const std::size_t size = half(body, at + 2);
    at += 4;
    if (code == kEndOfOptions || at + size > body.size()) break;
    if (code == kResolution && size == 1) interface.resolution = body[at];
    if (code == kOffset && size == 8) {
      const std::uint64_t first = word(body, at);
      const std::uint64_t second = word(body, at + 4);
      interface.offset_s =
          static_cast<std::int64_t>(big_endian_ ? first << 32 | second : second << 32 | first);
    }
    at += (size + 3) / 4 * 4;
  }
  interfaces_.push_back(interface);
  return true;
}

// The unit of a time is a negative power of ten of a second or, with the highest bit set, of two.
std::uint64_t CaptureFile::nanoseconds(const Interface& interface, std::uint64_t ticks) {
  constexpr unsigned kPowerOfTwo = 0x80;
  constexpr unsigned kNano = 9;
  unsigned power = interface.resolution & (kPowerOfTwo - 1);
  std::uint64_t ns = 0;
  if (interface.resolution & kPowerOfTwo) {
    if (power > 63) return 0;
    const std::uint64_t seconds = ticks >> power;
    std::uint64_t fraction = ticks & ((std::uint64_t{1} << power) - 1);
    constexpr unsigned kFits = 30;  // fraction * 10^9 then fits into 64 bits
    if (power > kFits) {
      fraction >>= power - kFits;
      power = kFits;
    }
    ns = seconds * kNsPerSecond + (fraction * kNsPerSecond >> power);
  } else {
    ns = ticks;
    for (; power < kNano; ++power) ns *= 10;
    for (; power > kNano && ns != 0; --power) ns /= 10;
  }
  return ns + static_cast<std::uint64_t>(interface.offset_s) * kNsPerSecond;
}

CaptureFile::Got CaptureFile::packet(std::uint32_t type, Bytes body, Frame& frame) {
  const std::size_t fixed = type == kSimplePacket ? 4 : 20;
  if (body.size() < fixed) return damaged("a packet block that is too short");
  std::size_t number = 0;
  if (type == kEnhancedPacket) number = word(body, 0);
  if (type == kOldPacket) number = half(body, 0);
  if (number >= interfaces_.size()) {
    return damaged(
        fmt::format("a packet of interface {}, which the file does not describe", number));
  }
  const Interface& interface = interfaces_[number];
  std::size_t captured = 0;
  std::size_t wire = 0;
  frame.time_ns = 0;
  if (type == kSimplePacket) {
    wire = word(body, 0);
    captured = std::min(wire, body.size() - fixed);
    if (interface.snap_length != 0)
      captured = std::min<std::size_t>(captured, interface.snap_length);
  } else {
    captured = word(body, 12);
    wire = word(body, 16);
    frame.time_ns = nanoseconds(interface, std::uint64_t{word(body, 4)} << 32 | word(body, 8));
  }
  if (captured > body.size() - fixed || captured > kMaxFrame) {
    return damaged(fmt::format("a packet of {} bytes in a block of {}", captured, body.size()));
  }
  frame.link_type = interface.link_type;
  frame.wire_size = std::max(captured, wire);
  frame.bytes = body.subspan(fixed, captured);
  return Got::Frame;
}

CaptureFile::Got CaptureFile::next(Frame& frame) {
  return format_ == Format::Pcap ? next_record(frame) : next_block(frame);
}

}  // namespace recorded
