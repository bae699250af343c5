// What a file is by its first bytes: what is read here, and the name of what is not, with the next
// step. One thread or many; nothing is kept.
#pragma once

#include <string>
#include <string_view>

namespace offline {

// pcap or pcapng.
bool is_capture(std::string_view head);

// "a snoop capture, which is not read here; convert it: editcap -F pcap FILE FILE.pcap"; empty when
// the format is not known either.
std::string name_of_format(std::string_view head, std::string_view file);

}  // namespace offline
