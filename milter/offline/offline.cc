#include "milter/offline/offline.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "classifier/trace_text.h"
#include "milter/capture/pcap_reader.h"
#include "milter/capture/tcp_assembly.h"
#include "milter/offline/input.h"

namespace offline {
namespace {

// Packets or lines between two calls of Options::progress.
constexpr std::uint64_t kProgressEvery = 8192;

// A trace of the reader's limit, 65536 segments with all their marks, is shorter.
constexpr std::size_t kMaxLine = 4 * 1024 * 1024;

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

// Traces to results.
class Judge final : public capture::TraceSink {
 public:
  Judge(const std::string& file, const Options& options, const OnResult& on_result)
      : file_(file), options_(options), on_result_(on_result) {}

  void claimed(classifier::Claims&& claims) override { claims_ = std::move(claims); }

  void message(const capture::Connection& connection, classifier::Trace&& trace) override {
    Result result;
    result.client = connection.client.endpoint();
    result.server = connection.server.endpoint();
    give(std::move(result), std::move(trace));
  }

  void give(Result result, classifier::Trace&& trace) {
    ++messages_;
    result.file = file_;
    result.message = trace.message;
    const classifier::Claims claims = std::exchange(claims_, {});
    result.verdict = classifier::classify(trace, options_.policy, &claims);
    result.trace = std::move(trace);
    on_result_(std::move(result));
  }

  std::uint64_t messages() const { return messages_; }

 private:
  const std::string& file_;
  const Options& options_;
  const OnResult& on_result_;
  classifier::Claims claims_;  // of the message that comes next
  std::uint64_t messages_ = 0;
};

void tell_progress(const Options& options, const Input& input, std::uint64_t count) {
  if (options.progress && count % kProgressEvery == 0) {
    options.progress(input.read_bytes(), input.size());
  }
}

bool is_capture(std::string_view head) {
  // pcap, pcap with nanoseconds, modified pcap, in both byte orders; pcapng's section header.
  using namespace std::string_view_literals;
  constexpr std::array kMagics = {"\xa1\xb2\xc3\xd4"sv, "\xd4\xc3\xb2\xa1"sv, "\xa1\xb2\x3c\x4d"sv,
                                  "\x4d\x3c\xb2\xa1"sv, "\xa1\xb2\xcd\x34"sv, "\x34\xcd\xb2\xa1"sv,
                                  "\x0a\x0d\x0d\x0a"sv};
  for (const std::string_view magic : kMagics) {
    if (head.starts_with(magic)) return true;
  }
  return false;
}

bool is_traces(std::string_view head) {
  constexpr std::string_view kBegin = "segmilter/";
  const std::size_t begin = head.find_first_not_of(" \t\r\n");
  if (begin == head.npos) return false;
  head.remove_prefix(begin);
  return head.front() == '#' || head.starts_with(kBegin);
}

std::string left_out(const capture::PcapReader::Counts& counts) {
  std::string text;
  const auto add = [&](std::uint64_t count, std::string_view what) {
    if (count == 0) return;
    text += fmt::format("{}{} {}", text.empty() ? "" : "; ", count, what);
  };
  add(counts.fragments, "IP fragments were left out");
  add(counts.cut, "packets were captured without their end (snaplen)");
  return text;
}

Outcome read_capture(const std::string& file, Input& input, const Options& options, Judge& judge) {
  Outcome outcome;
  try {
    capture::PcapReader reader(input.stream());
    capture::TcpAssembly assembly(judge, {});
    capture::TcpPacket packet;
    auto got = capture::PcapReader::Got::Packet;
    std::uint64_t count = 0;
    while ((got = reader.next(packet)) == capture::PcapReader::Got::Packet) {
      assembly.packet(packet);
      tell_progress(options, input, ++count);
    }
    assembly.finish();
    outcome.packets = reader.counts().packets;
    if (const std::string text = left_out(reader.counts()); !text.empty()) {
      outcome.warning = fmt::format("{}: {}", file, text);
    }
    if (got == capture::PcapReader::Got::Damaged) {
      outcome.kind = Outcome::Kind::Damaged;
      outcome.warning = fmt::format("{}: offset {}: {}", file, reader.offset(), reader.error());
    }
  } catch (const std::runtime_error& error) {
    outcome.kind = Outcome::Kind::Unreadable;
    outcome.warning = fmt::format("{}: {}", file, error.what());
  }
  return outcome;
}

// Gives each line of `file` to `on_line`, with its number from 1; one that is too long is cut.
template <typename OnLine>
void read_lines(std::FILE* file, OnLine on_line) {
  std::array<char, 64 * 1024> buffer;
  std::string line;
  std::uint64_t number = 0;
  bool open = false;
  const auto add = [&](std::string_view text) {
    line.append(text.substr(0, kMaxLine + 1 - std::min(kMaxLine + 1, line.size())));
    open = true;
  };
  const auto end = [&] {
    on_line(++number, std::string_view(line));
    line.clear();
    open = false;
  };
  std::size_t got = 0;
  while ((got = std::fread(buffer.data(), 1, buffer.size(), file)) > 0) {
    std::string_view text(buffer.data(), got);
    for (std::size_t lf = 0; (lf = text.find('\n')) != text.npos; text.remove_prefix(lf + 1)) {
      add(text.substr(0, lf));
      end();
    }
    if (!text.empty()) add(text);
  }
  if (open) end();
}

Outcome read_traces(const std::string& file, Input& input, const Options& options, Judge& judge) {
  Outcome outcome;
  std::uint64_t bad = 0;
  const File stream(input.stream());
  read_lines(stream.get(), [&](std::uint64_t number, std::string_view line) {
    tell_progress(options, input, number);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') return;
    const auto damaged = [&](std::string what) {
      if (bad++ == 0) outcome.warning = fmt::format("{}:{}: {}", file, number, what);
    };
    if (line.size() > kMaxLine) return damaged("longer than any trace");
    auto parsed = classifier::parse_trace(line);
    if (const auto* error = std::get_if<classifier::TraceError>(&parsed)) {
      return damaged(fmt::format("byte {}: {}", error->offset, error->message));
    }
    judge.give({}, std::move(std::get<classifier::Trace>(parsed)));
  });
  if (bad != 0) {
    outcome.kind = judge.messages() == 0 ? Outcome::Kind::Unreadable : Outcome::Kind::Damaged;
    if (bad > 1) outcome.warning += fmt::format(" (and {} more lines)", bad - 1);
  }
  return outcome;
}

}  // namespace

Outcome classify_file(const std::string& file, const Options& options, const OnResult& on_result) {
  Judge judge(file, options, on_result);
  Outcome outcome;
  try {
    Input input(file);
    if (is_capture(input.head())) {
      outcome = read_capture(file, input, options, judge);
    } else if (is_traces(input.head())) {
      outcome = read_traces(file, input, options, judge);
    } else {
      outcome.kind = Outcome::Kind::Unreadable;
      outcome.warning =
          fmt::format("{}: {}", file,
                      input.head().empty() ? "empty" : "neither a capture nor a list of traces");
    }
    outcome.bytes = input.read_bytes();
    if (options.progress) options.progress(outcome.bytes, input.size());
  } catch (const std::system_error& error) {
    outcome.kind = Outcome::Kind::Unreadable;
    outcome.warning = error.what();
  }
  outcome.messages = judge.messages();
  return outcome;
}

}  // namespace offline
