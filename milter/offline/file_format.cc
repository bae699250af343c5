#include "milter/offline/file_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace offline {
namespace {

using namespace std::string_view_literals;

struct Format {
  std::string_view magic;
  std::string_view name;
};

// Captures that Wireshark's editcap can convert.
constexpr Format kCaptures[] = {
    {"snoop\0\0\0"sv, "snoop"},
    {"RTSS"sv, "Microsoft Network Monitor 1"},
    {"GMBU"sv, "Microsoft Network Monitor 2"},
    {"ObserverPktBuffe"sv, "Network Instruments Observer"},
    {"TRSNIFF data"sv, "Sniffer"},
    {"XCP\0"sv, "Sniffer for Windows or NetXray"},
    {"iptrace "sv, "AIX iptrace"},
    {"\x54\x52\x00\x64\x00"sv, "HP-UX nettl"},
    {"btsnoop\0"sv, "btsnoop"},
    {"\x7fver"sv, "Savvius (WildPackets) *Peek"},
    {"\x05VNF"sv, "Visual Networks"},
    {"5View"sv, "Accellent 5View"},
};

// Compressed files, each with the command that unpacks it to standard output.
constexpr Format kPacked[] = {
    {"BZh"sv, "bzip2"},     {"\x04\x22\x4d\x18"sv, "lz4"},
    {"\x1f\x9d"sv, "gzip"},  // the format of compress(1), which gzip can unpack
    {"\x89LZO"sv, "lzop"},  {"\x5d\x00\x00"sv, "xz --format=lzma"},
};

constexpr Format kArchives[] = {
    {"PK\x03\x04"sv, "zip archive; unpack it: unzip"},
    {"7z\xbc\xaf\x27\x1c"sv, "7z archive; unpack it: 7z x"},
    {"Rar!"sv, "rar archive; unpack it: unrar x"},
};

template <std::size_t N>
const Format* find(const Format (&formats)[N], std::string_view head) {
  const auto found =
      std::find_if(std::begin(formats), std::end(formats),
                   [&](const Format& format) { return head.starts_with(format.magic); });
  return found == std::end(formats) ? nullptr : found;
}

}  // namespace

bool is_capture(std::string_view head) {
  // pcap, pcap with nanoseconds and modified pcap, each in both byte orders; pcapng's section
  // header.
  constexpr std::array kMagics = {"\xa1\xb2\xc3\xd4"sv, "\xd4\xc3\xb2\xa1"sv, "\xa1\xb2\x3c\x4d"sv,
                                  "\x4d\x3c\xb2\xa1"sv, "\xa1\xb2\xcd\x34"sv, "\x34\xcd\xb2\xa1"sv,
                                  "\x0a\x0d\x0d\x0a"sv};
  return std::any_of(kMagics.begin(), kMagics.end(),
                     [&](std::string_view magic) { return head.starts_with(magic); });
}

std::string name_of_format(std::string_view head, std::string_view file) {
  if (const Format* format = find(kCaptures, head)) {
    return fmt::format(
        "a {} capture, which segmilter cannot read; convert it: editcap -F pcap {} {}.pcap",
        format->name, file == "-" ? "FILE" : file, file == "-" ? "FILE" : file);
  }
  if (const Format* format = find(kPacked, head)) {
    return fmt::format(
        "compressed in a format that segmilter cannot read; unpack it: {} -dc {} | segmilter "
        "classify -",
        format->name, file == "-" ? "FILE" : file);
  }
  if (const Format* format = find(kArchives, head)) {
    return fmt::format("a {} {}", format->name, file == "-" ? "FILE" : file);
  }
  return {};
}

}  // namespace offline
