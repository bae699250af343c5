// Checks for settings that are texts. Each check returns the reason why the text is refused, or an
// empty text.
#pragma once

#include <string>
#include <string_view>

namespace config {

std::string check_host(std::string_view text);     // may be empty
std::string check_suffix(std::string_view text);   // "example.org", ".example.org"
std::string check_account(std::string_view text);  // name of a user or a group
std::string check_account_or_empty(std::string_view text);
std::string check_interface_or_empty(std::string_view text);
std::string check_file_or_empty(std::string_view text);  // an absolute path
std::string check_folder(std::string_view text);         // an absolute path
std::string check_listener(std::string_view text);
std::string check_word_or_empty(std::string_view text);  // printable, without blanks
std::string check_note(std::string_view text);      // printable ASCII, for a log or a queue file
std::string check_tempfail(std::string_view text);  // "4.x.y text"
std::string check_reject(std::string_view text);    // "5.x.y text"

}  // namespace config
