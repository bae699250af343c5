#include "milter/config/text_checks.h"

#include <fmt/format.h>
#include <net/if.h>

#include "text/ascii.h"

namespace config {
namespace {

bool all_of_set(std::string_view text, std::string_view set) {
  return text.find_first_not_of(set) == std::string_view::npos;
}

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";

// RFC 3463: a class, then subject and detail of one to three digits each. Then a text must follow.
std::string check_reply(std::string_view text, char status_class) {
  const auto wrong =
      fmt::format("\"{}\" must begin with an enhanced status code {}.x.y and a space, then a text",
                  text, status_class);
  const auto space = text.find(' ');
  if (space == std::string_view::npos || text.size() < 5 || space + 1 == text.size()) return wrong;
  const auto code = text.substr(0, space);
  const auto second = code.find('.', 2);
  if (code[0] != status_class || code[1] != '.' || second == std::string_view::npos) return wrong;
  for (const auto part : {code.substr(2, second - 2), code.substr(second + 1)}) {
    if (part.empty() || part.size() > 3 || !all_of_set(part, kDigits)) return wrong;
  }
  return check_note(text);
}

}  // namespace

// The host name becomes the first word of a header whose items end with ';'.
std::string check_host(std::string_view text) {
  if (text.size() <= 255 && all_of_set(text, kNameCharacters)) return "";
  return fmt::format("\"{}\" is not a host name: letters, digits, '.', '-' and '_' only", text);
}

std::string check_suffix(std::string_view text) {
  const auto name = text.substr(text.starts_with('.') ? 1 : 0);
  const bool good = !name.empty() && name.size() <= 253 && all_of_set(name, kNameCharacters) &&
                    name.front() != '.' && name.back() != '.' && name.find("..") == name.npos;
  if (good) return "";
  return fmt::format("\"{}\" is not the end of a host name, such as \".example.org\"", text);
}

std::string check_account(std::string_view text) {
  if (text.empty()) return "the name must not be empty";
  return check_account_or_empty(text);
}

std::string check_account_or_empty(std::string_view text) {
  if (text.size() <= 64 && all_of_set(text, kNameCharacters)) return "";
  return fmt::format("\"{}\" is not the name of a user or a group", text);
}

std::string check_interface_or_empty(std::string_view text) {
  // Linux: fewer than IFNAMSIZ characters, and no '/', colon or blank.
  const bool fits = text.size() < IFNAMSIZ && text::is_printable(text);
  if (fits && text.find_first_of("/: ") == text.npos) return "";
  return fmt::format("\"{}\" is not the name of a network interface", text);
}

std::string check_file_or_empty(std::string_view text) {
  if (text.empty() || (text.starts_with('/') && text::is_printable(text))) return "";
  return fmt::format("\"{}\" is not an absolute path", text);
}

std::string check_folder(std::string_view text) {
  return text.empty() ? "the path is empty; write the absolute path of a folder"
                      : check_file_or_empty(text);
}

// The values that Postfix's milter_macro_daemon_name can have. Quotes are refused, because print()
// would have to escape them.
std::string check_listener(std::string_view text) {
  if (!text.empty() && text.size() <= 255 && all_of_set(text, kNameCharacters)) return "";
  return "this is not the name of a listener: letters, digits, '.', '-' and '_' only";
}

std::string check_word_or_empty(std::string_view text) {
  if (text.size() <= 255 && text::is_printable(text) && text.find(' ') == text.npos) return "";
  return "the text may have only printable ASCII characters, at most 255, and no space";
}

std::string check_note(std::string_view text) {
  // The reply line with its code and CRLF must fit into 512 bytes (RFC 5321, 4.5.3.1.5).
  constexpr std::size_t kMost = 480;
  if (text.empty() || text.size() > kMost)
    return fmt::format("the text must have 1 to {} characters", kMost);
  return text::is_printable(text)
             ? ""
             : "the text may have only printable ASCII characters, on one line";
}

std::string check_tempfail(std::string_view text) {
  return check_reply(text, '4');
}
std::string check_reject(std::string_view text) {
  return check_reply(text, '5');
}

}  // namespace config
