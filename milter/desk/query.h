// The query of a URL, "pattern=mobile&since=48h", and words as parts of a URL. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "milter/history/selection.h"

namespace desk {

// The longest query, in bytes.
inline constexpr std::size_t kMostQuery = 1024;

struct QueryError {
  std::string message;
};
// Pairs without a value are left out, because a form sends its empty fields too. "+" is a blank.
// Which keys and values there may be is for the view to say.
std::variant<history::Pairs, QueryError> parse_query(std::string_view text);

// Nothing: a "%" does not begin two digits, base 16.
std::optional<std::string> percent_decoded(std::string_view text);

// Writes every character in percent form (RFC 3986, 2.3), except letters, digits, "-", "_", ".",
// "~", and "!", ",", ":", "/", which a query may have.
std::string percent_encoded(std::string_view text);

// "?pattern=mobile&since=48h"; empty where there are no pairs. Has to be escaped in HTML.
std::string print_query(const history::Pairs& pairs);

}  // namespace desk
