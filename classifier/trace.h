// What was seen of one message, without its content. All later steps rest on this evidence.
//
//     segments + tracker ─► observer ─► Trace ─► writes ─► features ─► axes ─► pattern ─► verdict
//
// A Trace is a plain value. It is built once, when the message's last byte was seen, and does not
// change after that. It holds sizes, times, flags and positions, but never a byte of text. Its one
// text form is in trace_text.h. Each Trace has one owner, so no thread needs a lock for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace classifier {

// Where the boundaries were seen. Only Read does not see segments: one entry is what one recv
// returned, and Segment::count is the number of segments that the kernel had joined in it
// (TCP_INFO, tcpi_data_segs_in). Balancer is like Kernel, but on the connection of a load balancer.
// Only the administrator knows whether its segments are those of the client.
enum class Via : std::uint8_t { Kernel, Read, Wire, Pcap, Balancer };

// The payload of one TCP segment, cut to the message window. Segments are in stream order and hold
// each byte once. Bytes that were sent again count where they were first received.
struct Segment {
  std::uint32_t size = 0;    // bytes of the message in this segment; at least 1
  std::uint32_t before = 0;  // bytes before them in the same segment (a command, BDAT line)
  std::uint32_t after = 0;   // bytes after them in the same segment (the next command, QUIT)
  std::uint32_t count = 1;   // segments joined in this entry; other than 1 only with Via::Read
  std::uint32_t gap_us = 0;  // time since the segment before it in the stream arrived; 0 if it came
                             // earlier than that one; saturates
  bool push = false;         // PSH was set
  bool resent = false;       // some of its bytes arrived more than once
  bool late = false;         // arrived after a segment that follows it in the stream
  bool hole = false;         // the capture did not see the bytes before it
  bool line_end = false;     // its last message byte is LF
  bool cr_end = false;       // its last message byte is CR (a CRLF cut in two)

  bool operator==(const Segment&) const = default;

  // The whole payload of the segment, to compare it with the path's MSS.
  std::uint32_t payload() const { return before + size + after; }
};

// The plaintext of one TLS record, cut to the message window. It is what the program gave to TLS in
// one call, or 16384 bytes of it. RFC 8446, 5.1. Neither Nagle's algorithm nor the path joins or
// cuts records.
struct Record {
  std::uint32_t size = 0;    // bytes of the message in this record; at least 1
  std::uint32_t before = 0;  // bytes before them in the same record
  std::uint32_t after = 0;   // bytes after them in the same record (QUIT)

  bool operator==(const Record&) const = default;
};

// How the place of the message in the client's stream is known.
enum class Window : std::uint8_t {
  Followed,  // the commands were read in clear
  OneSided,  // the same, but the server or some packets were not seen: that it took the commands is
             // assumed, and words of the client may be missing
  Inferred,  // under TLS: by the sizes of records and by who spoke when
  Exact,     // the milter's count of what it was shown fits to the byte
  Near,      // that count does not fit (Trace::miss), or there is none
};

// What both hellos say in clear. RFC 8446, 4.1.
struct Tls {
  std::uint16_t version = 0;  // 0x0304: TLS 1.3; 0: not known
  std::uint16_t cipher = 0;   // IANA's number; 0: not known
  std::uint32_t slack = 0;    // a record may have up to this many bytes less than Record says (CBC)
  std::string ja4;            // fingerprint of the ClientHello (client_hello.h); empty: not taken
  bool operator==(const Tls&) const = default;
};

// One header field, folded lines included. RFC 5322, 2.2.
struct HeaderField {
  std::uint32_t end = 0;  // offset after its last CRLF, from the start of the window
  bool received = false;  // the field's name is Received
  bool operator==(const HeaderField&) const = default;
};

// Positions in the window that have a meaning. Offsets count message bytes from the window's start.
struct Landmarks {
  static constexpr std::size_t kMaxFields = 64;

  std::vector<HeaderField> fields;   // the first kMaxFields fields
  std::vector<std::uint32_t> folds;  // line ends inside fields, at most kMaxFields; known under TLS
                                     // only, where no segment shows them
  std::uint32_t header_end = 0;      // end of the last field, before the blank line; 0: not found
  std::uint32_t body_begin = 0;      // after the blank line; 0: no blank line was found
  std::uint32_t first_line_end = 0;  // end of the first line of the window
  std::uint8_t terminator = 0;       // bytes of `.`CRLF at the end: 3 with DATA, 0 with BDAT
  bool operator==(const Landmarks&) const = default;
};

enum class Transfer : std::uint8_t { Data, Bdat };

// How the client talked before and around the message. RFC 5321, 4.1.
struct Dialogue {
  enum class Greeting : std::uint8_t { None, Helo, Ehlo };
  Greeting greeting = Greeting::None;
  bool lower_case = false;     // a verb was not written in capitals
  bool early_talker = false;   // it spoke before the server's greeting was complete
  bool early_data = false;     // it sent message bytes before the 354
  bool pipelined = false;      // it sent a command before the reply to the command before it
  bool helo_ahead = false;     // it sent a command before the reply to EHLO or HELO, so before it
                               // could know that the server permits that (RFC 2920)
  bool split_command = false;  // a command line, or the line and its CRLF, came in two segments
  bool bare_lf = false;        // it ended a command line with LF alone
  bool quit_with_dot = false;  // bytes followed the message in the message's last segment
  bool space_after_colon = false;  // `MAIL FROM: <…>`: RFC 5321, 3.3 forbids the space
  std::uint8_t chunks = 0;         // BDAT chunks of this message; saturates

  // Habits in which programs differ. Those of MAIL, RCPT and DATA belong to this message; the
  // others describe the session so far. When a message ends, it is not known yet whether QUIT
  // follows.
  bool mixed_case = false;      // some verbs in capitals, some not: `ehlo`, then `RCPT`
  bool soft_path = false;       // `MAIL From:`: the word after the verb was not in capitals
  bool trailing_space = false;  // blanks between a command and its line end
  bool fallback = false;        // HELO after an EHLO
  bool literal = false;         // greeted with an address literal: RFC 5321, 4.1.3
  bool dotless = false;         // greeted with a name of one label
  bool auth = false;            // it sent AUTH
  bool rset = false;            // RSET after the last message, or before the first one
  bool eight_bit = false;       // MAIL … BODY=8BITMIME or BINARYMIME
  bool seven_bit = false;       // MAIL … BODY=7BIT
  bool body_first = false;      // BODY= came before SIZE=
  bool dsn = false;             // RET=, ENVID=, NOTIFY= or ORCPT=: RFC 3461
  bool rcpt_ahead = false;      // the first RCPT came before the reply to MAIL
  bool data_ahead = false;      // DATA or the first BDAT came before the reply to the last RCPT
  bool blank_end = false;       // with DATA: the last line before the dot was empty
  std::uint64_t declared = 0;   // SIZE= of MAIL; 0: none
  bool operator==(const Dialogue&) const = default;
};

// How much of the message was seen.
enum class State : std::uint8_t { Complete, Partial, Unobserved };

// Why a trace is not complete. The names in trace_text.cc go into header and log.
enum class Reason : std::uint8_t {
  None,
  NoSession,  // no observer saw this client address and port
  Lost,       // tracker and stream were out of step
  Ambiguous,  // it is not known which bytes are the message's: several messages fit, servers read
              // the end of data differently (a bare LF or CR next to the dot), or two packets
              // brought the same bytes and the server took one of them
  Encrypted,  // after STARTTLS or inside implicit TLS
  Full,       // more segments than the limit
  Dropped,    // a segment was not seen, for example because the kernel's ring overflowed; or it is
              // not known which of two segments for the same bytes TCP took
  NoCapture,  // capture was off for this session
  NotMail,    // the stream is not SMTP
  Timeout,    // the evidence did not come in time
  Busy,       // too many messages in flight
  Error,      // the evidence socket failed
  Balancer,   // the segments are those of a load balancer
  Overload,  // observation stopped early: too little memory, too few descriptors or too little time
  Expired,   // the session is older than the evidence that is kept
};

// What is known of the path, from the client's SYN (RFC 9293, 3.2) and from TCP_INFO.
struct Path {
  std::uint32_t mss = 0;     // payload of a full segment that the client may send: the MSS that it
                             // announced or was given, less TCP options; 0: unknown
  std::uint32_t rtt_us = 0;  // smallest round trip measured; 0: unknown
  bool timestamps = false;   // RFC 7323 timestamps in use
  std::string syn;           // p0f-style signature of the SYN; empty: not captured
  bool operator==(const Path&) const = default;
};

struct Trace {
  Via via = Via::Kernel;
  State state = State::Complete;
  Reason reason = Reason::None;
  std::uint32_t message = 1;  // 1-based number of the message in its session
  Transfer transfer = Transfer::Data;
  bool tls = false;
  Window window = Window::Followed;
  // With Window::Near: the difference between the turn and the milter's count; 0: there was no
  // count.
  std::uint64_t miss = 0;
  std::uint64_t size = 0;  // bytes in the window with the terminator; under TLS of the plaintext
  Tls hello;
  Path path;
  Landmarks landmarks;
  Dialogue dialogue;
  // Message bytes before each chunk except the first (BDAT). Empty if there are more than
  // kMaxChunks.
  static constexpr std::size_t kMaxChunks = 64;
  std::vector<std::uint32_t> chunk_begins;
  std::vector<Segment> segments;  // under TLS: of the encrypted bytes
  std::vector<Record> records;    // under TLS, if they could be read; else empty
  bool operator==(const Trace&) const = default;
};

// Has only the milter read the text? Then the place of the message is known from what it was shown.
inline bool unread(const Trace& trace) {
  return trace.tls || trace.via == Via::Wire;
}

// The message's bytes in its segments; under TLS, the encrypted bytes.
inline std::uint64_t segments_size(const Trace& trace) {
  std::uint64_t size = 0;
  for (const Segment& segment : trace.segments) size += segment.size;
  return size;
}

// The trace of a message of which nothing was seen, with the reason.
inline Trace unobserved(Reason reason, std::uint32_t message) {
  Trace trace;
  trace.state = State::Unobserved;
  trace.reason = reason;
  if (reason == Reason::Balancer) trace.via = Via::Balancer;
  trace.message = message;
  return trace;
}

}  // namespace classifier
