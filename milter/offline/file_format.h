// Recognizes a file by its first bytes: captures that can be read here, and other formats, for
// which it gives the name and the next step. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace offline {

// True for pcap and pcapng.
bool is_capture(std::string_view head);

// For a format that cannot be read here, its name and what to do: "a snoop capture, which segmilter
// cannot read; convert it: editcap -F pcap FILE FILE.pcap". Empty if the format is not known.
std::string name_of_format(std::string_view head, std::string_view file);

}  // namespace offline
