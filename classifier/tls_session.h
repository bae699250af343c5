// A session under TLS, followed without a key: which of the client's records are a message, told by
// sizes and by who spoke when.
//
//     client bytes ─► records ─┐
//     server bytes ─► records ─┴► turns ─► Listener::on_sealed(SealedMessage)
//
// A client that speaks SMTP says its commands, waits, and sends the message when the server said
// 354. So the client's records between two of the server's are a turn, and the turn behind DATA is
// a message:
//
//     client   EHLO 23 │ MAIL,RCPT,DATA 75 │ 16384 2210 │ QUIT 6      plaintext bytes of each
//     record server         70│                 65│          32│
//
// DATA on its own line has 6 bytes; sent with the commands in front of it, it does not show, and
// the message is known by its size. That is an inference: a message of a few hundred bytes behind
// pipelined commands is left out, and BDAT, which waits for nobody, cannot be told from commands.
// Where the milter can say where the message lies, nobody needs to infer.
//
// From TLS 1.3 on records hide their type: what follows the client's Finished is application data.
// Not thread-safe; one a session.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "classifier/tls_records.h"
#include "classifier/trace.h"

namespace classifier {

struct SealedMessage {
  std::uint64_t begin = 0;  // in the client's bytes as they were given: the first record's header
  std::uint64_t end = 0;    // behind the last record
  std::vector<Record> records;
  bool data_ahead = false;     // DATA was sent with the commands in front of it
  bool rcpt_ahead = false;     // so was RCPT
  bool split_command = false;  // a command and its CRLF came in two records, in this session
  bool quit_with_dot = false;  // the last record has QUIT behind the message
  bool cut = false;            // the session ended before the server answered
};

class TlsSession {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_sealed(SealedMessage&& message) = 0;
  };

  struct Limits {
    std::size_t records = 4096;  // kept of one turn; a longer one is no message that can be told
  };

  // Requires: `listener` outlives the session. The streams begin with the hellos.
  TlsSession(Listener& listener, Limits limits);

  void client(std::span<const char> bytes);
  void server(std::span<const char> bytes);
  // Both streams have ended.
  void finish();

  // What came is no TLS, or of a cipher whose lengths cannot be read: nothing more is told.
  bool lost() const { return phase_ == Phase::Lost; }
  const TlsChoice& choice() const { return choice_; }
  std::uint32_t slack() const { return overhead_.slack(); }
  // Client bytes in front of this offset are no part of a later message.
  std::uint64_t needed_from() const;

 private:
  //     Hello ──client's Finished──► Sealed          any ──no record, unknown lengths──► Lost
  enum class Phase : std::uint8_t { Hello, Sealed, Lost };

  // What the client's next turn is:
  //
  //     Greeting ──► Envelope ──DATA on its own──► BehindData ──message, or a short turn──►
  //     Envelope
  //                   │    ▲
  //                   └────┘ a turn of a message's size is one; any other is commands
  enum class Part : std::uint8_t { Greeting, Envelope, BehindData };

  struct Turn {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::vector<Record> records;
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    bool empty() const { return count == 0; }
  };

  void on_client_record(const TlsRecord& record);
  void on_finished(const TlsRecord& record);
  void on_server_record();
  void end_turn();
  void give(bool quit_with_dot);
  void lose();

  Listener& listener_;
  const Limits limits_;
  Phase phase_ = Phase::Hello;
  TlsRecordReader client_records_;
  TlsRecordReader server_records_;
  TlsChoice choice_;
  TlsOverhead overhead_;
  bool cipher_changed_ = false;  // the client's ChangeCipherSpec came
  Part part_ = Part::Greeting;
  std::uint32_t envelope_turns_ = 0;  // of this transaction
  bool split_command_ = false;
  Turn turn_;
  std::optional<SealedMessage> pending_;  // told when it is known whether QUIT follows
  std::uint32_t answers_ = 0;             // the server's records since the pending message
};

}  // namespace classifier
