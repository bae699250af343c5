#include "milter/memory/forget_requests.h"

#include <fmt/format.h>
#include <sysexits.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "milter/process/setup_error.h"

using memory::ForgetRequests;
using memory::request_to_forget;
namespace fs = std::filesystem;

namespace {

struct Folder {
  Folder() : path(mkdtemp(name_)), file(path + "/" + std::string(memory::kForgetRequests)) {}
  ~Folder() { fs::remove_all(path); }

  void request(std::string_view who) const { request_to_forget(path, *net::Network::parse(who)); }
  void write(const std::string& text) const { std::ofstream(file, std::ios::app) << text; }

 private:
  char name_[40] = "/tmp/segmilter-requests-XXXXXX";

 public:
  const std::string path, file;
};

std::string networks(const std::vector<net::Network>& all) {
  std::string text;
  for (const auto& one : all) text += (text.empty() ? "" : " ") + one.print();
  return text;
}

}  // namespace

TEST_CASE("requests are taken once, in their order, and a line that is none is left out") {
  const Folder folder;
  ForgetRequests requests(folder.path);
  CHECK(requests.take(8).empty());
  folder.request("192.0.2.7");
  folder.write("rubbish\n\n");
  folder.request("2001:db8::/32");
  folder.write("198.51.100.0/24");  // without its end
  CHECK(networks(requests.take(8)) == "192.0.2.7/32 2001:db8::/32 198.51.100.0/24");
  CHECK(requests.take(8).empty());
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("a file of any size is taken in pieces, and nothing of it is lost") {
  const Folder folder;
  std::string text, expected;
  for (int i = 0; i < 10'000; ++i) {
    const auto network = fmt::format("10.{}.{}.0/24", i / 200, i % 200);
    text += network + "\n";
    expected += (i == 0 ? "" : " ") + network;
  }
  folder.write(text);
  REQUIRE(text.size() > 2 * memory::kMostForgetBytes);
  ForgetRequests requests(folder.path);
  std::string found;
  for (auto some = requests.take(7); !some.empty(); some = requests.take(7)) {
    CHECK(some.size() <= 7);
    found += (found.empty() ? "" : " ") + networks(some);
  }
  CHECK(found == expected);
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("what comes while a file is worked through waits in the next one") {
  const Folder folder;
  folder.request("192.0.2.1");
  folder.request("192.0.2.2");
  ForgetRequests requests(folder.path);
  CHECK(networks(requests.take(1)) == "192.0.2.1/32");
  folder.request("192.0.2.3");
  CHECK(networks(requests.take(8)) == "192.0.2.2/32");
  CHECK(networks(requests.take(8)) == "192.0.2.3/32");
  CHECK(requests.take(8).empty());
}

TEST_CASE("if the process ends while it works through a file, the next one begins it anew") {
  const Folder folder;
  folder.request("192.0.2.1");
  folder.request("192.0.2.2");
  CHECK(ForgetRequests(folder.path).take(1).size() == 1);
  folder.request("192.0.2.3");
  ForgetRequests next(folder.path);
  CHECK(networks(next.take(8)) == "192.0.2.1/32 192.0.2.2/32");
  CHECK(networks(next.take(8)) == "192.0.2.3/32");
}

TEST_CASE("a request for which there is no room is refused, and says what to do") {
  const Folder folder;
  folder.write(std::string(static_cast<std::size_t>(memory::kMostForgetBytes) - 1, '\n'));
  folder.request("192.0.2.1");
  try {
    folder.request("192.0.2.2");
    FAIL("the file is full");
  } catch (const process::SetupError& error) {
    CHECK(error.code() == EX_TEMPFAIL);
    CHECK_THAT(error.what(), Catch::Contains("is full of networks that wait to be forgotten. The "
                                             "messages of 192.0.2.2/32 are deleted") &&
                                 Catch::EndsWith("try again when the service has run for some "
                                                 "minutes"));
  }
  ForgetRequests requests(folder.path);
  std::string found;
  for (int i = 0; i < 20; ++i) found += networks(requests.take(8));
  CHECK(found == "192.0.2.1/32");
  folder.request("192.0.2.2");
}

TEST_CASE("a line that is longer than anything that is read at once is no network") {
  const Folder folder;
  folder.write(std::string(10'000, 'x') + "\n192.0.2.1\n");
  ForgetRequests requests(folder.path);
  std::string found;
  for (int i = 0; i < 5; ++i) found += networks(requests.take(8));
  CHECK(found == "192.0.2.1/32");
}
