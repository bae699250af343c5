#include "classifier/tls_session.h"

#include <utility>

namespace classifier {
namespace {

// The size of an alert, such as close_notify. From TLS 1.3 on its type is hidden.
constexpr std::uint64_t kAlert = 2;

constexpr std::uint16_t kTls13 = 0x0304;

}  // namespace

template <typename OnRecord>
void TlsSession::read(TlsRecordReader& records, std::span<const char> bytes, OnRecord on_record) {
  TlsRecord record;
  while (!lost() && !bytes.empty()) {
    switch (records.read(bytes, record)) {
      case TlsRecordReader::Got::More:
        break;
      case TlsRecordReader::Got::Record:
        on_record(record);
        break;
      case TlsRecordReader::Got::Malformed:
        lose();
        break;
    }
  }
}

void TlsSession::client(std::span<const char> bytes) {
  read(client_records_, bytes, [this](const TlsRecord& record) { on_client_record(record); });
}

void TlsSession::server(std::span<const char> bytes) {
  read(server_records_, bytes, [this](const TlsRecord& record) {
    if (record.type == TlsType::ApplicationData && !record.unseen) on_server_record();
  });
}

void TlsSession::client_gap(std::uint64_t size) {
  TlsRecord record;
  while (!lost() && size != 0) {
    if (client_records_.skip(size, record) == TlsRecordReader::Got::Record) {
      on_client_record(record);
    }
  }
}

// The gap may contain an answer of the server. The client's next bytes come after that answer.
void TlsSession::server_gap(std::uint64_t size) {
  TlsRecord record;
  const bool goes_on = server_records_.searching() && (turn_.empty() || closing());
  std::uint64_t left = size;
  while (!lost() && left != 0) {
    size = left;
    const auto got = server_records_.skip(left, record);
    if (got == TlsRecordReader::Got::Record && record.type == TlsType::ApplicationData) {
      on_server_record();
    }
  }
  if (phase_ != Phase::Encrypted || !server_records_.searching()) return;
  if (goes_on) return listener_.on_missed_answers();
  on_server_record();
  if (may_be_records(size)) listener_.on_missed_answers();
}

// Can so many bytes be more than one record? Each record has at least one byte of plaintext.
bool TlsSession::may_be_records(std::uint64_t size) const {
  return size >= 2 * (std::uint64_t{TlsRecord::kHeader} + overhead_.added + 1);
}

void TlsSession::end() {
  TlsRecord record;
  if (!lost() && client_records_.end(record)) on_client_record(record);
}

void TlsSession::on_client_record(const TlsRecord& record) {
  if (phase_ == Phase::Hello) return in_hello(record);
  if (record.unseen && may_be_records(record.end() - record.begin)) turn_.torn = true;
  if (record.type != TlsType::ApplicationData) return;
  const std::uint32_t plain = overhead_.most_plain(record.length);
  if (plain == 0) return;
  const bool second = turn_.count == 1;
  turn_.bytes += plain;
  if (++turn_.count <= limits_.records) {
    turn_.records.push_back({record.begin, record.end(), plain});
  }
  if (second || (turn_.count == 1 && plain != kAlert)) listener_.on_next_turn();
}

void TlsSession::in_hello(const TlsRecord& record) {
  if (choice_.version == 0) choice_ = read_server_hello(server_records_.hello());
  if (record.unseen) return miss_finished(record);
  switch (record.type) {
    case TlsType::ChangeCipherSpec:
      cipher_changed_ = true;
      if (choice_.version == 0) lose();  // the server's hello was not seen
      break;
    case TlsType::Handshake:
      if (choice_.version != kTls13 && cipher_changed_) on_finished(record);
      break;
    case TlsType::ApplicationData:
      // Without middlebox compatibility TLS 1.3 has no ChangeCipherSpec.
      choice_.version == kTls13 ? on_finished(record) : lose();
      break;
    case TlsType::Alert:
    case TlsType::Heartbeat:
      break;
  }
}

// The client's hello is not needed. After the server's hello the client sends its Finished. In TLS
// 1.3 only ChangeCipherSpec can come before it. So a gap of exactly this length is known to be the
// Finished. Without a Finished no length can be read.
//
//     ServerHello …
//                    [ ChangeCipherSpec 6 │ Finished 5 + 36 + 17 ] not seen     EHLO …
void TlsSession::miss_finished(const TlsRecord& record) {
  constexpr std::uint32_t kChangeCipherSpec = 6;
  constexpr std::uint32_t kUsualAdded = 17;  // one byte of type and a tag of 16
  const bool hello = record.begin == 0;
  if (hello || choice_.version == 0) return;
  std::uint32_t length = record.length;
  TlsOverhead overhead;
  for (const std::uint32_t front : {0U, kChangeCipherSpec}) {
    if (choice_.version != kTls13 || length < front) break;
    if (front != 0 && cipher_changed_) break;
    if (!overhead_of_finished(choice_, length - front, overhead)) continue;
    if (overhead.added != kUsualAdded) continue;
    overhead_ = overhead;
    phase_ = Phase::Encrypted;
    return;
  }
  lose();
}

// A client that was asked for a certificate sends records before its Finished: the certificate, or
// an empty one.
void TlsSession::on_finished(const TlsRecord& record) {
  if (overhead_of_finished(choice_, record.length, overhead_)) {
    phase_ = Phase::Encrypted;
  } else if (choice_.version != kTls13) {
    lose();
  }
}

void TlsSession::on_server_record() {
  TlsRecord unseen;
  if (client_records_.end_unseen(unseen)) on_client_record(unseen);
  if (phase_ != Phase::Encrypted) return;
  // What a server says after close_notify answers what the client said before it.
  if (turn_.empty() || closing()) return listener_.on_more_answers();
  listener_.on_turn(std::exchange(turn_, {}));
}

bool TlsSession::closing() const {
  return turn_.count == 1 && turn_.bytes == kAlert;
}

std::uint64_t TlsSession::needed_from() const {
  return turn_.empty() ? client_records_.at() : turn_.records.front().begin;
}

void TlsSession::lose() {
  phase_ = Phase::Lost;
  turn_ = {};
}

}  // namespace classifier
