#include "milter/offline/capture_notes.h"

#include <catch2/catch.hpp>

#include "milter/offline/file_format.h"

namespace {

using namespace offline;
using namespace std::string_view_literals;
using recorded::NotRead;

}  // namespace

TEST_CASE("if a capture has no message, the note says why") {
  CHECK_THAT(note({}), Catch::Contains("has no packet"));
  CHECK_THAT(note({.counts = {.packets = 7}}), Catch::Contains("none of 7 packets"));
  CHECK_THAT(note({.counts = {.packets = 7, .tcp = 7}}),
             Catch::Contains("no packet is to or from port 25"));
  CHECK_THAT(note({.counts = {.packets = 7, .tcp = 7, .mail = 3}}),
             Catch::Contains("3 packets to or from port 25") && Catch::Contains("handshakes"));
  CHECK_THAT(note({.counts = {.packets = 7, .tcp = 7, .mail = 3, .mail_filled = 2}}),
             Catch::Contains("no payload was captured"));
  CHECK_THAT(note({.counts = {.packets = 7,
                              .tcp = 7,
                              .mail = 3,
                              .mail_filled = 2,
                              .mail_seen = 2,
                              .mail_tls = 1}}),
             Catch::Contains("1 of them with TLS"));
  CHECK_THAT(
      note({.counts = {.packets = 7, .tcp = 7, .mail = 3, .mail_filled = 2, .mail_seen = 2}}),
      Catch::Contains("none has a MAIL or DATA command"));
}

TEST_CASE("the note counts what was left out, in one line; a complete capture has no note") {
  CaptureNotes notes{.counts = {.packets = 100, .tcp = 90, .mail = 90}, .messages = 1};
  CHECK(note(notes).empty());
  for (int i = 0; i < 213; ++i) notes.not_read.add(NotRead::Kind::LinkType, 6);
  notes.not_read.add(NotRead::Kind::Tunnel, 4789);
  notes.fragments = {.left_out = 3, .overlapping = 2};
  notes.counts.cut = 1;
  notes.copies = 4;
  const std::string text = note(notes);
  CHECK_THAT(text, Catch::Contains("214 packets could not be read: 213 of link type 6"));
  CHECK_THAT(text, Catch::Contains("1 of a tunnel (4789)"));
  CHECK_THAT(text, Catch::Contains("3 IP fragments left out") && Catch::Contains("overlap (2)"));
  CHECK_THAT(text, Catch::Contains("1 packet captured only in part"));
  CHECK_THAT(text, Catch::Contains("4 packets captured more than once"));
  CHECK(text.find('\n') == text.npos);
}

TEST_CASE(
    "kinds of packets that cannot be read are listed up to a limit; the others are only counted") {
  NotRead not_read;
  for (std::uint32_t type = 0; type < 1000; ++type) {
    not_read.add(NotRead::Kind::EtherType, 0x1000 + type);
  }
  CHECK(not_read.packets() == 1000);
  CHECK_THAT(not_read.text(), Catch::Contains("968 of other kinds"));
}

TEST_CASE("a format that cannot be read is named, with the next step") {
  CHECK_THAT(name_of_format("snoop\0\0\0\0\0\0\2"sv, "a.cap"),
             Catch::Contains("snoop") && Catch::Contains("editcap -F pcap a.cap a.cap.pcap"));
  CHECK_THAT(name_of_format("RTSS\1\1"sv, "a"), Catch::Contains("Network Monitor 1"));
  CHECK_THAT(name_of_format("GMBU\0\2"sv, "a"), Catch::Contains("Network Monitor 2"));
  CHECK_THAT(name_of_format("BZh91AY"sv, "a.bz2"), Catch::Contains("bzip2 -dc a.bz2"));
  CHECK_THAT(name_of_format("PK\3\4"sv, "a.zip"), Catch::Contains("unzip a.zip"));
  CHECK(name_of_format("hello", "a").empty());
  CHECK(is_capture("\n\r\r\n"));
  CHECK_FALSE(is_capture("snoop"));
}
