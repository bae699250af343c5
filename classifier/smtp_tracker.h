// Follows an SMTP dialogue in both directions and says which bytes of the client's stream are a
// message. It holds no socket and no clock: bytes in, events out, however the bytes are cut.
//
// It never guesses. When the streams do not fit together (a reply nobody asked for, a command
// line that never ends, an end of data that servers read differently) it reports on_lost() once
// and stays silent from there on: a wrong window would label a message by another one's bytes.
// It must agree with Postfix's smtpd where a message ends, or be lost.
//
// Not thread-safe; one tracker a session. RFC 5321 (commands, replies, 4.5.2 dots), RFC 2920
// (pipelining), RFC 3030 (BDAT), RFC 3207 (STARTTLS), RFC 4954 (AUTH).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "classifier/trace.h"

namespace classifier {

// A half-open range of the client's stream; offset 0 is its first byte.
struct Span {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool operator==(const Span&) const = default;
};

// One message that was transferred to its end.
struct Message {
  std::uint32_t ordinal = 1;   // 1-based; counts the messages that were transferred to their end
  Transfer transfer = Transfer::Data;
  std::vector<Span> spans;     // where its bytes lie; one span with DATA, one a chunk with BDAT
                               // (neighbouring chunks are separated by their command lines)
  std::uint64_t size = 0;      // bytes in all spans, the terminator included
  Landmarks landmarks;
  Dialogue dialogue;           // as known when the message ended; segments add to it later
};

class SmtpTracker {
 public:
  // What the tracker tells. Called from within client() and server(); must not call back into the
  // tracker. Offsets are those of the client's stream.
  class Listener {
   public:
    virtual ~Listener() = default;
    // A command line, its line end included.
    virtual void on_command(Span line) = 0;
    // The last byte of a message was seen. The server's answer to it is still to come.
    virtual void on_message(Message&& message) = 0;
    // The server answered message `ordinal` (2yz, 4yz or 5yz behind its end).
    virtual void on_answer(std::uint32_t ordinal) = 0;
    // From here on nothing can be told; `reason` is Lost, Ambiguous, Encrypted or NotMail.
    virtual void on_lost(Reason reason) = 0;
  };

  // Bounds on what is kept; beyond them the tracker is lost.
  struct Limits {
    std::size_t command_line = 2048;     // Postfix's line_length_limit
    std::size_t reply_line = 4096;
    std::size_t outstanding = 1024;      // commands without a reply
    std::size_t held = 64 * 1024;        // client bytes that wait for the answer to DATA
    std::size_t chunks = 4096;           // BDAT chunks in one message
  };

  // Requires: `listener` outlives the tracker.
  explicit SmtpTracker(Listener& listener) : SmtpTracker(listener, Limits{}) {}
  SmtpTracker(Listener& listener, Limits limits);
  ~SmtpTracker();
  SmtpTracker(const SmtpTracker&) = delete;
  SmtpTracker& operator=(const SmtpTracker&) = delete;

  // The next bytes of each stream, in the order in which the proxy saw them. Cheap on message
  // bodies: one pass of memchr.
  void client(std::span<const char> bytes);
  void server(std::span<const char> bytes);

  // Whether on_lost() was called; then both calls above return at once.
  bool lost() const;

  // Offset behind the last client byte that was given.
  std::uint64_t client_offset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace classifier
