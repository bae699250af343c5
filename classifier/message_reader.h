// Reads the current message: the end of its text with DATA, its header, and how its parts end.
// Bounded, as its parts are; not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "classifier/end_of_data.h"
#include "classifier/header_scanner.h"
#include "classifier/message.h"
#include "classifier/stream.h"

namespace classifier {

class MessageReader {
 public:
  // A message begins at this offset of the client's stream.
  void begin(Transfer transfer, std::uint64_t offset);
  // The next bytes. Requires: all of them belong to the message.
  void take(std::span<const char> bytes);
  // The next bytes of a message with DATA. Takes them up to the end of the message.
  EndOfData::Step take_text(std::span<const char> bytes);
  // The next bytes were not seen. If the header is not over, its landmarks are not known.
  void bytes_missed() { header_missed_ |= !headers_.over(); }
  // The bytes that were taken since the last span lie there.
  void end_span(Span span);

  // The message has ended. `terminator`: bytes of the dot's line, 0: none.
  Message finish(std::uint8_t terminator, const Dialogue& dialogue);
  void forget() { message_ = Message{}; }

  Message& message() { return message_; }
  const Message& message() const { return message_; }
  std::uint64_t begin() const { return begin_; }
  // How its bytes so far end. The message begins after a line end.
  Tail tail() const { return tail_; }

 private:
  void note_last(std::span<const char> bytes);

  // The end of a DATA message whose last line before the dot is empty.
  static constexpr std::string_view kBlankEnd = "\r\n\r\n.\r\n";

  Message message_;
  std::uint64_t begin_ = 0;
  HeaderScanner headers_;
  bool header_missed_ = false;
  EndOfData dot_;
  Tail tail_ = Tail::Other;
  std::array<char, kBlankEnd.size()> last_{};  // the last bytes; zeros before the first ones
};

}  // namespace classifier
