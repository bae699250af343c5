#include "milter/net/unix_socket.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/loopback.h"

namespace {

struct Folder {
  std::filesystem::path path;
  Folder() {
    char name[] = "/tmp/segmilter-test-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string socket() const { return (path / "a.sock").string(); }
};

net::Fd listen_at(const std::string& path) {
  return net::listen_unix(path, 0640, 1, "listen on " + path);
}

bool reaches(const std::string& path, const net::Fd& listener) {
  const net::Fd fd = net::connect_unix(path, std::chrono::seconds(1));
  return fd && net::Fd(accept(listener.get(), nullptr, nullptr)).get() >= 0;
}

int error_of(const std::string& path) {
  try {
    listen_at(path);
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  return 0;
}

}  // namespace

TEST_CASE("a socket listens at its path, with its mode") {
  const Folder folder;
  const auto listener = listen_at(folder.socket());
  CHECK(reaches(folder.socket(), listener));
  struct stat status {};
  REQUIRE(stat(folder.socket().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);
}

TEST_CASE("a path at which a process listens is left alone") {
  const Folder folder;
  const auto listener = listen_at(folder.socket());
  CHECK(error_of(folder.socket()) == EADDRINUSE);
  CHECK(reaches(folder.socket(), listener));
  SECTION("also where its backlog is full") {
    std::vector<net::Fd> waiting;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    folder.socket().copy(address.sun_path, sizeof address.sun_path - 1);
    int result = 0;
    while (result == 0) {
      waiting.emplace_back(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
      result = connect(waiting.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
    REQUIRE(errno == EAGAIN);
    CHECK(error_of(folder.socket()) == EADDRINUSE);
  }
}

TEST_CASE("a socket file that no process serves is replaced, and no other file is") {
  const Folder folder;
  listen_at(folder.socket()).reset();
  REQUIRE(std::filesystem::exists(folder.socket()));
  const auto listener = listen_at(folder.socket());
  CHECK(reaches(folder.socket(), listener));
  const auto file = (folder.path / "file").string();
  std::ofstream(file) << "text";
  CHECK(error_of(file) == EEXIST);
  CHECK(std::filesystem::file_size(file) == 4);
}

TEST_CASE("a path that is too long, or has no folder, is an error") {
  const Folder folder;
  CHECK(error_of((folder.path / std::string(200, 'x')).string()) == ENAMETOOLONG);
  CHECK(error_of((folder.path / "none/a.sock").string()) == ENOENT);
}

TEST_CASE("a process that listens can check whether its path still leads to it") {
  const Folder folder;
  const auto listener = listen_at(folder.socket());
  const net::BoundPath path(folder.socket());
  CHECK(path.intact());
  SECTION("the path is removed") {
    std::filesystem::remove(folder.socket());
    CHECK_FALSE(path.intact());
  }
  SECTION("another process has bound the path, and keeps it") {
    std::filesystem::remove(folder.socket());
    const auto other = listen_at(folder.socket());
    CHECK_FALSE(path.intact());
    path.remove();
    CHECK(reaches(folder.socket(), other));
  }
  SECTION("it removes its own path") {
    path.remove();
    CHECK_FALSE(std::filesystem::exists(folder.socket()));
  }
}

TEST_CASE("a path of 107 bytes has an address, and a longer one has none") {
  const std::string longest(net::kLongestUnixPath, 'x');
  REQUIRE(net::unix_address(longest));
  CHECK(net::unix_address(longest)->sun_path == longest);
  CHECK_FALSE(net::unix_address(longest + "x"));
}

TEST_CASE("the folder of a path ends before its last name") {
  CHECK(net::folder_of("/run/segmilter/a.sock") == "/run/segmilter");
  CHECK(net::folder_of("/a.sock") == "/");
  CHECK(net::folder_of("/") == "/");
}

TEST_CASE("a connection that fails reports the reason") {
  const Folder folder;
  const auto error = [](const std::string& path) {
    const net::Fd fd = net::connect_unix(path, std::chrono::milliseconds(20));
    return fd ? 0 : errno;
  };
  CHECK(error(folder.socket()) == ENOENT);
  CHECK(error("/" + std::string(net::kLongestUnixPath, 'x')) == ENAMETOOLONG);
  {
    const auto listener = listen_at(folder.socket());
    CHECK(error(folder.socket()) == 0);
  }
  CHECK(error(folder.socket()) == ECONNREFUSED);
  std::filesystem::remove(folder.socket());
  const auto busy = listen_at(folder.socket());  // its backlog is full soon
  std::vector<net::Fd> waiting;
  int result = 0;
  while (result == 0 && waiting.size() < 10) {
    waiting.push_back(net::connect_unix(folder.socket(), std::chrono::milliseconds(20)));
    result = waiting.back() ? 0 : errno;
  }
  CHECK(result == EAGAIN);
}
