// Reads the file formats of captures: pcap (both byte orders, microseconds or nanoseconds, the
// format of old kernels with longer record headers) and pcapng (draft-ietf-opsawg-pcapng), whose
// sections and interfaces may differ in everything. libpcap refuses a file whose interfaces differ
// in link type or snap length, and real files have dozens of them.
//
// A frame is not copied: it lies in a buffer of 1.75 MB into which the file is read. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace recorded {

// Puts the next bytes of a file into the buffer, at least one of them; 0 at the end of the file.
// It does not wait for a full buffer, so that a capture in progress can be followed. May throw.
using ReadBytes = std::function<std::size_t(std::span<char>)>;

// One frame as captured: `wire_size` bytes on the wire, of which `bytes` are there.
struct Frame {
  std::uint32_t link_type = 0;  // LINKTYPE_… of tcpdump.org/linktypes.html
  std::uint64_t time_ns = 0;
  std::size_t wire_size = 0;
  std::span<const std::uint8_t> bytes;
};

class CaptureFile {
 public:
  enum class Got : std::uint8_t { Frame, End, Damaged };

  // Reads the file's header. Throws std::runtime_error when it is neither pcap nor pcapng.
  explicit CaptureFile(ReadBytes read);

  // The next frame; valid up to the next call. Damaged: the file cannot be read from here on,
  // error() says why.
  Got next(Frame& frame);

  const std::string& error() const { return error_; }
  std::uint64_t offset() const { return offset_; }  // in the file, behind what was read

  // The longest frame: tcpdump and Wireshark capture no more of one. A longer one is damage.
  static constexpr std::size_t kMaxFrame = 262144;
  // Interfaces of one section of pcapng.
  static constexpr std::size_t kMaxInterfaces = 65536;

 private:
  // Of pcapng; a pcap file has one.
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
  // What is left over of one read is put in front of the place where the next one goes: that stays
  // the same and is aligned, so that the kernel copies fast and into the cache.
  static constexpr std::size_t kMaxBlock =
      768 * 1024;                                    // of pcapng: a frame, with options behind it
  static constexpr std::size_t kChunk = 256 * 1024;  // one read: system calls do not count
  struct alignas(4096) Buffer {
    std::uint8_t bytes[2 * kMaxBlock + kChunk];
  };

  std::unique_ptr<Buffer> buffer_;
  std::size_t begin_ = kMaxBlock;  // of what is in the buffer and not used
  std::size_t end_ = kMaxBlock;
  std::uint64_t offset_ = 0;
  Format format_ = Format::Pcap;
  bool big_endian_ = false;  // of the file, or of the section of pcapng
  std::size_t record_header_ = 16;
  bool nanoseconds_ = false;
  std::uint16_t minor_ = 4;  // version 2.3 of pcap and before wrote the two lengths otherwise
  std::vector<Interface> interfaces_;
  std::string error_;
};

}  // namespace recorded
