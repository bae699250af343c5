// Reads the file formats of captures.
//
// - pcap: both byte orders, microseconds or nanoseconds, and the longer record headers of old
//   kernels.
// - pcapng (draft-ietf-opsawg-pcapng): its sections and interfaces may differ in every respect.
//
// libpcap is not used, because it refuses a file whose interfaces differ in link type or snap
// length, and real files have dozens of such interfaces.
//
// A frame is not copied: it stays in the buffer of 1.75 MB into which the file is read. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace recorded {

// Reads the next bytes of a file into the buffer, at least one; returns 0 at the end of the file.
// It does not wait until the buffer is full, so a capture in progress can be followed. May throw.
using ReadBytes = std::function<std::size_t(std::span<char>)>;

// One captured frame. It had `wire_size` bytes on the wire; `bytes` are those that were captured.
struct Frame {
  std::uint32_t link_type = 0;  // LINKTYPE_… of tcpdump.org/linktypes.html
  std::uint64_t time_ns = 0;
  std::size_t wire_size = 0;
  std::span<const std::uint8_t> bytes;
};

class CaptureFile {
 public:
  enum class Got : std::uint8_t { Frame, End, Damaged };

  // Reads the file's header. Throws std::runtime_error if it is neither pcap nor pcapng.
  explicit CaptureFile(ReadBytes read);

  // Reads the next frame, which is valid until the next call. Damaged: the file cannot be read any
  // further, and error() gives the reason.
  Got next(Frame& frame);

  const std::string& error() const { return error_; }
  // Place in the file after the bytes that were read.
  std::uint64_t offset() const { return offset_; }

  // The longest frame. tcpdump and Wireshark capture no longer ones, so a longer one means a
  // damaged file.
  static constexpr std::size_t kMaxFrame = 262144;
  // The most interfaces in one section of pcapng. Chosen, not measured: real files have dozens, and
  // 65536 take 1.5 MB. More are an error.
  static constexpr std::size_t kMaxInterfaces = 65536;

 private:
  // An interface of pcapng. A pcap file has one.
  struct Interface {
    std::uint32_t link_type = 0;
    std::uint32_t snap_length = 0;  // 0: no limit
    std::uint8_t resolution = 6;    // if_tsresol
    std::int64_t offset_s = 0;      // if_tsoffset
  };
  enum class Format : std::uint8_t { Pcap, PcapNg };

  bool ensure(std::size_t size);
  bool skip(std::uint64_t size);
  void use(std::size_t size);
  std::span<const std::uint8_t> there() const { return {buffer_->bytes + begin_, end_ - begin_}; }
  std::uint32_t word(std::span<const std::uint8_t> bytes, std::size_t at) const;
  std::uint16_t half(std::span<const std::uint8_t> bytes, std::size_t at) const;
  Got damaged(std::string why);
  Got ended();

  void begin_pcap();
  Got next_record(Frame& frame);
  Got next_block(Frame& frame);
  bool begin_section(std::uint32_t& length);
  bool add_interface(std::span<const std::uint8_t> body);
  Got packet(std::uint32_t type, std::span<const std::uint8_t> body, Frame& frame);
  static std::uint64_t nanoseconds(const Interface& interface, std::uint64_t ticks);

  ReadBytes read_;
  // The longest block of pcapng: a frame and its options. Chosen: three times kMaxFrame.
  static constexpr std::size_t kMaxBlock = 768 * 1024;
  // The size of one read. Chosen: so large that the number of system calls does not matter.
  static constexpr std::size_t kChunk = 256 * 1024;
  // Bytes that remain from one read are moved to just before the place of the next read. So each
  // read goes to the same aligned place, which makes the kernel's copy fast and keeps it in the
  // cache.
  struct alignas(4096) Buffer {
    std::uint8_t bytes[2 * kMaxBlock + kChunk];
  };

  std::unique_ptr<Buffer> buffer_;
  std::size_t begin_ = kMaxBlock;  // [begin_, end_): the bytes in the buffer that are not used yet
  std::size_t end_ = kMaxBlock;
  std::uint64_t offset_ = 0;
  Format format_ = Format::Pcap;
  bool big_endian_ = false;  // byte order of the file, or of the section of pcapng
  std::size_t record_header_ = 16;
  bool nanoseconds_ = false;
  std::uint16_t minor_ = 4;  // versions of pcap up to 2.3 wrote the two lengths in the other order
  std::vector<Interface> interfaces_;
  std::string error_;
};

}  // namespace recorded
