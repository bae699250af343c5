// What is known of a client's commands after a gap in the capture. Pure or passive; not
// thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "classifier/smtp_command.h"

namespace classifier {

// Does the line begin with a command that can be recognised after bytes that were not seen? Other
// commands could be text.
bool is_command_behind_gap(std::string_view line);

// The client's bytes after a command. They show what the answer to the command must have been.
struct Following {
  std::string_view bytes;    // the bytes so far
  bool is_text = false;      // there are so many that they are read as a message's text
  bool end_doubted = false;  // an ambiguous end of data comes before them
};
// Returns the code of the reply; 0: it depends on bytes that have not come yet.
int assumed_reply(Asked asked, const Following& next);

// Searches for the first command after a gap among commands. The bytes before that command may be
// the text of a message whose beginning was not seen.
class GapSearch {
 public:
  // `size` bytes were not seen. `certainly_text`: some of them belong to a message. Returns whether
  // they are text that was not reported yet.
  bool gap(std::uint64_t size, bool certainly_text);
  // Commands begin somewhere after the last byte that was given.
  void begin();
  void message_begins();
  // A command was found in another way.
  void found() { searching_ = false; }

  // Is a command still to be found?
  bool searching() const { return searching_; }
  // Was there a gap among commands since the last message began?
  bool commands_missed() const { return commands_missed_; }

  enum class Line : std::uint8_t { Command, Skipped, SkippedText };
  // Takes a line of the client. Skipped: it is not a command. SkippedText: it is the first line
  // from which the gap is known to hide text, and that was not reported yet.
  Line line(std::string_view text);
  // Is this command the first one after the gap? Requires: called once for each command.
  bool take_first_found() { return std::exchange(first_found_, false); }
  // A transaction is over; `open`: it had begun. Returns whether its text may lie in bytes that
  // were not seen, and was not reported yet.
  bool hid_text(bool open);

 private:
  bool commands_missed_ = false;
  bool searching_ = false;
  bool first_found_ = false;
  bool reported_ = false;        // text after this gap was already reported
  std::uint64_t gap_bytes_ = 0;  // bytes since the last message or transaction
  std::uint32_t skipped_lines_ = 0;
};

}  // namespace classifier
