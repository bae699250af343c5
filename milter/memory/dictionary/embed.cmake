# Makes a header of a dictionary: cmake -DOUT=FILE -DIN=FILE.dict -P embed.cmake
# The program carries its dictionaries, so that no file can be missing where a row is read.
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${OUT} "// Made by embed.cmake.\n#pragma once\n#include <cstdint>\nnamespace memory {
inline constexpr std::uint8_t kTraces1[] = {${bytes}};\n}  // namespace memory\n")
