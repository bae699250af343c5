// One deadline covers the whole exchange: a proxy that hangs must not delay Postfix, which waits
// for the filter's answer to the end of the message. Threads: each ask() has its own socket and
// shares nothing.
#include "milter/evidence/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <variant>

#include "classifier/dialogue_words.h"
#include "classifier/trace_text.h"
#include "milter/net/fd.h"
#include "milter/net/unix_socket.h"

namespace evidence {
namespace {

using classifier::Reason;
using classifier::Trace;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Far more than a trace can have: capture.max_segments is at most 16384.
constexpr std::size_t kMaxAnswer = 1024 * 1024;

// Either the line of the answer, without its line end, or the reason why there is none.
using Answer = std::variant<std::string, Reason>;

// The time left, in milliseconds. Rounded up, so that poll() waits through the last millisecond
// instead of returning at once again and again.
int left(Clock::time_point deadline) {
  const auto rest = std::chrono::ceil<milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(rest.count(), 0, 3600 * 1000));
}

bool wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    pollfd entry{fd, events, 0};
    const int ready = poll(&entry, 1, left(deadline));
    if (ready > 0) return true;
    if (ready == 0 && left(deadline) == 0) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// connect() blocks; everything after it does not.
std::variant<net::Fd, Reason> connect_to(const std::string& path, Clock::time_point deadline) {
  net::Fd fd = net::connect_unix(path, milliseconds(left(deadline)));
  if (fd) return fd;
  return errno == EAGAIN ? Reason::Timeout : Reason::Error;
}

Reason send_all(int fd, std::string_view text, Clock::time_point deadline) {
  while (!text.empty()) {
    const ssize_t sent = send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      if (!wait_for(fd, POLLOUT, deadline)) return Reason::Timeout;
    } else if (errno != EINTR) {
      return Reason::Error;
    }
  }
  return Reason::None;
}

Answer read_line(int fd, Clock::time_point deadline) {
  std::string line;
  char buffer[16 * 1024];
  for (;;) {
    if (!wait_for(fd, POLLIN, deadline)) return Reason::Timeout;
    const ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return Reason::Error;  // closed before the line's end
    const std::string_view part(buffer, static_cast<std::size_t>(got));
    const auto end = part.find('\n');
    line.append(part.substr(0, end));
    if (line.size() > kMaxAnswer) return Reason::Error;
    if (end != std::string_view::npos) return line;
    // Bytes that trickle in must not extend the exchange beyond the deadline.
    if (left(deadline) == 0) return Reason::Timeout;
  }
}

Answer exchange(const std::string& path, const std::string& question, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  auto connected = connect_to(path, deadline);
  if (const auto* reason = std::get_if<Reason>(&connected)) return *reason;
  const int fd = std::get<net::Fd>(connected).get();
  if (const Reason reason = send_all(fd, question, deadline); reason != Reason::None) return reason;
  return read_line(fd, deadline);
}

// The reason in an answer "none REASON".
std::optional<Reason> read_none(std::string_view line) {
  constexpr std::string_view kNone = "none ";
  if (!line.starts_with(kNone)) return std::nullopt;
  const auto reason = classifier::reason_named(line.substr(kNone.size()));
  return reason && *reason != Reason::None ? reason : std::nullopt;
}

}  // namespace

// A trace of an earlier message would put that message's pattern on this one, so it is refused.
Trace read_answer(std::string_view line, std::uint32_t after) {
  constexpr std::string_view kTrace = "trace ";
  if (line.starts_with(kTrace)) {
    auto parsed = classifier::parse_trace(line.substr(kTrace.size()));
    auto* trace = std::get_if<Trace>(&parsed);
    if (trace != nullptr && trace->message > after) return std::move(*trace);
  } else if (const auto reason = read_none(line)) {
    return classifier::unobserved(*reason, after + 1);
  }
  return classifier::unobserved(Reason::Error, after + 1);
}

std::variant<std::uint32_t, Reason> read_talk(std::string_view line) {
  constexpr std::string_view kTalk = "talk ";
  if (line.starts_with(kTalk)) {
    if (const auto words = classifier::words_named(line.substr(kTalk.size()))) return *words;
  } else if (const auto reason = read_none(line)) {
    return *reason;
  }
  return Reason::Error;
}

Trace Client::ask(const Question& question) const {
  const Answer answer = exchange(socket_, print(question) + '\n', timeout_);
  if (const auto* reason = std::get_if<Reason>(&answer)) {
    return classifier::unobserved(*reason, question.after + 1);
  }
  return read_answer(std::get<std::string>(answer), question.after);
}

std::variant<std::uint32_t, Reason> Client::ask_talk(const SessionQuestion& question) const {
  const Answer answer = exchange(socket_, print(question) + '\n', timeout_);
  if (const auto* reason = std::get_if<Reason>(&answer)) return *reason;
  return read_talk(std::get<std::string>(answer));
}

}  // namespace evidence
