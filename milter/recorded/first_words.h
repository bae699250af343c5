// Recognises SMTP by the first bytes of a packet, when nothing else is known about the session.
// Pure; safe from any thread.
#pragma once

#include <algorithm>
#include <string_view>

namespace recorded {

// `word` must be in capitals.
inline bool starts_with_word(std::string_view text, std::string_view word) {
  const auto upper = [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  };
  return text.size() >= word.size() && std::equal(word.begin(), word.end(), text.begin(),
                                                  [&](char a, char b) { return a == upper(b); });
}

// A server's greeting. FTP servers send the same; only the following dialogue shows the difference.
inline bool is_greeting(std::string_view text) {
  return text.starts_with("220 ") || text.starts_with("220-");
}

// A client's command with which a session can begin.
inline bool is_start(std::string_view text) {
  return starts_with_word(text, "EHLO ") || starts_with_word(text, "HELO ") ||
         starts_with_word(text, "MAIL FROM:");
}

// A command that a client may send after a message.
inline bool is_next_command(std::string_view text) {
  return is_start(text) || starts_with_word(text, "QUIT\r\n") ||
         starts_with_word(text, "RSET\r\n") || starts_with_word(text, "BDAT ");
}

// True if the first byte is that of a PROXY header, of either version.
inline bool may_be_proxy_header(std::string_view text) {
  return !text.empty() && (text.front() == 'P' || text.front() == '\r');
}

// True if the first byte is that of a TLS record of any type. RFC 8446, 5.1.
inline bool is_tls_record(std::string_view text) {
  return !text.empty() && text.front() >= 0x14 && text.front() <= 0x18;
}

// True if the first byte is that of a TLS handshake record. RFC 8446, 5.1.
inline bool is_tls_hello(std::string_view text) {
  return !text.empty() && text.front() == 0x16;
}

}  // namespace recorded
