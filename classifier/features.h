// Where the program's boundaries lie in the message: at a landmark, at the end of a buffer, or in
// the middle of a line. Both axes and the gaits rest on these numbers. The essay on places is in
// features.cc; classifier/README.md lists the features. Pure; safe from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "classifier/enum_names.h"
#include "classifier/pushes.h"
#include "classifier/tls_shape.h"
#include "classifier/trace.h"
#include "classifier/writes.h"

namespace classifier {

// Where a boundary lies in the message. If several places fit, the first in this list is used.
enum class Place : std::uint8_t {
  Terminator,    // before the last 1 to 5 bytes: `.`CRLF, CRLF`.`CRLF
  Chunk,         // between two BDAT chunks: the protocol made it, not a buffer
  Grid,          // a buffer's end: see ends_buffer()
  HeaderEnd,     // after all header fields, with or without the blank line
  FirstField,    // at the end of the first field
  FirstLine,     // at the end of the first line, with or without its line end
  HeaderLine,    // at the end of another header line, or 2 or 3 bytes before it
  HeaderMiddle,  // inside a line of the header
  BodyLine,      // at the end of a line of the body
  BodyMiddle,
};
inline constexpr int kPlaces = enumerators<Place>();

// `.`CRLF, also with the CRLF before it, or after a message without a last line end.
inline constexpr std::uint64_t kMostTerminator = 5;
// Some programs write a line and its CRLF in two writes. Symfony's mailer keeps the last 3 bytes of
// each write back.
inline constexpr std::uint32_t kHeldBack = 3;

// Does a cut at this place show the writer? The terminator and the ends of BDAT chunks do not.
inline bool tells_writer(Place place) {
  return place != Place::Terminator && place != Place::Chunk;
}

struct Cut {
  std::uint32_t offset = 0;
  Place place = Place::BodyMiddle;
  float confidence = 0;
  std::uint32_t run = 0;  // bytes since the program's buffer began; `offset`, but with BDAT or with
                          // commands before the message
  bool operator==(const Cut&) const = default;
};

struct Features {
  std::uint32_t segments = 0;          // a read that joined several counts each of them
  std::uint32_t repaired = 0;          // sent again, late or next to a hole
  std::vector<Cut> cuts;               // the boundaries that count, by offset
  std::uint32_t places[kPlaces] = {};  // number of cuts in each place
  std::uint32_t block = 0;             // size of which all (or most) cuts are multiples; 0: none
  std::uint32_t on_grid = 0;           // cuts that are multiples of `block`
  std::uint32_t untold = 0;   // boundaries whose place is not known; they are not in `cuts`
  bool hidden_first = false;  // reads hide whether there was a boundary before the first cut
  bool line_buffer = false;   // all cuts at line ends, just below multiples of 4096 or 8192
  TlsShape shape = TlsShape::Unknown;  // under TLS only; without the text, the places follow from
                                       // it
  double push_share = 0;  // share of the first flight's full segments with PSH; 0 if none has it
  PushedEnds pushed;      // where PSH shows the ends of writes

  std::uint32_t at(Place place) const { return places[static_cast<int>(place)]; }
  // Cuts that show something of the writer.
  std::uint32_t telling() const {
    return static_cast<std::uint32_t>(cuts.size()) - at(Place::Terminator) - at(Place::Chunk);
  }
  double repaired_share() const {
    return segments == 0 ? 0 : static_cast<double>(repaired) / segments;
  }
};

Features extract(const Trace& trace, const Writes& writes);
// Writes the same features into `into` and keeps its memory.
void extract(const Trace& trace, const Writes& writes, Features& into);

}  // namespace classifier
