#include "classifier/behind_gap.h"

#include <catch2/catch.hpp>

using classifier::Asked;
using classifier::assumed_reply;
using classifier::GapSearch;
using Line = GapSearch::Line;

TEST_CASE(
    "an answer that was not seen is assumed to be the one that the client's next bytes show") {
  struct Row {
    const char* what;
    Asked asked;
    classifier::Following next;
    int code;
  };
  const Row rows[] = {
      {"text after DATA", Asked::Data, {.bytes = "Received: from a"}, 354},
      {"a command after DATA", Asked::Data, {.bytes = "quit\r\n"}, 554},
      {"what may become a command", Asked::Data, {.bytes = "MAIL FR"}, 0},
      {"nothing after DATA", Asked::Data, {}, 0},
      {"more than is held", Asked::Data, {.is_text = true}, 354},
      {"a line after AUTH", Asked::Auth, {.bytes = "dXNlcg==\r\n"}, 334},
      {"a command after AUTH", Asked::Auth, {.bytes = "MAIL FROM:<>\r\n"}, 235},
      {"half a line after AUTH", Asked::Auth, {.bytes = "MAIL"}, 0},
      {"a doubtful end, and nothing", Asked::End, {.end_doubted = true}, 0},
      {"a doubtful end, and more", Asked::End, {.bytes = "QUIT\r\n", .end_doubted = true}, 250},
      {"STARTTLS", Asked::StartTls, {}, 220},
      {"QUIT", Asked::Quit, {}, 221},
      {"any other", Asked::Plain, {}, 250},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(assumed_reply(row.asked, row.next) == row.code);
  }
}

TEST_CASE("after a gap the first command is found, and text before it is reported once") {
  GapSearch gap;
  CHECK(gap.line("anything\r\n") == Line::Command);
  CHECK_FALSE(gap.gap(100, false));
  CHECK(gap.searching());
  CHECK(gap.line("one\r\n") == Line::Skipped);
  CHECK(gap.line("two\r\n") == Line::Skipped);
  CHECK(gap.line("three\r\n") == Line::SkippedText);
  CHECK(gap.line(".\r\n") == Line::Skipped);
  CHECK(gap.line("mail from:<a@b.example>\r\n") == Line::Command);
  CHECK_FALSE(gap.searching());
  CHECK(gap.take_first_found());
  CHECK_FALSE(gap.take_first_found());
}

TEST_CASE("a gap that is too long for commands alone hid text, which is reported once") {
  GapSearch gap;
  CHECK(gap.gap(5000, false));
  CHECK_FALSE(gap.gap(5000, false));
  CHECK(gap.line(".\r\n") == Line::Skipped);
  CHECK(gap.gap(5000, false));
}

TEST_CASE("a gap of a few bytes hid no text") {
  GapSearch gap;
  (void)gap.gap(20, false);
  CHECK_FALSE(gap.hid_text(true));
  (void)gap.gap(200, false);
  CHECK_FALSE(gap.hid_text(false));
  (void)gap.gap(200, false);
  CHECK(gap.hid_text(true));
  CHECK_FALSE(gap.hid_text(true));
}
