// What sizes alone tell of a message: of the commands in front of it, of its header fields, of its
// body. Two sides know them. The observer has read the client's stream; the filter has been shown
// the message by Postfix. Here they are compared: can what was shown be what was seen? And where a
// message has been found by its size: which of the shown fields did the client send?
//
// Postfix may show other text than the client sent. A policy service puts fields in front
// (PREPEND), cleanup(8) appends what is missing (always_add_missing_headers), header_checks remove,
// replace and add fields, and a line that ended in LF alone is shown with CRLF. So a difference is
// a contradiction only where no such change explains it.
//
// Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "classifier/trace.h"

namespace classifier {

// The commands of an envelope, each as RFC 5321 spells it with its line end, whatever the client
// made of letter case and blanks: `MAIL FROM:<a@b> SIZE=12`. 0 stands for a command that servers
// may read in ways of their own: it can be any.
struct EnvelopeSizes {
  static constexpr std::size_t kMostMail = 4;
  static constexpr std::size_t kMostRcpt = 64;

  // Of one message Postfix shows one MAIL. An observer may have seen several and not know which of
  // them was taken.
  std::vector<std::uint32_t> mail;
  std::vector<std::uint32_t> rcpt;
  bool more = false;        // there were more of either than are kept
  std::uint64_t total = 0;  // of all; 0: not known

  // `arguments`: the path and each parameter, with a blank between them; 0: it cannot be told.
  void add_mail(std::uint64_t arguments);
  void add_rcpt(std::uint64_t arguments);

  bool operator==(const EnvelopeSizes&) const = default;
};

// The size of what stands behind the colon of MAIL or RCPT, without the line end: the path and each
// parameter, with one blank between them. 0 where servers may read it in ways of their own: quoted
// words, comments, no angle brackets.
std::uint64_t argument_size(std::string_view text);

// The header fields that the landmarks tell of, each from its name to its line end; empty where
// nobody has read the header.
std::vector<std::uint32_t> field_sizes(const Landmarks& marks);

// What a milter was shown of a message, in bytes as SMTP carries them (CRLF line ends).
struct ShownSizes {
  static constexpr std::size_t kMostFields = Landmarks::kMaxFields;

  std::uint64_t header = 0;           // all fields and the blank line; 0: not told
  std::vector<std::uint32_t> fields;  // the first kMostFields of them
  std::optional<std::uint64_t> body;  // nothing: not counted
  std::uint64_t dots = 0;             // lines that begin with one: doubled by DATA
  std::uint64_t greeting = 0;         // EHLO, said under TLS; 0: not told, or it was not said
  EnvelopeSizes envelope;             // MAIL and each RCPT, or each that was taken; empty: not told

  bool operator==(const ShownSizes&) const = default;
};

// What DATA and BDAT carry of it. Require: the body was counted.
std::uint64_t size_by_data(const ShownSizes& shown);
std::uint64_t size_by_bdat(const ShownSizes& shown);
std::uint64_t size_by(Transfer transfer, const ShownSizes& shown);
// By how much a message of `size` bytes may have more or less than is shown of it.
std::uint64_t most_miss(std::uint64_t size);

// What an observer has seen of a message, for the comparison.
struct SeenSizes {
  EnvelopeSizes envelope;
  std::vector<std::uint32_t> fields;  // the first of them; empty: nobody has read the header
  std::optional<std::uint64_t> body;  // without the dot line
  std::uint64_t size = 0;             // all of it, with the dot line
  Transfer transfer = Transfer::Data;
};
SeenSizes seen_sizes(const Trace& trace, EnvelopeSizes&& envelope);

// How many of the parts (envelope, header, body) contradict each other: 0 where all that both sides
// know can be of one message.
unsigned contradictions(const ShownSizes& shown, const SeenSizes& seen);

// The shown fields that the client did not send: `top` of the first and `end` of the last ones, or
// the one numbered `lone`. `blank`: it sent a blank line between header and body.
struct Added {
  std::size_t top = 0;
  std::size_t end = 0;
  std::optional<std::size_t> lone;
  bool blank = true;

  bool none() const { return top == 0 && end == 0 && !lone && blank; }
  bool operator==(const Added&) const = default;
};

// How a message of `size` bytes comes to be shown like this; nothing where its size has no such
// explanation, or several that are as good. Requires: the body was counted.
std::optional<Added> explain(const ShownSizes& shown, std::uint64_t size, Transfer transfer);

}  // namespace classifier
