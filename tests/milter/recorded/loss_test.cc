// Captures that lost packets: which messages are still reported, and that no wrong ones are
// (loss_bench.h).
//
// SEGMILTER_LOSS_CAPTURES=FOLDER does the same with each pcap file in that folder.
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "milter/recorded/pcap_reader.h"
#include "tests/support/capture_builder.h"
#include "tests/support/loss_bench.h"

namespace {

using namespace support;

// --- captures that are made ---------------------------------------------------------------------

std::string text_of(std::size_t number, std::size_t size, bool dot) {
  std::string text = "From: a" + std::to_string(number) + "@example.net\r\nSubject: x\r\n\r\n";
  while (text.size() < size) text += text.size() % 72 == 70 ? "\r\n" : "y";
  return dot ? text + "\r\n.\r\n" : text + "\r\n";
}

enum class Way { Waiting, Pipelined, DotApart, QuitWithDot, Bdat, BdatChunks, ClientOnly, Proxied };

Capture made(Way way, std::size_t messages, std::size_t size) {
  Conversation talk;
  talk.open();
  if (way == Way::Proxied) talk.client("PROXY TCP4 192.0.2.1 198.51.100.1 40000 25\r\n");
  talk.server("220 mx.example.org ESMTP\r\n");
  talk.client("EHLO client.example.net\r\n");
  talk.server("250-mx.example.org\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
  for (std::size_t i = 0; i < messages; ++i) {
    const bool bdat = way == Way::Bdat || way == Way::BdatChunks;
    std::string text = text_of(i, size + 97 * i, !bdat);
    if (way == Way::Pipelined) {
      talk.client("MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n");
      talk.server("250 ok\r\n");
      talk.server("250 ok\r\n354 go\r\n");
    } else {
      talk.client("MAIL FROM:<a@example.net>\r\n");
      talk.server("250 ok\r\n");
      talk.client("RCPT TO:<b@example.org>\r\n");
      talk.server("250 ok\r\n");
      if (!bdat) {
        talk.client("DATA\r\n");
        talk.server("354 go\r\n");
      }
    }
    if (way == Way::BdatChunks) {
      const std::string first = text.substr(0, text.size() / 2);
      talk.send("BDAT " + std::to_string(first.size()) + "\r\n" + first, 1460);
      talk.server("250 ok\r\n");
      text.erase(0, first.size());
    }
    if (bdat) {
      talk.send("BDAT " + std::to_string(text.size()) + " LAST\r\n" + text, 1460);
    } else if (way == Way::DotApart) {
      talk.send(text.substr(0, text.size() - 3), 1460);
      talk.client(".\r\n");
    } else if (way == Way::QuitWithDot && i + 1 == messages) {
      talk.send(text + "QUIT\r\n", 1460);
    } else {
      talk.send(text, 1460);
    }
    if (i + 1 < messages) talk.server("250 queued\r\n");
  }
  if (way == Way::QuitWithDot) {
    talk.server("250 queued\r\n221 bye\r\n");
  } else {
    talk.close();
  }
  if (way == Way::ClientOnly) {
    std::erase_if(talk.packets, [](const Packet& packet) { return !packet.from_client; });
  }
  return capture_of(talk.packets);
}

struct Row {
  const char* what;
  Way way;
  std::size_t messages;
  std::size_t size;
};
constexpr Row kRows[] = {
    {"one message", Way::Waiting, 1, 9000},
    {"five messages", Way::Waiting, 5, 4000},
    {"short messages", Way::Waiting, 6, 200},
    {"pipelined", Way::Pipelined, 5, 4000},
    {"short and pipelined", Way::Pipelined, 6, 200},
    {"the dot apart", Way::DotApart, 4, 3000},
    {"QUIT with the dot", Way::QuitWithDot, 3, 3000},
    {"BDAT", Way::Bdat, 4, 4000},
    {"BDAT in two chunks", Way::BdatChunks, 4, 4000},
    {"BDAT in two short chunks", Way::BdatChunks, 4, 300},
    {"the client's side alone", Way::ClientOnly, 4, 4000},
    {"short, the client's side alone", Way::ClientOnly, 4, 200},
    {"twenty messages", Way::Waiting, 20, 3000},
};

}  // namespace

TEST_CASE("if any single packet is lost, each message whose own bytes are there is reported") {
  for (const Row& row : kRows) {
    const Bench bench(made(row.way, row.messages, row.size));
    INFO(row.what);
    REQUIRE(bench.sound());
    REQUIRE(bench.messages() == row.messages);
    bench.lose_each(row.what);
  }
}

TEST_CASE("with one and five percent of all packets lost, the same holds") {
  for (const Row& row : kRows) {
    const Bench bench(made(row.way, row.messages, row.size));
    bench.lose_at_random(row.what, 1, 20);
    bench.lose_at_random(row.what, 5, 20);
  }
}

TEST_CASE("a capture may begin and end anywhere in a session") {
  for (const Row& row : kRows) {
    Bench(made(row.way, row.messages, row.size)).begin_and_end_anywhere(row.what);
  }
}

TEST_CASE("captures in a given folder lose packets in the same ways") {
  const char* folder = std::getenv("SEGMILTER_LOSS_CAPTURES");
  if (folder == nullptr) return;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".pcap") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    REQUIRE(file.good());
    std::string bytes(std::istreambuf_iterator<char>(file), {});
    Capture packets;
    recorded::PcapReader reader(read_from(std::move(bytes)));
    recorded::TcpPacket packet;
    while (reader.next(packet) == recorded::PcapReader::Got::Packet)
      packets.push_back(keep(packet));
    const Bench bench(std::move(packets));
    const std::string name = entry.path().filename();
    if (!bench.sound() || bench.messages() == 0) {
      std::printf("%s: left out: without loss, not every message is reported\n", name.c_str());
      continue;
    }
    std::printf("%s: %zu packets, %zu messages\n", name.c_str(), bench.packets(), bench.messages());
    if (bench.packets() <= 2000) bench.lose_each(name);
    if (bench.packets() <= 2000) bench.begin_and_end_anywhere(name);
    bench.lose_at_random(name, 1, 20);
    bench.lose_at_random(name, 5, 20);
  }
}
