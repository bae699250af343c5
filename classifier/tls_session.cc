#include "classifier/tls_session.h"

#include <utility>

namespace classifier {
namespace {

// `DATA`, `QUIT`, `RSET` or `NOOP` with CRLF.
constexpr std::uint64_t kFourLetters = 6;
constexpr std::uint32_t kQuit = 6;
// An alert, close_notify that is. From TLS 1.3 on its type is hidden.
constexpr std::uint64_t kAlert = 2;
// Behind DATA on a line of its own a message may be as short as this; else it was RSET, and the
// next turn is MAIL.
constexpr std::uint64_t kLeastBehindData = 100;
// A turn of this size behind an envelope is a message: commands, even some recipients, have less.
constexpr std::uint64_t kLeastMessage = 300;

constexpr std::uint32_t kCrLf = 2;

constexpr std::uint16_t kTls13 = 0x0304;

}  // namespace

TlsSession::TlsSession(Listener& listener, Limits limits) : listener_(listener), limits_(limits) {}

void TlsSession::client(std::span<const char> bytes) {
  TlsRecord record;
  while (!lost() && !bytes.empty()) {
    switch (client_records_.read(bytes, record)) {
      case TlsRecordReader::Got::More:
        break;
      case TlsRecordReader::Got::Record:
        on_client_record(record);
        break;
      case TlsRecordReader::Got::Malformed:
        lose();
        break;
    }
  }
}

void TlsSession::server(std::span<const char> bytes) {
  TlsRecord record;
  while (!lost() && !bytes.empty()) {
    switch (server_records_.read(bytes, record)) {
      case TlsRecordReader::Got::More:
        break;
      case TlsRecordReader::Got::Record:
        if (record.type == TlsType::ApplicationData) on_server_record();
        break;
      case TlsRecordReader::Got::Malformed:
        lose();
        break;
    }
  }
}

void TlsSession::on_client_record(const TlsRecord& record) {
  if (phase_ == Phase::Hello) {
    const bool sealed = choice_.version == kTls13 ? record.type == TlsType::ApplicationData
                                                  : record.type == TlsType::Handshake;
    if (record.type == TlsType::ChangeCipherSpec) {
      choice_ = read_server_hello(server_records_.hello());
      cipher_changed_ = true;
      if (choice_.version == 0) lose();
    } else if (choice_.version == 0) {
      choice_ = read_server_hello(server_records_.hello());
      // Without middlebox compatibility TLS 1.3 has no ChangeCipherSpec.
      if (record.type == TlsType::ApplicationData) {
        choice_.version == kTls13 ? on_finished(record) : lose();
      }
    } else if (sealed && (cipher_changed_ || choice_.version == kTls13)) {
      on_finished(record);
    }
    return;
  }
  if (record.type != TlsType::ApplicationData) return;
  const std::uint32_t plain = overhead_.most_plain(record.length);
  if (plain == 0) return;
  if (pending_ && !(turn_.empty() && plain == kAlert)) give(false);
  if (turn_.empty()) turn_.begin = record.begin;
  turn_.end = record.end();
  turn_.bytes += plain;
  if (++turn_.count <= limits_.records) turn_.records.push_back({.size = plain});
}

// A client that was asked for a certificate sends it, or none, in records in front of its Finished.
void TlsSession::on_finished(const TlsRecord& record) {
  if (overhead_of_finished(choice_, record.length, overhead_)) {
    phase_ = Phase::Sealed;
  } else if (choice_.version != kTls13) {
    lose();
  }
}

void TlsSession::on_server_record() {
  if (phase_ != Phase::Sealed) return;
  if (turn_.empty()) {
    ++answers_;
  } else {
    end_turn();
  }
}

void TlsSession::end_turn() {
  Turn turn = std::exchange(turn_, {});
  answers_ = 1;
  if (part_ == Part::Greeting) {
    part_ = Part::Envelope;
    return;
  }
  const bool behind_data = std::exchange(part_, Part::Envelope) == Part::BehindData;
  if (!behind_data && turn.count == 1 && turn.bytes == kFourLetters) {
    if (envelope_turns_ != 0) part_ = Part::BehindData;
    return;
  }
  const std::uint64_t least = behind_data ? kLeastBehindData : kLeastMessage;
  if (envelope_turns_ == 0 || turn.bytes < least) {
    ++envelope_turns_;
    if (turn.count > 1 && turn.records.back().size == kCrLf && overhead_.slack() == 0) {
      split_command_ = true;
    }
    return;
  }
  if (turn.count <= limits_.records) {
    pending_ = SealedMessage{.begin = turn.begin,
                             .end = turn.end,
                             .records = std::move(turn.records),
                             .data_ahead = !behind_data,
                             .rcpt_ahead = envelope_turns_ == 1,
                             .split_command = split_command_};
  }
  envelope_turns_ = 0;
}

void TlsSession::give(bool quit_with_dot) {
  SealedMessage message = std::move(*pending_);
  pending_.reset();
  if (quit_with_dot && message.records.back().size > kQuit) {
    message.quit_with_dot = true;
    message.records.back().size -= kQuit;
    message.records.back().after = kQuit;
  }
  listener_.on_sealed(std::move(message));
}

void TlsSession::finish() {
  if (lost()) return;
  // A last turn that nobody answered: close_notify, or a message that was cut.
  const bool alert = turn_.count == 1 && turn_.bytes == kAlert;
  const bool open = !turn_.empty() && !alert;
  if (open) {
    end_turn();
    if (pending_) pending_->cut = true;
  }
  // Nothing was said behind the message, and the server answered twice: QUIT came with it.
  if (pending_) give(!open && pending_->data_ahead && answers_ > 1);
  lose();
}

void TlsSession::lose() {
  phase_ = Phase::Lost;
  pending_.reset();
  turn_ = {};
}

std::uint64_t TlsSession::needed_from() const {
  if (pending_) return pending_->begin;
  return turn_.empty() ? client_records_.at() : turn_.begin;
}

}  // namespace classifier
