// What a message claims of its sender, and when its gait contradicts that.
#include "classifier/claims.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
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
  const auto reasons = verdict.reasons.sentences();
  return std::any_of(reasons.begin(), reasons.end(),
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

TEST_CASE("the compiled-in claims name gaits of the book") {
  CHECK(ClaimTable::builtin().rows().size() >= 20);
  for (const auto& row : ClaimTable::builtin().rows()) {
    for (const auto& gait : row.gaits) {
      INFO(row.text << " " << gait);
      CHECK(GaitBook::builtin()->find(gait) != nullptr);
    }
  }
}

TEST_CASE("a wrong table of claims is refused with the line of the error") {
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

TEST_CASE("a server's writes that were cut again on the way contradict no claim") {
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

TEST_CASE("no recording of a program contradicts what the program says of itself") {
  // The recordings: plain, under TLS, by BDAT, to servers that offer less, on paths of 1368 and
  // 8948 bytes, from a window of one segment, and through relays, proxies and stacks of programs.
  struct Row {
    const char* program;
    const char* claim;
  };
  const Row rows[] = {
      {"postfix", "by mx.example.org (Postfix) with ESMTP id 1"},
      {"exim", "from x by mx.example.org with esmtp (Exim 4.96)"},
      {"sendmail", "by mx.example.org (8.17.1.9/8.17.1/Debian-2) with ESMTP id 1"},
      {"opensmtpd", "by mx.example.org (OpenSMTPD) with ESMTP id 1"},
      {"fetchmail", "from pop.example.org by x with POP3 (fetchmail-6.4.37)"},
      {"nullmailer", "(nullmailer pid 1 invoked by uid 0)"},
      {"haraka", "by mx.example.org (Haraka/3.0.3) with ESMTP id 1"},
  };
  for (const Row& row : rows) {
    std::size_t messages = 0;
    for (const auto& entry : std::filesystem::directory_iterator("tests/data/programs")) {
      const std::string file = entry.path().filename().string();
      if (!file.starts_with(row.program) || entry.path().extension() != ".trace") continue;
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line); ++messages) {
        INFO(file << ":" << messages + 1 << " " << line);
        const auto trace = parse_trace(line);
        REQUIRE(std::holds_alternative<Trace>(trace));
        const Claims claims{.received = row.claim};
        CHECK_FALSE(contradicted(classify(std::get<Trace>(trace), Policy{}, &claims)));
      }
    }
    CHECK(messages >= 8);
  }
}

TEST_CASE("a script that names a server in its Received is contradicted, whatever its writes are") {
  const char* servers[] = {"by x (Postfix) with SMTP id 1", "from y by x (Exim 4.96)",
                           "by x (8.17.1/8.17.1) with SMTP id 1"};
  const std::string start =
      "rtt=40000 line1=40 header=302 body=304 dot=3 fields=40r,77,152,302 talk=helo,blank-end ";
  struct Row {
    const char* what;
    const char* trace;
    bool accused;
  };
  const Row rows[] = {
      {"a template", "mss=1448 seg=90p,62p@40000,1448x5@9,900p@9,5pn@40000", true},
      {"a template on a path of 1368", "mss=1368 seg=90p,62p@40000,1368x5@9,900p@9,5pn@40000",
       true},
      {"a template on a path of 8948", "mss=8948 seg=90p,62p@40000,8948@9,3900p@9,5pn@40000", true},
      {"the header apart", "mss=1448 seg=304pn,1448@9,1448p@9,1448@9,1448p@9,919pn@40000", true},
      {"pieces of 2048", "mss=1448 seg=1448,600p@9,1448x6@9,1448x3@40000,700pn@9", true},
      {"one segment", "mss=1448 seg=900pn", false},
      {"two segments", "mss=1448 seg=1448p,900pn@9", false},
  };
  for (const char* server : servers) {
    for (const Row& row : rows) {
      INFO(server << ": " << row.what);
      CHECK(contradicted(judge(start + row.trace, {.received = server})) == row.accused);
    }
  }
}

TEST_CASE("a program that passes on a message from a server claims nothing by its Received") {
  // Line by line after EHLO, as libraries do, with the server's Received on top.
  const std::string redirect =
      "mss=1448 rtt=40 line1=40 header=302 body=304 dot=3 fields=40r,302 talk=ehlo "
      "seg=40pn,60pn@20,1448@20,700pn@20,64pn@20,30pn@20,1448@20,30pn@20,3pn@40";
  CHECK_FALSE(contradicted(judge(redirect, kExim)));
}

TEST_CASE("little evidence contradicts no claim") {
  CHECK_FALSE(contradicted(judge("mss=1448 dot=3 talk=helo seg=900pn", kExim)));
  CHECK_FALSE(
      contradicted(judge("mss=1448 rtt=40000 header=302 body=304 dot=3 talk=helo,fallback "
                         "seg=304pn,1448x4,919pn",
                         kExim)));  // nothing was offered
  CHECK_FALSE(contradicted(judge("tls=yes mss=1448 talk=ehlo seg=304pn,1448x4,919pn", kExim)));
  CHECK_FALSE(contradicted(judge(kScript, {.mailer = "Microsoft Outlook 16.0"})));
  CHECK_FALSE(contradicted(judge(kScript, {.received = "by a server nobody knows"})));
}
