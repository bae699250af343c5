// What Postfix shows of one message, measured as SMTP carries it: sizes, and where header fields
// end. Under TLS nothing else is known of the text, and these sizes place the message among the
// records. The envelope's size is that of its commands as RFC 5321 spells them. A client that
// writes `MAIL From: <a@b>` has sent more bytes than are counted.
//
// A field is shown as its name and its value, with line ends in it as LF. On the wire it had a
// colon between them and CRLF at each line end. With SMFIP_HDR_LEADSPC the value includes the blank
// after the colon, if there was one; without it Postfix has removed one blank. The body is shown
// with CRLF. Pure; one object for each message.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "classifier/message_sizes.h"
#include "classifier/trace.h"

namespace filter {

class Shown {
 public:
  // Postfix sends a body in parts of at most this size; a smaller part is the last one.
  // MILTER_CHUNK_SIZE in libmilter and Postfix.
  static constexpr std::size_t kPart = 65535;

  // `path` with its angle brackets; then each parameter of the command.
  void mail(std::string_view path) { mail_ = path.size(); }
  void mail_parameter(std::string_view text) { mail_ += 1 + text.size(); }
  void rcpt(std::string_view path);
  void rcpt_parameter(std::string_view text) { rcpt_ += 1 + text.size(); }
  // `blank_taken`: without SMFIP_HDR_LEADSPC.
  void header(std::string_view name, std::string_view value, bool blank_taken);
  // A part of the body.
  void body(std::string_view bytes);
  // The next part of the body is not shown.
  void body_unseen() { sizes_.body.reset(); }

  // The sizes of all that was shown.
  classifier::ShownSizes sizes() const;
  // Whether the last line of the text is empty: the body ends with an empty line, or the message
  // ends after the header's blank line. False if the body was not counted.
  bool blank_end() const { return sizes_.body && line_begins_ && last_line_ <= kCrLf; }
  // Bytes of the whole message as `transfer` carries it; nothing if the body was not counted.
  std::optional<std::uint64_t> size(classifier::Transfer transfer) const;
  // The landmarks of a message that was sent by `transfer`, without the fields that were `added` on
  // the way.
  classifier::Landmarks landmarks(classifier::Transfer transfer,
                                  const classifier::Added& added = {}) const;

 private:
  static constexpr std::uint32_t kCrLf = 2;

  // Bytes after the colon of MAIL, and of the last RCPT; 0: none came.
  std::uint64_t mail_ = 0;
  std::uint64_t rcpt_ = 0;
  classifier::ShownSizes sizes_{.header = kCrLf, .body = 0};
  classifier::Landmarks marks_;
  bool line_begins_ = true;
  std::uint64_t line_ = 0;           // bytes of the body's current line
  std::uint64_t last_line_ = kCrLf;  // bytes of the last complete line
};

}  // namespace filter
