#include "classifier/sealed_log.h"

#include <algorithm>
#include <utility>

namespace classifier {

SealedLog::SealedLog(Start start, ArrivalLog&& arrivals, Sink* sink)
    : start_(std::move(start)),
      arrivals_(std::move(arrivals)),
      tls_(static_cast<TlsSession::Listener&>(*this), {.records = start_.segments}),
      sink_(sink),
      told_(start_.messages) {}

std::size_t SealedLog::held() const {
  std::size_t records = tls_.turn().records.capacity();
  for (const Turn& turn : turns_) records += turn.records.capacity();
  return arrivals_.held() + records * sizeof(SealedRecord);
}

void SealedLog::segment(const Arrival& arrival) {
  if (arrival.size != 0 && !lost()) arrivals_.keep(arrival);
}

void SealedLog::client(std::span<const char> bytes) {
  arrivals_.given(bytes);
  if (lost()) return;
  tls_.client(bytes);
  lost() ? arrivals_.forget_all() : forget();
}

void SealedLog::finish() {
  if (lost() || sink_ == nullptr) return;
  Turn open = tls_.closing() ? Turn{} : tls_.turn();
  tell(judge_.finish(std::move(open), tls_.slack()));
}

void SealedLog::on_turn(Turn&& turn) {
  if (sink_ != nullptr) return judge_.turn(std::move(turn), tls_.slack());
  if (std::exchange(placed_, false)) {
    arrivals_.message_told();
    return turns_.clear();
  }
  split_command_ = split_command_ || (tls_.slack() == 0 && splits_command(turn));
  if (!std::exchange(greeted_, true)) return;
  if (turns_.size() == kTurns) turns_.pop_front();
  turns_.push_back(std::move(turn));
}

void SealedLog::on_more_answers() {
  if (sink_ != nullptr) judge_.more_answers();
}

void SealedLog::on_next_turn() {
  if (sink_ != nullptr) tell(judge_.next_turn());
}

void SealedLog::tell(std::optional<SealedMessage>&& message) {
  if (!message) return;
  Trace trace = trace_of(*message, ++told_);
  arrivals_.message_told();
  sink_->sealed_message(std::move(trace));
}

std::optional<Trace> SealedLog::trace(const ShownSizes& sizes, std::uint32_t ordinal) {
  if (lost()) return std::nullopt;
  std::deque<const Turn*> turns;
  for (const Turn& turn : turns_) turns.push_back(&turn);
  // Postfix answers the commands in front of a chunk as soon as it has to wait for more of it.
  const bool answered = tls_.turn().empty();
  if (!answered) turns.push_back(&tls_.turn());
  auto message = place_message(turns, sizes, tls_.slack(), answered);
  if (!message) return std::nullopt;
  message->split_command = split_command_;
  if (message->transfer == Transfer::Data && !turns_.empty()) {
    message->data_ahead = !is_four_letters(turns_.back(), tls_.slack());
    message->rcpt_ahead = turns_.size() == (message->data_ahead ? 1U : 2U);
  }
  Trace trace = trace_of(*message, ordinal);
  if (answered) {
    turns_.clear();
  } else {
    placed_ = true;
  }
  return trace;
}

Trace SealedLog::trace_of(const SealedMessage& message, std::uint32_t ordinal) const {
  Trace trace;
  trace.via = start_.via;
  trace.message = ordinal;
  trace.transfer = message.transfer;
  trace.tls = true;
  trace.window = message.window;
  trace.miss = message.miss;
  trace.hello = {tls_.choice().version, tls_.choice().cipher, tls_.slack(), print_of_hello()};
  trace.path = start_.path;
  trace.dialogue = start_.dialogue;
  trace.dialogue.rcpt_ahead = message.rcpt_ahead;
  trace.dialogue.data_ahead = message.data_ahead;
  trace.dialogue.pipelined = message.rcpt_ahead || message.data_ahead;
  trace.dialogue.split_command = start_.split_command || message.split_command;
  trace.dialogue.quit_with_dot = message.quit_with_dot;
  std::vector<Span> spans = message.spans;
  for (Span& span : spans) {
    span.begin += start_.offset;
    span.end += start_.offset;
  }
  const std::vector<Tail> tails(spans.size(), Tail::Other);
  arrivals_.fill(spans, tails, trace);
  if (message.cut && trace.state == State::Complete) {
    trace.state = State::Partial;
    trace.reason = Reason::Dropped;
  }
  for (const Record& record : message.records) trace.size += record.size;
  trace.chunk_begins = message.chunk_begins;
  if (message.transfer == Transfer::Bdat) {
    trace.dialogue.chunks = static_cast<std::uint8_t>(message.chunk_begins.size() + 1);
  }
  trace.records = message.records;
  return trace;
}

const std::string& SealedLog::print_of_hello() const {
  if (!ja4_) {
    const auto hello = read_client_hello(tls_.client_hello());
    ja4_ = hello && start_.sha256 != nullptr ? ja4(*hello, start_.sha256) : std::string();
  }
  return *ja4_;
}

// What lies before everything that may still be asked for.
void SealedLog::forget() {
  while (!turns_.empty() && arrivals_.size() > start_.segments / 2) {
    turns_.pop_front();
    arrivals_.forget_before(start_.offset + kept_from());
  }
  arrivals_.forget_before(start_.offset + kept_from());
}

std::uint64_t SealedLog::kept_from() const {
  std::uint64_t from = tls_.needed_from();
  if (const auto held = judge_.held_from()) from = std::min(from, *held);
  if (!turns_.empty()) from = std::min(from, turns_.front().records.front().begin);
  return from;
}

}  // namespace classifier
