// Reads a compressed file as a stream: gzip, zstd and xz, by their own libraries. Memory is
// bounded, whatever the file says: 64 MB for what xz and zstd look back to. One thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "milter/recorded/capture_file.h"

namespace offline {

using recorded::ReadBytes;

enum class Packing : std::uint8_t { None, Gzip, Zstd, Xz };

// What a file's first bytes say.
Packing packing_of(std::string_view head);

// What reads the unpacked bytes of what `packed` reads. It throws std::runtime_error where the file
// is damaged, or ends too early. Requires: not Packing::None.
ReadBytes unpack(Packing packing, ReadBytes packed);

}  // namespace offline
