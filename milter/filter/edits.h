// What the filter has to know of a message's header fields to edit them in Postfix: how many have
// our name and what it costs to delete them, and how many stand above Postfix's own Received. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "classifier/trace.h"

namespace filter {

// The fields of our name in one message.
class OwnHeaders {
 public:
  // The next field that Postfix shows, of any name.
  void field(std::string_view name, std::string_view value);

  unsigned count() const { return count_; }
  // Whether deleting all of them would take Postfix longer than about a second. For each deletion
  // Postfix reads the queue file again from the first field. So the cost grows with the square of
  // their number, and with the fields before them. 4400 fields of one line, one after the other,
  // are still accepted.
  bool too_many() const { return work_ > kMostLines; }

 private:
  // Measured with Postfix 3.7 on one core: 61 ns for a line of usual length, so this is 0.6 s.
  static constexpr std::uint64_t kMostLines = 10'000'000;
  static constexpr std::size_t kBytesALine = 512;  // a longer line counts as several

  unsigned count_ = 0;
  std::uint64_t lines_ = 0;  // of all fields so far
  std::uint64_t work_ = 0;   // lines that Postfix reads to delete ours
};

// How many fields a policy service or a header check has added above the message (PREPEND).
//
//     queue file            shown     sent      smfi_insheader puts it
//     0  X-Policy: ok       field 1             0 ─► above X-Policy
//     1  Received: by us    (hidden)            1 ─► above our Received
//     2  Received: by them  field 2   field 1   2 ─► below our Received
//
// Postfix never shows its own Received, but it shows the fields above it as if they had been sent.
// The fields that were really sent begin after them, and are recognized by their sizes. Returns 0
// if the sent fields are not known, or if a header check has changed the fields so that no place
// fits.
unsigned fields_in_front(const classifier::Landmarks& shown, const classifier::Landmarks& sent);

}  // namespace filter
