// What is known of a client's commands where some were not captured. Pure or passive; not
// thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "classifier/smtp_command.h"

namespace classifier {

// Whether a line begins with a command by which the dialogue is known again behind bytes that were
// not seen. Others could be text.
bool is_command_behind_gap(std::string_view line);

// What the answer to a command must have been, by the bytes of the client that follow it.
struct Following {
  std::string_view bytes;    // those that have come
  bool is_text = false;      // so many that they are read as a message's text
  bool end_doubted = false;  // an end of data stands in front of them that servers read differently
};
// A reply's code; 0: the next bytes will tell, and they have not come.
int assumed_reply(Asked asked, const Following& next);

// Looks for the first command behind a gap among commands. What lies in front of it may be the text
// of a message whose beginning was not seen.
class GapSearch {
 public:
  // `size` bytes were not seen. `certainly_text`: some of them are a message's. Whether they are
  // text of which nothing was reported yet.
  bool gap(std::uint64_t size, bool certainly_text);
  // Commands begin somewhere behind the last byte that was given.
  void begin();
  void message_begins();
  // A command was found by other means.
  void found() { searching_ = false; }

  // No command was found yet.
  bool searching() const { return searching_; }
  // A gap among commands since the last message began.
  bool commands_missed() const { return commands_missed_; }

  enum class Line : std::uint8_t { Command, Skipped, SkippedText };
  // A line of the client's. SkippedText: from here on it is text, and nothing of it was reported.
  Line line(std::string_view text);
  // The command in hand is the first one that was found. To be asked once for each command.
  bool take_first_found() { return std::exchange(first_found_, false); }
  // A transaction that was `open` is over: whether there was room for its text in what was not seen,
  // of which nothing was reported.
  bool hid_text(bool open);

 private:
  bool commands_missed_ = false;
  bool searching_ = false;
  bool first_found_ = false;
  bool reported_ = false;        // that there is text, behind this gap
  std::uint64_t gap_bytes_ = 0;  // since the last message or transaction
  std::uint32_t skipped_lines_ = 0;
};

}  // namespace classifier
