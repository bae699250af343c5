#include "milter/offline/unpack.h"

#include <fmt/format.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

namespace offline {
namespace {

constexpr std::size_t kPacked = 64 * 1024;
constexpr std::uint64_t kMaxMemory = 64 * 1024 * 1024;

[[noreturn]] void fail(std::string_view format, std::string_view why) {
  throw std::runtime_error(fmt::format("{}: {}", format, why));
}

// The part that is the same for all libraries: it feeds compressed bytes until there is output.
// step() returns the number of bytes that it wrote to `out`, and removes from `in` the bytes that
// it used.
class Unpacker {
 public:
  Unpacker(std::string_view format, ReadBytes packed)
      : format_(format), packed_(std::move(packed)) {}
  virtual ~Unpacker() = default;

  std::size_t read(std::span<char> out) {
    for (;;) {
      if (in_.empty() && !ended_) {
        const std::size_t got = packed_(buffer_);
        in_ = std::span<const char>(buffer_).first(got);
        ended_ = got == 0;
      }
      if (in_.empty() && ended_ && between()) return 0;
      const std::size_t before = in_.size();
      const std::size_t some = step(in_, out);
      if (some != 0) return some;
      if (ended_ && before == in_.size() && !between()) fail(format_, "truncated");
    }
  }

 protected:
  virtual std::size_t step(std::span<const char>& in, std::span<char> out) = 0;
  virtual bool between() const = 0;  // a stream has ended, and the next one has not begun
  bool ended() const { return ended_; }
  std::string_view format() const { return format_; }

 private:
  const std::string_view format_;
  const ReadBytes packed_;
  std::array<char, kPacked> buffer_{};
  std::span<const char> in_;
  bool ended_ = false;
};

// gzip (RFC 1952). A file may consist of several gzip files, one after the other.
class Gunzip final : public Unpacker {
 public:
  explicit Gunzip(ReadBytes packed) : Unpacker("gzip", std::move(packed)) {
    constexpr int kGzip = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzip) != Z_OK) throw std::bad_alloc();
  }
  ~Gunzip() override { inflateEnd(&stream_); }
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;

 private:
  std::size_t step(std::span<const char>& in, std::span<char> out) override {
    if (in.empty() && between_) return 0;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    between_ = false;
    const int got = inflate(&stream_, Z_NO_FLUSH);
    in = in.last(stream_.avail_in);
    if (got == Z_STREAM_END) {
      between_ = true;
      inflateReset(&stream_);
    } else if (got != Z_OK && got != Z_BUF_ERROR) {
      fail(format(), stream_.msg == nullptr ? "damaged" : stream_.msg);
    }
    return out.size() - stream_.avail_out;
  }
  bool between() const override { return between_; }

  z_stream stream_{};
  bool between_ = false;
};

class Unzstd final : public Unpacker {
 public:
  explicit Unzstd(ReadBytes packed) : Unpacker("zstd", std::move(packed)) {
    constexpr int kLongestWindow = 26;  // 64 MB, as a power of two
    if (!stream_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kLongestWindow);
  }

 private:
  std::size_t step(std::span<const char>& in, std::span<char> out) override {
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const std::size_t got = ZSTD_decompressStream(stream_.get(), &to, &from);
    if (ZSTD_isError(got)) fail(format(), ZSTD_getErrorName(got));
    between_ = got == 0;
    in = in.subspan(from.pos);
    return to.pos;
  }
  bool between() const override { return between_; }

  struct Free {
    void operator()(ZSTD_DCtx* stream) const { ZSTD_freeDCtx(stream); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> stream_{ZSTD_createDCtx()};
  bool between_ = false;
};

class Unxz final : public Unpacker {
 public:
  explicit Unxz(ReadBytes packed) : Unpacker("xz", std::move(packed)) {
    if (lzma_stream_decoder(&stream_, kMaxMemory + kOverhead, LZMA_CONCATENATED) != LZMA_OK) {
      throw std::bad_alloc();
    }
  }
  ~Unxz() override { lzma_end(&stream_); }
  Unxz(const Unxz&) = delete;
  Unxz& operator=(const Unxz&) = delete;

 private:
  // What the decoder needs in addition to the dictionary, so that xz -9 (64 MB) is accepted.
  static constexpr std::uint64_t kOverhead = 2 * 1024 * 1024;

  std::size_t step(std::span<const char>& in, std::span<char> out) override {
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream_.avail_out = out.size();
    // The file may consist of several streams, so only the end of the input is the end.
    const lzma_ret got = lzma_code(&stream_, ended() ? LZMA_FINISH : LZMA_RUN);
    in = in.last(stream_.avail_in);
    between_ = got == LZMA_STREAM_END;
    if (got == LZMA_MEMLIMIT_ERROR) fail(format(), "needs more than 64 MB to be unpacked");
    if (got == LZMA_BUF_ERROR && ended()) fail(format(), "truncated");
    if (got != LZMA_OK && got != LZMA_STREAM_END && got != LZMA_BUF_ERROR) {
      fail(format(), "damaged");
    }
    return out.size() - stream_.avail_out;
  }
  bool between() const override { return between_; }

  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool between_ = false;
};

}  // namespace

Packing packing_of(std::string_view head) {
  using namespace std::string_view_literals;
  if (head.starts_with("\x1f\x8b"sv)) return Packing::Gzip;
  if (head.starts_with("\x28\xb5\x2f\xfd"sv)) return Packing::Zstd;
  if (head.starts_with("\xfd"
                       "7zXZ\0"sv)) {
    return Packing::Xz;
  }
  return Packing::None;
}

ReadBytes unpack(Packing packing, ReadBytes packed) {
  std::shared_ptr<Unpacker> unpacker;
  switch (packing) {
    case Packing::None:
      return packed;
    case Packing::Gzip:
      unpacker = std::make_shared<Gunzip>(std::move(packed));
      break;
    case Packing::Zstd:
      unpacker = std::make_shared<Unzstd>(std::move(packed));
      break;
    case Packing::Xz:
      unpacker = std::make_shared<Unxz>(std::move(packed));
      break;
  }
  return [unpacker](std::span<char> out) { return unpacker->read(out); };
}

}  // namespace offline
