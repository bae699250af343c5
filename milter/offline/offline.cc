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
#include "milter/offline/capture_notes.h"
#include "milter/offline/file_format.h"
#include "milter/offline/input.h"
#include "milter/offline/log_line.h"
#include "milter/offline/unpack.h"
#include "milter/recorded/pcap_reader.h"
#include "milter/recorded/tcp_assembly.h"

namespace offline {
namespace {

// The number of packets or lines between two calls of Options::progress. Chosen, not measured: more
// calls cost time, fewer make the progress jump.
constexpr std::uint64_t kProgressEvery = 8192;

// The longest line, in bytes. The longest trace that can be parsed (65536 segments with all their
// marks) is shorter.
constexpr std::size_t kMaxLine = 4 * 1024 * 1024;

// Makes results of traces.
class Judge final : public recorded::MessageSink {
 public:
  Judge(const std::string& file, const Options& options, const OnResult& on_result)
      : file_(file), options_(options), on_result_(on_result) {}

  void message(const recorded::Connection& connection,
               classifier::ObservedMessage&& message) override {
    Result result;
    result.client = connection.client.endpoint();
    result.server = connection.server.endpoint();
    result.helo = connection.helo;
    result.time_ns = connection.time_ns;
    give(std::move(result), std::move(message.trace), message.claims);
  }

  // `claims` is empty if the message's text was not read.
  void give(Result result, classifier::Trace&& trace, const classifier::Claims& claims) {
    ++messages_;
    result.file = file_;
    result.message = trace.message;
    result.verdict = classifier::classify(trace, options_.policy, &claims);
    const bool known = result.client.port() != 0;
    const auto place =
        policy::rollout_place(known ? &result.client : nullptr, options_.enforcement.percent_key);
    const auto basis = policy::basis_of(trace, result.verdict.pattern);
    result.decision =
        policy::decide(result.verdict, basis, options_.policy, options_.enforcement, place);
    result.trace = std::move(trace);
    on_result_(std::move(result));
  }

  std::uint64_t messages() const { return messages_; }

 private:
  const std::string& file_;
  const Options& options_;
  const OnResult& on_result_;
  std::uint64_t messages_ = 0;
};

void tell_progress(const Options& options, const Input& input, std::uint64_t count) {
  if (options.progress && count % kProgressEvery == 0) {
    options.progress(input.read_bytes(), input.size());
  }
}

bool is_text(std::string_view head) {
  return !head.empty() && std::all_of(head.begin(), head.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' || c == '\t' || c == '\r' || c == '\n';
  });
}

// True for a trace in the notation of trace_text.h ("segmilter/1 …"), false for a log line
// ("segmilter/filter[71]: …").
bool is_trace(std::string_view line) {
  constexpr std::string_view kBegin = "segmilter/";
  return line.starts_with(kBegin) && line.size() > kBegin.size() &&
         std::isdigit(static_cast<unsigned char>(line[kBegin.size()])) != 0;
}

// A compressed file. Its first unpacked bytes can be examined before it is read from its beginning.
class Unpacked {
 public:
  Unpacked(Packing packing, ReadBytes packed) : read_(unpack(packing, std::move(packed))) {
    while (head_.size() < kHead) {
      std::array<char, kHead> buffer;
      const std::size_t got = read_({buffer.data(), kHead - head_.size()});
      if (got == 0) break;
      head_.append(buffer.data(), got);
    }
  }

  std::string_view head() const { return head_; }
  std::size_t read(std::span<char> out) {
    if (used_ == head_.size()) return read_(out);
    const std::size_t some = std::min(out.size(), head_.size() - used_);
    std::memcpy(out.data(), head_.data() + used_, some);
    used_ += some;
    return some;
  }

 private:
  static constexpr std::size_t kHead = 64;
  ReadBytes read_;
  std::string head_;
  std::size_t used_ = 0;
};

Outcome read_capture(const std::string& file, ReadBytes read, const Input& input,
                     const Options& options, Judge& judge) {
  Outcome outcome;
  recorded::PcapReader reader(std::move(read));
  recorded::TcpAssembly assembly(judge, {});
  recorded::TcpPacket packet;
  auto got = recorded::PcapReader::Got::Packet;
  std::uint64_t count = 0;
  std::string error;
  try {
    while ((got = reader.next(packet)) == recorded::PcapReader::Got::Packet) {
      assembly.packet(packet);
      tell_progress(options, input, ++count);
    }
    error = reader.error();
  } catch (const std::runtime_error& damage) {  // the compressed data is damaged, or the disk fails
    got = recorded::PcapReader::Got::Damaged;
    error = damage.what();
  }
  assembly.finish();
  outcome.packets = reader.counts().packets;
  outcome.warning = note({.counts = reader.counts(),
                          .fragments = reader.fragments(),
                          .not_read = reader.not_read(),
                          .copies = assembly.copies(),
                          .messages = judge.messages()});
  if (got == recorded::PcapReader::Got::Damaged) {
    outcome.kind = Outcome::Kind::Damaged;
    outcome.warning = fmt::format("offset {}: {}{}{}", reader.offset(), error,
                                  outcome.warning.empty() ? "" : "; ", outcome.warning);
  }
  // If no packet could be read, the file counts as no capture.
  const std::uint64_t not_read = reader.not_read().packets();
  if (not_read != 0 && not_read == outcome.packets) outcome.kind = Outcome::Kind::Unreadable;
  if (!outcome.warning.empty()) outcome.warning = fmt::format("{}: {}", file, outcome.warning);
  return outcome;
}

Outcome unreadable(const std::string& file, std::string_view why) {
  return {.kind = Outcome::Kind::Unreadable, .warning = fmt::format("{}: {}", file, why)};
}

Outcome read_packed(const std::string& file, Input& input, const Options& options, Judge& judge) {
  Unpacked unpacked(packing_of(input.head()),
                    [&](std::span<char> buffer) { return input.read(buffer); });
  if (!is_capture(unpacked.head())) {
    const std::string name = name_of_format(unpacked.head(), file);
    return unreadable(file, name.empty() ? "this is a compressed file without a capture in it; if "
                                           "it is a log or a list of traces, unpack it first"
                                         : fmt::format("a compressed file; inside is {}", name));
  }
  return read_capture(
      file, [&](std::span<char> buffer) { return unpacked.read(buffer); }, input, options, judge);
}

// Calls `on_line` with each line and its number (from 1) as soon as the line is complete. A line
// that is too long is cut.
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
    if (line.size() > kMaxLine) return damaged(number, "the line is longer than any trace");
    if (is_trace(line)) {
      list_ = true;
      return trace(number, line, {});
    }
    const auto logged = read_log_line(line);
    log_ = log_ || logged.has_value();
    if (logged && !logged->trace.empty()) return trace(number, logged->trace, *logged);
    if (list_ && !log_) return damaged(number, "the line is not a trace");
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
          "{}: none of {} lines has a trace; segmilter logs traces if log.level is \"debug\"",
          file_, passed_by_);
    } else if (passed_by_ != 0) {
      outcome.warning = fmt::format("{}: {} lines without a trace were skipped", file_, passed_by_);
    }
    return outcome;
  }

  static constexpr std::string_view kNeither =
      "this is not a capture, not a list of traces and not a log of segmilter";

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
    judge_.give(std::move(result), std::move(std::get<classifier::Trace>(parsed)), {});
  }

  void damaged(std::uint64_t number, std::string_view what) {
    if (bad_++ == 0) first_bad_ = fmt::format("{}:{}: {}", file_, number, what);
  }

  const std::string& file_;
  Judge& judge_;
  bool list_ = false;  // there was a line with only a trace, or a comment
  bool log_ = false;   // there was a line of segmilter's log
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

// Replaces what the reader says about an input that was stopped: the reader takes the early end for
// damage, but the input is not damaged.
void was_stopped(Outcome& outcome, const std::string& file, const Input& input) {
  outcome.kind = Outcome::Kind::Good;
  outcome.warning.clear();
  outcome.stopped = input.regular();
  if (!outcome.stopped) return;
  outcome.warning =
      fmt::format("{}: stopped after byte {} of {}", file, input.read_bytes(), input.size());
}

}  // namespace

Outcome classify_file(const std::string& file, const Options& options, const OnResult& on_result) {
  Judge judge(file, options, on_result);
  Outcome outcome;
  try {
    Input input(file, options.waiting);
    if (is_capture(input.head())) {
      outcome = read_capture(
          file, [&](std::span<char> buffer) { return input.read(buffer); }, input, options, judge);
    } else if (packing_of(input.head()) != Packing::None) {
      outcome = read_packed(file, input, options, judge);
    } else if (const auto name = name_of_format(input.head(), file); !name.empty()) {
      outcome = unreadable(file, name);
    } else if (is_text(input.head())) {
      outcome = read_text(file, input, options, judge);
    } else if (!input.stopped()) {
      outcome = unreadable(file, input.head().empty() ? "the file is empty" : TextReader::kNeither);
    }
    outcome.bytes = input.read_bytes();
    if (input.stopped()) was_stopped(outcome, file, input);
    if (options.progress) options.progress(outcome.bytes, input.size());
  } catch (const std::system_error& error) {
    outcome.kind = Outcome::Kind::Unreadable;
    outcome.warning = error.what();
  } catch (const std::runtime_error& error) {  // the file's header is malformed
    outcome = unreadable(file, error.what());
  }
  outcome.messages = judge.messages();
  return outcome;
}

}  // namespace offline
