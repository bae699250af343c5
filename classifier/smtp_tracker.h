// Follows an SMTP dialogue in both directions and finds which bytes of the client's stream are a
// message. It has no socket and no clock: bytes go in and events come out, however the bytes are
// cut.
//
// It never guesses. If the streams do not fit together (a reply without a command, a command line
// that never ends), it calls on_lost() once and reports nothing more. A wrong window would label a
// message by the bytes of another one. It must agree with Postfix's smtpd about the end of a
// message, or be lost.
//
// Servers read some ends of data differently (end_of_data.h; scripts with bare LF write them). Such
// an end is reported as a message, and the server's answer decides. A server that reads on sends no
// answer there, and asks no milter about a message. A server that answers has seen the end. If
// another such end comes before the answer, it is not known which of the two was answered. Then the
// tracker is lost, with Reason::Ambiguous.
//
// How it stays in step: commands wait in a queue for their replies. After some commands the reply
// decides what the next bytes are (DATA, AUTH, STARTTLS, QUIT; RSET and similar ones between BDAT
// chunks). Then no byte is parsed before that reply has come; the bytes are queued. A reply with
// which Postfix closes the connection (221, 421, 521) ends the session: no event follows it.
//
// Not thread-safe; one tracker for each session. RFC 5321 (commands, replies, 4.5.2 dots), RFC 2920
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
  // The events. They are called from within client() and server(), and must not call the tracker.
  // Offsets are those of the client's stream.
  class Listener {
   public:
    virtual ~Listener() = default;
    // A command line with its line end.
    virtual void on_command(Span line) = 0;
    // The last byte of a message was seen. The server's answer to it is still to come.
    virtual void on_message(Message&& message) = 0;
    // The server answered message `ordinal` (2yz, 4yz or 5yz after its end).
    virtual void on_answer(std::uint32_t ordinal) = 0;
    // From here on nothing is known. `reason` is Lost, Ambiguous, Encrypted or NotMail. With
    // Ambiguous, the last message may not have ended where it was reported.
    virtual void on_lost(Reason reason) = 0;
    // After a gap (command_gap()) there was text whose beginning was not seen.
    virtual void on_text_skipped() {}
  };

  // Limits of what is kept. Beyond them the tracker is lost.
  struct Limits {
    std::size_t command_line = 2048;  // Postfix's line_length_limit
    std::size_t auth_line = 12288;    // Postfix's smtpd_sasl_response_limit; RFC 4954, 4
    std::size_t reply_line = 4096;
    std::size_t outstanding = 1024;  // commands without a reply
    std::size_t queued = 64 * 1024;  // client bytes that wait for a reply; after DATA one more
                                     // message is read without being kept
    std::size_t chunks = 4096;       // BDAT chunks in one message
  };

  // Requires: `listener` outlives the tracker.
  explicit SmtpTracker(Listener& listener) : SmtpTracker(listener, Limits{}) {}
  SmtpTracker(Listener& listener, Limits limits);
  ~SmtpTracker();
  SmtpTracker(const SmtpTracker&) = delete;
  SmtpTracker& operator=(const SmtpTracker&) = delete;

  // The next bytes of each stream, in the order in which the proxy saw them. Message bodies are
  // cheap: one fast pass over the bytes.
  void client(std::span<const char> bytes);
  void server(std::span<const char> bytes);

  // For captures that begin within a session: the greeting was not seen. If one comes later, it is
  // skipped.
  void assume_greeting();
  // For captures that lost packets. From here on each answer is assumed to be the one that the
  // client's next bytes show. Of the server's replies only 354 is still used, and on_answer() has
  // no meaning.
  void assume_answers();
  bool answers_assumed() const;
  // The next `size` bytes of the client's stream are commands that were not seen. From here on
  // answers are assumed. The caller has to fill gaps in text.
  void command_gap(std::uint64_t size);
  // If DATA was the last command, a gap that comes next is taken for text. Returns whether it is.
  bool assume_text();
  // The next bytes of text were not seen; the caller fills them in. A header with such bytes has no
  // landmarks.
  void text_gap();
  // The client's stream is over. Reports a message that was cut off by it, and text that a gap hid.
  void end();
  // Continues after on_lost(), as after a gap. Requires: its reason was not Encrypted.
  void resume();
  // At least this many of the next bytes of the client's stream belong to a message, whatever they
  // are. 0 among commands. With DATA it is the maximum, although the dot may come at any time.
  std::uint64_t text_left() const;
  bool in_data() const;
  // What the last byte of the current message is so far. Requires: in_data().
  Tail text_tail() const;
  // MAIL was seen, and neither a message nor RSET since then.
  bool in_transaction() const;

  // Was on_lost() called? Then client() and server() return at once.
  bool lost() const;

  // The server has greeted and has answered every command and message. So it says nothing before
  // the client does. False if that is no longer known.
  bool all_answered() const;

  // The server has greeted and has answered everything, and no transaction is open. So a server
  // that closes with 421 now loses no message (RFC 5321, 3.8).
  bool between_transactions() const;

  // The name with which the client greeted last, at most Claims::kLongest bytes. It is text: see
  // Claims.
  const std::string& helo() const;

  // A message has ended, or may have ended, and the server has not answered it. The server may
  // already have taken it. Requires: not lost.
  bool owes_answer() const;

  // The server's greeting is complete.
  bool greeted() const;

  // Bytes of the client wait for a reply that decides what they are. A message may have ended in
  // them, and the server may have taken it, before on_message() is called.
  bool behind() const;

  // Like text_left(), but 0 before the 354, and the maximum if the session is over. So many of the
  // next bytes are not commands, whatever they are. For a caller that has not read all of them and
  // gives filler bytes instead. If the end of a message is among them, the server's answer to it
  // will be a reply without a command.
  std::uint64_t text_ahead() const;

  // Memory of the client's text that waits for a reply or a line end, in bytes.
  std::size_t memory_used() const;

  // How the client has talked so far. It is kept when the session is lost.
  const Dialogue& dialogue() const;

  // Offset of the next client byte.
  std::uint64_t client_offset() const;

  // The first offset that a later on_command() or on_message() may use. A listener can delete what
  // it keeps of earlier bytes. May be called from within the listener's functions.
  std::uint64_t needed_from() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace classifier
