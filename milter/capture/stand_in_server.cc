#include "milter/capture/stand_in_server.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "milter/capture/smtp_words.h"

namespace capture {
namespace {

// Enough of a line to know the command by.
constexpr std::size_t kLineKept = 128;

}  // namespace

StandInServer::StandInServer(classifier::Observer& observer, bool greet) : observer_(observer) {
  if (greet) say("220 stand-in\r\n");
}

void StandInServer::say(std::string_view reply) {
  observer_.server({reply.data(), reply.size()});
}

void StandInServer::client(std::span<const char> bytes) {
  while (!bytes.empty() && !observer_.lost()) bytes = bytes.subspan(take(bytes));
}

// Takes a line or a part of one, or a chunk's bytes.
std::size_t StandInServer::take(std::span<const char> bytes) {
  if (phase_ == Phase::Chunk) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
    left_ -= size;
    observer_.client(bytes.first(size));
    if (left_ == 0) {
      phase_ = Phase::Command;
      say("250 stand-in\r\n");
    }
    return size;
  }
  if (phase_ == Phase::Asked) {
    const std::string_view next(bytes.data(), bytes.size());
    const bool refused = starts_with_word(next, "QUIT\r\n") || starts_with_word(next, "RSET\r\n") ||
                         starts_with_word(next, "MAIL FROM:");
    phase_ = refused ? Phase::Command : Phase::Text;
    say(refused ? "554 stand-in\r\n" : "354 stand-in\r\n");
  }
  const void* lf = std::memchr(bytes.data(), '\n', bytes.size());
  const std::size_t size =
      lf == nullptr ? bytes.size() : static_cast<const char*>(lf) + 1 - bytes.data();
  if (phase_ != Phase::Text) {
    line_.append(bytes.data(), std::min(size, kLineKept - std::min(kLineKept, line_.size())));
  }
  message_ended_ = false;
  observer_.client(bytes.first(size));
  if (phase_ == Phase::Text) {
    if (message_ended_) {
      phase_ = Phase::Command;
      say("250 stand-in\r\n");
    }
  } else if (lf != nullptr) {
    command();
    line_.clear();
  }
  return size;
}

void StandInServer::command() {
  if (phase_ == Phase::Secret) {
    if (--left_ > 0) return say("334 \r\n");
    phase_ = Phase::Command;
    return say("235 stand-in\r\n");
  }
  if (starts_with_word(line_, "DATA")) {
    phase_ = Phase::Asked;
    return;
  }
  if (starts_with_word(line_, "BDAT ")) {
    const auto [end, error] = std::from_chars(line_.data() + 5, line_.data() + line_.size(), left_);
    if (error == std::errc{} && left_ > 0) {
      phase_ = Phase::Chunk;
      return;
    }
  }
  if (starts_with_word(line_, "AUTH ")) {
    // LOGIN asks for name and password; the others for one line, unless it came with the command.
    const bool login = starts_with_word(line_, "AUTH LOGIN");
    const bool initial = std::count(line_.begin(), line_.end(), ' ') >= 2;
    left_ = (login ? 2U : 1U) - (initial ? 1U : 0U);
    if (left_ == 0) return say("235 stand-in\r\n");
    phase_ = Phase::Secret;
    return say("334 \r\n");
  }
  if (starts_with_word(line_, "STARTTLS")) return say("220 stand-in\r\n");
  if (starts_with_word(line_, "QUIT")) return say("221 stand-in\r\n");
  say("250 stand-in\r\n");
}

}  // namespace capture
