// Reads a compressed file (gzip, zstd, xz) as a stream, with the libraries of these formats. Memory
// is bounded for every input: the window of xz and zstd may have at most 64 MB. One thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "milter/recorded/capture_file.h"

namespace offline {

using recorded::ReadBytes;

enum class Packing : std::uint8_t { None, Gzip, Zstd, Xz };

// Recognizes the format by the file's first bytes.
Packing packing_of(std::string_view head);

// Returns a function that reads the unpacked bytes; it calls `packed` for the compressed bytes. It
// throws std::runtime_error if the file is damaged or truncated. Packing::None returns `packed`.
ReadBytes unpack(Packing packing, ReadBytes packed);

}  // namespace offline
