// What is said about a capture beside its messages: what was left out of it, and why no message
// came of it. Nothing is left out in silence.
#pragma once

#include <cstdint>
#include <string>

#include "milter/recorded/pcap_reader.h"

namespace offline {

struct CaptureNotes {
  recorded::PcapReader::Counts counts;
  recorded::IpFragments::Counts fragments;
  recorded::NotRead not_read;
  std::uint64_t copies = 0;    // packets that the capture had again
  std::uint64_t messages = 0;  // rows, `unobserved` ones as well
};

// One line, or empty.
std::string note(const CaptureNotes& notes);

}  // namespace offline
