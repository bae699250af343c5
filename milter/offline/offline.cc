#include "milter/offline/offline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/capture/pcap_reader.h"
#include "milter/capture/tcp_assembly.h"
#include "milter/offline/input.h"
#include "milter/offline/log_line.h"

namespace offline {
namespace {

// Packets or lines between two calls of Options::progress.
constexpr std::uint64_t kProgressEvery = 8192;

// A trace of the reader's limit, 65536 segments with all their marks, is shorter.
constexpr std::size_t kMaxLine = 4 * 1024 * 1024;

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
    result.helo = connection.helo;
    result.time_ns = connection.time_ns;
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

bool is_text(std::string_view head) {
  return !head.empty() && std::all_of(head.begin(), head.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' || c == '\t' || c == '\r' || c == '\n';
  });
}

// In the notation of trace_text.h, and not "segmilter/filter[71]: …".
bool is_trace(std::string_view line) {
  constexpr std::string_view kBegin = "segmilter/";
  return line.starts_with(kBegin) && line.size() > kBegin.size() &&
         std::isdigit(static_cast<unsigned char>(line[kBegin.size()])) != 0;
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

// Gives each line to `on_line`, with its number from 1, as soon as it has come; one that is too
// long is cut.
template <typename OnLine>
void read_lines(Input& input, OnLine on_line) {
  std::vector<char> buffer(64 * 1024);
  std::string line;
  std::uint64_t number = 0;
  const auto add = [&](std::string_view text) {
    line.append(text.substr(0, kMaxLine + 1 - std::min(kMaxLine + 1, line.size())));
  };
  std::size_t got = 0;
  while ((got = input.read(buffer)) > 0) {
    std::string_view text(buffer.data(), got);
    for (std::size_t lf = 0; (lf = text.find('\n')) != text.npos; text.remove_prefix(lf + 1)) {
      add(text.substr(0, lf));
      on_line(++number, std::string_view(line));
      line.clear();
    }
    add(text);
  }
  if (!line.empty()) on_line(++number, std::string_view(line));
}

// A list of traces, or a log with traces among its lines.
class TextReader {
 public:
  TextReader(const std::string& file, Judge& judge) : file_(file), judge_(judge) {}

  void line(std::uint64_t number, std::string_view line) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty()) return;
    if (line.front() == '#') {
      list_ = true;
      return;
    }
    if (line.size() > kMaxLine) return damaged(number, "longer than any trace");
    if (is_trace(line)) {
      list_ = true;
      return trace(number, line, {});
    }
    const auto logged = read_log_line(line);
    log_ = log_ || logged.has_value();
    if (logged && !logged->trace.empty()) return trace(number, logged->trace, *logged);
    if (list_ && !log_) return damaged(number, "no trace");
    ++passed_by_;
  }

  Outcome outcome() const {
    if (!list_ && !log_) return {Outcome::Kind::Unreadable, file_ + ": " + std::string(kNeither)};
    Outcome outcome;
    if (bad_ != 0) {
      outcome.kind = judge_.messages() == 0 ? Outcome::Kind::Unreadable : Outcome::Kind::Damaged;
      outcome.warning = first_bad_;
      if (bad_ > 1) outcome.warning += fmt::format(" (and {} more lines)", bad_ - 1);
    } else if (judge_.messages() == 0) {
      outcome.warning = fmt::format(
          "{}: {} lines, none with a trace: they are logged where log.level is \"debug\"", file_,
          passed_by_);
    } else if (passed_by_ != 0) {
      outcome.warning =
          fmt::format("{}: {} lines without a trace were passed by", file_, passed_by_);
    }
    return outcome;
  }

  static constexpr std::string_view kNeither =
      "neither a capture, nor a list of traces, nor a log of segmilter's";

 private:
  void trace(std::uint64_t number, std::string_view notation, const LogLine& logged) {
    auto parsed = classifier::parse_trace(notation);
    if (const auto* error = std::get_if<classifier::TraceError>(&parsed)) {
      return damaged(number, fmt::format("byte {}: {}", error->offset, error->message));
    }
    Result result;
    result.client = logged.client;
    result.helo = logged.helo.substr(0, classifier::Claims::kLongest);
    result.time_ns = logged.time_ns;
    judge_.give(std::move(result), std::move(std::get<classifier::Trace>(parsed)));
  }

  void damaged(std::uint64_t number, std::string_view what) {
    if (bad_++ == 0) first_bad_ = fmt::format("{}:{}: {}", file_, number, what);
  }

  const std::string& file_;
  Judge& judge_;
  bool list_ = false;  // a line was a bare trace or a comment
  bool log_ = false;   // a line was one of segmilter's log
  std::uint64_t bad_ = 0;
  std::uint64_t passed_by_ = 0;
  std::string first_bad_;
};

Outcome read_text(const std::string& file, Input& input, const Options& options, Judge& judge) {
  TextReader reader(file, judge);
  read_lines(input, [&](std::uint64_t number, std::string_view line) {
    tell_progress(options, input, number);
    reader.line(number, line);
  });
  return reader.outcome();
}

// Whatever its reader says of the end that came too early: nothing is wrong with the input.
void was_stopped(Outcome& outcome, const std::string& file, const Input& input) {
  outcome.kind = Outcome::Kind::Good;
  outcome.warning.clear();
  outcome.stopped = input.regular();
  if (!outcome.stopped) return;
  outcome.warning =
      fmt::format("{}: stopped behind byte {} of {}", file, input.read_bytes(), input.size());
}

}  // namespace

Outcome classify_file(const std::string& file, const Options& options, const OnResult& on_result) {
  Judge judge(file, options, on_result);
  Outcome outcome;
  try {
    Input input(file, options.waiting);
    if (is_capture(input.head())) {
      outcome = read_capture(file, input, options, judge);
    } else if (is_text(input.head())) {
      outcome = read_text(file, input, options, judge);
    } else if (!input.stopped()) {
      outcome.kind = Outcome::Kind::Unreadable;
      outcome.warning =
          fmt::format("{}: {}", file, input.head().empty() ? "empty" : TextReader::kNeither);
    }
    outcome.bytes = input.read_bytes();
    if (input.stopped()) was_stopped(outcome, file, input);
    if (options.progress) options.progress(outcome.bytes, input.size());
  } catch (const std::system_error& error) {
    outcome.kind = Outcome::Kind::Unreadable;
    outcome.warning = error.what();
  }
  outcome.messages = judge.messages();
  return outcome;
}

}  // namespace offline
