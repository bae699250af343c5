#include "classifier/tls_session.h"

#include <catch2/catch.hpp>
#include <utility>
#include <vector>

#include "tests/support/tls_stream.h"

using classifier::TlsSession;
using classifier::Turn;
using support::Tls12;
using support::Tls13;

TEST_CASE("all that the client says between two records of the server is a turn") {
  struct Catcher final : TlsSession::Listener {
    std::vector<Turn> turns;
    int more = 0;
    int next = 0;
    void on_turn(Turn&& turn) override { turns.push_back(std::move(turn)); }
    void on_more_answers() override { ++more; }
    void on_next_turn() override { ++next; }
  } catcher;
  const Tls13 tls;
  TlsSession session(catcher, {.records = 2});
  session.client(tls.client_hello());
  session.server(tls.server_flight());
  session.client(tls.client_finished());
  CHECK(session.turn().empty());
  session.client(tls.plain({23}));
  session.server(tls.plain({250, 250, 70}));  // two tickets, then the answer
  session.client(tls.plain({100, 200, 300}));
  CHECK(session.turn().bytes == 600);
  session.server(tls.plain(20));
  session.client(tls.plain(2));
  CHECK(session.closing());
  REQUIRE(catcher.turns.size() == 2);
  CHECK(catcher.turns[0].bytes == 23);
  CHECK(catcher.turns[1].count == 3);
  CHECK_FALSE(catcher.turns[1].whole());  // the limit
  CHECK(catcher.turns[1].records[1].begin == catcher.turns[1].records[0].end);
  CHECK(catcher.more == 2);
  CHECK(catcher.next == 3);  // also for a second record; not for a record that may be close_notify
}

namespace {

// A session whose client has sent its Finished.
struct Sealed final : TlsSession::Listener {
  Sealed() {
    session.client(tls.client_hello());
    session.server(tls.server_flight());
    session.client(tls.client_finished());
  }
  void on_turn(Turn&& turn) override { turns.push_back(std::move(turn)); }
  void on_more_answers() override { ++more; }
  void on_missed_answers() override { ++missed; }

  const Tls13 tls;
  TlsSession session{*this, {}};
  std::vector<Turn> turns;
  int more = 0;
  int missed = 0;
};

}  // namespace

TEST_CASE("a gap as long as one record is that record; a longer one hides an unknown number") {
  Sealed sealed;
  const std::string data = sealed.tls.plain({6});
  sealed.session.client_gap(data.size());
  sealed.session.server(sealed.tls.plain(20));
  sealed.session.client_gap(sealed.tls.plain({100, 200}).size());
  sealed.session.client(sealed.tls.plain({300}));
  sealed.session.server(sealed.tls.plain(20));
  REQUIRE(sealed.turns.size() == 2);
  CHECK(sealed.turns[0].bytes == 6);
  CHECK_FALSE(sealed.turns[0].torn);
  CHECK(sealed.turns[1].torn);
  REQUIRE(sealed.turns[1].records.size() == 2);
  CHECK(sealed.turns[1].records[1].plain == 300);
}

TEST_CASE("a gap inside a record hides no size, and after a longer one the next record is found") {
  Sealed sealed;
  const std::string data = sealed.tls.plain({4096, 4096, 700});
  const auto without = [&](std::size_t begin, std::size_t size) {
    sealed.session.client(std::string_view(data).substr(0, begin));
    sealed.session.client_gap(size);
    for (const char byte : data.substr(begin + size)) sealed.session.client({&byte, 1});
    sealed.session.server(sealed.tls.plain(20));
    return sealed.turns.back();
  };
  const Turn inside = without(1000, 1460);
  CHECK_FALSE(inside.torn);
  CHECK(inside.bytes == 8892);
  const Turn across = without(4000, 1460);
  CHECK(across.torn);
  REQUIRE(across.records.size() == 3);
  CHECK(across.records[0].plain == 4096);
  CHECK(across.records[2].plain == 700);
  CHECK_FALSE(sealed.session.lost());
}

TEST_CASE("a gap of the server is an answer, and a gap as long as one record is one answer") {
  Sealed sealed;
  sealed.session.client(sealed.tls.plain({23}));
  sealed.session.server_gap(sealed.tls.plain(4).size());
  CHECK(sealed.turns.size() == 1);
  CHECK(sealed.missed == 0);
  sealed.session.client(sealed.tls.plain({500}));
  sealed.session.server_gap(sealed.tls.plain({30, 20}).size());
  CHECK(sealed.turns.size() == 2);
  CHECK(sealed.missed == 1);
  sealed.session.server(sealed.tls.plain(20));
  CHECK(sealed.more == 1);
}

TEST_CASE(
    "in TLS 1.3 a gap as long as the client's Finished shows the overhead, and no other gap does") {
  struct Catcher final : TlsSession::Listener {
    void on_turn(Turn&& turn) override { bytes = turn.bytes; }
    std::uint64_t bytes = 0;
  };
  const Tls13 tls;
  const std::string finished = tls.client_finished();
  for (const std::size_t more : {0, 1, 40}) {
    Catcher catcher;
    TlsSession session(catcher, {});
    session.client(tls.client_hello());
    session.server(tls.server_flight());
    session.client_gap(finished.size() + more);
    session.client(tls.plain({23}));
    session.server(tls.plain(20));
    CHECK(session.lost() == (more != 0));
    CHECK(catcher.bytes == (more == 0 ? 23U : 0U));
  }
}

TEST_CASE("TLS 1.2: the sizes of GCM are exact, those of CBC have a slack") {
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
    struct Catcher final : TlsSession::Listener {
      std::vector<Turn> turns;
      void on_turn(Turn&& turn) override { turns.push_back(std::move(turn)); }
    } catcher;
    const Tls12 tls{row.finished};
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
    CHECK(session.slack() == row.slack);
    CHECK(session.turn().empty());
    REQUIRE(catcher.turns.size() == 6);
    CHECK(catcher.turns[4].bytes >= 4096);
    CHECK(catcher.turns[4].bytes <= 4096 + row.slack);
  }
}

TEST_CASE("a handshake that the server never answered is lost") {
  struct Nobody final : TlsSession::Listener {
    void on_turn(Turn&&) override { FAIL(); }
  } nobody;
  TlsSession session(nobody, {});
  session.client(Tls13{}.client_hello());
  session.client(Tls13{}.client_finished());
  CHECK(session.lost());
}
