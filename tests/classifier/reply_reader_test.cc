#include "classifier/reply_reader.h"

#include <catch2/catch.hpp>
#include <string>

using classifier::ReplyReader;

namespace {

// "220 250 bad": the replies in `text`, given so many bytes at a time.
std::string replies_in(std::string_view text, std::size_t at_once, std::size_t limit = 64) {
  ReplyReader reader(limit);
  std::string all;
  for (std::size_t at = 0; at < text.size(); at += at_once) {
    const std::string_view some = text.substr(at, at_once);
    std::span<const char> bytes(some.data(), some.size());
    while (!bytes.empty()) {
      const auto got = reader.read(bytes);
      if (got == ReplyReader::Got::Malformed) return all + "bad";
      if (got == ReplyReader::Got::Reply) all += std::to_string(reader.code()) + ' ';
    }
  }
  return all;
}

}  // namespace

TEST_CASE("replies are joined from lines, however they are cut") {
  struct Row {
    const char* text;
    const char* replies;
  };
  const Row rows[] = {
      {"220 hi\r\n", "220 "},
      {"220-hi\r\n220-there\r\n220 go\r\n250 ok\r\n", "220 250 "},
      {"250\r\n", "250 "},
      {"250\n354 go\n", "250 354 "},
      {"599 x\r\n200 y\r\n", "599 200 "},
      {"250 half", ""},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    for (const std::size_t at_once : {1, 2, 5, 100}) {
      CHECK(replies_in(row.text, at_once) == row.replies);
    }
  }
}

TEST_CASE("a line that is not a reply is malformed") {
  for (const char* text : {"hi\r\n", "22 hi\r\n", "2x0 hi\r\n", "199 no\r\n", "600 no\r\n",
                           "220_hi\r\n", "\r\n", "2200 hi\r\n"}) {
    INFO(text);
    CHECK(replies_in(text, 100) == "bad");
  }
  CHECK(replies_in("220 " + std::string(100, 'x') + "\r\n", 7, 64) == "bad");
  CHECK(replies_in("220 " + std::string(58, 'x') + "\r\n", 7, 64) == "220 ");
}

TEST_CASE("of the enhanced status codes only X.7.0, other security problems, is recognised") {
  ReplyReader reader(64);
  const auto last = [&](std::string_view text) {
    std::span<const char> bytes(text.data(), text.size());
    REQUIRE(reader.read(bytes) == ReplyReader::Got::Reply);
    return reader.security_status();
  };
  CHECK(last("503 5.7.0 no\r\n"));
  CHECK_FALSE(last("503 5.5.1 no\r\n"));
  CHECK_FALSE(last("503\r\n"));
}
