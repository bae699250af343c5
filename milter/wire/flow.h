// One connection as the wire tap passes it on: puts each direction together by sequence number and
// gives it to an Observer, as the proxy gives its bytes.
//
//     WirePacket ─► in order ─► bytes, known and unknown ─► Observer ─► evidence table
//
// The tap passes commands and replies whole, of a message the ends of each packet, under TLS the
// records' headers. What it does not pass stands in the stream as a filler that means nothing to
// the tracker: a letter, and a line end where one was seen. So the tracker finds a message's end
// (it ends a packet, or begins one) and never reads a word of it; its landmarks come from the
// filter. Should an end lie where nobody looked, the server's answer to it is one that nobody asked
// for: the session is lost, and no message is told of wrongly. Where a command is expected, a
// filler may stand for the one that begins the next message: the session is lost there and then.
//
// Packets may be forged, and TCP refuses some that are not. Each packet says how far the server had
// acknowledged the stream when it came. What was acknowledged by then is a copy. Two packets over
// the same bytes that were not: if they end and read alike, the second is a copy; else one of them
// was refused, nothing here tells which, and the connection is not followed any more. Urgent data
// takes a place in the sequence and none in the stream; no mail program sends any, and the
// connection is not followed any more either.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "classifier/observer.h"
#include "milter/capture/wire_tap.h"
#include "milter/evidence/table.h"
#include "milter/wire/counters.h"

namespace wire {

class Flow final : private classifier::Observer::Sink {
 public:
  // Packets of one direction that wait for the one in front of them.
  static constexpr std::size_t kMostWaiting = 512;
  // Notes on one packet.
  static constexpr std::size_t kMostNotes = 8192;

  // What flows share. `scratch` is for one call of packet(); all outlive the flow.
  struct Shared {
    evidence::Table& table;
    Counters& counters;
    std::vector<char>& scratch;
    std::size_t max_segments;
    std::uint64_t max_session_ns;
  };

  // Requires: `syn` is the client's SYN, and the next packet the server's answer to it. `session`:
  // a number that no other flow of the table has.
  Flow(const capture::WirePacket& syn, std::uint64_t session, const Shared& shared);
  ~Flow() override;
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  // Requires: of this connection.
  void packet(const capture::WirePacket& packet);
  // The connection may go on, and is not followed any more: nothing is told of its messages.
  void give_up(classifier::Reason reason);
  // Says what it keeps; what is too much for the process goes.
  void account();
  // Both ends have ended it.
  bool over() const { return over_; }

 private:
  // Bytes that are known, at their place in the stream.
  struct Known {
    std::uint64_t offset;
    std::string bytes;
  };
  struct Piece {
    std::uint64_t end;
    std::uint32_t unit;  // of its segments, but the last
    std::vector<Known> known;
  };
  using Pieces = std::map<std::uint64_t, Piece>;  // by their first byte
  struct Direction {
    std::optional<std::uint32_t> first;  // sequence number of the first payload byte
    std::uint64_t next = 0;              // offset up to which bytes were given
    Pieces waiting;                      // for what is in front of them
    Pieces given;                        // not acknowledged yet: to compare with what follows
    std::vector<Known> notes;            // on packets that are still to come
    std::optional<std::uint64_t> end;    // of the stream: FIN was seen
  };

  void handshake(const capture::WirePacket& packet);
  void learn_path(const capture::WirePacket& syn_ack);
  void take_syn_data(std::uint64_t time_ns);
  void note(Direction& direction, const capture::WirePacket& packet);
  void arrivals(const capture::WirePacket& packet, std::uint64_t offset);
  void payload(Direction& direction, const capture::WirePacket& packet);
  void forget_given(std::uint64_t taken);
  bool contradicted(std::uint64_t begin, const Piece& piece, std::uint64_t taken);
  static void take_notes(Direction& direction, std::uint64_t begin, Piece& piece);
  void give_waiting(Direction& direction);
  void give(Direction& direction, std::uint64_t begin, Piece&& piece);
  void give_client(std::uint64_t begin, std::span<const char> bytes,
                   const std::vector<Known>& known);
  void missed(std::uint64_t end);
  // Requires: an observer.
  bool behind() const;
  void close();
  void lose(classifier::Reason reason);
  void forget();

  static std::optional<std::uint64_t> place(const Direction& direction, std::uint32_t seq);
  static bool read_alike(const std::vector<Known>& left, const std::vector<Known>& right);
  static std::vector<Known> known_of(const capture::WirePacket& packet, std::uint64_t offset);

  void message(classifier::ObservedMessage&& message) override;
  void answered(std::uint32_t ordinal) override;
  void lost(classifier::Reason reason) override;
  std::shared_ptr<classifier::TlsStream> follow_tls(classifier::TlsLog::Start&& start,
                                                    classifier::ArrivalLog&& arrivals) override;

  const Shared shared_;
  const evidence::SessionKey session_;
  std::string syn_data_;  // TCP Fast Open: what came with the SYN, until it was answered
  const std::uint64_t began_ns_;
  Direction client_;
  Direction server_;
  classifier::Path path_;
  bool client_timestamps_ = false;
  std::uint64_t asked_ns_ = 0;                    // when SYN-ACK went out; 0: answered, or not sent
  std::optional<classifier::Observer> observer_;  // none: nothing more can be told
  evidence::Budget::Share share_;
  bool greeted_ = false;  // the table knows that Postfix has greeted
  bool behind_ = false;   // and that the observer is behind
  bool over_ = false;
};

}  // namespace wire
