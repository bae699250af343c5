// Tests the socket on which the filter waits for Postfix: what may lie at its place, its mode and
// group, and how it is removed.
#include "milter/filter/socket.h"

#include <libmilter/mfapi.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "milter/filter/callbacks.h"
#include "tests/support/captured_stderr.h"

using config::MilterSocket;

namespace {

// A new folder, and the path of a socket in it.
class Place {
 public:
  Place() { REQUIRE(mkdtemp(folder_.data()) != nullptr); }
  ~Place() { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/milter.sock"; }
  MilterSocket name() const { return {.path = path()}; }

 private:
  std::string folder_ = "/tmp/segmilter-socket-XXXXXX";
};

net::Fd bound_at(const std::string& path, bool listens) {
  net::Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  if (listens) REQUIRE(listen(fd.get(), 1) == 0);
  return fd;
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

// libmilter needs the filter's description before it opens a socket.
void register_filter() {
  static filter::Counters counters;
  static filter::Service service(std::make_shared<config::Config>(), counters);
  REQUIRE(smfi_register(filter::describe(service)) == MI_SUCCESS);
}

config::Filter at(const Place& place) {
  config::Filter settings;
  settings.socket = place.name();
  settings.socket_group = "no-such-group-here";
  settings.socket_mode = 0640;
  return settings;
}

}  // namespace

TEST_CASE("a place is good if it is empty or has a socket that no process serves") {
  const Place place;
  CHECK_NOTHROW(filter::check_place(place.name()));
  (void)bound_at(place.path(), false);
  CHECK_NOTHROW(filter::check_place(place.name()));
  CHECK_NOTHROW(
      filter::check_place({.kind = MilterSocket::Kind::Inet, .host = "127.0.0.1", .port = 8890}));
}

TEST_CASE("a place that cannot be taken is an error that says why") {
  const Place place;
  SECTION("a file that is no socket") {
    std::ofstream(place.path()) << "x";
    CHECK_THROWS_WITH(filter::check_place(place.name()), Catch::Contains("is not a socket"));
  }
  SECTION("another process listens there") {
    const auto listener = bound_at(place.path(), true);
    CHECK_THROWS_WITH(filter::check_place(place.name()), Catch::Contains("another process"));
  }
  SECTION("no such folder") {
    CHECK_THROWS_WITH(filter::check_place({.path = place.path() + "/a.sock"}),
                      Catch::Contains("directory of filter.socket"));
  }
  SECTION("a path that is too long") {
    CHECK_THROWS_WITH(filter::check_place({.path = "/tmp/" + std::string(200, 'x')}),
                      Catch::Contains("too long for a unix socket"));
  }
}

// One test for all, because libmilter opens only one socket in a process.
TEST_CASE(
    "the socket has its mode from the beginning, and hiding it removes its path, if that is still "
    "ours") {
  const Place place;
  register_filter();
  const support::CapturedStderr captured;
  filter::Listener socket(at(place));
  CHECK(mode_of(place.path()) == 0640);
  // A group that does not exist causes a warning, but the filter starts.
  CHECK(captured.text().find("there is no group no-such-group-here") != std::string::npos);

  const auto aside = place.path() + ".aside";
  std::filesystem::rename(place.path(), aside);
  {
    const auto successor = bound_at(place.path(), true);
    socket.hide();
    CHECK(std::filesystem::exists(place.path()));
  }
  std::filesystem::rename(aside, place.path());
  socket.hide();
  CHECK_FALSE(std::filesystem::exists(place.path()));
  CHECK_NOTHROW(socket.hide());
}
