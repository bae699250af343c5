// The text of a book's entries: reading, printing, and errors.
#include <catch2/catch.hpp>

#include "classifier/gait.h"

using namespace classifier;

TEST_CASE("a printed entry is read as the same entry") {
  for (const Gait& gait : GaitBook::builtin()->gaits()) {
    GaitBook book;
    INFO(print(gait));
    REQUIRE_FALSE(book.add(print(gait)));
    CHECK(book.gaits().front() == gait);
  }
}

TEST_CASE("a wrong file of gaits is refused with the line of the error") {
  struct Row {
    const char* what;
    const char* text;
    std::size_t line;
  };
  const Row rows[] = {
      {"no entry yet", "# a comment\n  class bot\n", 2},
      {"a name with capitals", "gait Bot\n", 1},
      {"the name that means none", "gait unknown\n", 1},
      {"two words for a name", "gait a b\n", 1},
      {"no first", "gait a\n  talk ehlo\n", 2},
      {"no first, noticed at the next entry", "gait a\n  talk ehlo\n\ngait b\n  first none\n", 4},
      {"an unknown key", "gait a\n  frist none\n", 2},
      {"a key without a value", "gait a\n  first\n", 2},
      {"an unknown word", "gait a\n  first none\n  talk ehlo loud\n", 3},
      {"a word asked for and refused", "gait a\n  first none\n  talk lower -lower\n", 3},
      {"an unknown class", "gait a\n  class server\n", 2},
      {"a block of no size", "gait a\n  first block-\n", 2},
      {"a block out of range", "gait a\n  first block-4294967297\n", 2},
      {"five blocks", "gait a\n  first block-1024 block-1025 block-1026 block-1027 block-1028\n",
       2},
      {"five buffers of lines",
       "gait a\n  first lines-1024 lines-1025 lines-1026 lines-1027 lines-1028\n", 2},
      {"the same name twice", "gait a\n  first none\ngait a\n  first none\n", 3},
      {"enough of what", "gait a\n  enough writes\n", 2},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    GaitBook book;
    const auto error = book.add(row.text);
    REQUIRE(error);
    CHECK(error->line == row.line);
    CHECK_FALSE(error->message.empty());
    CHECK(book.gaits().empty());
  }
}

TEST_CASE("words of a trace that entries do not use are refused in an entry") {
  for (const char* word : {"pipelined", "fallback"}) {
    GaitBook book;
    const auto error = book.add(std::string("gait a\n  first none\n  talk ehlo ") + word + "\n");
    REQUIRE(error);
    CHECK(error->line == 3);
  }
}
