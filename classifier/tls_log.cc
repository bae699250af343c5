#include "classifier/tls_log.h"

#include <algorithm>
#include <utility>

namespace classifier {

TlsLog::TlsLog(Start start, ArrivalLog&& arrivals, Sink* sink)
    : start_(std::move(start)),
      arrivals_(std::move(arrivals)),
      tls_(static_cast<TlsSession::Listener&>(*this), {.records = start_.segments}),
      sink_(sink),
      told_(start_.messages) {}

std::size_t TlsLog::memory_used() const {
  std::size_t records = tls_.turn().records.capacity();
  for (const Turn& turn : turns_) records += turn.records.capacity();
  return arrivals_.memory_used() + records * sizeof(DataRecord);
}

void TlsLog::segment(const Arrival& arrival) {
  if (arrival.size != 0 && !lost()) arrivals_.keep(arrival);
}

void TlsLog::client(std::span<const char> bytes) {
  arrivals_.given(bytes);
  if (lost()) return;
  tls_.client(bytes);
  lost() ? arrivals_.forget_all() : forget();
}

void TlsLog::client_gap(std::uint64_t size) {
  arrivals_.skipped(size);
  tls_.client_gap(size);
  lost() ? arrivals_.forget_all() : forget();
}

void TlsLog::finish() {
  tls_.end();
  if (lost() || sink_ == nullptr) return;
  Turn open = tls_.closing() ? Turn{} : tls_.turn();
  tell(judge_.finish(std::move(open), tls_.slack()));
}

void TlsLog::on_turn(Turn&& turn) {
  if (sink_ != nullptr) return judge_.turn(std::move(turn), tls_.slack());
  if (placed_ != 0) {
    arrivals_.message_told();
    forget_turns();
    // Bytes that came after the message, before its answer, may be another message.
    forgotten_ = turn.bytes - std::exchange(placed_, 0);
    return;
  }
  split_command_ = split_command_ || (tls_.slack() == 0 && splits_command(turn));
  if (!std::exchange(greeted_, true)) {
    greeting_ = turn.bytes;
    return;
  }
  records_ += turn.records.size();
  turns_.push_back(std::move(turn));
  while (turns_.size() > kTurns || records_ > start_.segments) forget_oldest_turn();
}

void TlsLog::forget_oldest_turn() {
  forgotten_ += turns_.front().bytes;
  records_ -= turns_.front().records.size();
  turns_.pop_front();
}

void TlsLog::forget_turns() {
  turns_.clear();
  forgotten_ = 0;
  greeting_ = 0;
  records_ = 0;
}

void TlsLog::on_more_answers() {
  if (sink_ != nullptr) judge_.more_answers();
}

void TlsLog::on_missed_answers() {
  if (sink_ != nullptr) judge_.missed_answers();
}

void TlsLog::on_next_turn() {
  if (sink_ != nullptr) tell(judge_.next_turn());
}

void TlsLog::tell(std::optional<TlsMessage>&& message) {
  if (!message) return;
  Trace trace = trace_of(*message, ++told_);
  arrivals_.message_told();
  sink_->tls_message(std::move(trace));
}

Turns TlsLog::turns() const {
  // Postfix answers the commands before a chunk as soon as it has to wait for the rest of the
  // chunk.
  Turns turns{.forgotten = forgotten_, .greeting = greeting_, .answered = tls_.turn().empty()};
  for (const Turn& turn : turns_) turns.kept.push_back(&turn);
  if (!turns.answered) turns.kept.push_back(&tls_.turn());
  return turns;
}

std::variant<Trace, Reason> TlsLog::trace(const ShownSizes& shown, std::uint32_t ordinal) {
  if (lost()) return Reason::Lost;
  // Only one message ends in a turn.
  if (placed_ != 0) return Reason::Ambiguous;
  const Turns turns = this->turns();
  auto placed = place_message(turns, shown, tls_.slack());
  if (const auto* reason = std::get_if<Reason>(&placed)) return *reason;
  auto& message = std::get<TlsMessage>(placed);
  message.split_command = split_command_;
  if (message.transfer == Transfer::Data && !message.early && turns.kept.size() > 1) {
    const Turn& commands = *turns.kept[turns.kept.size() - 2];
    message.data_ahead = !is_four_letters(commands, tls_.slack());
    message.rcpt_ahead = turns.kept.size() == (message.data_ahead ? 2U : 3U);
  }
  Trace trace = trace_of(message, ordinal);
  trace.dialogue.early_data = message.early;
  if (turns.answered) {
    forget_turns();
  } else {
    placed_ = tls_.turn().bytes;
  }
  return trace;
}

bool TlsLog::answered() const {
  if (lost()) return true;
  const bool quit = turns_.size() == 1 && is_four_letters(turns_.front(), tls_.slack());
  return (turns_.empty() || quit) && (tls_.turn().empty() || tls_.closing());
}

Trace TlsLog::trace_of(const TlsMessage& message, std::uint32_t ordinal) const {
  Trace trace;
  trace.via = start_.via;
  trace.message = ordinal;
  trace.transfer = message.transfer;
  trace.tls = true;
  trace.window = message.window;
  trace.miss = message.miss;
  trace.hello = {tls_.choice().version, tls_.choice().cipher, tls_.slack(), fingerprint_of_hello()};
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
  if (!message.torn) trace.records = message.records;
  return trace;
}

const std::string& TlsLog::fingerprint_of_hello() const {
  if (!ja4_) {
    const auto hello = read_client_hello(tls_.client_hello());
    ja4_ = hello && start_.sha256 != nullptr ? ja4(*hello, start_.sha256) : std::string();
  }
  return *ja4_;
}

// Forgets everything before the bytes that may still be asked for.
void TlsLog::forget() {
  while (!turns_.empty() && arrivals_.size() > start_.segments / 2) {
    forget_oldest_turn();
    arrivals_.forget_before(start_.offset + kept_from());
  }
  arrivals_.forget_before(start_.offset + kept_from());
}

std::uint64_t TlsLog::kept_from() const {
  std::uint64_t from = tls_.needed_from();
  if (const auto held = judge_.pending_from()) from = std::min(from, *held);
  if (!turns_.empty()) from = std::min(from, turns_.front().records.front().begin);
  return from;
}

}  // namespace classifier
