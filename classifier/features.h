// What a trace's boundaries have in common with the message's structure and with a buffer's size:
// the numbers both axes rest on. classifier/README.md lists them. Pure; safe from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "classifier/enum_names.h"
#include "classifier/tls_shape.h"
#include "classifier/trace.h"
#include "classifier/writes.h"

namespace classifier {

// Where in the message a boundary lies. The first that holds.
enum class Place : std::uint8_t {
  Terminator,    // in front of the last 1 to 5 bytes: `.`CRLF, CRLF`.`CRLF
  Chunk,         // between two BDAT chunks: made by the protocol, not by a buffer
  Grid,          // a multiple of 1024 or of 8189 from the start: a buffer's end
  HeaderEnd,     // all header fields before it, with or without the blank line
  FirstField,    // the first field, Received or other, ends here
  FirstLine,     // the first line ends here, its line end included or not
  HeaderLine,    // another line of the header ends here, or is about to (2 or 3 bytes on)
  HeaderMiddle,  // inside a line of the header
  BodyLine,      // a line of the body ends here
  BodyMiddle,
};
inline constexpr int kPlaces = enumerators<Place>();

// `.`CRLF, with the CRLF before it, or with the message's last line end missing.
inline constexpr std::uint64_t kMostTerminator = 5;
// A line and its CRLF in two writes; Symfony's mailer keeps the last 3 bytes of each write back.
inline constexpr std::uint32_t kHeldBack = 3;

// All but the terminator and what BDAT itself makes.
inline bool tells_writer(Place place) {
  return place != Place::Terminator && place != Place::Chunk;
}

struct Cut {
  std::uint32_t offset = 0;
  Place place = Place::BodyMiddle;
  float confidence = 0;
  std::uint32_t run = 0;  // bytes since the program's buffer began there; the offset but with BDAT
                          // and where commands were sent in front of the message
  bool operator==(const Cut&) const = default;
};

struct Features {
  std::uint32_t segments = 0;          // joined ones counted each
  std::uint32_t repaired = 0;          // sent again, late or beside a hole
  std::vector<Cut> cuts;               // the evident boundaries, by offset
  std::uint32_t places[kPlaces] = {};  // how many of them lie in each place
  std::uint32_t block = 0;             // size that all (or most) cuts are multiples of; 0: none
  std::uint32_t on_grid = 0;           // cuts that are multiples of it
  std::uint32_t untold = 0;   // boundaries of which nobody knows what they are the end of: no cuts
  bool hidden_first = false;  // reads hide whether something was cut in front of the first cut
  bool line_buffer = false;   // all cuts at line ends, just below multiples of 4096 or 8192
  TlsShape shape = TlsShape::Unknown;  // under TLS only; then places are guesses by it
  double push_share = 0;               // of the first flight's full segments; 0 with no PSH at all

  std::uint32_t at(Place place) const { return places[static_cast<int>(place)]; }
  // Cuts that say something about the writer.
  std::uint32_t telling() const {
    return static_cast<std::uint32_t>(cuts.size()) - at(Place::Terminator) - at(Place::Chunk);
  }
  double repaired_share() const {
    return segments == 0 ? 0 : static_cast<double>(repaired) / segments;
  }
};

Features extract(const Trace& trace, const Writes& writes);
// The same into a value that was used before, whose memory is kept.
void extract(const Trace& trace, const Writes& writes, Features& into);

}  // namespace classifier
