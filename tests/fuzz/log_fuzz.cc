// A line of the log quotes text from strangers. It must stay one line of printable ASCII, and each
// value must be readable from it again, in both formats; a trace also by classify. Input: three
// texts, each after its length: the queue id, and the values of two facts.
#include <sys/mman.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "milter/log/log.h"
#include "milter/net/fd.h"
#include "milter/offline/log_line.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using fuzz::require;

// Returns what is written to stderr while `write` runs. The fuzzer itself writes there too.
template <typename Write>
std::string captured(Write write) {
  static const net::Fd file(memfd_create("log", MFD_CLOEXEC));
  require(ftruncate(file.get(), 0) == 0 && lseek(file.get(), 0, SEEK_SET) == 0);
  const net::Fd before(dup(STDERR_FILENO));
  dup2(file.get(), STDERR_FILENO);
  write();
  dup2(before.get(), STDERR_FILENO);
  std::string text(static_cast<std::size_t>(lseek(file.get(), 0, SEEK_END)), '\0');
  require(pread(file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  return text;
}

std::string line_of(config::Log::Format format, std::string_view id, std::string_view event,
                    std::vector<logging::Fact> facts) {
  const config::Log settings{config::Log::Target::Stderr, format, "info"};
  auto line = captured([&] {
    logging::open(settings, "filter");
    logging::event(logging::Level::Info, id, event, facts);
  });
  require(!line.empty() && line.back() == '\n');
  line.pop_back();
  for (const char c : line) require(c >= ' ' && c < 0x7f);
  return line;
}

// Takes a value in the text format from the front of `text`.
std::string value_from(std::string_view& text) {
  std::string value;
  if (!text.starts_with('"')) {
    const auto end = text.find(' ');
    value = text.substr(0, end);
    require(!value.empty());
    text.remove_prefix(value.size());
    return value;
  }
  text.remove_prefix(1);
  while (!text.starts_with('"')) {
    require(!text.empty());
    if (text.starts_with("\\x")) {
      value.push_back(static_cast<char>(std::stoi(std::string(text.substr(2, 2)), nullptr, 16)));
      text.remove_prefix(4);
      continue;
    }
    if (text.starts_with('\\')) text.remove_prefix(1);
    value.push_back(text.front());
    text.remove_prefix(1);
  }
  text.remove_prefix(1);
  return value;
}

void expect(std::string_view& text, std::string_view word) {
  require(text.starts_with(word));
  text.remove_prefix(word.size());
}

// A trace is read back with the name next to it, whatever both are. That of a message's line is
// not.
void read_by_classify(std::string_view helo, std::string_view trace) {
  const std::vector<logging::Fact> facts = {{"helo", std::string(helo)},
                                            {"trace", std::string(trace)}};
  const auto logged =
      offline::read_log_line(line_of(config::Log::Format::Text, "4A", "trace", facts));
  require(logged && logged->helo == helo && logged->trace == trace && logged->time_ns != 0);
  const auto other =
      offline::read_log_line(line_of(config::Log::Format::Text, "4A", "message", facts));
  require(other && other->trace.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto id = input.text();
  const auto first = input.text();
  const auto second = input.text();
  const std::vector<logging::Fact> facts = {{"helo", std::string(first)},
                                            {"name", std::string(second)}};
  const auto text = line_of(config::Log::Format::Text, id, "message", facts);
  std::string_view rest(text);
  const auto at = rest.rfind("message helo=");
  require(at != rest.npos);
  // The value may contain these words. The first ones after the level belong to the line, unless
  // the queue id contains them.
  if (id.find("message") == id.npos) rest.remove_prefix(rest.find("message helo="));
  if (id.find("message") == id.npos) {
    expect(rest, "message helo=");
    require(value_from(rest) == first);
    expect(rest, " name=");
    require(value_from(rest) == second && rest.empty());
  }
  const auto json = nlohmann::json::parse(line_of(config::Log::Format::Json, id, "message", facts),
                                          nullptr, false);
  require(json.is_object() && json["event"] == "message" && json["process"] == "filter");
  require(json["helo"].is_string() && json["name"].is_string());
  const auto ascii = [](std::string_view value) {
    return std::all_of(value.begin(), value.end(), [](char c) { return c >= 0; });
  };
  if (ascii(first)) require(json["helo"] == first);
  if (ascii(second)) require(json["name"] == second);
  read_by_classify(first, second);
  return 0;
}
