// What the filter has to know of a message's header fields to edit them in Postfix: how many are of
// our name and what deleting them costs, and how many stand above Postfix's own Received. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "classifier/trace.h"

namespace filter {

// The fields of our name in one message.
class OwnHeaders {
 public:
  // The next field that Postfix shows, of whatever name.
  void field(std::string_view name, std::string_view value);

  unsigned count() const { return count_; }
  // Deleting them all would take Postfix longer than about a second. Each deletion reads the queue
  // file from its first field on, so that the cost grows with the square of their number, and with
  // what stands in front of them. 4400 fields of one line, one behind the other, are not yet too
  // many.
  bool too_many() const { return work_ > kMostLines; }

 private:
  // Measured with Postfix 3.7 on one core: 61 ns a line of a usual length, so this is 0.6 s.
  static constexpr std::uint64_t kMostLines = 10'000'000;
  static constexpr std::size_t kBytesALine = 512;  // a longer line takes longer to read

  unsigned count_ = 0;
  std::uint64_t lines_ = 0;  // of all fields so far
  std::uint64_t work_ = 0;   // lines that Postfix reads when it deletes ours
};

// How many fields a policy service or a header check has put in front of the message (PREPEND).
//
//     queue file            shown     sent      smfi_insheader puts it
//     0  X-Policy: ok       field 1             0 ─► above X-Policy
//     1  Received: by us    (hidden)            1 ─► above our Received
//     2  Received: by them  field 2   field 1   2 ─► below our Received
//
// Postfix never shows its own Received, but what was put in front of it is shown as if it had been
// sent. The difference tells: the fields that were sent, by their sizes, begin behind it. 0 where
// that is not known, or a header check has changed the fields so that none fits.
unsigned fields_in_front(const classifier::Landmarks& shown, const classifier::Landmarks& sent);

}  // namespace filter
