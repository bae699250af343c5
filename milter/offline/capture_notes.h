// The note about a capture that is printed beside its messages: which packets were left out, and
// why no message was found. Nothing is left out without a note.
#pragma once

#include <cstdint>
#include <string>

#include "milter/recorded/pcap_reader.h"

namespace offline {

struct CaptureNotes {
  recorded::PcapReader::Counts counts;
  recorded::IpFragments::Counts fragments;
  recorded::NotRead not_read;
  std::uint64_t copies = 0;    // packets that the capture had more than once
  std::uint64_t messages = 0;  // messages that were found, `unobserved` ones included
};

// One line without a line end; empty if there is nothing to report.
std::string note(const CaptureNotes& notes);

}  // namespace offline
