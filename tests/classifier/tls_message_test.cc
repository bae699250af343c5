// The records of a session, by plaintext sizes, and what a milter was shown of its message.
#include "classifier/tls_message.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using classifier::place_message;
using classifier::Reason;
using classifier::Record;
using classifier::ShownSizes;
using classifier::TlsMessage;
using classifier::Turn;
using classifier::Window;

namespace {

std::vector<std::uint32_t> sizes(const TlsMessage& message) {
  std::vector<std::uint32_t> found;
  for (const Record& record : message.records) found.push_back(record.size);
  return found;
}

using Sizes = std::vector<std::uint32_t>;

// The turns of a session; the last one is the current one.
struct Said {
  std::vector<Turn> turns;
  std::uint64_t greeting = 0;
  explicit Said(std::initializer_list<std::initializer_list<std::uint32_t>> sizes) {
    std::uint64_t at = 0;
    for (const auto& records : sizes) {
      Turn& turn = turns.emplace_back();
      for (const std::uint32_t plain : records) {
        turn.records.push_back({at, at + plain + 22, plain});
        at += plain + 22;
        turn.bytes += plain;
        ++turn.count;
      }
    }
  }
  std::variant<TlsMessage, Reason> look(const ShownSizes& shown, std::uint32_t slack = 0,
                                        bool answered = false) const {
    classifier::Turns all{.greeting = greeting, .answered = answered};
    for (const Turn& turn : turns) all.kept.push_back(&turn);
    return place_message(all, shown, slack);
  }
  TlsMessage place(const ShownSizes& shown, std::uint32_t slack = 0, bool answered = false) const {
    const auto found = look(shown, slack, answered);
    REQUIRE(std::holds_alternative<TlsMessage>(found));
    return std::get<TlsMessage>(found);
  }
  Reason reason(const ShownSizes& shown, std::uint32_t slack = 0, bool answered = false) const {
    const auto found = look(shown, slack, answered);
    const auto* why = std::get_if<Reason>(&found);
    return why != nullptr ? *why : Reason::None;
  }
};

// MAIL and RCPT with 64 bytes in all.
ShownSizes shown(std::uint64_t header, std::optional<std::uint64_t> body, std::uint64_t dots = 0,
                 std::vector<std::uint32_t> fields = {}) {
  ShownSizes sizes{.header = header, .fields = std::move(fields), .body = body, .dots = dots};
  sizes.envelope.add_mail(22);
  sizes.envelope.add_rcpt(20);
  REQUIRE(sizes.envelope.total == 64);
  return sizes;
}

}  // namespace

TEST_CASE("what the milter was shown places a message by DATA to the byte") {
  // 304 bytes of header, 4808 of body, two doubled dots, the dot.
  const TlsMessage whole = Said({{22}, {42}, {6}, {4096, 1021}}).place(shown(304, 4808, 2));
  CHECK(whole.window == Window::Exact);
  CHECK(whole.transfer == classifier::Transfer::Data);
  CHECK(sizes(whole) == Sizes{4096, 1021});
  const TlsMessage quit = Said({{70}, {4096, 1027}}).place(shown(304, 4808, 2));
  CHECK(quit.window == Window::Exact);
  CHECK(quit.quit_with_dot);
  CHECK(sizes(quit) == Sizes{4096, 1021});
  CHECK(quit.records.back().after == 6);
  // The bytes after it may be the next transaction. Or this message was refused, and they are the
  // message about which the milter was asked.
  CHECK(Said({{70}, {4096, 1021, 70}}).reason(shown(304, 4808, 2)) == Reason::Ambiguous);
}

TEST_CASE("fields that Postfix or a policy service has added do not belong to what was sent") {
  struct Row {
    const char* label;
    std::vector<std::uint32_t> fields;  // as shown
    std::uint32_t sent;
  };
  // 2 bytes of blank line, 4808 of body, the dot.
  const Row rows[] = {
      {"in front", {50, 100, 120, 84}, 100 + 120 + 84},
      {"at the end", {100, 120, 84, 37, 61}, 100 + 120 + 84},
      {"both", {50, 100, 120, 84, 61}, 100 + 120 + 84},
      {"before another one", {100, 33, 120, 84}, 100 + 120 + 84},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    std::uint64_t header = 2;
    for (const std::uint32_t size : row.fields) header += size;
    const Said said({{70}, {row.sent + 2 + 4808 + 3}});
    const TlsMessage found = said.place(shown(header, 4808, 0, row.fields));
    CHECK(found.window == Window::Exact);
    CHECK(found.records[0].size == row.sent + 2 + 4808 + 3);
  }
}

TEST_CASE("a message without a blank line is as long as it is") {
  CHECK(Said({{70}, {302 + 3}}).place(shown(304, 0)).window == Window::Exact);
  CHECK(Said({{70}, {3}}).place(shown(2, 0)).window == Window::Exact);
}

TEST_CASE("text that came with DATA begins after the commands") {
  const TlsMessage all = Said({{64 + 6, 4096, 1019}}).place(shown(304, 4808));
  CHECK(all.window == Window::Exact);
  CHECK(all.early);
  CHECK(sizes(all) == Sizes{4096, 1019});
  const TlsMessage joined = Said({{64}, {6 + 399, 4716}}).place(shown(304, 4808));
  CHECK(joined.early);
  CHECK(sizes(joined) == Sizes{399, 4716});
  CHECK(joined.records[0].before == 6);
}

TEST_CASE(
    "text that begins with DATA and continues after 354 is found if all bytes are explained") {
  const TlsMessage found = Said({{22}, {42}, {6 + 399}, {4716}}).place(shown(304, 4808));
  CHECK(found.window == Window::Exact);
  CHECK(found.early);
  CHECK(sizes(found) == Sizes{399, 4716});
  CHECK(found.spans.size() == 2);
  const TlsMessage quit = Said({{64 + 6, 399}, {4716, 6}}).place(shown(304, 4808));
  CHECK(quit.quit_with_dot);
  CHECK(sizes(quit) == Sizes{399, 4716});
  CHECK(Said({{70, 399}, {4716, 70}}).reason(shown(304, 4808)) == Reason::Ambiguous);
}

TEST_CASE("bytes beyond the commands may be text, unless DATA had its own turn") {
  // A blank after a colon, RSET, NOOP.
  CHECK(Said({{22}, {43}, {6}, {5115}}).place(shown(304, 4808)).window == Window::Exact);
  CHECK(Said({{6}, {22}, {42}, {6}, {5115}}).place(shown(304, 4808)).window == Window::Exact);
  // 30 bytes of text came with DATA, and 30 of commands follow it; or NOOP came before.
  CHECK(Said({{70 + 30}, {5115}}).reason(shown(304, 4808)) == Reason::Ambiguous);
}

TEST_CASE("a chunk whose commands may have come earlier cannot be separated from later bytes") {
  // Its text and the next message's commands, or its commands and its text.
  CHECK(Said({{64 + 16}, {5112, 64 + 16}}).reason(shown(304, 4808)) == Reason::Ambiguous);
}

TEST_CASE(
    "a chunk whose envelope may have been sent before it cannot be separated from what follows") {
  const ShownSizes sizes = shown(304, 4808);
  // MAIL and RCPT, then BDAT, the text, MAIL and RCPT; or a refused transaction, and then this one.
  CHECK(Said({{64}, {64 + 16 + 5112}}).reason(sizes) == Reason::Ambiguous);
  CHECK(Said({{22}, {42}, {64 + 16, 5112}}).reason(sizes) == Reason::Ambiguous);
  CHECK(Said({{64}, {64 + 16 + 4096}, {1016}}).reason(sizes) == Reason::Ambiguous);
  Said greeted({{64 + 16 + 5112}});
  CHECK(greeted.place(sizes).window == Window::Exact);
  greeted.greeting = 64;
  CHECK(greeted.reason(sizes) == Reason::Ambiguous);
  // What is shorter than MAIL is no part of the envelope: AUTH, NOOP.
  CHECK(Said({{33}, {64 + 16 + 5112}}).place(sizes).window == Window::Exact);
  // What may be MAIL makes the place uncertain by as much, and no more than that.
  const TlsMessage near = Said({{40}, {64 + 16 + 5112}}).place(sizes);
  CHECK(near.window == Window::Near);
  CHECK(near.miss == 40);
  CHECK(::sizes(near) == Sizes{5112});
}

TEST_CASE("with many recipients a message cannot be separated from what follows it") {
  ShownSizes many = shown(100, 1000);
  for (int i = 0; i < 10; ++i) many.envelope.add_rcpt(20);
  REQUIRE(many.envelope.total == 64 + 300);
  CHECK(Said({{364 + 16, 1100}}).place(many).window == Window::Exact);
  CHECK(Said({{64 + 150}, {150 + 16, 1100}}).place(many).window == Window::Exact);
  CHECK(Said({{64 + 150}, {364 + 16, 1100}}).reason(many) == Reason::Ambiguous);
  // The commands may have come with EHLO. Then what was said in front is text, and the last turn
  // ends with the next message's commands.
  Said data({{364 + 6}, {1103}});
  CHECK(data.place(many).window == Window::Exact);
  data.greeting = 364 + 6;
  CHECK(data.reason(many) == Reason::Ambiguous);
  Said spread({{364 + 6 + 100}, {1003}});
  CHECK(spread.place(many).window == Window::Exact);
  spread.greeting = 64 + 150;
  CHECK(spread.reason(many) == Reason::Ambiguous);
  // The same where the sizes fit nearly.
  Said near({{364 + 6}, {1080}});
  CHECK(near.place(many).window == Window::Near);
  near.greeting = 364 + 6;
  CHECK(near.reason(many) == Reason::Ambiguous);
}

TEST_CASE(
    "text that came with DATA and QUIT cannot be distinguished from a chunk of the same length") {
  // `DATA`, 900 bytes, the dot line and QUIT are as long as `BDAT 900 LAST` and 900 bytes. EHLO is
  // so long that BDAT may have been said with it.
  Said said({{22}, {42}, {15, 900}});
  CHECK(said.place(shown(304, 596)).transfer == classifier::Transfer::Bdat);
  said.greeting = 21;
  CHECK(said.reason(shown(304, 596)) == Reason::Ambiguous);
  Said with_quit({{22}, {42}, {15, 900, 6}});
  with_quit.greeting = 21;
  CHECK(with_quit.reason(shown(304, 596)) == Reason::Ambiguous);
  // With no such chunk it is what came with DATA, unless both came with EHLO.
  Said longer({{22}, {42}, {6 + 1003, 6}});
  CHECK(longer.place(shown(304, 696)).early);
  longer.greeting = 21;
  CHECK(longer.reason(shown(304, 696)) == Reason::Ambiguous);
}

TEST_CASE("text that continues after an answer came by BDAT, if that is possible") {
  // `BDAT 943 LAST` is as long as DATA, the dot line and QUIT.
  for (const auto& said :
       {Said({{64 + 15}, {943}}), Said({{64 + 15, 243}, {700}}), Said({{64 + 15}, {243}, {700}}),
        Said({{64 + 15}, {243, 700}}), Said({{64 + 15 + 243}, {700}})}) {
    const TlsMessage found = said.place(shown(304, 639));
    CHECK(found.transfer == classifier::Transfer::Bdat);
    CHECK(found.window == Window::Exact);
    CHECK(found.data_ahead);
    CHECK(found.chunk_begins.empty());
    const Sizes records = sizes(found);
    CHECK(std::accumulate(records.begin(), records.end(), 0U) == 943);
  }
}

TEST_CASE(
    "if the sizes do not fit, the whole turn is the message, and the trace says by how much") {
  const TlsMessage missed = Said({{70}, {4096, 1000}}).place(shown(304, 4808, 2));
  CHECK(missed.window == Window::Near);
  CHECK(missed.miss == 21);
  CHECK(sizes(missed) == Sizes{4096, 1000});
  const TlsMessage uncounted = Said({{70}, {4096, 1000}}).place(shown(304, std::nullopt));
  CHECK(uncounted.window == Window::Near);
  CHECK(uncounted.miss == 0);
  // A client that ends its lines with LF alone: shorter than what is shown.
  CHECK(Said({{67}, {4096, 960}}).place(shown(304, 4808)).window == Window::Near);
}

TEST_CASE("a turn of a very different size is not the message") {
  CHECK(Said({{70}, {1000}}).reason(shown(304, 4808)) == Reason::Lost);
  CHECK(Said({{70}, {9000}}).reason(shown(304, 4808)) == Reason::Ambiguous);
}

TEST_CASE("sizes that are known to a block place no message to the byte") {
  const TlsMessage found = Said({{79}, {4111, 1030}}).place(shown(304, 4808), 15);
  CHECK(found.window == Window::Near);
  CHECK(found.transfer == classifier::Transfer::Data);
}

TEST_CASE("DATA alone is known by its size, or by the block that holds it") {
  const Said said({{6}, {15}, {16}, {3, 3}, {5}});
  CHECK(classifier::is_four_letters(said.turns[0], 0));
  CHECK_FALSE(classifier::is_four_letters(said.turns[1], 0));
  CHECK(classifier::is_four_letters(said.turns[1], 9));
  CHECK(classifier::is_four_letters(said.turns[1], 15));
  CHECK_FALSE(classifier::is_four_letters(said.turns[1], 8));
  CHECK_FALSE(classifier::is_four_letters(said.turns[3], 15));
  CHECK_FALSE(classifier::is_four_letters(said.turns[4], 15));
}

TEST_CASE("a message by BDAT is found from its end backwards") {
  // "BDAT 5112 LAST" has 16 bytes.
  const TlsMessage one = Said({{64 + 16 + 5112}}).place(shown(304, 4808));
  CHECK(one.transfer == classifier::Transfer::Bdat);
  CHECK(one.window == Window::Exact);
  CHECK(sizes(one) == Sizes{5112});
  CHECK(one.records[0].before == 80);
  CHECK(one.rcpt_ahead);
  CHECK(one.chunk_begins.empty());
  const TlsMessage apart = Said({{80, 4096, 1016}}).place(shown(304, 4808));
  CHECK(apart.window == Window::Exact);
  CHECK(sizes(apart) == Sizes{4096, 1016});
  const TlsMessage waited = Said({{64}, {16, 5112}}).place(shown(304, 4808));
  CHECK(waited.window == Window::Exact);
  CHECK_FALSE(waited.rcpt_ahead);
  const TlsMessage half = Said({{38}, {26 + 16 + 5112}}).place(shown(304, 4808));
  CHECK(half.window == Window::Exact);
  CHECK(sizes(half) == Sizes{5112});
  const TlsMessage quit = Said({{80, 5112, 6}}).place(shown(304, 4808));
  CHECK(quit.window == Window::Exact);
  CHECK(quit.quit_with_dot);
  CHECK(sizes(quit) == Sizes{5112});
  // Exim: the header in its own chunk, "BDAT 2719"; then "BDAT 18188 LAST" and QUIT.
  const TlsMessage two =
      Said({{64 + 11 + 2719}, {17 + 8191, 8191, 1806 + 6}}).place(shown(2719, 18188));
  CHECK(two.window == Window::Exact);
  CHECK(two.chunk_begins == std::vector<std::uint32_t>{2719});
  CHECK(sizes(two) == Sizes{2719, 8191, 8191, 1806});
  CHECK(two.spans.size() == 2);
  CHECK(two.quit_with_dot);
}

TEST_CASE("fields that were added do not belong to a chunk either") {
  const TlsMessage one = Said({{64 + 16 + 5112}}).place(shown(304 + 57, 4808, 0, {57, 100, 202}));
  CHECK(one.transfer == classifier::Transfer::Bdat);
  CHECK(one.window == Window::Exact);
  CHECK(sizes(one) == Sizes{5112});
  // A field that is as long as the commands does not hide them.
  const ShownSizes more = shown(304 + 64, 4808, 0, {64, 100, 202});
  const TlsMessage behind = Said({{64 + 16 + 5112}}).place(more);
  CHECK(behind.window == Window::Exact);
  CHECK(sizes(behind) == Sizes{5112});
  CHECK(behind.records[0].before == 80);
}

TEST_CASE("a chunk is not taken for a shorter one where its envelope may have come with EHLO") {
  // 320 bytes of envelope and a chunk to which 300 were added; or the envelope came with EHLO, and
  // it is 20 bytes of a MAIL that was refused and all of the chunk.
  ShownSizes sizes = shown(304, 546, 0, {200, 100, 2});
  for (int i = 0; i < 8; ++i) sizes.envelope.add_rcpt(22);
  REQUIRE(sizes.envelope.total == 320);
  Said said({{20 + 15 + 850}});
  CHECK(said.place(sizes).records[0].size == 850 - 300);
  said.greeting = 320;
  CHECK(said.reason(sizes) == Reason::Ambiguous);
}

TEST_CASE("the envelope's length shows whether QUIT follows a chunk") {
  const TlsMessage alone = Said({{64 + 16 + 5112}}).place(shown(304, 4808));
  CHECK_FALSE(alone.quit_with_dot);
  const TlsMessage quit = Said({{64 + 16 + 5112 + 6}}).place(shown(304, 4808));
  CHECK(quit.window == Window::Exact);
  CHECK(quit.quit_with_dot);
  CHECK(sizes(quit) == Sizes{5112});
}

TEST_CASE("a turn with something else in it is not explained, and holds no message") {
  // It may be a recipient that was refused, or a small message.
  CHECK(Said({{64 + 28 + 16 + 5112}}).reason(shown(304, 4808)) == Reason::Ambiguous);
  // Two messages of one size in one go, asked for the first.
  CHECK(Said({{64 + 16 + 5112, 64 + 16 + 5112}}).reason(shown(304, 4808)) == Reason::Ambiguous);
  // The server has answered the first one's commands, and not its text.
  CHECK(Said({{64 + 16 + 5112}, {64 + 16 + 5112}}).reason(shown(304, 4808)) == Reason::Ambiguous);
  CHECK(Said({{70, 5115, 70}, {5115}}).reason(shown(304, 4808)) == Reason::Ambiguous);
}

TEST_CASE("commands that are answered while their chunk still comes do not hide it") {
  // Answered after all of it: the turn is over when the milter asks.
  const TlsMessage over = Said({{64 + 16 + 5112}}).place(shown(304, 4808), 0, true);
  CHECK(over.window == Window::Exact);
  CHECK(sizes(over) == Sizes{5112});
  // By DATA such a turn is no message.
  CHECK(Said({{70}, {5115}}).reason(shown(304, 4808), 0, true) == Reason::Lost);
  // Answered in its middle: the chunk is in two turns.
  const TlsMessage parts = Said({{64 + 16 + 4096}, {1016 + 6}}).place(shown(304, 4808));
  CHECK(parts.window == Window::Exact);
  CHECK(parts.transfer == classifier::Transfer::Bdat);
  CHECK(parts.quit_with_dot);
  CHECK(sizes(parts) == Sizes{4096, 1016});
  CHECK(parts.chunk_begins.empty());
  CHECK(parts.spans.size() == 2);
}

TEST_CASE("where the client said nothing there is no message") {
  CHECK(Said({}).reason(shown(10, 10)) == Reason::Lost);
  CHECK(Said({{}}).reason(shown(10, 10)) == Reason::Lost);
}
