// Dialogues as records: what the client sends in a turn, by plaintext sizes, and the server's
// answer.
#include "classifier/tls_session.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/support/tls_stream.h"

using classifier::Record;
using classifier::SealedMessage;
using classifier::TlsSession;
using support::Tls12;
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
  void finish() { session_.finish(); }
  bool lost() const { return session_.lost(); }
  std::uint64_t needed_from() const { return session_.needed_from(); }

  std::vector<SealedMessage> messages;

 private:
  void on_sealed(SealedMessage&& message) override { messages.push_back(std::move(message)); }

  Tls13 tls_;
  std::size_t cut_;
  TlsSession session_;
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
    CHECK(talk.messages[0].end - talk.messages[0].begin == 4096 + 1019 + 2 * 22);
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

TEST_CASE("TLS 1.2: the sizes of GCM are exact, those of CBC have a slack") {
  struct Catcher final : TlsSession::Listener {
    std::vector<SealedMessage> messages;
    void on_sealed(SealedMessage&& message) override { messages.push_back(std::move(message)); }
  };
  struct Row {
    std::size_t finished;
    std::size_t (*length)(std::size_t);
    std::uint32_t slack;
  };
  const Row rows[] = {
      {40, [](std::size_t plain) { return plain + 24; }, 0},
      {64, [](std::size_t plain) { return 16 + (plain + 20 + 16) / 16 * 16; }, 15},
  };
  for (const Row& row : rows) {
    const Tls12 tls{row.finished};
    Catcher catcher;
    TlsSession session(catcher, {});
    session.client(tls.client_hello());
    session.server(tls.server_flight());
    session.client(tls.client_finished());
    session.server(tls.server_finished());
    for (const std::size_t plain : {23, 31, 28, 6, 4096, 6}) {
      session.client(support::tls_record(support::kData, row.length(plain)));
      session.server(support::tls_record(support::kData, row.length(20)));
    }
    session.client(support::tls_record(support::kAlert, 26));
    session.finish();
    CHECK(session.slack() == row.slack);
    REQUIRE(catcher.messages.size() == 1);
    REQUIRE(catcher.messages[0].records.size() == 1);
    CHECK(catcher.messages[0].records[0].size >= 4096);
    CHECK(catcher.messages[0].records[0].size <= 4096 + row.slack);
  }
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

TEST_CASE("a handshake that the server never answered is lost") {
  struct Nobody final : TlsSession::Listener {
    void on_sealed(SealedMessage&&) override { FAIL(); }
  } nobody;
  TlsSession session(nobody, {});
  session.client(Tls13{}.client_hello());
  session.client(Tls13{}.client_finished());
  CHECK(session.lost());
}
