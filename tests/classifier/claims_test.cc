// What a message says of its sender, and when that is held against it.
#include "classifier/claims.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

#include "classifier/classify.h"
#include "classifier/trace_text.h"

namespace {

using namespace classifier;

const ClaimTable::Row* claimed(const Claims& claims) {
  return ClaimTable::builtin().claimed(claims);
}

Verdict judge(const std::string& fields, const Claims& claims) {
  const auto result = parse_trace("segmilter/1 " + fields);
  REQUIRE(std::holds_alternative<Trace>(result));
  return classify(std::get<Trace>(result), Policy{}, &claims);
}

bool contradicted(const Verdict& verdict) {
  return std::any_of(verdict.reasons.begin(), verdict.reasons.end(),
                     [](const std::string& reason) { return reason.starts_with("claims to be "); });
}

const Claims kExim{.received = "from x by mx.example.org with esmtp (Exim 4.96)\r\n\tid 1"};
// Header apart, then the body in bulk, on a good path.
const std::string kScript =
    "mss=1448 rtt=40000 line1=40 header=302 body=304 dot=3 fields=40,302 talk=helo,blank-end "
    "seg=304pn,1448@9,1448p@9,1448@9,1448p@9,1448@9,919pn@40000";
const std::string kEximItself =
    "mss=1448 rtt=40000 line1=40 header=302 body=304 dot=3 fields=40r,302 "
    "talk=ehlo,pipelined,quit-with-dot,rcpt-ahead,data-ahead declared=19600 "
    "seg=1448p,1448x4@9,949p@9,1448x4@9,1448x3@40000,454+6pn@9";

}  // namespace

TEST_CASE("the claims that are compiled in name gaits of the book") {
  CHECK(ClaimTable::builtin().rows().size() >= 20);
  for (const auto& row : ClaimTable::builtin().rows()) {
    for (const auto& gait : row.gaits) {
      INFO(row.text << " " << gait);
      CHECK(GaitBook::builtin()->find(gait) != nullptr);
    }
  }
}

TEST_CASE("a table of claims that is wrong is refused with its line") {
  const char* wrong[] = {"subject \"x\" exim", "mailer x exim", "mailer \"x exim",
                         "mailer \"\" exim", "mailer \"x\" Exim"};
  for (const char* text : wrong) {
    CAPTURE(text);
    ClaimTable table;
    const auto error = table.add(std::string("# first\n") + text + "\n");
    REQUIRE(error);
    CHECK(error->line == 2);
    CHECK(table.rows().empty());
  }
}

TEST_CASE("claims are taken from the first field of each kind") {
  Claims claims;
  claims.header("RECEIVED", "from a (Postfix)");
  claims.header("Received", "from b (Exim 4.96)");
  claims.header("User-Agent", "Mutt/2.2");
  claims.header("X-Mailer", std::string(10000, 'x'));
  CHECK(claims.received == "from a (Postfix)");
  CHECK(claims.mailer == "Mutt/2.2");
  Claims longest;
  longest.header("X-Mailer", std::string(10000, 'x'));
  CHECK(longest.mailer.size() == Claims::kLongest);
}

TEST_CASE("a mailer counts only where no server has passed the message on") {
  REQUIRE(claimed({.mailer = "PHPMailer 6.6"}) != nullptr);
  CHECK(claimed({.mailer = "phpmailer"})->gaits.front() == "line-by-line");
  CHECK(claimed({.mailer = "PHPMailer 6.6", .received = "from a by b"}) == nullptr);
  CHECK(claimed({.mailer = "PHPMailer", .received = "by b (Postfix)"})->gaits.front() == "postfix");
  CHECK(claimed({.received = "by b\r\n\t(Exim 4.96)"})->gaits.front() == "exim");
  CHECK(claimed({}) == nullptr);
}

TEST_CASE("a script that claims to be Exim is contradicted, and Exim is not") {
  const Verdict forged = judge(kScript, kExim);
  CHECK(contradicted(forged));
  CHECK(forged.score == Approx(judge(kScript, {}).score + Weights().contradiction));
  CHECK_FALSE(contradicted(judge(kEximItself, kExim)));
}

TEST_CASE("what cuts a server's writes again on the way contradicts no claim") {
  const Claims postfix{.received = "by mx.example.org (Postfix) with ESMTP id 1"};
  const std::string server =
      "rtt=40000 line1=40 header=302 body=304 dot=3 fields=40r,302 "
      "talk=ehlo,pipelined,quit-with-dot,rcpt-ahead,data-ahead declared=19600 ";
  for (const char* cut :
       {"mss=1448 seg=1448,12p,1448x11@9,1448@40000,766+6pn@9",   // slirp
        "mss=1448 seg=1448x5@9,952p@9,1448x7@9,463+6pn@9",        // a relay's 8192
        "mss=8948 seg=8948x7@9,852p@9,8948@40000,1200+6pn@9"}) {  // a window's end
    INFO(cut);
    CHECK_FALSE(contradicted(judge(server + cut, postfix)));
    CHECK_FALSE(contradicted(judge(server + cut, kExim)));
  }
}

TEST_CASE("a program that sends on what a server has received claims nothing by it") {
  // Line by line behind EHLO, as libraries do, with the server's Received on top.
  const std::string redirect =
      "mss=1448 rtt=40 line1=40 header=302 body=304 dot=3 fields=40r,302 talk=ehlo "
      "seg=40pn,60pn@20,1448@20,700pn@20,64pn@20,30pn@20,1448@20,30pn@20,3pn@40";
  CHECK_FALSE(contradicted(judge(redirect, kExim)));
}

TEST_CASE("no contradiction is drawn from thin evidence") {
  CHECK_FALSE(contradicted(judge("mss=1448 dot=3 talk=helo seg=900pn", kExim)));
  CHECK_FALSE(
      contradicted(judge("mss=1448 rtt=40000 header=302 body=304 dot=3 talk=helo,fallback "
                         "seg=304pn,1448x4,919pn",
                         kExim)));  // nothing was offered
  CHECK_FALSE(contradicted(judge("tls=yes mss=1448 talk=ehlo seg=304pn,1448x4,919pn", kExim)));
  CHECK_FALSE(contradicted(judge(kScript, {.mailer = "Microsoft Outlook 16.0"})));
  CHECK_FALSE(contradicted(judge(kScript, {.received = "by a server nobody knows"})));
}
