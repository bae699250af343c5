// Tests text/printable.
#include "text/printable.h"

#include <catch2/catch.hpp>

using text::printable;

TEST_CASE("printed text stays on its line and cannot control a terminal") {
  CHECK(printable("").empty());
  CHECK(printable("a \"quoted\" word, C:\\x41 ~") == "a \"quoted\" word, C:\\x41 ~");
  CHECK(printable("two\r\nlines\t") == "two\\x0d\\x0alines\\x09");
  CHECK(printable("\x1b[31m") == "\\x1b[31m");
  CHECK(printable(std::string_view("\0\x7f", 2)) == "\\x00\\x7f");
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    CHECK(text::is_printable(printable(std::string_view(&c, 1))));
  }
}
