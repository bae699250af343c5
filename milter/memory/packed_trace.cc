#include "milter/memory/packed_trace.h"

#include <zstd.h>

#include <new>
#include <stdexcept>

#include "milter/memory/sighting_bytes.h"
#include "milter/memory/traces_1.h"

namespace memory {
namespace {

constexpr int kLevel = 3;

struct Free {
  void operator()(ZSTD_CCtx* context) const { (void)ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { (void)ZSTD_freeDCtx(context); }
  void operator()(ZSTD_CDict* dictionary) const { (void)ZSTD_freeCDict(dictionary); }
  void operator()(ZSTD_DDict* dictionary) const { (void)ZSTD_freeDDict(dictionary); }
};

}  // namespace

struct TracePacker::Parts {
  std::unique_ptr<ZSTD_CCtx, Free> compressor{ZSTD_createCCtx()};
  std::unique_ptr<ZSTD_DCtx, Free> decompressor{ZSTD_createDCtx()};
  std::unique_ptr<ZSTD_CDict, Free> compressing{
      ZSTD_createCDict(kTraces1, sizeof kTraces1, kLevel)};
  std::unique_ptr<ZSTD_DDict, Free> decompressing{ZSTD_createDDict(kTraces1, sizeof kTraces1)};
};

TracePacker::TracePacker()
    : parts_(std::make_unique<Parts>()), packed_(ZSTD_compressBound(kMostTraceText), '\0') {
  const auto& parts = *parts_;
  if (!parts.compressor || !parts.decompressor || !parts.compressing || !parts.decompressing) {
    throw std::bad_alloc();
  }
}

TracePacker::~TracePacker() = default;

std::string_view TracePacker::pack(std::string_view text) {
  const auto size =
      ZSTD_compress_usingCDict(parts_->compressor.get(), packed_.data(), packed_.size(),
                               text.data(), text.size(), parts_->compressing.get());
  if (ZSTD_isError(size) != 0) {
    throw std::runtime_error(std::string("compress a trace: ") + ZSTD_getErrorName(size));
  }
  return std::string_view(packed_).substr(0, size);
}

std::optional<std::string> TracePacker::unpack(std::string_view packed, std::uint32_t dictionary) {
  if (dictionary != kDictionary) return std::nullopt;
  std::string text(kMostTraceText, '\0');
  const auto size =
      ZSTD_decompress_usingDDict(parts_->decompressor.get(), text.data(), text.size(),
                                 packed.data(), packed.size(), parts_->decompressing.get());
  if (ZSTD_isError(size) != 0) return std::nullopt;
  text.resize(size);
  return text;
}

}  // namespace memory
