// What `segmilter doctor` reads from other programs: postconf's output, smtpd_milters, /proc, SMTP
// replies, Postfix's log. The first byte of the input chooses the reader.
//
// What must hold: no reader fails; each item is a part of the text that was read; reading replies
// comes to an end; no control character that a report quotes reaches a terminal.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "milter/doctor/check.h"
#include "milter/doctor/dialogue.h"
#include "milter/doctor/postfix_log.h"
#include "milter/doctor/report.h"
#include "milter/net/sockets.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void read_postfix(std::string_view text) {
  const auto postfix = doctor::Postfix::parse(text, text, text);
  for (const auto& service : postfix.services()) {
    require(text.find(service.name) != text.npos);
    (void)doctor::parse_service_name(service.name);
    (void)postfix.smtpd_behind(service);
    (void)postfix.chrooted(service);
  }
  (void)doctor::parse_time(text);
  (void)doctor::parse_networks(text);
}

void read_milters(std::string_view text) {
  for (const auto& milter : doctor::parse_milters(text)) {
    require(text.find(milter.text) != text.npos && text.find(milter.address) != text.npos);
  }
}

void read_replies(std::string_view text) {
  std::string input(text);
  for (auto before = input.size() + 1; input.size() < before;) {
    before = input.size();
    const auto reply = doctor::take_reply(input);
    if (!reply) break;
    require(reply->end == doctor::Reply::End::Malformed ||
            (reply->code >= 0 && reply->code <= 999));
    const auto report = doctor::report_text({doctor::ok(reply->print())}, false);
    require(std::count(report.begin(), report.end(), '\n') == 2);
    require(std::none_of(report.begin(), report.end(),
                         [](char c) { return (c >= 0 && c < 0x20 && c != '\n') || c == 0x7f; }));
  }
}

void read_log(std::string_view text) {
  const auto client = *net::Endpoint::parse("192.0.2.7:40112");
  const auto seen = doctor::seen_in_log(text, client);
  require(seen != doctor::Seen::Port || text.find("[192.0.2.7]:40112") != text.npos);
}

void read_routing(std::string_view text) {
  const doctor::Routing routing{
      .why_not = "x", .rules = std::string(text), .routes = std::string(text)};
  require(doctor::judge_routing({}, routing).state == doctor::State::Fail);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      read_postfix(text);
      break;
    case 1:
      read_milters(text);
      break;
    case 2:
      read_replies(text);
      break;
    case 3:
      read_log(text);
      read_routing(text);
      break;
    case 4:
      (void)net::parse_tcp(text, false);
      (void)net::parse_tcp(text, true);
      (void)net::parse_unix(text);
      break;
  }
  return 0;
}
