// Captures of TLS that lost packets. The text cannot be read there: a message is found by the sizes
// of its records. So it must be reported with the same records and segments if all of them were
// captured. The server's hello and the client's Finished must be there too, because the lengths are
// computed from them.
#include <catch2/catch.hpp>

#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include "tests/support/capture_builder.h"
#include "tests/support/loss_bench.h"
#include "tests/support/tls_stream.h"

namespace {

using namespace support;
using Sizes = std::vector<std::uint32_t>;

enum class Way { Waiting, Pipelined, QuitWithDot, Chunks, Implicit, Older };

class TlsTalk {
 public:
  explicit TlsTalk(Way way) : way_(way) {
    if (way == Way::Implicit) {
      talk_.server_port = 465;
      talk_.open();
    } else {
      talk_.open();
      talk_.server("220 mx.example.org ESMTP\r\n");
      talk_.client("EHLO client.example.net\r\n");
      talk_.server("250-mx.example.org\r\n250 STARTTLS\r\n");
      talk_.client("STARTTLS\r\n");
      talk_.server("220 ready\r\n");
    }
    hellos();
    if (way == Way::Implicit) says(45);
    turn({25}, 90);
  }

  // The message's records. Each message ends with another size, so that no two are alike.
  void message(std::size_t number, bool last, std::initializer_list<std::size_t> sizes) {
    const std::size_t own = 11 * number;
    Sizes records(sizes.begin(), sizes.end());
    records.back() += static_cast<std::uint32_t>(own);
    made.push_back(records);
    switch (way_) {
      case Way::Pipelined:
      case Way::QuitWithDot:
        turn({65}, 50);
        break;
      case Way::Chunks:
        turn({31}, 14);
        turn({28}, 14);
        break;
      case Way::Waiting:
      case Way::Implicit:
      case Way::Older:
        turn({31}, 14);
        turn({28}, 14);
        turn({6}, 20);
        break;
    }
    std::string text;
    for (const std::uint32_t size : records) text += plain(size);
    if (way_ != Way::QuitWithDot || !last) {
      talk_.send(text, 1460);
      return says(30);
    }
    talk_.send(
        text.substr(0, text.size() - plain(records.back()).size()) + plain(records.back() + 6),
        1460);
    talk_.server(plain(30));
    talk_.server(plain(12));
  }

  Capture capture() {
    if (way_ != Way::QuitWithDot) turn({6}, 12);
    talk_.client("", 0x11);
    talk_.server("", 0x11);
    return capture_of(talk_.packets);
  }

  std::vector<Sizes> made;

 private:
  void hellos() {
    if (way_ == Way::Older) {
      const Tls12 tls;
      talk_.client(tls.client_hello());
      talk_.server(tls.server_flight());
      talk_.client(tls.client_finished());
      talk_.server(tls.server_finished());
    } else {
      const Tls13 tls;
      talk_.client(tls.client_hello());
      talk_.server(tls.server_flight());
      talk_.client(tls.client_finished());
    }
  }
  // Encrypted bytes look random.
  std::string plain(std::size_t size) {
    std::string fragment(size + (way_ == Way::Older ? 24 : 17), '\0');
    for (char& byte : fragment) byte = static_cast<char>(random_());
    return tls_record(kData, fragment);
  }
  void says(std::size_t size) { talk_.server(plain(size)); }
  void turn(std::initializer_list<std::size_t> sizes, std::size_t answer) {
    std::string bytes;
    for (const std::size_t size : sizes) bytes += plain(size);
    talk_.client(bytes);
    says(answer);
  }

  Way way_;
  Conversation talk_;
  std::mt19937 random_{1};
};

struct Row {
  const char* what;
  Way way;
  std::size_t messages;
  std::initializer_list<std::size_t> records;
};
const Row kRows[] = {
    {"one message", Way::Waiting, 1, {4096, 4096, 700}},
    {"four messages", Way::Waiting, 4, {4096, 4096, 700}},
    {"small records", Way::Waiting, 3, {40, 37, 47, 39, 2, 63, 400, 3}},
    {"one record, several segments", Way::Waiting, 3, {9000}},
    {"short messages", Way::Waiting, 5, {420}},
    {"pipelined", Way::Pipelined, 4, {4096, 4096, 700}},
    {"pipelined, short", Way::Pipelined, 5, {420}},
    {"QUIT with the dot", Way::QuitWithDot, 3, {4096, 700}},
    {"BDAT, a chunk a turn", Way::Chunks, 3, {4110, 600}},
    {"from the first byte on", Way::Implicit, 3, {4096, 4096, 700}},
    {"TLS 1.2", Way::Older, 3, {4096, 4096, 700}},
};

Bench bench_of(const Row& row) {
  TlsTalk talk(row.way);
  for (std::size_t i = 0; i < row.messages; ++i) {
    talk.message(i, i + 1 == row.messages, row.records);
  }
  Bench bench(talk.capture());
  INFO(row.what);
  REQUIRE(bench.messages() == row.messages);
  REQUIRE(bench.sound());
  for (std::size_t i = 0; i < row.messages; ++i) {
    Sizes told;
    for (const auto& record : bench.told()[i].records) told.push_back(record.size);
    REQUIRE(told == talk.made[i]);
  }
  return bench;
}

}  // namespace

TEST_CASE(
    "under TLS, if any single packet is lost, each whole message is reported by its records") {
  for (const Row& row : kRows) bench_of(row).lose_each(row.what);
}

TEST_CASE("under TLS, with one and five percent of all packets lost, the same holds") {
  for (const Row& row : kRows) {
    const Bench bench = bench_of(row);
    bench.lose_at_random(row.what, 1, 20);
    bench.lose_at_random(row.what, 5, 20);
  }
}

TEST_CASE("a capture may begin and end anywhere in a session under TLS") {
  for (const Row& row : kRows) bench_of(row).begin_and_end_anywhere(row.what);
}
