// Gaits that are learned from messages.
#include "classifier/gait_learn.h"

#include <catch2/catch.hpp>
#include <string>

#include "classifier/gait.h"
#include "tests/support/traits.h"

namespace {

using namespace classifier;

// A header of 302 bytes, 40 ms away.
const std::string kMessage = "mss=1448 rtt=40000 ts=yes line1=40 header=302 body=304 dot=3 ";
const std::string kPostfix = kMessage +
                             "fields=40,77,113,152,196,215,302 "
                             "talk=ehlo,pipelined,quit-with-dot,rcpt-ahead,data-ahead "
                             "declared=17180 seg=1448p,1448x9p@10,1448@40000,1253+6pn@9";

}  // namespace

TEST_CASE("a learned entry fits the messages from which it was learned, and no others") {
  const std::string talk = "talk=helo,trailing-space ";
  const std::vector<Traits> messages = {
      traits_of(kMessage + talk + "seg=1448,600p@9,1448x7@9,1448x3@40000,97pn@9"),
      traits_of("mss=908 rtt=40000 line1=20 header=310 body=312 dot=3 " + talk +
                "seg=908,908p@9,232p@9,908x7@9,908x3@40000,97pn@9"),
  };
  const std::string text = learn("acme", messages);
  INFO(text);
  GaitBook book;
  REQUIRE_FALSE(book.add(text));
  CHECK(book.gaits().front().blocks.front() == 2048);
  for (const Traits& traits : messages) CHECK(book.match(traits).gait != nullptr);
  CHECK(book.match(traits_of(kPostfix)).gait == nullptr);
  const std::string hello = "t13i290900_0123456789ab_0123456789ab";
  const std::string sealed =
      learn("acme-tls", {traits_of("tls=yes window=inferred mss=1448 ja4=" + hello +
                                   " talk=ehlo seg=1448x4,90 rec=2048,2048,900")});
  CHECK(sealed.find("hello " + hello) != std::string::npos);
  CHECK(sealed.find("first block-2048") != std::string::npos);
  CHECK(learn("acme", {traits_of(kMessage + "seg=900pn")}).empty());
  CHECK(learn("Not a name", messages).empty());
}
