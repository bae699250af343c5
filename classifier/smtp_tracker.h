// Follows an SMTP dialogue in both directions and says which bytes of the client's stream are a
// message. It holds no socket and no clock: bytes in, events out, however the bytes are cut.
//
// It never guesses. When the streams do not fit together (a reply nobody asked for, a command
// line that never ends) it reports on_lost() once and stays silent from there on: a wrong window
// would label a message by another one's bytes. It must agree with Postfix's smtpd where a message
// ends, or be lost.
//
// An end of data that servers read differently (end_of_data.h; scripts with bare LF write so) is
// reported as a message, and the server's answer decides: a server that reads on says nothing there
// and asks nobody about a message, one that answers has seen the end. Should another end come
// before the answer, it cannot be told which of the two was answered: lost, Ambiguous.
//
// How it stays in step: commands wait in a queue for their replies, and behind a command whose
// reply decides what the next bytes are (DATA, AUTH, STARTTLS, QUIT; RSET and the like between BDAT
// chunks) nothing is parsed before that reply has come: the bytes are held. A reply with which
// Postfix hangs up (221, 421, 521) ends the session: no event comes after it.
//
// Not thread-safe; one tracker a session. RFC 5321 (commands, replies, 4.5.2 dots), RFC 2920
// (pipelining), RFC 3030 (BDAT), RFC 3207 (STARTTLS), RFC 4954 (AUTH).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "classifier/message.h"
#include "classifier/stream.h"
#include "classifier/trace.h"

namespace classifier {

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
    // From here on nothing can be told; `reason` is Lost, Ambiguous, Encrypted or NotMail. With
    // Ambiguous the last message may not have ended where it was said to.
    virtual void on_lost(Reason reason) = 0;
    // Behind a gap (command_gap()) there was text of which the beginning was not seen.
    virtual void on_text_skipped() {}
  };

  // Bounds on what is kept; beyond them the tracker is lost.
  struct Limits {
    std::size_t command_line = 2048;  // Postfix's line_length_limit
    std::size_t auth_line = 12288;    // Postfix's smtpd_sasl_response_limit; RFC 4954, 4
    std::size_t reply_line = 4096;
    std::size_t outstanding = 1024;  // commands without a reply
    std::size_t queued = 64 * 1024;  // client bytes that wait for a reply; of those behind DATA one
                                     // message more, which is then read and not kept
    std::size_t chunks = 4096;       // BDAT chunks in one message
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

  // For captures that begin within a session: the greeting was not seen. One that comes all the same
  // is passed over.
  void assume_greeting();
  // For captures that lost packets. From here on answers are taken to be what the client's next
  // bytes show; of the server's replies only 354 is still heard, and on_answer() means nothing.
  void assume_answers();
  bool answers_assumed() const;
  // The next `size` bytes of the client's stream are commands that were not seen; this assumes
  // answers. Gaps in text are to be filled by the caller.
  void command_gap(std::uint64_t size);
  // Takes a gap that comes next for text if DATA was the last command: whether it is.
  bool assume_text();
  // Bytes of text that were not seen come next, filled in by the caller: no landmarks are told of a
  // header that lacks some.
  void text_gap();
  // The client's stream is over: a message that it cut is told of, and text that a gap hid.
  void end();
  // Goes on behind on_lost(), as behind a gap. Requires: it was not for encryption.
  void resume();
  // So many of the next bytes of the client's stream are a message's at least, whatever they hold:
  // 0 among commands; with DATA up to its dot, which may come at any time.
  std::uint64_t text_left() const;
  bool in_data() const;
  // How the text of the message in hand ends so far. Requires: in_data().
  Tail text_tail() const;
  // MAIL was seen, and no message nor RSET since.
  bool in_transaction() const;

  // Whether on_lost() was called; then both calls above return at once.
  bool lost() const;

  // The server has greeted and has answered every command and message: it says nothing more before
  // the client does. False where that cannot be told any more.
  bool all_answered() const;

  // The server has greeted and answered all that was said, and no transaction is open: none was
  // begun, or its message or RSET came after MAIL. Then a server may close with 421 and nothing is
  // lost (RFC 5321, 3.8).
  bool between_transactions() const;

  // The name that the client greeted with last, at most Claims::kLongest bytes; text, see Claims.
  const std::string& helo() const;

  // A message has ended, or may have, and the server has not answered it: it may have taken the
  // message already. Requires: not lost.
  bool owes_answer() const;

  // The server's greeting has come to its end.
  bool greeted() const;

  // Bytes of the client wait for a reply that tells what they are: a message may have ended in
  // them, and the server may have taken it, before on_message() is called.
  bool behind() const;

  // As text_left(), and all where the session is over: what of the next bytes is no command,
  // whatever it is. For who has not read them all, and gives fillers in their place. Should a
  // message's end be among them, the server's answer to it is one that nobody asked for.
  std::uint64_t text_ahead() const;

  // Bytes of memory that the client's text takes, which waits for a reply or a line end.
  std::size_t memory_used() const;

  // How the client has talked so far; kept when the session is lost.
  const Dialogue& dialogue() const;

  // Offset behind the last client byte that was given.
  std::uint64_t client_offset() const;

  // The first offset that a later on_command() or on_message() may speak of. A listener can forget
  // what lies before it. Allowed within the listener's calls.
  std::uint64_t needed_from() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace classifier
