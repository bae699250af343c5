// The tracker with recorded dialogues: what it reports, that cuts change nothing, and that it never
// finds an end of data where Postfix finds none.
#include "classifier/smtp_tracker.h"
#include "classifier/trace_text.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/end_of_data.h"
#include "tests/support/smtp_script.h"

using namespace std::string_literals;
using classifier::EndOfData;
using classifier::Landmarks;
using classifier::SmtpTracker;
using test::C;
using test::raw;
using test::raw_server;
using test::Recorder;
using test::S;
using test::Script;
using test::track;

namespace {

constexpr std::string_view kMail =
    "Received: from a\r\n\tby b\r\nSubject: hi\r\nFrom: a@b.example\r\n\r\nHello\r\n..dot\r\n.\r\n";

const std::string kLongText(70'000, 'a');  // more than the tracker holds

Script transfer(std::string_view message, std::string_view answer = "250 2.0.0 Ok: queued") {
  return {C("DATA"), S("354 End data with <CR><LF>.<CR><LF>"), raw(message), S(answer)};
}

Script quit() {
  return {C("QUIT"), S("221 2.0.0 Bye")};
}

// What the tracker reports of `message` after a 354.
Recorder in_data(std::string_view message) {
  return track(test::opened() + Script{C("DATA"), S("354 go"), raw(message)});
}

Landmarks landmarks_of(std::string_view message) {
  const Recorder seen = in_data(std::string(message) + ".\r\n");
  REQUIRE(seen.messages.size() == 1);
  return seen.messages[0].landmarks;
}

Landmarks chunk_landmarks(std::string_view message) {
  const Recorder seen = track(
      test::opened() + Script{C("BDAT " + std::to_string(message.size()) + " LAST"), raw(message)});
  REQUIRE(seen.messages.size() == 1);
  return seen.messages[0].landmarks;
}

struct Recording {
  std::string_view label;
  Script script;
};

std::vector<Recording> recordings() {
  const Script mail = {C("MAIL FROM:<a@b>"), S("250 ok"), C("RCPT TO:<c@d>"), S("250 ok")};
  return {
      {"one message", test::opened() + transfer(kMail) + quit()},
      {"two messages and a RSET", test::opened() + transfer(kMail) + mail +
                                      Script{C("RSET"), S("250 ok")} + mail + transfer(".\r\n") +
                                      quit()},
      {"pipelined commands",
       {S("220 mx"), C("EHLO a"), S("250-mx\r\n250-SIZE\r\n250 PIPELINING"),
        raw("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"), S("250 ok\r\n250 ok\r\n354 go"),
        raw("Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n"), S("250 queued\r\n221 bye")}},
      {"DATA refused, text sent early",
       test::opened() +
           Script{raw("DATA\r\nNOOP\r\nHELP\r\n"), S("554 no"), S("250 ok"), S("214 help")} +
           quit()},
      {"message sent before the 354",
       test::opened() + Script{raw("DATA\r\nSubject: x\r\n\r\nbo"), S("354 go"),
                               raw("dy\r\n.\r\nRSET\r\n"), S("250 queued"), S("250 reset")}},
      {"more text before the 354 than the queue holds",
       test::opened() +
           Script{raw("DATA\r\nSubject: x\r\n\r\n" + kLongText + "\r\n.\r\nMAIL FROM:<a@b>\r\n"),
                  S("354 go\r\n250 queued\r\n250 ok")} +
           quit()},
      {"354 in the middle of such text",
       test::opened() + Script{raw("DATA\r\nSubject: x\r\n\r\n" + kLongText), S("354 go"),
                               raw("more\r\n.\r\nRSET\r\n"), S("250 queued\r\n250 reset")}},
      {"an end of such text that not every server sees",
       test::opened() + Script{raw("DATA\r\n" + kLongText + "\n.\r\nRSET\r\n"), S("354 go"),
                               S("250 queued"), S("250 reset")}},
      {"such text refused", test::opened() + Script{raw("DATA\r\n" + kLongText), S("554 no")}},
      {"BDAT in chunks",
       test::opened() +
           Script{raw("BDAT 14\r\nSubject: x\r\n\r\n"), S("250 14"),
                  raw("BDAT 7\r\nbo\r\n.\r\nBDAT 4 LAST\r\ndy\r\n"), S("250 7"), S("250 queued")} +
           quit()},
      {"BDAT refused and skipped", test::opened() +
                                       Script{raw("BDAT 6\r\nQUIT\r\n"), S("554 no"),
                                              raw("BDAT 6\r\nDATA\r\nBDAT 6 LAST\r\nRSET\r\n"),
                                              S("551 discarded"), S("551 discarded")} +
                                       mail + transfer(kMail)},
      {"AUTH, XCLIENT and STARTTLS refused",
       {S("220-wait\r\n220 mx"), C("XCLIENT ADDR=192.0.2.1"), S("220 mx"), C("ehlo a"), S("250 mx"),
        C("AUTH LOGIN"), S("334 VXNlcg=="), C("DATA"), S("334 UGFzcw=="), C("QUIT"), S("235 ok"),
        C("STARTTLS"), S("454 not now"), C("NOOP"), S("250 ok")}},
      {"STARTTLS",
       {S("220 mx"), C("EHLO a"), S("250 mx"), C("STARTTLS"), S("220 go"), raw("\x16\x03\x01")}},
      {"early talker on bare LF",
       {raw("helo a\nmail from: <a@b>\n"), S("220 mx"), S("250 mx"),
        S("503 polite people say EHLO first")}},
      {"smuggled end", test::opened() + Script{C("DATA"), S("354 go"), raw("x\n.\r\nMAIL FROM:")}},
      {"long command line", {S("220 mx"), raw("EHLO " + std::string(3000, 'a') + "\r\n")}},
      {"long body", test::opened() + transfer(std::string(5000, 'x') + "\r\n.\r\n")},
      {"unasked reply", {S("220 mx"), C("NOOP"), S("250 ok"), S("250 ok"), C("NOOP")}},
      {"closed in mid-message",
       test::opened() + Script{C("DATA"), S("354 go"), raw("x\r\n"), S("421 shutting down")}},
  };
}

}  // namespace

TEST_CASE("a message is reported with its window, its landmarks and its answer") {
  const Recorder seen = track({S("220 mx"), C("EHLO a"), S("250 mx"), C("MAIL FROM:<>"),
                               S("250 ok"), C("RCPT TO:<b@c>"), S("250 ok"), C("DATA"), S("354 go"),
                               raw("Received: x\r\nSubject: y\r\n z\r\n\r\nbody\r\n.\r\n"),
                               S("250 queued"), C("QUIT"), S("221 bye")});
  CHECK(seen.events ==
        std::vector<std::string>{
            "command 0-8", "command 8-22", "command 22-37", "command 37-43",
            "message 1 43-83 | fields=13r,29, header_end=29 body=31 line=13 dot=3 | ehlo",
            "answer 1", "command 83-89"});
}

TEST_CASE("events are the same however the two streams are cut") {
  for (const Recording& recording : recordings()) {
    INFO(recording.label);
    const std::vector<std::string> whole = track(recording.script).events;
    CHECK(whole.size() >= 1);
    CHECK(track(recording.script, test::byte_by_byte).events == whole);
    REQUIRE(rc::check("random cuts", [&] {
      RC_ASSERT(track(recording.script, [](std::size_t left) {
                  return *rc::gen::inRange<std::size_t>(1, left + 1);
                }).events == whole);
    }));
  }
}

TEST_CASE("a server may close where no transaction is open and nothing waits for an answer") {
  struct Row {
    const char* label;
    Script script;
    bool may;
  };
  const Script mail = {C("MAIL FROM:<a@b>"), S("250 ok"), C("RCPT TO:<c@d>"), S("250 ok")};
  const Row rows[] = {
      {"before the greeting", {}, false},
      {"greeted", {S("220 mx")}, true},
      {"EHLO not answered", {S("220 mx"), C("EHLO a")}, false},
      {"half an answer", {S("220 mx"), C("EHLO a"), S("250-mx")}, false},
      {"EHLO answered", {S("220 mx"), C("EHLO a"), S("250 mx")}, true},
      {"half a command", {S("220 mx"), raw("EHL")}, false},
      {"MAIL and RCPT", test::opened(), false},
      {"RSET", test::opened() + Script{C("RSET"), S("250 ok")}, true},
      {"RSET, and MAIL again", test::opened() + Script{C("RSET"), S("250 ok")} + mail, false},
      {"in a message", test::opened() + Script{C("DATA"), S("354 go"), raw("text\r\n")}, false},
      {"a message not answered", test::opened() + Script{C("DATA"), S("354 go"), raw("a\r\n.\r\n")},
       false},
      {"a message answered", test::opened() + transfer(kMail), true},
      {"the next MAIL in the message's segment",
       test::opened() + Script{C("DATA"), S("354 go"), raw("a\r\n.\r\nMAIL FROM:<a@b>\r\n"),
                               S("250 queued"), S("250 ok")},
       false},
      {"between two chunks", test::opened() + Script{raw("BDAT 3\r\nabc"), S("250 3")}, false},
      {"the last chunk", test::opened() + Script{raw("BDAT 3 LAST\r\nabc"), S("250 queued")}, true},
      {"a challenge", {S("220 mx"), C("AUTH LOGIN"), S("334 VXNlcg==")}, false},
      {"TLS", {S("220 mx"), C("STARTTLS"), S("220 go")}, false},
      {"lost", {S("220 mx"), S("250 nobody asked")}, false},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    Recorder recorder;
    classifier::SmtpTracker tracker(recorder);
    test::play(row.script, tracker, test::uncut);
    CHECK(tracker.between_transactions() == row.may);
  }
}

TEST_CASE("an end of data counts only where all servers see it") {
  struct Row {
    std::string_view label;
    std::string text;
    std::string_view
        expect;  // "end": at the text's end; "none"; "ambiguous": if the server says so
    std::string_view why;
  };
  const std::vector<Row> rows = {
      {"<CRLF>.<CRLF>", "x\r\n.\r\n", "end", "RFC 5321"},
      {".<CRLF> first", ".\r\n", "end", "the CRLF of the command line is the one in front"},
      {"<CRLF><CRLF>.<CRLF>", "\r\n\r\n.\r\n", "end", "an empty line in front"},
      {"<CR><CR><LF>.<CRLF>", "x\r\r\n.\r\n", "end", "a CR more in front belongs to the line"},
      {"<LF>.<LF>", "x\n.\n", "ambiguous", "an end for Postfix 3.7, not with forbid_bare_newline"},
      {"<LF>.<CRLF>", "x\n.\r\n", "ambiguous", "bare LF before the dot"},
      {"<LF>.<CR><LF> after an empty line", "x\r\n\n.\r\n", "ambiguous", "bare LF before the dot"},
      {"<CRLF>.<LF>", "x\r\n.\n", "ambiguous", "bare LF after the dot"},
      {".<LF> first", ".\n", "ambiguous", "bare LF after the dot"},
      {"<CRLF>.<CR><CRLF>", "x\r\n.\r\r\n", "ambiguous", "Postfix drops both CRs, others do not"},
      {"<LF>.<CR><CR><LF>", "x\n.\r\r\n", "ambiguous", "both"},
      {"<CR>.<CR>", "x\r.\ry", "none", "no LF: no line for Postfix"},
      {"<CRLF>.<CR>", "x\r\n.\ry", "none", "the line continues after the CR"},
      {"<CR>.<CRLF>", "x\r.\r\n", "none", "the dot is inside a line that ends in LF"},
      {"<CR>.<LF>", "x\r.\n", "none", "the dot is inside a line"},
      {"<CRLF><NUL>.<CRLF>", "x\r\n\0.\r\n"s, "none", "the line is NUL, dot"},
      {"<CRLF>.<NUL><CRLF>", "x\r\n.\0\r\n"s, "none", "the line is dot, NUL"},
      {"<CRLF>..<CRLF>", "x\r\n..\r\n", "none", "a stuffed dot"},
      {"<CRLF>. <CRLF>", "x\r\n. \r\n", "none", "the line is dot, blank"},
      {"<CRLF> .<CRLF>", "x\r\n .\r\n", "none", "the line is blank, dot"},
      {"<CRLF>.<CR>.<CRLF>", "x\r\n.\r.\r\n", "none", "the line is dot, CR, dot"},
      {"after Postfix's cut of a long line", std::string(2048, 'x') + ".\r\n", "none",
       "a continuation is not looked at as the start of a line"},
      {"after a long line", std::string(2048, 'x') + "\r\n.\r\n", "end", "the line ends in CRLF"},
      {"CRLF across Postfix's cut", std::string(2047, 'x') + "\r\n.\r\n", "end",
       "Postfix reads on after a CR at the limit"},
  };
  for (const Row& row : rows) {
    INFO(row.label << ": " << row.why);
    for (const auto& cut : {test::uncut, test::byte_by_byte}) {
      const Recorder seen =
          track(test::opened() + Script{C("DATA"), S("354 go"), raw(row.text)}, cut);
      CHECK(seen.messages.size() == (row.expect == "none" ? 0 : 1));
      CHECK(seen.lost() == "");
      if (row.expect == "end") {
        CHECK(seen.messages[0].size == row.text.size());
        CHECK(seen.messages[0].landmarks.terminator == 3);
      }
      if (row.expect != "ambiguous") continue;
      // If the server answers, it has seen the end. If another end comes first, it is not known.
      const Script begin = test::opened() + Script{C("DATA"), S("354 go"), raw(row.text)};
      const Recorder answered =
          track(begin + Script{S("250 queued"), C("QUIT"), S("221 bye")}, cut);
      CHECK(answered.lost() == "");
      CHECK(answered.messages.size() == 1);
      const Recorder ahead = track(begin + Script{C("QUIT"), S("250 queued"), S("221 bye")}, cut);
      CHECK(ahead.lost() == "");
      CHECK(ahead.has("answer 1"));
      CHECK(ahead.events.size() == answered.events.size());
      const Recorder read_on = track(begin + Script{raw("more\r\n.\r\n"), S("250 queued")}, cut);
      CHECK(read_on.lost() == "ambiguous");
    }
  }
}

TEST_CASE("after an ambiguous end no byte is a command before the server has answered") {
  const Recorder seen = track(
      test::opened() + Script{C("DATA"), S("354 go"), raw("x\n.\nMAIL FROM:<evil@example.net>\r\n"),
                              raw("RCPT TO:<b@example.org>\r\nDATA\r\nsmuggled\r\n.\r\n")},
      test::uncut);
  CHECK(seen.lost() == "ambiguous");
  CHECK(seen.messages.size() == 1);
  CHECK_FALSE(seen.has("answer 1"));
}

namespace {

// Postfix's reader of DATA, as in smtp_get_noexcept() and receive_data_message(): the end that it
// finds, or npos. `limit` is line_length_limit; `strict` is smtpd_forbid_bare_newline=normalize.
std::size_t postfix_end(std::string_view in, std::size_t limit, bool strict) {
  bool continued = false;
  bool previous_bare = false;
  for (std::size_t at = 0; at < in.size();) {
    std::string line;
    while (at < in.size() && line.size() < limit) {
      line += in[at++];
      if (line.back() == '\n') break;
    }
    if (line.back() == '\r' && at < in.size() && in[at] == '\n') line += in[at++];
    const bool whole = line.back() == '\n';
    if (!whole && line.size() < limit) return std::string_view::npos;  // waits for more
    bool bare = false;
    if (whole) {
      line.pop_back();
      if (strict) {
        bare = line.empty() || line.back() != '\r';
        if (!bare) line.pop_back();
      } else {
        while (!line.empty() && line.back() == '\r') line.pop_back();
      }
    }
    const bool dot = !continued && line == "." && whole;
    if (dot && !(strict && (bare || previous_bare))) return at;
    continued = !whole;
    previous_bare = bare;
  }
  return std::string_view::npos;
}

}  // namespace

TEST_CASE("the tracker finds an end where Postfix finds one, and none before it") {
  REQUIRE(rc::check("against Postfix's reader", [] {
    const auto text = *rc::gen::container<std::string>(
        rc::gen::weightedElement<char>({{4, '\r'}, {4, '\n'}, {4, '.'}, {1, 'x'}, {1, '\0'}}));
    const auto limit = *rc::gen::element<std::size_t>(4, 5, 7, 2048);
    EndOfData dot;
    std::size_t used = 0;
    EndOfData::Step step;
    while (used < text.size() && step.found == EndOfData::Found::Nothing) {
      const auto size = *rc::gen::inRange<std::size_t>(1, text.size() - used + 1);
      step = dot.scan(std::span(text).subspan(used, size));
      used += step.used;
    }
    for (const bool strict : {false, true}) {
      const std::size_t end = postfix_end(text, limit, strict);
      switch (step.found) {
        case EndOfData::Found::End:
          RC_ASSERT(end == used);
          break;
        case EndOfData::Found::Ambiguous:
          RC_ASSERT(end >= used);
          break;
        case EndOfData::Found::Nothing:
          RC_ASSERT(end == std::string::npos);
          break;
      }
    }
  }));
}

TEST_CASE("long bodies are scanned in blocks without missing a dot line") {
  for (std::size_t before = 0; before < 200; ++before) {
    const std::string text = std::string(before, 'x') + "\r\n.\r\n";
    EndOfData dot;
    const EndOfData::Step step = dot.scan(text + std::string(150, 'y'));
    CHECK(step.found == EndOfData::Found::End);
    CHECK(step.used == text.size());
  }
}

TEST_CASE("header fields and the body's beginning are found as Postfix finds them") {
  struct Row {
    std::string_view label;
    std::string text;
    std::string expect;
  };
  const std::vector<Row> rows = {
      {"fields, one folded", "A: b\r\nReceived: c\r\n d\r\n\r\nbody\r\n",
       "fields=6,23r, header_end=23 body=25 line=6 dot=3"},
      {"names in any case", "rEcEiVeD:x\r\n\r\n",
       "fields=12r, header_end=12 body=14 line=12 dot=3"},
      {"near names", "Received-SPF: x\r\nReceive: y\r\nX-Received: z\r\n\r\n",
       "fields=17,29,44, header_end=44 body=46 line=17 dot=3"},
      {"blanks before the colon", "Received \t: x\r\n\r\n",
       "fields=15r, header_end=15 body=17 line=15 dot=3"},
      {"bare LF", "A: b\nB: c\n\nbody\r\n", "fields=5,10, header_end=10 body=11 line=5 dot=3"},
      {"a line without a colon", "A: b\r\nno colon\r\nB: c\r\n\r\n",
       "fields=6, header_end=6 body=6 line=6 dot=3"},
      {"a colon first", ": b\r\n\r\n", "fields= header_end=0 body=0 line=5 dot=3"},
      {"8-bit in a name", "A\xe4: b\r\n\r\n", "fields= header_end=0 body=0 line=7 dot=3"},
      {"a blank line first", "\r\nA: b\r\n", "fields= header_end=0 body=2 line=2 dot=3"},
      {"a folded line first", " x\r\nA: b\r\n", "fields= header_end=0 body=0 line=4 dot=3"},
      {"no body at all", "A: b\r\n", "fields=6, header_end=6 body=0 line=6 dot=3"},
      {"an empty message", "", "fields= header_end=0 body=0 line=3 dot=3"},
      {"a stuffed dot in front", "..A: b\r\n.B: c\r\n\r\n",
       "fields=8,15, header_end=15 body=17 line=8 dot=3"},
      {"mbox lines", "From a Mon\r\n>From b\r\nA: b\r\n\r\n",
       "fields=12,21,27, header_end=27 body=29 line=12 dot=3"},
      {"an mbox line later", "A: b\r\nFrom a Mon\r\n\r\n",
       "fields=6, header_end=6 body=6 line=6 dot=3"},
      {"CRs before the LF", "A: b\r\r\n\r\r\nbody\r\n",
       "fields=7, header_end=7 body=10 line=7 dot=3"},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    CHECK(test::landmarks_text(landmarks_of(row.text)) == row.expect);
  }
}

TEST_CASE("in chunks a dot is an ordinary byte and a line may end with the message") {
  CHECK(test::landmarks_text(chunk_landmarks("A: b\r\n\r\n.\r\nx")) ==
        "fields=6, header_end=6 body=8 line=6 dot=0");
  CHECK(test::landmarks_text(chunk_landmarks("A: b")) ==
        "fields=4, header_end=4 body=0 line=0 dot=0");
  CHECK(test::landmarks_text(chunk_landmarks(".A: b\r\nno")) ==
        "fields=7, header_end=7 body=7 line=7 dot=0");
  CHECK(test::landmarks_text(chunk_landmarks("From a Mon\r\n")) ==
        "fields= header_end=0 body=0 line=12 dot=0");
}

TEST_CASE("the first 64 fields are kept and the end of all of them is known") {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "A: b\r\n";
  const Landmarks found = landmarks_of(text + "\r\n");
  CHECK(found.fields.size() == Landmarks::kMaxFields);
  CHECK(found.fields.back().end == 64 * 6);
  CHECK(found.header_end == 600);
  CHECK(found.body_begin == 602);
}

TEST_CASE("chunks are a message's spans and their command lines are not") {
  const Recorder seen =
      track(test::opened() + Script{raw("BDAT 5\r\nA: b\n"), S("250 5"),
                                    raw("bdat 3 last\r\n\nx\r"), S("250 queued")});
  REQUIRE(seen.messages.size() == 1);
  const std::uint64_t begin = test::client_stream(test::opened()).size();
  const classifier::Message& message = seen.messages[0];
  CHECK(message.spans ==
        std::vector<classifier::Span>{{begin + 8, begin + 13}, {begin + 26, begin + 29}});
  CHECK(message.tails == std::vector{classifier::Tail::Lf, classifier::Tail::Cr});
  CHECK(message.size == 8);
  CHECK(message.transfer == classifier::Transfer::Bdat);
  CHECK(message.dialogue.chunks == 2);
  CHECK(message.dialogue.lower_case);
  CHECK(message.landmarks.body_begin == 6);
  CHECK(seen.events.back() == "answer 1");
}

TEST_CASE("BDAT: which transfers are messages") {
  struct Row {
    std::string_view label;
    Script script;
    std::vector<std::uint64_t> sizes;
    std::string_view lost;
  };
  const Script mail = {C("MAIL FROM:<>"), S("250 ok"), C("RCPT TO:<x>"), S("250 ok")};
  const std::vector<Row> rows = {
      {"one chunk", {raw("BDAT 3 LAST\r\nabc"), S("250 ok")}, {3}, ""},
      {"LAST of no bytes", {raw("BDAT 3\r\nabcBDAT 0 LAST\r\n"), S("250 3"), S("250 ok")}, {3}, ""},
      {"nothing at all", {raw("BDAT 0 LAST\r\n"), S("250 ok")}, {0}, ""},
      {"refused at its end", {raw("BDAT 3 LAST\r\nabc"), S("554 no")}, {3}, ""},
      {"first chunk refused, the rest skipped",
       {raw("BDAT 3\r\nabc"), S("452 full"), raw("BDAT 3 LAST\r\nabc"), S("551 discarded")},
       {},
       ""},
      {"a chunk refused while the next one is under way",
       {raw("BDAT 3\r\nabcBDAT 9 LAST\r\nQUIT"), S("452 full"), raw("QUIT\n"), S("551 discarded")},
       {},
       ""},
      {"a chunk refused when the last one is in already",
       {raw("BDAT 3\r\nabcBDAT 3 LAST\r\nabc"), S("452 full"), S("551 discarded")},
       {6},
       ""},
      {"a late refusal does not touch the next message",
       {raw("BDAT 1\r\naBDAT 1 LAST\r\nbBDAT 2\r\ncd"), S("452 full"), S("551 discarded"),
        S("250 2"), raw("BDAT 1 LAST\r\ne"), S("250 ok")},
       {2, 3},
       ""},
      {"RSET between chunks",
       Script{raw("BDAT 3\r\nabc"), S("250 3"), C("RSET"), S("250 ok")} + mail +
           Script{raw("BDAT 2 LAST\r\nde"), S("250 ok")},
       {2},
       ""},
      {"RSET refused between chunks",
       {raw("BDAT 3\r\nabc"), S("250 3"), C("RSET now"), S("501 syntax"), raw("BDAT 2 LAST\r\nde"),
        S("250 ok")},
       {5},
       ""},
      {"RSET pipelined between chunks",
       Script{raw("BDAT 3\r\nabcRSET\r\nBDAT 2 LAST\r\nde"), S("250 3"), S("250 ok"), S("503 no")},
       {2},
       ""},
      {"MAIL between chunks is refused by Postfix and changes nothing",
       {raw("BDAT 3\r\nabc"), S("250 3"), C("MAIL FROM:<>"), S("503 nested"),
        raw("BDAT 2 LAST\r\nde"), S("250 ok")},
       {5},
       ""},
      {"RSET ends skipping",
       Script{raw("BDAT 3\r\nabc"), S("554 no"), C("RSET"), S("250 ok")} + mail +
           Script{raw("BDAT 2 LAST\r\nde"), S("250 ok")},
       {2},
       ""},
      {"DATA after a chunk is refused",
       {raw("BDAT 3\r\nabc"), S("250 3"), C("DATA"), S("503 no"), raw("BDAT 2 LAST\r\nde"),
        S("250 ok")},
       {5},
       ""},
      {"QUIT between chunks", {raw("BDAT 3\r\nabc"), S("250 3"), C("QUIT"), S("221 bye")}, {}, ""},
      {"no size", {C("BDAT")}, {}, "lost"},
      {"not a number", {C("BDAT 3x")}, {}, "lost"},
      {"negative", {C("BDAT -3")}, {}, "lost"},
      {"too large", {C("BDAT 99999999999999999999")}, {}, "lost"},
      {"not LAST", {C("BDAT 3 LATE")}, {}, "lost"},
      {"something after LAST", {C("BDAT 3 LAST x")}, {}, "lost"},
      {"a NUL in it", {raw("BDAT 3\0 LAST\r\n"s)}, {}, "lost"},
      {"Postfix's other blanks", {raw("\vBDAT\t2\fLAST\r\nab"), S("250 ok")}, {2}, ""},
      {"not implemented: its bytes are commands",
       {raw("BDAT 3\r\nabc"), S("502 what?")},
       {},
       "lost"},
      {"access denied", {raw("BDAT 3\r\nabc"), S("503 5.7.0 Error: access denied")}, {}, "lost"},
      {"no valid recipients", {raw("BDAT 3\r\nabc"), S("503 5.5.1 need RCPT")}, {}, ""},
      {"hung up", {raw("BDAT 3\r\nabc"), S("521 disabled"), raw("BDAT 1 LAST\r\nx")}, {}, ""},
      {"an answer before its bytes", {raw("BDAT 3\r\na"), S("250 3")}, {}, "lost"},
      {"refused before its bytes",
       {raw("BDAT 3 LAST\r\na"), S("552 too big"), raw("bcNOOP\r\n"), S("250 ok")},
       {},
       ""},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    for (const auto& cut : {test::uncut, test::byte_by_byte}) {
      const Recorder seen = track(test::opened() + row.script, cut);
      std::vector<std::uint64_t> sizes;
      for (const auto& message : seen.messages) sizes.push_back(message.size);
      CHECK(sizes == row.sizes);
      CHECK(seen.lost() == row.lost);
    }
  }
}

TEST_CASE("bytes that follow DATA are a message after 354, and commands after a refusal") {
  const Recorder taken = track(
      test::opened() + Script{raw("DATA\r\nA: b\r\n\r\nQUIT\r\n"), S("354 go"), raw(".\r\n")});
  REQUIRE(taken.messages.size() == 1);
  CHECK(taken.messages[0].dialogue.early_data);
  CHECK_FALSE(taken.messages[0].dialogue.pipelined);

  const Recorder refused = track(
      test::opened() + Script{raw("DATA\r\nNOOP\r\n"), S("554 no valid recipients"), S("250 ok")} +
      transfer("x\r\n.\r\n"));
  REQUIRE(refused.messages.size() == 1);
  CHECK_FALSE(refused.messages[0].dialogue.early_data);
  CHECK(refused.messages[0].dialogue.pipelined);
}

TEST_CASE("early data marks the message that had it, not the next one") {
  const Recorder seen =
      track(test::opened() + Script{raw("DATA\r\nx\r\n"), S("354 go"), raw(".\r\n"), S("250 ok")} +
            Script{C("MAIL FROM:<>"), S("250 ok"), C("RCPT TO:<x>"), S("250 ok")} +
            transfer("y\r\n.\r\n"));
  REQUIRE(seen.messages.size() == 2);
  CHECK(seen.messages[0].dialogue.early_data);
  CHECK_FALSE(seen.messages[1].dialogue.early_data);
}

TEST_CASE("lines that answer a challenge are not commands") {
  const Recorder seen = track({S("220 mx"), raw("AUTH LOGIN\r\nREFUQQ==\r\nDATA\r\nNOOP\r\n"),
                               S("334 VXNlcg=="), S("334 UGFzcw=="), S("535 no"), S("250 ok")});
  CHECK(seen.events == std::vector<std::string>{"command 0-12", "command 28-34"});
  CHECK(track({S("220 mx"), C("AUTH PLAIN"), S("334 "), raw(std::string(10000, 'A') + "\r\n"),
               S("235 ok"), C("NOOP"), S("250 ok")})
            .events.size() == 2);
}

TEST_CASE("the habits in which programs differ are reported in the words of the notation") {
  const auto talk = [](Script script) {
    const Recorder seen = track(script);
    REQUIRE(seen.messages.size() == 1);
    classifier::Trace trace;
    trace.dialogue = seen.messages[0].dialogue;
    return classifier::print(trace).substr(std::string_view("segmilter/1").size());
  };
  const Script hello = {S("220 mx"), C("EHLO a.example"), S("250 mx")};
  const Script envelope = {C("MAIL FROM:<>"), S("250 ok"), C("RCPT TO:<x>"), S("250 ok")};
  const Script mail = transfer("A: b\r\n\r\nc\r\n.\r\n");
  const auto with_mail = [&](const char* command) {
    return hello + Script{C(command), S("250 ok"), C("RCPT TO:<x>"), S("250 ok")} + mail;
  };
  struct Row {
    std::string_view label;
    Script script;
    std::string_view expect;
  };
  const std::vector<Row> rows = {
      {"none", hello + envelope + mail, " talk=ehlo"},
      {"fallback",
       Script{S("220 mx"), C("EHLO a.b"), S("502 no"), C("HELO a.b"), S("250 mx")} + envelope +
           mail,
       " talk=helo,fallback"},
      {"literal", Script{S("220 mx"), C("EHLO [192.0.2.1]"), S("250 mx")} + envelope + mail,
       " talk=ehlo,literal"},
      {"one label", Script{S("220 mx"), C("HELO vm"), S("250 mx")} + envelope + mail,
       " talk=helo,dotless"},
      {"mixed case", with_mail("mail FROM:<>"), " talk=ehlo,lower,mixed-case"},
      {"Sendmail", with_mail("MAIL From:<> SIZE=12"), " talk=ehlo,soft-path declared=12"},
      {"lower case in the address alone", with_mail("MAIL FROM:<a@b>"), " talk=ehlo"},
      {"BODY in front", with_mail("MAIL FROM:<> BODY=8BITMIME SIZE=7"),
       " talk=ehlo,8bit,body-first declared=7"},
      {"SIZE in front", with_mail("MAIL FROM:<> SIZE=7 BODY=7BIT"), " talk=ehlo,7bit declared=7"},
      {"a SIZE that is no number", with_mail("MAIL FROM:<> SIZE=99999999999999999999"),
       " talk=ehlo"},
      {"DSN", with_mail("MAIL FROM:<> RET=HDRS"), " talk=ehlo,dsn"},
      {"a blank before the line end", with_mail("MAIL FROM:<> "), " talk=ehlo,trailing-space"},
      {"RSET", hello + Script{C("RSET"), S("250 ok")} + envelope + mail, " talk=ehlo,rset"},
      {"an empty last line", hello + envelope + transfer("A: b\r\n\r\nc\r\n\r\n.\r\n"),
       " talk=ehlo,blank-end"},
      {"RCPT ahead",
       hello + Script{raw("MAIL FROM:<>\r\nRCPT TO:<x>\r\n"), S("250 ok"), S("250 ok")} + mail,
       " talk=ehlo,pipelined,rcpt-ahead"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.label);
    CHECK(talk(row.script) == row.expect);
  }
}

TEST_CASE("the claims of a message are reported with it, up to a limit") {
  const Recorder seen =
      track(Script{S("220 mx"), C("EHLO a.example"), S("250 mx"), C("MAIL FROM:<>"), S("250 ok"),
                   C("RCPT TO:<x>"), S("250 ok")} +
            transfer("Received: by one\r\n\t(Exim 4)\r\nUSER-AGENT: " + std::string(1000, 'x') +
                     "\r\nReceived: by two\r\nX-Mailer: second\r\n\r\nX-Mailer: body\r\n.\r\n"));
  REQUIRE(seen.messages.size() == 1);
  const classifier::Claims& claims = seen.messages[0].claims;
  CHECK(claims.received == " by one\r\n(Exim 4)\r\n");  // the blank of the folded line is not kept
  CHECK(claims.mailer.size() == classifier::Claims::kLongest);
  CHECK(claims.helo == "a.example");
}

TEST_CASE("habits of the client are reported with the message") {
  const auto habits = [](Script opening) {
    const Recorder seen = track(opening + transfer("A: b\r\n\r\n.\r\n"));
    REQUIRE(seen.messages.size() == 1);
    return test::dialogue_text(seen.messages[0].dialogue);
  };
  const Script plain = {C("MAIL FROM:<>"), S("250 ok"), C("RCPT TO:<x>"), S("250 ok")};
  struct Row {
    std::string_view label;
    Script script;
    std::string_view expect;
  };
  const std::vector<Row> rows = {
      {"EHLO", Script{S("220 mx"), C("EHLO a"), S("250 mx")} + plain, "ehlo"},
      {"HELO", Script{S("220 mx"), C("HELO a"), S("250 mx")} + plain, "helo"},
      {"HELO after a refused EHLO",
       Script{S("220 mx"), C("EHLO a"), S("502 no"), C("HELO a"), S("250 mx")} + plain, "helo"},
      {"no greeting", Script{S("220 mx")} + plain, "-"},
      {"lower case", Script{S("220 mx"), C("Ehlo a"), S("250 mx")} + plain, "ehlo lower"},
      {"lower case in the arguments only",
       Script{S("220 mx"), C("EHLO a"), S("250 mx"), C("MAIL from:<>"), S("250 ok"),
              C("RCPT TO:<x>"), S("250 ok")},
       "ehlo"},
      {"before the greeting", Script{C("EHLO a"), S("220 mx"), S("250 mx")} + plain,
       "ehlo early-talker"},
      {"within the greeting",
       Script{raw_server("220-wait\r\n"), C("EHLO a"), S("220 mx"), S("250 mx")} + plain,
       "ehlo early-talker"},
      {"pipelined",
       Script{S("220 mx"), C("EHLO a"), S("250 mx"), raw("MAIL FROM:<>\r\nRCPT TO:<x>\r\n"),
              S("250 ok"), S("250 ok")},
       "ehlo pipelined"},
      {"a command begun before the reply",
       Script{S("220 mx"), raw("EHLO a\r\nMAIL"), S("250 mx"), raw(" FROM:<>\r\n"), S("250 ok"),
              C("RCPT TO:<x>"), S("250 ok")},
       "ehlo pipelined helo-ahead"},
      {"a command ahead of the reply to HELO",
       Script{S("220 mx"), raw("HELO a\r\nRSET\r\n"), S("250 mx"), S("250 ok")} + plain,
       "helo pipelined helo-ahead"},
      {"EHLO behind a command without a reply, and the next one after its reply",
       Script{S("220 mx"), raw("NOOP\r\nEHLO a\r\n"), S("250 ok"), S("250 mx")} + plain,
       "ehlo pipelined"},
      {"bare LF", Script{S("220 mx"), raw("EHLO a\n"), S("250 mx")} + plain, "ehlo bare-lf"},
      {"a space after the colon",
       Script{S("220 mx"), C("EHLO a"), S("250 mx"), C("MAIL FROM: <>"), S("250 ok"),
              C("RCPT TO:<x>"), S("250 ok")},
       "ehlo space"},
      {"XCLIENT begins the session again",
       Script{S("220 mx"), C("EHLO a"), S("250 mx"), C("XCLIENT NAME=x"), S("220 mx")} + plain,
       "-"},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    CHECK(habits(row.script) == row.expect);
  }
}

TEST_CASE("if the streams do not fit together, the tracker is lost once, with the right reason") {
  struct Row {
    std::string_view label;
    Script script;
    std::string_view lost;
  };
  const Script ready = {S("220 mx")};
  const std::vector<Row> rows = {
      {"a TLS client", {raw("\x16\x03\x01\x02")}, "encrypted"},
      {"STARTTLS", ready + Script{C("STARTTLS"), S("220 go")}, "encrypted"},
      {"a browser", ready + Script{C("GET / HTTP/1.1")}, "not mail"},
      {"an open-proxy test", ready + Script{C("CONNECT mx:25 HTTP/1.0")}, "not mail"},
      {"another protocol", {S("SSH-2.0-OpenSSH_9.2")}, "not mail"},
      {"a greeting that is none", {S("250 ok")}, "not mail"},
      {"a second answer", ready + Script{C("NOOP"), S("250 ok"), S("250 ok")}, "lost"},
      {"an answer to half a command", ready + Script{raw("NOOP"), S("250 ok")}, "lost"},
      {"an answer within a message",
       test::opened() + Script{C("DATA"), S("354 go"), raw("x\r\n"), S("250 ok")}, "lost"},
      {"not a reply", ready + Script{C("NOOP"), S("okay")}, "lost"},
      {"a code out of range", ready + Script{C("NOOP"), S("650 ok")}, "lost"},
      {"354 to another command", ready + Script{C("NOOP"), S("354 go")}, "lost"},
      {"334 to another command", ready + Script{C("NOOP"), S("334 go")}, "lost"},
      {"250 to DATA", ready + Script{C("DATA"), S("250 ok")}, "lost"},
      {"a long line", ready + Script{raw(std::string(2048, 'a'))}, "lost"},
      {"a long answer to a challenge",
       ready + Script{C("AUTH PLAIN"), S("334 "), raw(std::string(12288, 'a'))}, "lost"},
      {"a long reply", ready + Script{C("NOOP"), raw_server("250 " + std::string(4096, 'a'))},
       "lost"},
      {"too much after AUTH", ready + Script{C("AUTH PLAIN"), raw(std::string(65537, 'a'))},
       "lost"},
      {"too much after DATA that is refused",
       ready + Script{C("DATA"), raw(std::string(65537, 'a')), S("554 no")}, "lost"},
      {"too much after a message that came before its 354",
       ready + Script{C("DATA"), raw(kLongText), raw("\r\n.\r\n"), raw(std::string(65537, 'a'))},
       "lost"},
      {"two ends before the 354, and the first may not be an end",
       ready + Script{C("DATA"), raw(kLongText), raw("\n.\r\nb\r\n.\r\n"), S("354 go")},
       "ambiguous"},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    // Later bytes must not cause an event.
    const Script more = {C("NOOP"), S("250 ok"), raw("\n.\n"), S("250 ok")};
    for (const auto& cut : {test::uncut, test::byte_by_byte}) {
      const Recorder seen = track(row.script + more, cut);
      CHECK(seen.lost() == row.lost);
      CHECK(std::count_if(seen.events.begin(), seen.events.end(),
                          [](const auto& event) { return event.starts_with("lost"); }) == 1);
    }
  }
}

TEST_CASE("harmless streams that look like trouble do not lose the tracker") {
  struct Row {
    std::string_view label;
    Script script;
  };
  const Script ready = {S("220 mx")};
  const std::vector<Row> rows = {
      {"a refusing greeting", {S("554 go away"), C("QUIT"), S("221 bye")}},
      {"a greeting in lines", {S("220-one\r\n220-two\r\n220 three"), C("NOOP"), S("250 ok")}},
      {"a reply without text", ready + Script{C("NOOP"), S("250")}},
      {"a reply on bare LF", ready + Script{C("NOOP"), raw_server("250 ok\n")}},
      {"an empty line is a command", ready + Script{raw("\r\n"), S("500 5.5.2 Error: bad syntax")}},
      {"an unknown command", ready + Script{C("HTTP GET /"), S("500 what?")}},
      {"GET later", ready + Script{C("NOOP"), S("250 ok"), C("GET /"), S("221 goodbye")}},
      {"421 unasked", ready + Script{S("421 timeout"), C("NOOP"), S("250 ok")}},
      {"421 as the greeting", {S("421 busy"), raw("\n.\n"), S("garbage")}},
      {"bytes after QUIT", ready + Script{raw("QUIT\r\nGET\r\n\x16"), S("221 bye"), S("x")}},
      {"2047 bytes of line", ready + Script{raw(std::string(2047, 'a') + "\n"), S("500 what?")}},
      {"64 KiB after DATA", ready + Script{C("DATA"), raw(std::string(65536, 'a')), S("421 x")}},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    CHECK(track(row.script).lost().empty());
    CHECK(track(row.script, test::byte_by_byte).lost().empty());
  }
}

TEST_CASE("a reply that closes the session also answers its message") {
  const Recorder seen = track(test::opened() + Script{C("DATA"), S("354 go"), raw("x\r\n.\r\n"),
                                                      S("421 too many"), C("NOOP"), S("250 ok")});
  CHECK(seen.events.back() == "answer 1");
}

TEST_CASE(
    "a message that is refused at its end is answered, and the next one gets the next number") {
  const Recorder seen =
      track(test::opened() + transfer("a\r\n.\r\n", "554 5.7.1 spam") +
            Script{C("MAIL FROM:<>"), S("250 ok"), C("RCPT TO:<x>"), S("250 ok")} +
            transfer("b\r\n.\r\n"));
  REQUIRE(seen.messages.size() == 2);
  CHECK(seen.has("answer 1"));
  CHECK(seen.has("answer 2"));
  CHECK(seen.messages[1].ordinal == 2);
}

TEST_CASE("beyond its limits the tracker is lost, and the process goes on") {
  SmtpTracker::Limits limits;
  limits.outstanding = 3;
  CHECK(track({S("220 mx"), raw("A\r\nB\r\nC\r\n")}, test::uncut, limits).lost().empty());
  CHECK(track({S("220 mx"), raw("A\r\nB\r\nC\r\nD\r\n")}, test::uncut, limits).lost() == "lost");
  limits.chunks = 2;
  CHECK(track({S("220 mx"), raw("BDAT 1\r\naBDAT 1\r\nb")}, test::uncut, limits).lost().empty());
  CHECK(track({S("220 mx"), raw("BDAT 0\r\nBDAT 0\r\nBDAT 0\r\n")}, test::uncut, limits).lost() ==
        "lost");
}

TEST_CASE("queued bytes do not pile up while they are used") {
  SmtpTracker::Limits limits;
  limits.queued = 64;
  Script script = {S("220 mx")};
  script.push_back(C("DATA"));
  for (int i = 0; i < 100; ++i) {
    script.push_back(C("DATA"));
    script.push_back(S("503 no"));
  }
  CHECK(track(script, test::uncut, limits).lost().empty());
}

TEST_CASE("no event speaks of bytes before needed_from()") {
  for (const Recording& recording : recordings()) {
    INFO(recording.label);
    struct Watcher final : SmtpTracker::Listener {
      std::uint64_t forgotten = 0;
      bool fine = true;
      void on_command(classifier::Span line) override { fine = fine && line.begin >= forgotten; }
      void on_message(classifier::Message&& m) override {
        fine = fine && (m.spans.empty() || m.spans.front().begin >= forgotten);
      }
      void on_answer(std::uint32_t) override {}
      void on_lost(classifier::Reason) override {}
    } watcher;
    SmtpTracker tracker(watcher);
    test::play(recording.script, tracker, [&](std::size_t) {
      watcher.forgotten = tracker.needed_from();
      return std::size_t{1};
    });
    CHECK(watcher.fine);
  }
}

TEST_CASE("more text before the 354 than the queue holds is read as the message that it becomes") {
  const std::string text = "Subject: x\r\n\r\n" + kLongText + "\r\n.\r\n";
  for (const std::size_t early : {text.size(), text.size() - 1, std::size_t{66'000}}) {
    INFO(early << " of " << text.size() << " bytes before the 354");
    const Recorder seen = track(
        test::opened() + Script{raw("DATA\r\n" + text.substr(0, early)), S("354 go"),
                                raw(text.substr(early) + "QUIT\r\n"), S("250 queued\r\n221 bye")});
    REQUIRE(seen.messages.size() == 1);
    const auto& message = seen.messages[0];
    CHECK(message.size == text.size());
    REQUIRE(message.spans.size() == 1);
    CHECK(message.spans[0].end - message.spans[0].begin == text.size());
    CHECK(message.landmarks.header_end == 12);
    CHECK(message.landmarks.body_begin == 14);
    CHECK(message.dialogue.early_data);
    CHECK(seen.has("answer 1"));
  }
}

TEST_CASE("text that waited for 354 releases its memory, and behind() is true while it waits") {
  struct Nobody final : SmtpTracker::Listener {
    void on_command(classifier::Span) override {}
    void on_message(classifier::Message&&) override {}
    void on_answer(std::uint32_t) override {}
    void on_lost(classifier::Reason) override {}
  } nobody;
  SmtpTracker tracker(nobody);
  const auto server = [&](std::string_view bytes) { tracker.server(bytes); };
  const auto client = [&](std::string_view bytes) { tracker.client(bytes); };
  server("220 mx\r\n");
  client("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
  CHECK_FALSE(tracker.behind());
  client("Subject: x\r\n\r\n" + std::string(60'000, 'x') + "\r\n.\r\n");
  CHECK(tracker.behind());
  CHECK(tracker.memory_used() >= 60'000);
  server("250 ok\r\n250 ok\r\n354 go on\r\n");
  CHECK_FALSE(tracker.behind());
  CHECK(tracker.memory_used() < 1000);

  // Text beyond the limit of the queue takes no memory at all.
  server("250 queued\r\n");
  CHECK_FALSE(tracker.owes_answer());
  client("DATA\r\n");
  for (int i = 0; i < 100; ++i) client(kLongText);
  CHECK(tracker.behind());
  CHECK(tracker.memory_used() < 1000);
  client("\r\n.\r\n");
  CHECK(tracker.behind());
  CHECK(tracker.owes_answer());
  server("354 go on\r\n");
  CHECK_FALSE(tracker.behind());
  CHECK(tracker.owes_answer());
  server("250 queued\r\n");
  CHECK_FALSE(tracker.owes_answer());
  CHECK_FALSE(tracker.lost());
}

TEST_CASE("a message that the stream's end cut is reported as cut, but not an empty one") {
  Recorder seen;
  SmtpTracker tracker(seen);
  const auto client = [&](std::string_view bytes) { tracker.client({bytes.data(), bytes.size()}); };
  const auto server = [&](std::string_view bytes) { tracker.server({bytes.data(), bytes.size()}); };
  server("220 hi\r\n");
  client("EHLO a.example\r\n");
  server("250 hi\r\n");
  client("DATA\r\n");
  server("354 go\r\n");
  CHECK(tracker.text_tail() == classifier::Tail::Lf);
  SECTION("in its text") {
    client("Subject: hi\r\n\r\nHello\r\n.");
    CHECK(tracker.text_tail() == classifier::Tail::Other);
    tracker.end();
    REQUIRE(seen.messages.size() == 1);
    CHECK(seen.messages[0].cut);
    CHECK(seen.messages[0].size == 23);
    CHECK(seen.messages[0].landmarks.terminator == 0);
    CHECK(seen.messages[0].landmarks.body_begin == 15);
    CHECK_FALSE(seen.messages[0].dialogue.blank_end);
  }
  SECTION("before its text") {
    tracker.end();
    CHECK(seen.messages.empty());
  }
}

TEST_CASE("an assumed greeting that comes later is skipped, and no other reply is") {
  Recorder seen;
  SmtpTracker tracker(seen);
  const auto client = [&](std::string_view bytes) { tracker.client({bytes.data(), bytes.size()}); };
  const auto server = [&](std::string_view bytes) { tracker.server({bytes.data(), bytes.size()}); };
  tracker.assume_greeting();
  CHECK(tracker.greeted());
  client("EHLO a.example\r\n");
  SECTION("it comes") {
    server("220-hi\r\n220 there\r\n");
    CHECK_FALSE(tracker.all_answered());
    server("250 hi\r\n");
    CHECK(tracker.all_answered());
    server("220 again\r\n");
    CHECK(tracker.lost());
  }
  SECTION("it does not") {
    server("250 hi\r\n");
    CHECK(tracker.all_answered());
    CHECK_FALSE(tracker.dialogue().early_talker);
  }
}
