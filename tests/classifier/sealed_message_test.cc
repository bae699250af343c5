// Dialogues as records: what the client sends in a turn, by plaintext sizes, and the server's
// answer.
#include "classifier/sealed_message.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/support/tls_stream.h"

using classifier::place_message;
using classifier::Record;
using classifier::SealedMessage;
using classifier::TlsSession;
using classifier::Turn;
using classifier::TurnJudge;
using classifier::Window;
using support::Tls13;

namespace {

class Talk final : private TlsSession::Listener {
 public:
  explicit Talk(Tls13 tls = {}, std::size_t cut = 100'000)
      : tls_(tls), cut_(cut), session_(static_cast<TlsSession::Listener&>(*this), {}) {
    client(tls_.client_hello());
    server(tls_.server_flight());
    client(tls_.client_finished());
  }

  void client(std::string_view bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += cut_) session_.client(bytes.substr(at, cut_));
  }
  void server(std::string_view bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += cut_) session_.server(bytes.substr(at, cut_));
  }
  // A turn, and an answer of `answers` records.
  void turn(std::initializer_list<std::size_t> sizes, int answers = 1) {
    client(tls_.plain(sizes));
    for (int i = 0; i < answers; ++i) server(tls_.plain(20));
  }
  void lock_step() {
    turn({23});  // EHLO
    turn({31});  // MAIL
    turn({28});  // RCPT
    turn({6});   // DATA
  }
  void finish() {
    if (lost()) return;
    take(judge_.finish(session_.closing() ? Turn{} : Turn(session_.turn()), true));
  }
  bool lost() const { return session_.lost(); }
  std::uint64_t needed_from() const {
    return std::min(session_.needed_from(), judge_.held_from().value_or(UINT64_MAX));
  }

  std::vector<SealedMessage> messages;

 private:
  void on_turn(Turn&& turn) override { judge_.turn(std::move(turn), 0); }
  void on_more_answers() override { judge_.more_answers(); }
  void on_next_turn() override { take(judge_.next_turn()); }
  void take(std::optional<SealedMessage>&& message) {
    if (message) messages.push_back(std::move(*message));
  }

  Tls13 tls_;
  std::size_t cut_;
  TlsSession session_;
  TurnJudge judge_;
};

std::vector<std::uint32_t> sizes(const SealedMessage& message) {
  std::vector<std::uint32_t> found;
  for (const Record& record : message.records) found.push_back(record.size);
  return found;
}

using Sizes = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("the turn behind DATA is the message") {
  for (const std::size_t cut : {1, 7, 1448, 100'000}) {
    Talk talk({}, cut);
    talk.lock_step();
    talk.turn({4096, 1019});
    talk.turn({6});
    talk.turn({2});  // close_notify
    talk.finish();
    REQUIRE(talk.messages.size() == 1);
    CHECK(sizes(talk.messages[0]) == Sizes{4096, 1019});
    CHECK_FALSE(talk.messages[0].data_ahead);
    CHECK_FALSE(talk.messages[0].rcpt_ahead);
    CHECK_FALSE(talk.messages[0].quit_with_dot);
    REQUIRE(talk.messages[0].spans.size() == 1);
    CHECK(talk.messages[0].spans[0].end - talk.messages[0].spans[0].begin == 4096 + 1019 + 2 * 22);
  }
}

TEST_CASE("a message behind pipelined commands is known by its size") {
  Talk talk;
  talk.turn({23});
  talk.turn({92}, 3);
  talk.turn({5792, 5792, 1200}, 1);
  talk.turn({6});
  talk.finish();
  REQUIRE(talk.messages.size() == 1);
  CHECK(sizes(talk.messages[0]) == Sizes{5792, 5792, 1200});
  CHECK(talk.messages[0].data_ahead);
  CHECK(talk.messages[0].rcpt_ahead);
}

TEST_CASE("QUIT that came with the dot is no part of the message") {
  Talk talk;
  talk.turn({23});
  talk.turn({92}, 3);
  talk.turn({5303}, 2);
  talk.client(Tls13{}.plain(2));
  talk.finish();
  REQUIRE(talk.messages.size() == 1);
  CHECK(sizes(talk.messages[0]) == Sizes{5297});
  CHECK(talk.messages[0].records[0].after == 6);
  CHECK(talk.messages[0].quit_with_dot);
}

TEST_CASE("a client that leaves without QUIT sent none with the dot") {
  Talk talk;
  talk.lock_step();
  talk.turn({279, 2589});
  talk.client(Tls13{}.plain(2));
  talk.finish();
  REQUIRE(talk.messages.size() == 1);
  CHECK(sizes(talk.messages[0]) == Sizes{279, 2589});
  CHECK_FALSE(talk.messages[0].quit_with_dot);
}

TEST_CASE("several messages a session, with RSET between them") {
  Talk talk;
  talk.lock_step();
  talk.turn({900});
  talk.turn({6});  // RSET: nothing was said since the message
  talk.turn({31});
  talk.turn({28});
  talk.turn({6});
  talk.turn({700});
  talk.turn({31, 28, 6}, 3);
  talk.turn({800});
  talk.turn({6});
  talk.finish();
  REQUIRE(talk.messages.size() == 3);
  CHECK(sizes(talk.messages[1]) == Sizes{700});
  CHECK(sizes(talk.messages[2]) == Sizes{800});
}

TEST_CASE("commands are no messages") {
  Talk talk;
  talk.turn({23});
  talk.turn({2000});  // AUTH with a ticket
  talk.turn({31});
  talk.turn({28});
  SECTION("a recipient was refused, and RSET follows") {
    talk.turn({6});
    talk.turn({31});
    talk.turn({28});
    talk.turn({6});
  }
  SECTION("QUIT") {
    talk.turn({6});
  }
  talk.finish();
  CHECK(talk.messages.empty());
}

TEST_CASE("a command and its CRLF in two records are noticed") {
  Talk talk;
  talk.turn({16, 2});
  talk.turn({29, 2});
  talk.turn({26, 2});
  talk.turn({4, 2});
  talk.turn({500});
  talk.finish();
  REQUIRE(talk.messages.size() == 1);
  CHECK(talk.messages[0].split_command);
}

TEST_CASE("Java's padding is no part of the sizes") {
  Talk talk({.padding = 16});
  talk.lock_step();
  talk.turn({8135, 8192, 2285});
  talk.finish();
  REQUIRE(talk.messages.size() == 1);
  CHECK(sizes(talk.messages[0]) == Sizes{8135, 8192, 2285});
}

TEST_CASE("a message that the session's end cut is told of as cut") {
  Talk talk;
  talk.lock_step();
  talk.client(Tls13{}.plain({4096, 4096}));
  talk.finish();
  REQUIRE(talk.messages.size() == 1);
  CHECK(talk.messages[0].cut);
}

TEST_CASE("what is needed goes on with the turn that may be a message") {
  Talk talk;
  talk.lock_step();
  const std::uint64_t before = talk.needed_from();
  talk.client(Tls13{}.plain({4096, 1000}));
  CHECK(talk.needed_from() == before);
  talk.server(Tls13{}.plain(20));
  CHECK(talk.needed_from() == before);
  talk.turn({6});
  CHECK(talk.needed_from() > before + 5000);
}

TEST_CASE("what is no TLS is lost, and nothing is told") {
  Talk talk;
  talk.lock_step();
  SECTION("from the client") {
    talk.client("MAIL FROM:<a@example.net>\r\n");
  }
  SECTION("from the server") {
    talk.server("250 ok\r\n");
  }
  CHECK(talk.lost());
  talk.client(Tls13{}.plain(900));
  talk.finish();
  CHECK(talk.messages.empty());
}

namespace {

// The turns of a session; the last one is in hand.
struct Turns {
  std::vector<Turn> turns;
  explicit Turns(std::initializer_list<std::initializer_list<std::uint32_t>> sizes) {
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
  SealedMessage place(std::uint64_t header, std::optional<std::uint64_t> body,
                      std::uint64_t dots = 0) const {
    std::deque<const Turn*> all;
    for (const Turn& turn : turns) all.push_back(&turn);
    const auto found = place_message(all, {header, body, dots});
    REQUIRE(found);
    return *found;
  }
};

}  // namespace

TEST_CASE("what the milter was shown places a message by DATA to the byte") {
  // 304 bytes of header, 4808 of body, two doubled dots, the dot.
  const SealedMessage whole = Turns({{92}, {4096, 1021}}).place(304, 4808, 2);
  CHECK(whole.window == Window::Exact);
  CHECK(whole.transfer == classifier::Transfer::Data);
  CHECK(sizes(whole) == Sizes{4096, 1021});
  const SealedMessage quit = Turns({{92}, {4096, 1027}}).place(304, 4808, 2);
  CHECK(quit.window == Window::Exact);
  CHECK(quit.quit_with_dot);
  CHECK(sizes(quit) == Sizes{4096, 1021});
  CHECK(quit.records.back().after == 6);
  // The next transaction without waiting: a record of its own.
  const SealedMessage next = Turns({{92}, {4096, 1021, 70}}).place(304, 4808, 2);
  CHECK(next.window == Window::Exact);
  CHECK(sizes(next) == Sizes{4096, 1021});
}

TEST_CASE("sizes that do not fit leave the turn, and by how much") {
  const SealedMessage missed = Turns({{92}, {4096, 1000}}).place(304, 4808, 2);
  CHECK(missed.window == Window::Near);
  CHECK(missed.miss == 21);
  CHECK(sizes(missed) == Sizes{4096, 1000});
  const SealedMessage uncounted = Turns({{92}, {4096, 1000}}).place(304, std::nullopt);
  CHECK(uncounted.window == Window::Near);
  CHECK(uncounted.miss == 0);
  // A client that ends its lines with LF alone: shorter than what is shown.
  CHECK(Turns({{92}, {4096, 960}}).place(304, 4808).window == Window::Near);
}

TEST_CASE("a turn of quite another size is not the message") {
  const Turns other({{92}, {1000}});
  std::deque<const Turn*> all{&other.turns[0], &other.turns[1]};
  CHECK_FALSE(place_message(all, {304, 4808, 0}));
}

TEST_CASE("sizes that are known to a block place nothing to the byte") {
  const Turns turns({{92}, {4111, 1030}});
  std::deque<const Turn*> all{&turns.turns[0], &turns.turns[1]};
  const auto found = place_message(all, {304, 4808, 0}, 15);
  REQUIRE(found);
  CHECK(found->window == Window::Near);
  CHECK(found->transfer == classifier::Transfer::Data);
}

TEST_CASE("DATA on its own is known by its size, or the block that holds it") {
  const Turns turns({{6}, {15}, {16}, {3, 3}, {5}});
  CHECK(classifier::is_four_letters(turns.turns[0], 0));
  CHECK_FALSE(classifier::is_four_letters(turns.turns[1], 0));
  CHECK(classifier::is_four_letters(turns.turns[1], 9));
  CHECK(classifier::is_four_letters(turns.turns[1], 15));
  CHECK_FALSE(classifier::is_four_letters(turns.turns[1], 8));
  CHECK_FALSE(classifier::is_four_letters(turns.turns[3], 15));
  CHECK_FALSE(classifier::is_four_letters(turns.turns[4], 15));
}

TEST_CASE("a message by BDAT is found from its end backwards") {
  // MAIL and RCPT with 64 bytes, "BDAT 5112 LAST" with 16, in one record with the text: QUIT may be
  // behind it or not.
  const SealedMessage one = Turns({{23}, {64 + 16 + 5112}}).place(304, 4808);
  CHECK(one.transfer == classifier::Transfer::Bdat);
  CHECK(one.window == Window::Near);
  CHECK(one.miss == 6);
  CHECK(sizes(one) == Sizes{5112});
  CHECK(one.records[0].before == 80);
  CHECK(one.rcpt_ahead);
  CHECK(one.chunk_begins.empty());
  const SealedMessage apart = Turns({{23}, {80, 4096, 1016}}).place(304, 4808);
  CHECK(apart.window == Window::Exact);
  CHECK(sizes(apart) == Sizes{4096, 1016});
  const SealedMessage waited = Turns({{23}, {64}, {16, 5112}}).place(304, 4808);
  CHECK(waited.window == Window::Exact);
  CHECK_FALSE(waited.rcpt_ahead);
  const SealedMessage quit = Turns({{23}, {80, 5112, 6}}).place(304, 4808);
  CHECK(quit.window == Window::Exact);
  CHECK(quit.quit_with_dot);
  CHECK(sizes(quit) == Sizes{5112});
  // Exim: the header in a chunk of its own, "BDAT 2719"; then "BDAT 18188 LAST" and QUIT.
  const SealedMessage two =
      Turns({{23}, {70 + 11 + 2719}, {17 + 8191, 8191, 1806 + 6}}).place(2719, 18188);
  CHECK(two.window == Window::Exact);
  CHECK(two.chunk_begins == std::vector<std::uint32_t>{2719});
  CHECK(sizes(two) == Sizes{2719, 8191, 8191, 1806});
  CHECK(two.spans.size() == 2);
  CHECK(two.quit_with_dot);
}

TEST_CASE("the envelope's length tells whether QUIT is behind a chunk") {
  const auto place = [](std::uint32_t bytes) {
    const Turns turns({{23}, {bytes}});
    return place_message({&turns.turns[0], &turns.turns[1]}, {304, 4808, 0, 64});
  };
  const auto alone = place(64 + 16 + 5112);
  REQUIRE(alone);
  CHECK(alone->window == Window::Exact);
  CHECK_FALSE(alone->quit_with_dot);
  const auto quit = place(64 + 16 + 5112 + 6);
  REQUIRE(quit);
  CHECK(quit->window == Window::Exact);
  CHECK(quit->quit_with_dot);
  CHECK(sizes(*quit) == Sizes{5112});
  // A recipient that was refused: nothing fits, and it is not said to be exact.
  const auto refused = place(64 + 28 + 16 + 5112);
  REQUIRE(refused);
  CHECK(refused->window == Window::Near);
}

TEST_CASE("commands that are answered while their chunk still comes do not hide it") {
  // Answered behind all of it: the turn is over when the milter asks.
  const Turns over({{23}, {64 + 16 + 5112}});
  const std::deque<const Turn*> all{&over.turns[0], &over.turns[1]};
  const auto found = place_message(all, {304, 4808, 0, 64}, 0, true);
  REQUIRE(found);
  CHECK(found->window == Window::Exact);
  CHECK(sizes(*found) == Sizes{5112});
  // By DATA such a turn is no message.
  const Turns data({{92}, {5115}});
  CHECK_FALSE(place_message({&data.turns[0], &data.turns[1]}, {304, 4808, 0}, 0, true));
  // Answered in its middle: the chunk is in two turns.
  const Turns spread({{23}, {64 + 16 + 4096}, {1016 + 6}});
  const auto parts =
      place_message({&spread.turns[0], &spread.turns[1], &spread.turns[2]}, {304, 4808, 0, 64});
  REQUIRE(parts);
  CHECK(parts->window == Window::Exact);
  CHECK(parts->transfer == classifier::Transfer::Bdat);
  CHECK(parts->quit_with_dot);
  CHECK(sizes(*parts) == Sizes{4096, 1016});
  CHECK(parts->chunk_begins.empty());
  CHECK(parts->spans.size() == 2);
}

TEST_CASE("where nothing was said there is no message") {
  CHECK_FALSE(place_message({}, {10, 10, 0}));
  const Turn empty;
  CHECK_FALSE(place_message({&empty}, {10, 10, 0}));
}
