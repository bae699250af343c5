#include "milter/process/control.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

using process::control_pair;
using process::ControlMessage;
using process::receive_control;
using process::send_control;
using Kind = ControlMessage::Kind;

TEST_CASE("each kind of message arrives as it was sent") {
  const auto [parent, child] = control_pair();
  for (const Kind kind :
       {Kind::Drain, Kind::Ping, Kind::Handover, Kind::Ready, Kind::Pong, Kind::HandedOver}) {
    REQUIRE(send_control(parent.get(), {kind, ""}));
    REQUIRE(receive_control(child.get())->kind == kind);
  }
  REQUIRE(send_control(parent.get(), {Kind::Reload, "[proxy]\nworkers = 2\n"}));
  const auto message = receive_control(child.get());
  CHECK(message->kind == Kind::Reload);
  CHECK(message->text == "[proxy]\nworkers = 2\n");
}

TEST_CASE("a socket arrives with the message that it was sent with, and with no other") {
  const auto [parent, child] = control_pair();
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const net::Fd here(ends[0]);
  REQUIRE(send_control(parent.get(), {Kind::Ping, ""}));
  REQUIRE(send_control(parent.get(), {Kind::Socket, "filter.socket", net::Fd(ends[1])}));
  REQUIRE(send_control(child.get(), {Kind::SocketLost, ""}));
  CHECK_FALSE(receive_control(child.get())->socket);
  const auto message = receive_control(child.get());
  REQUIRE(message->kind == Kind::Socket);
  CHECK(message->text == "filter.socket");
  REQUIRE(message->socket);
  CHECK((fcntl(message->socket.get(), F_GETFD) & FD_CLOEXEC) != 0);
  REQUIRE(write(message->socket.get(), "x", 1) == 1);
  char byte = 0;
  CHECK((read(here.get(), &byte, 1) == 1 && byte == 'x'));
  CHECK(receive_control(parent.get())->kind == Kind::SocketLost);
}

TEST_CASE("messages stay separate when several wait") {
  const auto [parent, child] = control_pair();
  REQUIRE(send_control(parent.get(), {Kind::Reload, "one"}));
  REQUIRE(send_control(parent.get(), {Kind::Reload, ""}));
  REQUIRE(send_control(parent.get(), {Kind::Drain, ""}));
  CHECK(receive_control(child.get())->text == "one");
  CHECK(receive_control(child.get())->text.empty());
  CHECK(receive_control(child.get())->kind == Kind::Drain);
}

TEST_CASE("a configuration just below the limit passes, and one above it is refused") {
  const auto [parent, child] = control_pair();
  const std::string large(process::kMaxControlMessage - 100, 'x');
  REQUIRE(send_control(parent.get(), {Kind::Reload, large}));
  CHECK(receive_control(child.get())->text == large);
  CHECK_FALSE(send_control(parent.get(), {Kind::Reload, std::string(200, 'y') + large}));
}

TEST_CASE("a side that has closed is reported as gone") {
  auto [parent, child] = control_pair();
  parent.reset();
  CHECK(receive_control(child.get())->kind == Kind::Gone);
  CHECK_FALSE(send_control(child.get(), {Kind::Ready, ""}));
}

TEST_CASE("a non-blocking side without a message gets nothing") {
  const auto [parent, child] = control_pair();
  fcntl(child.get(), F_SETFL, O_NONBLOCK);
  CHECK_FALSE(receive_control(child.get()).has_value());
}

TEST_CASE("an unknown message is ignored") {
  const auto [parent, child] = control_pair();
  REQUIRE(send(parent.get(), "nonsense", 8, 0) == 8);
  REQUIRE(send(parent.get(), "reload", 6, 0) == 6);
  REQUIRE(send_control(parent.get(), {Kind::Drain, ""}));
  CHECK(receive_control(child.get())->kind == Kind::Drain);
}
