// Tests that text from outside is harmless on a page.
#include "milter/page/page.h"

#include <catch2/catch.hpp>
#include <string_view>

using page::escape;

TEST_CASE("markup, controls, wrong UTF-8 and changes of direction are shown and have no effect") {
  struct Row {
    const char* what;
    std::string_view text;
    std::string_view shown;
  };
  using namespace std::string_view_literals;
  const Row rows[] = {
      {"words stay", "mx.example", "mx.example"},
      {"markup", "<b>&\"'</b>", "&lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;"},
      {"a script", "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
      {"an attribute", "\"onload='x'", "&quot;onload=&#39;x&#39;"},
      {"NUL", "a\0b"sv, "a\\u0000b"},
      {"line ends", "a\r\nb", "a\\u000d\\u000ab"},
      {"DEL", "\x7f", "\\u007f"},
      {"an 8-bit control character", "\xc2\x9b", "\\u009b"},
      {"letters of other scripts stay", "\xc3\xa9\xd7\xa9", "\xc3\xa9\xd7\xa9"},
      {"right-to-left override", "\xe2\x80\xae", "\\u202e"},
      {"isolates", "\xe2\x81\xa6\xe2\x81\xa9", "\\u2066\\u2069"},
      {"marks of direction", "\xe2\x80\x8f\xd8\x9c", "\\u200f\\u061c"},
      {"a line separator", "\xe2\x80\xa8", "\\u2028"},
      {"a byte that begins nothing", "\xff", "\xef\xbf\xbd"},
      {"a character that is cut off", "a\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbd"},
      {"a long form of <", "\xc0\xbc", "\xef\xbf\xbd\xef\xbf\xbd"},
      {"a surrogate", "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
      {"beyond Unicode", "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(escape(row.text) == row.shown);
  }
}

TEST_CASE("foreign text is isolated, so that it cannot turn the text beside it") {
  CHECK(page::foreign("<x>") == "<bdi>&lt;x&gt;</bdi>");
}
