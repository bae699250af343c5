#include "milter/filter/shown.h"

#include <catch2/catch.hpp>

using classifier::Transfer;
using filter::Shown;

TEST_CASE("fields are measured as they were on the wire") {
  struct Row {
    const char* label;
    const char* name;
    const char* value;
    bool blank_taken;
    std::uint64_t size;  // with CRLF
  };
  const Row rows[] = {
      {"a blank that is shown", "Subject", " hello", false, 16},
      {"no blank on the wire", "Subject", "hello", false, 15},
      {"a blank that Postfix took", "Subject", "hello", true, 16},
      {"nothing after the colon", "Subject", "", false, 10},
      {"two folds", "Received", " from a\n\tby b\n\tfor c", false, 33},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    Shown shown;
    shown.header(row.name, row.value, row.blank_taken);
    CHECK(shown.sizes().header == row.size + 2);
    CHECK(shown.landmarks(Transfer::Data).header_end == row.size);
    CHECK(shown.landmarks(Transfer::Data).body_begin == row.size + 2);
  }
}

TEST_CASE("fields, folds and the first line are landmarks") {
  Shown shown;
  shown.header("received", " from a\n\tby b", false);
  shown.header("Subject", " hello", false);
  const auto marks = shown.landmarks(Transfer::Data);
  CHECK(marks.fields == std::vector<classifier::HeaderField>{{25, true}, {41, false}});
  CHECK(marks.folds == std::vector<std::uint32_t>{18});
  CHECK(marks.first_line_end == 18);
  CHECK(marks.terminator == 3);
  CHECK(shown.landmarks(Transfer::Bdat).terminator == 0);
}

TEST_CASE("dots at line starts are counted, wherever the body is cut") {
  const std::string_view body = ".one\r\ntwo.\r\n..three\r\n\r\n.\r\n";
  for (std::size_t cut = 1; cut <= body.size(); ++cut) {
    Shown shown;
    for (std::size_t at = 0; at < body.size(); at += cut) shown.body(body.substr(at, cut));
    CHECK(shown.sizes().body == body.size());
    CHECK(shown.sizes().dots == 3);
  }
}

TEST_CASE("a text that ends with an empty line is recognized, in whatever parts it is shown") {
  const auto ends_blank = [](std::initializer_list<std::string_view> parts) {
    Shown shown;
    for (const std::string_view part : parts) shown.body(part);
    return shown.blank_end();
  };
  CHECK(ends_blank({}));  // the blank line after the header
  CHECK(ends_blank({"hello\r\n\r\n"}));
  CHECK(ends_blank({"hello\r\n\r", "\n"}));
  CHECK(ends_blank({"hello\r\n", "\r\n"}));
  CHECK(ends_blank({"\r\n"}));
  CHECK_FALSE(ends_blank({"hello\r\n"}));
  CHECK_FALSE(ends_blank({"hello\r\n\r\na"}));
  CHECK_FALSE(ends_blank({"a\r\n"}));
  Shown unseen;
  unseen.body_unseen();
  CHECK_FALSE(unseen.blank_end());
}

TEST_CASE("a body that was not shown to the end has no size") {
  Shown shown;
  shown.body("some");
  shown.body_unseen();
  shown.body("more");
  CHECK_FALSE(shown.sizes().body);
}

TEST_CASE("an empty message has its blank line and an empty body") {
  CHECK(Shown().sizes().header == 2);
  CHECK(Shown().sizes().body == 0U);
}
