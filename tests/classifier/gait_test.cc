// Gaits: the match, and the names that the book gives to recorded programs.
#include "classifier/gait.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

#include "classifier/classify.h"
#include "classifier/trace_text.h"
#include "tests/support/traits.h"

namespace {

using namespace classifier;

std::string gait_of(const std::string& fields) {
  const Gait* gait = GaitBook::builtin()->match(traits_of(fields)).gait;
  return gait == nullptr ? "unknown" : gait->name;
}

// The class in the place of a name: that of all entries that fit.
std::string class_of(const std::string& fields) {
  const Guess guess = GaitBook::builtin()->match(traits_of(fields));
  return guess.gait != nullptr ? "(named)" : guess.kind ? std::string(name(*guess.kind)) : "none";
}

// The same message from different programs: a header of 302 bytes, 18 KB in all, 40 ms away.
const std::string kMessage = "mss=1448 rtt=40000 ts=yes line1=40 header=302 body=304 dot=3 ";
const std::string kFields = "fields=40,77,113,152,196,215,302 ";
const std::string kBulk =
    "1448@60,1448p@30,1448@9,1448p@9,1448@9,1448p@9,1448@9,1448p@9,1448@9,1448@40400,1448p@60,";

const std::string kPostfix =
    kMessage + kFields + "talk=ehlo,pipelined,quit-with-dot,rcpt-ahead,data-ahead declared=17180 " +
    "seg=1448p,1448x9p@10,1448@40000,1253+6pn@9";

}  // namespace

TEST_CASE("every compiled-in file of gaits can be read") {
  const auto& gaits = GaitBook::builtin()->gaits();
  CHECK(gaits.size() >= 44);
  std::vector<std::string> programs;
  for (const Gait& gait : gaits) {
    INFO(gait.name);
    CHECK(is_gait_name(gait.name));
    CHECK_FALSE(gait.programs.empty());
    CHECK_FALSE(gait.seen.empty());
    programs.insert(programs.end(), gait.programs.begin(), gait.programs.end());
  }
  std::sort(programs.begin(), programs.end());
  programs.erase(std::unique(programs.begin(), programs.end()), programs.end());
  CHECK(programs.size() >= 85);
}

TEST_CASE("programs are known by writes and dialogue together") {
  struct Row {
    const char* gait;
    std::string trace;
  };
  const std::string lines = "1448x9@60,1448@40500,1448p@90,1178pn@57";
  const std::string bulk = kBulk + "1181pn@73";
  const Row rows[] = {
      {"postfix", kPostfix},
      {"exim", kMessage + "talk=ehlo,rcpt-ahead,data-ahead declared=19600 "
                          "seg=1448p,1448x4@9,949p@9,1448x4@9,1448x3@40000,454+6pn@9"},
      {"sendmail", kMessage + "talk=ehlo,soft-path,data-ahead declared=18000 "
                              "seg=1448,1448p@9,1200p@9,1448x7@9,1448x3@40000,188pn@9"},
      {"qmail", kMessage + "talk=helo seg=1024p,1448x9@90,1448x3@40000,197pn@9"},
      {"py-smtplib",
       kMessage + "talk=ehlo,lower declared=17148 seg=1448p,1448x9p@10,1448@40000,1223pn@9"},
      {"line-by-line", kMessage + kFields + "talk=ehlo seg=40pn," + lines},
      {"msmtp", kMessage + kFields + "talk=ehlo,data-ahead seg=40pn," + lines},
      {"helo-lines", kMessage + kFields + "talk=helo seg=40pn," + lines},
      {"helo-lines", kMessage + kFields + "talk=helo,blank-end seg=40pn," + bulk},
      {"headers-apart", kMessage + kFields + "talk=ehlo seg=304pn," + bulk},
      {"script-header-body", kMessage + kFields + "talk=helo,blank-end seg=304pn," + bulk},
      {"script-template", kMessage + kFields + "talk=helo,blank-end seg=86p," + bulk},
      {"emacs-smtpmail", kMessage + kFields + "talk=ehlo declared=17148 seg=38p," + lines},
  };
  for (const Row& row : rows) {
    CAPTURE(row.trace);
    CHECK(gait_of(row.trace) == row.gait);
  }
}

TEST_CASE(
    "under TLS the hello's digests separate entries that are alike, and what was not seen is no "
    "objection") {
  const std::string sealed = "tls=yes version=0304 window=inferred mss=1448 rtt=40000 ";
  const std::string mta =
      "talk=ehlo,quit-with-dot,rcpt-ahead,data-ahead seg=1448x3,1009 rec=5297+6";
  CHECK(gait_of(sealed + mta) ==
        "unknown");  // Postfix or Exim: SIZE separates them, but is not seen
  CHECK(gait_of(sealed + "ja4=t13i871000_c66346c74e42_24695f2957a7 " + mta) == "postfix");
  CHECK(gait_of(sealed + "ja4=t13i291200_723694b0fccc_2cc26d266019 " + mta) == "exim");
  // With a server's name the hello has another flag and another count.
  CHECK(gait_of(sealed + "ja4=t13d291300_723694b0fccc_2cc26d266019 " + mta) == "exim");
  // The milter was shown the same as MAIL says in clear.
  CHECK(gait_of("tls=yes window=exact mss=1448 rtt=40000 line1=40 header=302 body=304 dot=3 "
                "fields=40r,302 "
                "declared=6321 " +
                mta) == "exim");
  const std::string lines = "talk=ehlo,data-ahead seg=1448,300 rec=40,37,28,39,2,60,58,3";
  CHECK(gait_of(sealed + lines) == "msmtp");
  // Every write shows: the second end of 4096 is not the first end of 8192.
  CHECK(gait_of(sealed + "talk=ehlo seg=1448x7,100 rec=8192,2000") == "unknown");
  CHECK(gait_of(sealed + "talk=ehlo seg=1448x7,100 rec=4096,4096,2000") == "unknown");
  CHECK(
      gait_of(
          sealed +
          "ja4=t13i190800_9dc949149365_97f8aa674fd9 talk=ehlo seg=1448x7,100 rec=4096,4096,2000") ==
      "go-net-smtp");
}

TEST_CASE("an entry with a habit that TLS hides is named only with its hello") {
  const std::string sealed =
      "tls=yes version=0304 window=exact mss=1448 rtt=13 line1=38 header=239 body=241 "
      "dot=3 fields=38,117,148,187,223,239 ";
  // Only `RCPT TO: <` separates Monit from other writers of pieces, and it was said under TLS.
  CHECK(gait_of(sealed + "talk=ehlo seg=1448x3,800p rec=157,2,82,4700") == "unknown");
  CHECK(gait_of("mss=1448 rtt=13 line1=38 header=239 body=241 dot=3 "
                "talk=ehlo,colon-space,blank-end seg=157p,2pn,82pn,1448x3@8,500pn@9") == "monit");
  const std::string whole = "talk=ehlo,data-ahead seg=1448x2,800p rec=3650";
  CHECK(gait_of(sealed + whole) == "unknown");
  CHECK(gait_of(sealed + "ja4=t13i310800_e8f1e7e78f70_c9e58cc61e36 " + whole) == "sendmail");
}

TEST_CASE("sizes that are known to a block of the cipher still show a buffer, a header, lines") {
  const std::string cbc =
      "tls=yes version=0303 cipher=c013 slack=15 window=near miss=9 mss=1448 "
      "rtt=21 talk=ehlo ";
  CHECK(gait_of(cbc + "seg=1448x6,700p rec=4111x2,911") == "block-4096");
  CHECK(gait_of(cbc + "seg=1448x6,700p rec=4127x2,911") == "unknown");
  // A header alone, or a chunk less three bytes as another library writes: the sizes are not exact.
  CHECK(gait_of(cbc + "seg=281p,713p@23 rec=239,671") == "unknown");
  CHECK(gait_of(cbc + "seg=281p,713p@23 rec=47x3,31,47x2,31,15,63x10,47,15") == "line-by-line");
  // SIZE is compared with the milter's count, not with what the records could hold. It fits, but in
  // a message of 5000 nothing speaks for a buffer of 8192.
  const std::string much =
      "tls=yes version=0303 cipher=c013 slack=15 window=near miss=90 mss=1448 rtt=21 ";
  CHECK(gait_of(much + "declared=5000 talk=ehlo seg=1448x3,743p rec=5087") == "unknown");
}

TEST_CASE("a terminator apart names a program only where it was seen apart") {
  const std::string twelve = kMessage + "talk=ehlo seg=1448x12@9,";
  CHECK(gait_of(twelve + "621pn@9,3pn@40000") == "whole-dot-apart");
  CHECK(gait_of(twelve + "624pn@9") == "unknown");
}

TEST_CASE("lines that waited for a delayed acknowledgement do not hide the terminator's write") {
  CHECK(gait_of("mss=1448 rtt=16 ts=yes line1=38 header=227 body=229 dot=3 "
                "fields=38,117,140,179,212,227 talk=ehlo,pipelined,data-ahead "
                "seg=38pn,865pn@40234") == "msmtp");
}

TEST_CASE("a buffer of lines may have another size under TLS than in clear") {
  const std::string mta =
      "ja4=t13i750900_479067518aa3_a29327ec888c window=exact mss=1448 rtt=15 line1=65 "
      "header=425 body=427 dot=3 fields=192r,230,309,334,373,408,425 talk=ehlo ";
  const std::string sealed = "tls=yes version=0304 " + mta;
  CHECK(gait_of(sealed + "seg=1448x12,700p rec=4088,4046,4039,4046,1980,3") == "opensmtpd");
  CHECK(gait_of(sealed + "seg=1448x24,700p rec=4088,4046,4039,4046x2,4039,4046,819,4046,612,3") ==
        "opensmtpd");
}

TEST_CASE("a message that fits no entry, or two equally, is unknown") {
  CHECK(gait_of(kMessage + "talk=ehlo seg=900pn") == "unknown");
  CHECK(gait_of(kMessage + "talk=ehlo,trailing-space seg=304pn,1448x9@60,1181pn@70") == "unknown");
  CHECK(gait_of("tls=yes mss=1448 talk=ehlo seg=1448x9,20p") == "unknown");

  GaitBook twins;
  REQUIRE_FALSE(twins.add("gait a\n  first header\ngait b\n  first header\n"));
  const Traits traits = traits_of(kMessage + "talk=ehlo seg=304pn,1448x9,919pn");
  CHECK(twins.match(traits).gait == nullptr);
  CHECK(twins.match(traits).kind == GaitClass::Library);
  REQUIRE_FALSE(twins.add("gait c\n  class relay\n  first header\n"));
  CHECK_FALSE(twins.match(traits).kind);
}

TEST_CASE("a name needs something seen that speaks for it") {
  struct Row {
    const char* what;
    std::string trace;
  };
  const Row rows[] = {
      {"a mail appliance: one write, the terminator with it",
       "line1=156 header=6232 body=6234 dot=3 fields=156r,237,6232 talk=ehlo,8bit declared=15715 "
       "seg=1448x5,1448@34,1448x3@1,1448p,1238pn@443"},
      {"one write of 5 KB, each packet seen twice",
       "mss=1368 rtt=26311 line1=22 header=2414 body=2416 dot=3 fields=22,59,2414 talk=ehlo "
       "declared=4695 seg=1368r,1368r@25,1368rc@5,898pn@4"},
      {"a template, with a library's lower case",
       kMessage + kFields + "talk=ehlo,lower,mixed-case seg=90pn,1448x9,919p,5pn"},
      {"a message that fits into any buffer of 8192",
       kMessage + kFields + "talk=ehlo,blank-end seg=1448x3@9,786pn@9"},
      {"a Received and the terminator apart, after a buffer that does not show",
       "mss=1448 rtt=40000 line1=40 header=302 body=304 dot=3 fields=40r,302 talk=ehlo "
       "seg=1448x3@9,786pn@9"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(gait_of(row.trace) == "unknown");
  }
}

TEST_CASE(
    "a script keeps its name through a relay, and has the same name for all sizes of blocks") {
  const std::string script =
      "mss=1448 rtt=40000 line1=38 header=257 body=259 dot=3 "
      "fields=38,69,107,146,183,202,257 talk=helo,blank-end ";
  for (const char* writes : {
           "seg=1448,600p@20,1448x9@9,777pn@40000",  // pieces of 2048, without relay
           "seg=1448,1448p@20,1448c@15,1448p@6,1448@9,952p@5,1448@6,845pn@40370",  // socat
           "seg=1448,1448p@62,1448c@814,662pn@192",       // HAProxy joined them
           "seg=1024p,1448@20,1448@9,662pn@9,5pn@40000",  // pieces of 1024, the end apart
       }) {
    CAPTURE(writes);
    CHECK(gait_of(script + writes) == "script-blocks");
  }
}

TEST_CASE("qmail is known by 1024, unless the last line is empty, as a script would write it") {
  const std::string start = "mss=1448 rtt=40000 line1=38 header=257 body=259 dot=3 ";
  const std::string writes = "seg=1024p,1448@20,1448@9,662pn@40000";
  CHECK(gait_of(start + "talk=helo " + writes) == "qmail");
  CHECK(gait_of(start + "talk=helo,blank-end " + writes) == "unknown");
  CHECK(class_of(start + "talk=helo,blank-end " + writes) == "none");  // a server or a script
  CHECK(gait_of(start + "talk=helo,blank-end " + writes + ",5pn@40000") == "script-blocks");
}

TEST_CASE("a relay's buffer with words that many programs say speaks for no program") {
  const std::string start =
      "mss=1448 rtt=40000 line1=38 header=257 body=259 dot=3 "
      "fields=38,69,107,146,183,202,257 ";
  const std::string of_2048 = "seg=1448,600p@20,1448x9@9,777pn@40000";
  const std::string of_8192 = "seg=1448x5@9,952p@5,1448@9,845pn@40370";
  // esmtp, swaks and mailutils themselves, or any program behind tinyproxy or socat.
  CHECK(gait_of(start + "talk=ehlo " + of_2048) == "unknown");
  CHECK(gait_of(start + "talk=ehlo,blank-end " + of_8192) == "unknown");
  CHECK(gait_of(start + "talk=ehlo declared=10485 " + of_8192) == "unknown");
  // Under TLS no relay cuts the records, but a script may write in such blocks.
  CHECK(gait_of("tls=yes version=0304 window=inferred mss=1448 rtt=40000 talk=ehlo "
                "seg=1448x3,1009 rec=2048,2048,1000") == "unknown");
  // A buffer that no relay has, and words that few programs say.
  CHECK(gait_of(start + "talk=ehlo,8bit,body-first seg=1448x2@9,1200p@9,1448x3@9,845pn@40370") ==
        "go-net-smtp");
}

TEST_CASE("what a library says and scripts say too needs the library's writes") {
  const std::string start =
      "mss=1448 rtt=40451 ts=yes line1=38 header=257 body=259 dot=3 "
      "fields=38,69,107,146,183,202,257 "
      "talk=ehlo,lower,mixed-case ";
  CHECK(gait_of(start + "seg=1448,1448p@31,1448@21,1448p@6,1448@9,1448p@5,1448@6,1448p@5,1161pn@6,"
                        "1448@5,1448@40663,347pn@31") == "emailjs");
  // A script behind HAProxy and behind tinyproxy, recorded.
  CHECK(gait_of(start + "seg=1448,1448p@31,1448c@21,1448p@6,1448@9,1448p@5,1448@6,1448p@5,1448@6,"
                        "1448p@5,1448@40663,347pn@31") == "unknown");
  CHECK(gait_of(start + "seg=1448,600p@64,1448@35,1448@12,60pn@40453") == "unknown");
}

TEST_CASE(
    "a first line with the rest in bulk may come from a relay or from a writer of header lines") {
  const std::string whole = kMessage + kFields + "talk=ehlo seg=40pn," + kBulk;
  CHECK(gait_of(whole + "1181pn@73") == "unknown");
  CHECK(gait_of(whole + "1178pn@73,3pn@40000") == "header-lines");
}

TEST_CASE("one write after HELO with a Received may be a server's message through a relay") {
  const std::string start = "mss=1448 rtt=40000 line1=38 header=257 body=259 dot=3 talk=helo ";
  const std::string writes = " seg=1448,1448p@20,1448@9,662pn@9";
  CHECK(gait_of(start + "fields=38,257" + writes) == "one-write-helo");
  CHECK(gait_of(start + "fields=38r,257" + writes) == "unknown");
}

TEST_CASE("a terminator in the tail is seen on a slow link, but not if the tail may have waited") {
  const std::string start =
      "mss=1448 line1=27 header=129 body=131 dot=3 fields=27,51,96,129 "
      "talk=helo,dotless ";
  struct Row {
    const char* what;
    const char* writes;
    bool seen;
  };
  const Row rows[] = {
      {"256 kbit/s", "rtt=40501 seg=1448,1448p@198,1448@41786,816pn@27563", true},
      {"one segment late, the tail with the others",
       "rtt=40409 seg=1448,1448p@17123,1448@164,816pn@75", true},
      {"the tail waited for an acknowledgement", "rtt=40501 seg=1448,1448p@198,1448@86,816pn@40563",
       false},
      {"no longer than a full segment, but as long",
       "rtt=40501 seg=1448,1448p@198,1448@41786,816pn@41563", false},
      {"a window of two segments let the tail wait",
       "rtt=40501 seg=1448,1448@60,1448@40413,816pn@64", false},
      {"more than a first flight",
       "rtt=40501 seg=1448,1448p@198,1448@41786,1448@41786,1448@41786,1448@41786,1448@41786,"
       "1448@41786,1448@41786,1448@41786,816pn@27563",
       false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const bool joined = traits_of(start + row.writes).dot == DotWay::Joined;
    CHECK(joined == row.seen);
  }
  CHECK(gait_of(start + rows[0].writes) == "one-write-helo");
}

TEST_CASE("the end of data in two writes counts as five bytes, or as three after an empty line") {
  const std::string start =
      "mss=1448 rtt=33 line1=38 header=240 body=242 dot=3 fields=38,69,102,141,177,196,240 ";
  const std::string writes = "seg=1448,1448@4,1448c@6,657pn@2,";
  const std::string horde = start + "talk=ehlo,pipelined,rcpt-ahead,blank-end declared=5001 ";
  CHECK(gait_of(horde + writes + "5pn@43323") == "php-horde");
  CHECK(gait_of(horde + writes + "2pn@13,3pn@43323") == "php-horde");
  CHECK(gait_of(horde + writes + "3pn@43323") == "unknown");
  // A writer of lines has an empty last line of its own.
  CHECK(gait_of(start + "talk=helo,blank-end seg=38pn,31pn@9,60pn@9,1448@9,2pn@9,3pn@1000000") ==
        "helo-lines");
}

TEST_CASE("MAIL and RCPT in one write without DATA, and a long single write, speak for Horde") {
  const std::string horde =
      "mss=1448 rtt=40443 line1=38 header=257 body=259 dot=3 "
      "fields=38,69,107,146,183,202,257 declared=17000 ";
  const std::string long_write = "seg=1448x11@9,1072pn@51651";
  CHECK(gait_of(horde + "talk=ehlo,pipelined,rcpt-ahead,blank-end " + long_write) == "php-horde");
  CHECK(gait_of(horde + "talk=ehlo,pipelined,blank-end " + long_write) == "unknown");
  CHECK(gait_of(horde + "talk=ehlo,pipelined,rcpt-ahead,blank-end seg=1448x5@9,1000pn@9") ==
        "unknown");
}

TEST_CASE(
    "a header apart under TLS is ZoneMTA's or a library's, as long as the fields are not read") {
  const std::string node = "ja4=t13d591000_a33745022dd6_1f22a2ca17c4 mss=1448 rtt=40000 talk=ehlo ";
  const std::string writes = "seg=423p,1448@157,1448p@35,1448@18,440p@40461 rec=401,4762";
  const std::string sealed = "tls=yes version=0304 ";
  CHECK(gait_of(sealed + "window=inferred " + node + writes) == "unknown");
  CHECK(class_of(sealed + "window=inferred " + node + writes) == "none");
  // Live the milter reads them.
  const std::string read = sealed + "window=exact line1=30 header=399 body=401 dot=3 ";
  CHECK(gait_of(read + "fields=40,399 " + node + writes) == "headers-apart");
  CHECK(gait_of(read + "fields=40r,399 " + node + writes) == "zonemta");
}

TEST_CASE(
    "if the body shows nothing, writers of lines and of header lines have one class, not a name") {
  const std::string brief =
      "mss=1448 rtt=30 line1=36 header=276 body=278 dot=3 "
      "fields=36,65,88,116,166,185,231,276 talk=ehlo,dotless,blank-end ";
  CHECK(class_of(brief + "seg=36pn,1448@47,301pn@63,3pn@44022") == "library");
  CHECK(gait_of(brief + "seg=36pn,60pn@47,1448@20,61pn@20,62pn@20,63pn@20,2pn@20,3pn@44022") ==
        "line-by-line");
}

TEST_CASE("if two servers fit that differ only in hidden words, their class is given") {
  const std::string mta =
      "tls=yes version=0304 window=inferred mss=1448 rtt=40000 "
      "talk=ehlo,quit-with-dot,rcpt-ahead,data-ahead seg=1448x3,1009 rec=5297+6";
  CHECK(class_of(mta) == "official-mta");
  CHECK(class_of("ja4=t13i871000_c66346c74e42_24695f2957a7 " + mta) == "(named)");
  // A message that fits into any buffer: entries of one class fit, but nothing speaks for them.
  CHECK(class_of(kMessage + kFields + "talk=ehlo seg=1448x2@9,786pn@9") == "none");
  CHECK(class_of(kMessage + "talk=ehlo seg=900pn") == "none");
}

TEST_CASE(
    "an entry without a recorded dialogue names nothing, and no other one is named in its place") {
  const std::string known = "gait known\n  basis recorded\n  first header\n";
  const std::string assumed =
      "gait assumed\n  basis assumed\n  talk ehlo trailing-space\n"
      "  first header\n";
  GaitBook book;
  REQUIRE_FALSE(book.add(known + assumed));
  const std::string writes = " seg=304pn,1448x9,919pn";
  REQUIRE(book.match(traits_of(kMessage + "talk=ehlo" + writes)).gait != nullptr);
  CHECK(book.match(traits_of(kMessage + "talk=ehlo,trailing-space" + writes)).gait == nullptr);
  const auto wrong = GaitBook().add("gait x\n  basis heard\n  first header\n");
  REQUIRE(wrong);
  CHECK(wrong->line == 2);
}

TEST_CASE("SIZE that a signature makes less than 1024 too large is still Exim's") {
  const std::string both = kMessage + kFields + "talk=ehlo,pipelined,rcpt-ahead,data-ahead ";
  CHECK(gait_of(both + "declared=5530 seg=1448x3@9,786pn@9") == "exim");
  CHECK(gait_of(both + "declared=5130 seg=1448x3@9,786pn@9") == "postfix");
}

TEST_CASE("an entry that says more wins over one that says less, wherever they stand") {
  const std::string less = "gait less\n  first header\n";
  const std::string more = "gait more\n  talk ehlo trailing-space\n  first header\n";
  const Traits traits = traits_of(kMessage + "talk=ehlo,trailing-space seg=304pn,1448x9,919pn");
  for (const std::string& text : {less + more, more + less}) {
    GaitBook book;
    REQUIRE_FALSE(book.add(text));
    REQUIRE(book.match(traits).gait != nullptr);
    CHECK(book.match(traits).gait->name == "more");
  }
}

TEST_CASE("a buffer is known by its multiples at any segment size") {
  GaitBook book;
  REQUIRE_FALSE(book.add("gait four\n  first block-4096\n"));
  const auto fits = [&](const std::string& seg) {
    return book.match(traits_of("line1=40 header=302 body=304 dot=3 talk=ehlo " + seg)).gait !=
           nullptr;
  };
  CHECK(fits("mss=1448 seg=1448,1448p,1200p,1448x7,21pn"));
  CHECK(fits("mss=908 seg=908x4,464p,908x7,21pn"));
  CHECK_FALSE(fits("mss=1024 seg=1024x9,21pn"));  // whole segments: nothing speaks for a block
  CHECK_FALSE(fits("mss=1448 seg=1448x5,952p,1448x7,21pn"));
  CHECK_FALSE(fits("mss=1448 seg=1448x9,21pn"));
}

TEST_CASE("an administrator's entry takes the place of the one of its name") {
  GaitBook own;
  REQUIRE_FALSE(own.add("gait postfix\n  class bot\n  first none\n"));
  own.add(*GaitBook::builtin());
  CHECK(own.find("postfix")->kind == GaitClass::Bot);
  CHECK(own.find("exim") != nullptr);
  CHECK(own.gaits().size() == GaitBook::builtin()->gaits().size());
}

TEST_CASE("the verdict carries the gait, and configuration may bring a book of its own") {
  const auto trace = std::get<Trace>(parse_trace("segmilter/1 " + kPostfix));
  CHECK(classify(trace, Policy{}).gait == "postfix");
  Policy policy;
  policy.gaits = std::make_shared<GaitBook>();
  CHECK(classify(trace, policy).gait == "unknown");
}
