// Says what a server would have said, for a capture that shows only the client's side of a session.
//
//     client bytes ─► StandInServer ─► Observer::client(…), and a reply after each command
//
// The observer then follows the client as if both sides had been seen. What it cannot know is what
// the server refused: every command is taken, and the client's next line tells whether DATA was.
// Not thread-safe; one a session.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "classifier/observer.h"

namespace capture {

class StandInServer {
 public:
  // Requires: `observer` outlives this, and has been given no client bytes. `greet`: nor a
  // greeting.
  StandInServer(classifier::Observer& observer, bool greet);

  void client(std::span<const char> bytes);
  // The observer has told of a message: the next reply answers its last byte.
  void message_ended() { message_ended_ = true; }
  bool in_data() const { return phase_ == Phase::Text; }

 private:
  //     Command ──DATA──► Asked ──354──► Text ──dot──► Command
  //        │  ▲             └──554 when the next line is a command──► Command
  //     BDAT n, AUTH: Chunk and Secret, back to Command
  enum class Phase : std::uint8_t {
    Command,
    Asked,   // behind DATA: what follows tells whether it was taken
    Text,    // the message, up to the observer's word that it ended
    Chunk,   // `left_` counted bytes
    Secret,  // `left_` lines of an AUTH exchange
  };

  std::size_t take(std::span<const char> bytes);
  void command();
  void say(std::string_view reply);

  classifier::Observer& observer_;
  Phase phase_ = Phase::Command;
  std::string line_;  // the beginning of the line in hand
  std::uint64_t left_ = 0;
  bool message_ended_ = false;
};

}  // namespace capture
