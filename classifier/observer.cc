// Arrivals and windows meet here. Arrivals are kept as they come, from the current command or
// message on. When the tracker closes a window, the arrivals are cut to it. Not thread-safe.
#include "classifier/observer.h"

#include <algorithm>
#include <utility>

namespace classifier {
namespace {

// The first byte of a TLS record. RFC 8446, 5.1.
constexpr char kTlsAlert = 0x15;
constexpr char kTlsHandshake = 0x16;

}  // namespace

Observer::Observer(Sink& sink, Via via, Limits limits)
    : sink_(sink), via_(via), limits_(limits), tracker_(*this), arrivals_(limits.segments) {}

void Observer::segment(const Arrival& arrival) {
  if (tls_) return tls_->segment(arrival);
  if (arrival.size == 0 || tracker_.lost()) return;
  if (arrival.offset + arrival.size > tracker_.needed_from()) arrivals_.keep(arrival);
}

void Observer::segment_again(Span bytes) {
  if (tls_) return tls_->segment_again(bytes);
  if (!tracker_.lost()) arrivals_.came_again(bytes);
}

void Observer::client(std::span<const char> bytes) {
  if (bytes.empty() || lost()) return;
  if (tls_) return client_under_tls(bytes);
  const std::uint64_t begin = client_offset();
  arrivals_.given(bytes);
  tracker_.client(bytes);
  if (!tracker_.lost()) return arrivals_.forget_before(tracker_.needed_from());
  if (!tls_begins_) return;
  // These bytes follow STARTTLS, whose answer was assumed.
  if (bytes.front() != kTlsHandshake) return begin_tls(client_offset());
  // All bytes from the first one on are TLS. So the bytes that the tracker was given belong to TLS
  // too.
  begin_tls(begin);
  if (tls_) client_under_tls(bytes);
}

void Observer::server(std::span<const char> bytes) {
  if (tls_) {
    tls_->server(answer_to_come_ ? behind_clear(bytes) : bytes);
    if (tls_->lost()) lose(Reason::Encrypted);
    return;
  }
  tracker_.server(bytes);
  if (tls_begins_) {
    begin_tls(client_offset());
    // If the beginning of TLS was not seen, its first record shows it. That record is part of TLS.
    if (!tls_ || bytes.front() != kTlsHandshake) return;
    answer_to_come_ = false;
    tls_->server(bytes);
    return;
  }
  if (!tracker_.lost()) arrivals_.forget_before(tracker_.needed_from());
}

void Observer::begin_tls(std::uint64_t offset) {
  tls_begins_ = false;
  answer_to_come_ = tracker_.answers_assumed();
  tls_ = sink_.follow_tls({.via = via_,
                           .path = path_,
                           .dialogue = tracker_.dialogue(),
                           .split_command = split_command_,
                           .offset = offset,
                           .messages = messages_,
                           .segments = limits_.segments},
                          arrivals_.from(offset));
  if (!tls_) lose(Reason::Encrypted);
}

// Skips the server's answer to STARTTLS, which was assumed before it came. It is not TLS.
std::span<const char> Observer::behind_clear(std::span<const char> bytes) {
  const auto record = std::find_if(bytes.begin(), bytes.end(),
                                   [](char c) { return c == kTlsHandshake || c == kTlsAlert; });
  answer_to_come_ = record == bytes.end();
  return {record, bytes.end()};
}

void Observer::assume_answers() {
  tracker_.assume_answers();
  if (tls_begins_) begin_tls(client_offset());
}

void Observer::client_gap(std::uint64_t size) {
  tls_->client_gap(size);
  if (tls_->lost()) lose(Reason::Encrypted);
}

void Observer::server_gap(std::uint64_t size) {
  answer_to_come_ = false;
  tls_->server_gap(size);
  if (tls_->lost()) lose(Reason::Encrypted);
}

void Observer::client_under_tls(std::span<const char> bytes) {
  tls_->client(bytes);
  if (tls_->lost()) lose(Reason::Encrypted);
}

void Observer::finish() {
  if (tls_) tls_->finish();
}

void Observer::command_gap(std::uint64_t size) {
  arrivals_.skipped(size);
  tracker_.command_gap(size);
  if (tls_begins_) return begin_tls(client_offset());
  if (!tracker_.lost()) arrivals_.forget_before(tracker_.needed_from());
}

void Observer::missed_some() {
  if (tls_) return tls_->missed_some();
  arrivals_.missed_some();
  tracker_.text_gap();
}

Dialogue Observer::dialogue() const {
  Dialogue dialogue = tracker_.dialogue();
  dialogue.split_command = split_command_;
  return dialogue;
}

void Observer::on_command(Span line) {
  arrivals_.forget_before(tracker_.needed_from());
  split_command_ = split_command_ || arrivals_.cut_by_sender(line, path_.mss);
}

void Observer::on_message(Message&& message) {
  messages_ = message.ordinal;
  ObservedMessage observed{.envelope = std::move(message.envelope),
                           .claims = std::move(message.claims)};
  Trace& trace = observed.trace;
  trace.via = via_;
  trace.message = message.ordinal;
  trace.transfer = message.transfer;
  trace.size = message.size;
  trace.path = path_;
  trace.dialogue = message.dialogue;
  trace.dialogue.split_command = split_command_;
  arrivals_.fill(message.spans, message.tails, trace);
  arrivals_.message_told();
  if ((message.may_lack_chunks || message.cut) && trace.state == State::Complete) {
    trace.state = State::Partial;
    trace.reason = Reason::Dropped;
  }
  const std::uint64_t covered = segments_size(trace);
  const bool end_seen = !message.cut && covered != 0 && covered == message.size;
  trace.dialogue.quit_with_dot = end_seen && trace.segments.back().after > 0;
  append_chunks(message, trace);
  trace.landmarks = std::move(message.landmarks);
  sink_.message(std::move(observed));
}

void Observer::on_answer(std::uint32_t ordinal) {
  sink_.answered(ordinal);
}

void Observer::on_lost(Reason reason) {
  if (reason == Reason::Encrypted) {
    tls_begins_ = true;  // TLS is begun later: the tracker is still processing its bytes
  } else {
    lose(reason);
  }
}

void Observer::lose(Reason reason) {
  if (!limits_.resumes) arrivals_.forget_all();
  sink_.lost(reason);
}

void Observer::append_chunks(const Message& message, Trace& trace) {
  if (message.spans.size() > Trace::kMaxChunks) return;
  std::uint64_t begin = 0;
  for (std::size_t i = 0; i + 1 < message.spans.size(); ++i) {
    begin += message.spans[i].end - message.spans[i].begin;
    trace.chunk_begins.push_back(to_u32(begin));
  }
}

}  // namespace classifier
