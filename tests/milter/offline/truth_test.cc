#include "milter/offline/truth.h"

#include <catch2/catch.hpp>

#include <sstream>

using classifier::PathShape;
using classifier::Pattern;
using classifier::Writer;
using offline::TruthRow;

namespace {

const std::string kHeader =
    "file\tmessage\tsender\tclass\tlink\tkind\ttls\tbdat\tsegments\tbytes\twriter\tpath\tpattern\t"
    "block";

std::vector<TruthRow> read(const std::string& text) {
  std::istringstream in(text);
  return offline::read_truth(in, "T.tsv");
}

std::string error_of(const std::string& text) {
  try {
    read(text);
  } catch (const offline::TruthError& error) {
    return error.what();
  }
  return "none";
}

std::string row(const std::string& text) {
  return error_of(kHeader + "\n" + text + "\n");
}

}  // namespace

TEST_CASE("a row of the truth is read") {
  const auto rows = read(kHeader +
                         "\na.pcap\t2\tmutt\tmua\tloss2\tk5h\ty\tn\t4\t5115\tlines|received-first\t"
                         "*\tline-writer|relay\t4096\n");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0] == TruthRow{.file = "a.pcap",
                            .message = 2,
                            .sender = "mutt",
                            .sender_class = "mua",
                            .link = "loss2",
                            .kind = "k5h",
                            .tls = true,
                            .segments = 4,
                            .bytes = 5115,
                            .writers = {Writer::Lines, Writer::ReceivedFirst},
                            .patterns = {Pattern::LineWriter, Pattern::Relay},
                            .block = 4096});
}

TEST_CASE("columns are found by name, other columns are ignored") {
  const auto rows = read(
      "note\tblock\tpattern\tpath\twriter\tbytes\tsegments\tbdat\ttls\tkind\tlink\tclass\tsender\t"
      "message\tfile\tdoubt\nany\t\tindistinct\tfull\tstream\t9\t1\ty\tn\tk1\tbase\tmua\tnmh\t1\t"
      "x/b.trace\tsays Exim\n");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].file == "x/b.trace");
  CHECK(rows[0].bdat);
  CHECK(rows[0].paths == std::vector{PathShape::Full});
  CHECK(rows[0].block == 0);
}

TEST_CASE("a malformed table is refused, with the place of the fault") {
  const auto expect = [](const std::string& found, const std::string& wanted) {
    CHECK(found == wanted);
  };
  expect(error_of(""), "T.tsv:1: the table has no message");
  expect(error_of(kHeader + "\n"), "T.tsv:1: the table has no message");
  expect(error_of("file\tmessage\n"), "T.tsv:1: sender: the column is missing");
  expect(error_of(kHeader + "\tfile\n"), "T.tsv:1: file: the column occurs twice");
  expect(row("a\t1"), "T.tsv:2: the row has 2 values for 14 columns");
  expect(row(""), "T.tsv:2: the row has 1 values for 14 columns");
  const std::string rest = "\ts\tc\tl\tk\tn\tn\t1\t9\t*\t*\t*\t";
  expect(row("../a\t1" + rest),
         "T.tsv:2: file: \"../a\" is not a path below the folder of the recordings");
  expect(row("/a\t1" + rest),
         "T.tsv:2: file: \"/a\" is not a path below the folder of the recordings");
  expect(row("\t1" + rest), "T.tsv:2: file: the value is empty");
  expect(row("a\t0" + rest), "T.tsv:2: message: \"0\" is not a whole number of at least 1");
  expect(row("a\t1x" + rest), "T.tsv:2: message: \"1x\" is not a whole number of at least 1");
  expect(row("a\t99999999999" + rest),
         "T.tsv:2: message: \"99999999999\" is not a whole number of at least 1");
  expect(row("a\t1" + rest + "0"), "T.tsv:2: block: \"0\" is not a whole number of at least 1");
  expect(row("a\t1" + rest + "\r"), "T.tsv:2: block: \"\r\" is not a whole number of at least 1");
  expect(row("a\t1" + rest + "\na\t1" + rest),
         "T.tsv:3: message: message 1 of a has a row already");
  expect(row("a\t1\ts\tc\tl\tk\tyes\tn\t1\t9\t*\t*\t*\t"),
         "T.tsv:2: tls: \"yes\" is neither y nor n");
  expect(row("a\t1\ts\tc\tl\tk\tn\tn\t1\t9\tstream|\t*\t*\t"),
         "T.tsv:2: writer: \"\" is not a known writer");
  expect(row("a\t1\ts\tc\tl\tk\tn\tn\t1\t9\t*\tsmal\t*\t"),
         "T.tsv:2: path: \"smal\" is not a known path");
  expect(row("a\t1\ts\tc\tl\tk\tn\tn\t1\t9\t*\t*\t*|relay\t"),
         "T.tsv:2: pattern: \"*\" is not a known pattern");
}
