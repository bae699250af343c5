#include "classifier/turn_judge.h"

#include <utility>

namespace classifier {
namespace {

// After DATA in a turn of its own, a message may be as short as this. A shorter turn is MAIL: then
// the turn before was RSET, not DATA.
constexpr std::uint64_t kLeastBehindData = 100;

}  // namespace

void TurnJudge::turn(Turn&& turn, std::uint32_t slack) {
  answers_ = 1;
  missed_answers_ = false;
  if (part_ == Part::Greeting) {
    part_ = Part::Envelope;
    if (turn.torn) envelope_turns_ = 1;  // an answer may have been lost, and the turn may hold more
    return;
  }
  const bool behind_data = std::exchange(part_, Part::Envelope) == Part::BehindData;
  if (!behind_data && !turn.torn && is_four_letters(turn, slack)) {
    if (envelope_turns_ != 0) part_ = Part::BehindData;
    return;
  }
  const std::uint64_t least = behind_data ? kLeastBehindData : kLeastMessage;
  if ((envelope_turns_ == 0 && !turn.torn) || turn.bytes < least) {
    ++envelope_turns_;
    split_command_ = split_command_ || (slack == 0 && !turn.torn && splits_command(turn));
    return;
  }
  if (turn.whole()) {
    pending_.emplace();
    pending_->torn = pending_->cut = turn.torn;
    append(turn, 0, turn.bytes, *pending_);
    pending_->data_ahead = !behind_data;
    pending_->rcpt_ahead = envelope_turns_ == 1;
    pending_->split_command = split_command_;
  }
  envelope_turns_ = 0;
}

std::optional<TlsMessage> TurnJudge::take(bool quit_with_dot) {
  auto message = std::exchange(pending_, std::nullopt);
  if (message && quit_with_dot && message->records.back().size > kFourLetters) {
    message->quit_with_dot = true;
    message->records.back().size -= kFourLetters;
    message->records.back().after = kFourLetters;
  }
  return message;
}

std::optional<TlsMessage> TurnJudge::finish(Turn&& open, std::uint32_t slack) {
  const bool some = !open.empty();
  if (some) {
    turn(std::move(open), slack);
    if (pending_) pending_->cut = true;
  }
  // The client said nothing after the message, and the server answered twice. So QUIT came with it.
  const bool may_quit = !some && pending_ && pending_->data_ahead;
  if (may_quit && missed_answers_ && answers_ == 1) pending_->cut = true;
  return take(may_quit && answers_ > 1);
}

std::optional<std::uint64_t> TurnJudge::pending_from() const {
  if (!pending_) return std::nullopt;
  return pending_->spans.front().begin;
}

}  // namespace classifier
