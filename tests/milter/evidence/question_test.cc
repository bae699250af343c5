// Tests milter/evidence/question: printing and reading the text of a question.
#include "milter/evidence/question.h"

#include <catch2/catch.hpp>

using evidence::parse_question;
using evidence::Question;

namespace {

Question full() {
  Question question{.client = *net::Endpoint::parse("192.0.2.7:40112"),
                    .server = *net::Endpoint::parse("[2001:db8::25]:25"),
                    .began = evidence::steady_clock::time_point(std::chrono::nanoseconds(812345)),
                    .after = 3};
  question.shown = {.header = 610, .fields = {70, 40, 22}, .body = 4808, .dots = 2, .greeting = 22};
  question.shown.envelope.add_mail(26);
  question.shown.envelope.add_rcpt(21);
  question.shown.envelope.add_rcpt(23);
  return question;
}

}  // namespace

TEST_CASE("a question is read as it was printed") {
  CHECK(print(full()) ==
        "get client=192.0.2.7:40112 server=[2001:db8::25]:25 began=812345 after=3 greeting=22 "
        "mail=38 "
        "rcpt=31,33 envelope=102 header=610 fields=70,40,22 body=4808 dots=2");
  CHECK(parse_question(print(full())) == full());
  const Question least{.client = *net::Endpoint::parse("[2001:db8::1]:25")};
  CHECK(print(least) == "get client=[2001:db8::1]:25 after=0");
  CHECK(parse_question(print(least)) == least);
}

TEST_CASE("the longest question fits into the limit") {
  Question question = full();
  question.server = *net::Endpoint::parse("[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
  question.client = *question.server;
  constexpr auto kMost = UINT32_MAX;
  question.shown = {.header = UINT64_MAX, .body = UINT64_MAX, .dots = UINT64_MAX};
  question.shown.fields.assign(classifier::ShownSizes::kMostFields, kMost);
  for (int i = 0; i < 100; ++i) question.shown.envelope.add_mail(kMost);
  for (int i = 0; i < 100; ++i) question.shown.envelope.add_rcpt(kMost);
  CHECK(question.shown.envelope.more);
  CHECK(print(question).size() <= Question::kMostText);
  CHECK(parse_question(print(question)) == question);
}

TEST_CASE("items may come in any order") {
  const auto question = parse_question("get body=7 after=1 header=9 client=192.0.2.7:1");
  REQUIRE(question);
  CHECK(question->after == 1);
  CHECK(question->shown.body == 7U);
}

TEST_CASE("a question with one mistake is refused") {
  const std::string many = "get client=192.0.2.7:1 after=0 fields=1" + [] {
    std::string more;
    for (int i = 0; i < 64; ++i) more += ",1";
    return more;
  }();
  const std::string texts[] = {
      "",
      "get",
      "get client=192.0.2.7:1",
      "get after=0",
      "get client=192.0.2.7 after=0",
      "get client=192.0.2.7:1 after=",
      "get client=192.0.2.7:1 after=-1",
      "get client=192.0.2.7:1 after=4294967296",
      "get client=192.0.2.7:1 after=0 ",
      "get client=192.0.2.7:1  after=0",
      "get client=192.0.2.7:1 after",
      "get client=192.0.2.7:1 after=0 body=18446744073709551616",
      "get client=192.0.2.7:1 after=0 body=1x",
      "get client=192.0.2.7:1 after=0 size=1",
      "get client=192.0.2.7:1 after=0 server=somewhere",
      "get client=192.0.2.7:1 after=0 began=-5",
      "get client=192.0.2.7:1 after=0 fields=",
      "get client=192.0.2.7:1 after=0 fields=1,",
      "get client=192.0.2.7:1 after=0 fields=1,,2",
      "get client=192.0.2.7:1 after=0 rcpt=1 rcpt=2",
      "get client=192.0.2.7:1 after=0 more=no",
      "put client=192.0.2.7:1 after=0",
      many,
      "get client=192.0.2.7:1 after=0" + std::string(Question::kMostText, ' '),
  };
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK_FALSE(parse_question(text));
  }
}

TEST_CASE("a question about a dialogue is read as it was printed, and has no other items") {
  const evidence::SessionQuestion question = full().session();
  CHECK(print(question) == "talk client=192.0.2.7:40112 server=[2001:db8::25]:25 began=812345");
  CHECK(evidence::parse_session_question(print(question)) == question);
  const std::string texts[] = {
      "talk",
      "talk server=192.0.2.7:1",
      "talk client=192.0.2.7",
      "talk client=192.0.2.7:1 after=0",
      "talk client=192.0.2.7:1 ",
      "talk client=192.0.2.7:1 body=1",
      "get client=192.0.2.7:1 after=0",
  };
  for (const std::string& text : texts) {
    CAPTURE(text);
    CHECK_FALSE(evidence::parse_session_question(text));
  }
  CHECK_FALSE(parse_question(print(question)));
}

TEST_CASE("the size of the whole text takes the place of header and body") {
  Question question{.client = *net::Endpoint::parse("192.0.2.7:40112")};
  question.shown.text = 5112;
  CHECK(print(question) == "get client=192.0.2.7:40112 after=0 text=5112");
  CHECK(parse_question(print(question)) == question);
}
