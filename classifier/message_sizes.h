// What sizes alone show of a message: those of its commands, of its header fields and of its body.
// Two sides know them. The observer has read the client's stream. Postfix has shown the message to
// the filter. Here the sizes are compared: can the shown message be the one that was seen? If a
// message was found by its size: which of the shown fields did the client send?
//
// Postfix may show other text than the client sent. A policy service puts fields before it
// (PREPEND). cleanup(8) appends missing fields (always_add_missing_headers). header_checks remove,
// replace and add fields. A line that ended in LF alone is shown with CRLF. So a difference is a
// contradiction only if no such change explains it.
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

// The sizes of an envelope's commands. Each is the size that the command has as RFC 5321 spells it
// with its line end, whatever case and blanks the client used: `MAIL FROM:<a@b> SIZE=12`. 0 stands
// for a command that servers may read differently: it can be any command.
struct EnvelopeSizes {
  static constexpr std::size_t kMostMail = 4;
  static constexpr std::size_t kMostRcpt = 64;

  // Postfix shows one MAIL of a message. An observer may have seen several MAIL commands without
  // knowing which one the server took.
  std::vector<std::uint32_t> mail;
  std::vector<std::uint32_t> rcpt;
  bool more = false;        // there were more of either than are kept
  std::uint64_t total = 0;  // sum of all; 0: not known

  // `arguments`: the path and each parameter, with a blank between them; 0: not known.
  void add_mail(std::uint64_t arguments);
  void add_rcpt(std::uint64_t arguments);

  bool operator==(const EnvelopeSizes&) const = default;
};

// Returns the size of the text after the colon of MAIL or RCPT, without the line end: the path and
// each parameter, with one blank between them. Returns 0 if servers may read the text differently:
// quoted words, comments, no angle brackets.
std::uint64_t argument_size(std::string_view text);

// The sizes of the landmarks' header fields, each from its name to its line end. Empty if the
// header was not read.
std::vector<std::uint32_t> field_sizes(const Landmarks& marks);

// The sizes of a message as a milter was shown it, in bytes as SMTP carries them (CRLF line ends).
struct ShownSizes {
  static constexpr std::size_t kMostFields = Landmarks::kMaxFields;

  std::uint64_t header = 0;           // all fields and the blank line; 0: not known
  std::vector<std::uint32_t> fields;  // the first kMostFields of them
  std::optional<std::uint64_t> body;  // empty: not counted
  // Header and body together, without the dot line, if they were not shown apart; 0: not known.
  std::uint64_t text = 0;
  std::uint64_t dots = 0;      // lines that begin with a dot, which DATA doubles
  std::uint64_t greeting = 0;  // size of EHLO under TLS; 0: not known, or not said
  EnvelopeSizes envelope;      // MAIL and each RCPT, or those that were taken; empty: not known

  bool operator==(const ShownSizes&) const = default;
};

// The size of the shown message in DATA and in BDAT. Require: the body was counted.
std::uint64_t size_by_data(const ShownSizes& shown);
std::uint64_t size_by_bdat(const ShownSizes& shown);
std::uint64_t size_by(Transfer transfer, const ShownSizes& shown);
// The bytes by which a message of `size` bytes may differ from what is shown of it.
std::uint64_t most_miss(std::uint64_t size);

// The sizes of a message as an observer has seen it.
struct SeenSizes {
  EnvelopeSizes envelope;
  std::vector<std::uint32_t> fields;  // the first fields; empty: the header was not read
  std::optional<std::uint64_t> body;  // without the dot line
  std::uint64_t size = 0;             // the whole message, with the dot line
  Transfer transfer = Transfer::Data;
};
SeenSizes seen_sizes(const Trace& trace, EnvelopeSizes&& envelope);

// Returns how many of the parts (envelope, header, body) contradict each other. 0: all that both
// sides know can belong to one message.
unsigned contradictions(const ShownSizes& shown, const SeenSizes& seen);

// The shown fields that the client did not send: the first `top` and the last `end` ones, or the
// single one with number `lone`. `blank`: the client sent a blank line between header and body.
struct Added {
  std::size_t top = 0;
  std::size_t end = 0;
  std::optional<std::size_t> lone;
  bool blank = true;

  bool operator==(const Added&) const = default;
};

// Returns how a message of `size` bytes came to be shown like this. Returns nothing if no such
// change explains its size, or if several do equally well. Requires: the body was counted.
std::optional<Added> explain(const ShownSizes& shown, std::uint64_t size, Transfer transfer);

}  // namespace classifier
