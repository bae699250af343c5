#include "milter/doctor/dialogue.h"

#include <catch2/catch.hpp>
#include <thread>

#include "tests/support/loopback.h"

using doctor::Dialogue;
using doctor::Reply;
using doctor::take_reply;

TEST_CASE("replies are taken one by one") {
  std::string input = "220-a\r\n220 b\r\n250\r\n554 5.7.1 no";
  auto reply = take_reply(input);
  REQUIRE(reply);
  CHECK(reply->code == 220);
  CHECK(reply->text == "a b");
  CHECK(reply->is(2));
  CHECK(take_reply(input)->code == 250);
  CHECK_FALSE(take_reply(input));
  input += " relaying\n";
  reply = take_reply(input);
  CHECK(reply->print() == "554 5.7.1 no relaying");
  CHECK(input.empty());
}

TEST_CASE("other text is reported as malformed") {
  for (const char* wrong : {"hello\r\n", "2x0 a\r\n", "25\r\n", "2500 a\r\n", "\r\n"}) {
    INFO(wrong);
    std::string input = wrong;
    const auto reply = take_reply(input);
    REQUIRE(reply);
    CHECK(reply->end == Reply::End::Malformed);
    CHECK_FALSE(reply->is(2));
  }
  std::string endless(doctor::kMaxReply, 'a');
  CHECK(take_reply(endless)->end == Reply::End::Malformed);
}

TEST_CASE("a session, and a server that hangs up") {
  const auto listener = support::listen_on();
  std::thread server([&] {
    const net::Fd fd(accept(listener.fd.get(), nullptr, nullptr));
    support::send_all(fd.get(), "220 here\r\n");
    if (support::read_exactly(fd.get(), 6) == "EHLO\r\n")
      support::send_all(fd.get(), "250 ok\r\n22");
  });
  Dialogue session(listener.address);
  REQUIRE(session.connected());
  CHECK(session.local().is_loopback());
  CHECK(session.reply().print() == "220 here");
  CHECK(session.command("EHLO").print() == "250 ok");
  const auto last = session.reply();
  CHECK(last.end == Reply::End::Closed);
  CHECK(last.print() == "the connection was closed after: 22");
  server.join();
}

TEST_CASE("a server that does not listen is an error text, not an exception") {
  net::Endpoint gone;
  {
    const auto listener = support::listen_on();
    gone = listener.address;
  }
  const Dialogue session(gone);
  CHECK_FALSE(session.connected());
  CHECK(session.error() == "connect to " + gone.print() + ": Connection refused");
}
