// By what a packet's first bytes are known as SMTP, where nothing else is known of the session.
// Pure; safe from any thread.
#pragma once

#include <algorithm>
#include <string_view>

namespace recorded {

// `word` is in capitals.
inline bool starts_with_word(std::string_view text, std::string_view word) {
  const auto upper = [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  };
  return text.size() >= word.size() && std::equal(word.begin(), word.end(), text.begin(),
                                                  [&](char a, char b) { return a == upper(b); });
}

// A server's greeting. FTP has the same: the dialogue behind it tells.
inline bool is_greeting(std::string_view text) {
  return text.starts_with("220 ") || text.starts_with("220-");
}

// A client's command from which on a session can be followed.
inline bool is_start(std::string_view text) {
  return starts_with_word(text, "EHLO ") || starts_with_word(text, "HELO ") ||
         starts_with_word(text, "MAIL FROM:");
}

// What a client sends behind a message.
inline bool is_next_command(std::string_view text) {
  return is_start(text) || starts_with_word(text, "QUIT\r\n") ||
         starts_with_word(text, "RSET\r\n") || starts_with_word(text, "BDAT ");
}

// The first byte of a TLS record of any type. RFC 8446, 5.1.
inline bool is_tls_record(std::string_view text) {
  return !text.empty() && text.front() >= 0x14 && text.front() <= 0x18;
}

// The first byte of a TLS record with a handshake. RFC 8446, 5.1.
inline bool is_tls_hello(std::string_view text) {
  return !text.empty() && text.front() == 0x16;
}

}  // namespace recorded
