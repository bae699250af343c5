// A session under TLS, followed without a key: the client's records, in turns.
//
//     client bytes ─► records ─┐
//     server bytes ─► records ─┴► turns ─► Listener
//
// An SMTP client says something and waits. So its records between two records of the server are one
// turn:
//
//     client   EHLO 23 │ MAIL,RCPT,DATA 75 │ 16384 2210 │ QUIT 6      plaintext bytes of each
//     record server         70│                 65│          32│
//
// tls_message.h finds which turn is a message. From TLS 1.3 on, records hide their type. So all
// records after the client's Finished are taken for application data. Not thread-safe; one for each
// session.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "classifier/tls_records.h"
#include "classifier/trace.h"

namespace classifier {

// One record of application data. `plain` is the most plaintext that it can hold
// (TlsSession::slack()).
struct DataRecord {
  std::uint64_t begin = 0;  // offset of its header, in the client's bytes as given
  std::uint64_t end = 0;
  std::uint32_t plain = 0;
};

struct Turn {
  std::vector<DataRecord> records;  // the first ones, at most Limits::records
  std::uint64_t bytes = 0;          // plaintext of all records
  std::size_t count = 0;            // number of all records
  bool torn = false;  // some records were not seen: `records` has one in the place of an unknown
                      // number
  bool empty() const { return count == 0; }
  bool whole() const { return count == records.size(); }
};

class TlsSession {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // The server has answered a turn.
    virtual void on_turn(Turn&& turn) = 0;
    // The server said more, and the client said nothing since its last turn.
    virtual void on_more_answers() {}
    // Bytes of the server were not seen. It is not known how often it answered in them.
    virtual void on_missed_answers() {}
    // The first record of the next turn came. Not called for a record that may be close_notify.
    virtual void on_next_turn() {}
  };

  struct Limits {
    std::size_t records = 4096;  // kept of one turn
  };

  // Requires: `listener` outlives the session. The streams begin with the hellos.
  TlsSession(Listener& listener, Limits limits) : listener_(listener), limits_(limits) {}

  void client(std::span<const char> bytes);
  void server(std::span<const char> bytes);
  // For captures that lost packets: the next `size` bytes of each side were not seen.
  void client_gap(std::uint64_t size);
  void server_gap(std::uint64_t size);
  // Both streams have ended.
  void end();

  // The bytes are not TLS, or the lengths of their cipher cannot be read. Nothing more is reported.
  bool lost() const { return phase_ == Phase::Lost; }
  const TlsChoice& choice() const { return choice_; }
  // The client's hello, as far as it was kept.
  std::span<const char> client_hello() const { return client_records_.hello(); }
  std::uint32_t slack() const { return overhead_.slack(); }

  // What the client has said since the server spoke last.
  const Turn& turn() const { return turn_; }
  // Is the current turn the end of the session: close_notify, and no message?
  bool closing() const;
  // Client bytes before this offset do not belong to the current turn.
  std::uint64_t needed_from() const;

 private:
  //     Hello ──client's Finished──► Encrypted       any ──no record, unknown lengths──► Lost
  enum class Phase : std::uint8_t { Hello, Encrypted, Lost };

  template <typename OnRecord>
  void read(TlsRecordReader& records, std::span<const char> bytes, OnRecord on_record);
  void on_client_record(const TlsRecord& record);
  bool may_be_records(std::uint64_t size) const;
  void in_hello(const TlsRecord& record);
  void on_finished(const TlsRecord& record);
  void miss_finished(const TlsRecord& record);
  void on_server_record();
  void lose();

  Listener& listener_;
  const Limits limits_;
  Phase phase_ = Phase::Hello;
  TlsRecordReader client_records_;
  TlsRecordReader server_records_;
  TlsChoice choice_;
  TlsOverhead overhead_;
  bool cipher_changed_ = false;  // the client's ChangeCipherSpec came
  Turn turn_;
};

}  // namespace classifier
