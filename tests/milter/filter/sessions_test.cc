// Tests milter/filter/sessions: which session a request is about.
#include "milter/filter/sessions.h"

#include <catch2/catch.hpp>
#include <utility>

using filter::Sessions;

namespace {

const net::Endpoint kClient = *net::Endpoint::parse("192.0.2.7:40112");
const net::Endpoint kServer = *net::Endpoint::parse("198.51.100.25:25");
const net::Endpoint kOther = *net::Endpoint::parse("198.51.100.26:25");

Sessions::Session at(const std::optional<net::Endpoint>& server, std::string daemon = "smtpd") {
  return {.client = kClient, .server = server, .began = {}, .daemon = std::move(daemon)};
}

}  // namespace

TEST_CASE("a session is found while it is open") {
  Sessions sessions;
  CHECK_FALSE(sessions.find(kClient, kServer));
  {
    Sessions::Place place(sessions, at(kServer));
    REQUIRE(sessions.find(kClient, kServer));
    CHECK(sessions.find(kClient, std::nullopt));
    CHECK_FALSE(sessions.find(kClient, kOther));
    CHECK_FALSE(sessions.find(*net::Endpoint::parse("192.0.2.7:40113"), kServer));
    place.judged(3);
    CHECK(sessions.find(kClient, kServer)->judged == 3);
  }
  CHECK_FALSE(sessions.find(kClient, kServer));
}

TEST_CASE(
    "of two sessions with one client port, one is found only if the server tells them apart") {
  Sessions sessions;
  const Sessions::Place first(sessions, at(kServer, "one"));
  auto second = std::make_unique<Sessions::Place>(sessions, at(kOther, "two"));
  CHECK(sessions.find(kClient, kServer)->daemon == "one");
  CHECK(sessions.find(kClient, kOther)->daemon == "two");
  CHECK_FALSE(sessions.find(kClient, std::nullopt));
  *second = Sessions::Place(sessions, at(kServer, "again"));
  CHECK_FALSE(sessions.find(kClient, kServer));
  CHECK_FALSE(sessions.find(kClient, kOther));
  second.reset();
  CHECK(sessions.find(kClient, kServer)->daemon == "one");
}

TEST_CASE("a place can be moved, and an empty place does nothing") {
  Sessions sessions;
  Sessions::Place place;
  place.judged(1);
  place = Sessions::Place(sessions, at(kServer));
  Sessions::Place moved(std::move(place));
  moved.judged(2);
  CHECK(sessions.find(kClient, kServer)->judged == 2);
  moved = {};
  CHECK_FALSE(sessions.find(kClient, kServer));
}
