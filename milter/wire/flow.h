// One connection as the wire tap passes it on. It puts each direction in order by sequence number
// and gives it to an Observer, in the same way as the proxy gives its bytes.
//
//     WirePacket ─► in order ─► bytes, known and unknown ─► Observer ─► evidence table
//
// What the tap passes: commands and replies whole; the ends of each packet of a message; under TLS
// the headers of the records. Each byte that it does not pass is replaced by a filler that means
// nothing to the tracker: a letter, or a line end where the tap saw one. So the tracker finds the
// end of a message (it ends or begins a packet) without reading a word of it. The filter adds the
// landmarks. If an end of data lay in bytes that were not passed, the server's answer to it would
// match no command. The session is then lost, and no wrong label is given. Where a command is
// expected, a filler may hide the command that begins the next message: the session is lost at
// once.
//
// Packets may be forged, and TCP refuses some genuine ones. Each packet says how far the server had
// acknowledged the stream when the packet came. Bytes that were acknowledged by then are a copy. If
// two packets cover the same bytes that were not, there are two cases. If they end alike and read
// alike, the second is a copy. Else TCP refused one of them; which one is not visible here, and the
// connection is no longer followed. Urgent data has a place in the sequence numbers but none in the
// stream. No mail program sends it, and a connection with urgent data is no longer followed either.
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
  // Packets of one direction that wait for an earlier one. Beyond the limit the connection is lost.
  // Both limits were chosen, not measured: they are far above what a healthy connection needs, and
  // bound the memory of one connection.
  static constexpr std::size_t kMostWaiting = 512;
  // Notes about packets that have not come yet. Further ones are dropped.
  static constexpr std::size_t kMostNotes = 8192;

  // What all flows share. `scratch` is used during one call of packet(). All must outlive the flow.
  struct Shared {
    evidence::Table& table;
    Counters& counters;
    std::vector<char>& scratch;
    std::size_t max_segments;
    std::uint64_t max_session_ns;
  };

  // Requires: `syn` is the client's SYN, and the next packet is the server's answer to it.
  // `session`: a number that no other flow of the table has.
  Flow(const capture::WirePacket& syn, std::uint64_t session, const Shared& shared);
  ~Flow() override;
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  // Requires: the packet belongs to this connection.
  void packet(const capture::WirePacket& packet);
  // The connection may go on but is not followed any more. No evidence of its messages is given.
  void give_up(classifier::Reason reason);
  // Updates its share of the budget. If that is too much for the process, stops observing.
  void account();
  // The server has ended the connection, or a valid reset of either end has.
  bool over() const { return over_; }

 private:
  // Bytes whose values are known, at their place in the stream.
  struct Known {
    std::uint64_t offset;
    std::string bytes;
  };
  struct Piece {
    std::uint64_t end;
    std::uint32_t unit;  // size of its segments, except the last one
    std::vector<Known> known;
  };
  using Pieces = std::map<std::uint64_t, Piece>;  // by their first byte
  struct Direction {
    std::optional<std::uint32_t> first;  // sequence number of the first payload byte
    std::uint64_t next = 0;              // offset up to which bytes were given
    Pieces waiting;                      // for the bytes before them
    Pieces given;                        // not acknowledged yet; compared with later packets
    std::vector<Known> notes;            // about packets that have not come yet
    std::optional<std::uint64_t> end;    // of the stream, if a FIN was seen
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
  // Requires: there is an observer.
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
  std::string syn_data_;  // TCP Fast Open: the payload of the SYN, until the server has answered it
  const std::uint64_t began_ns_;
  Direction client_;
  Direction server_;
  classifier::Path path_;
  bool client_timestamps_ = false;
  std::uint64_t asked_ns_ = 0;  // when the SYN-ACK was sent; 0: already answered, or not sent
  std::optional<classifier::Observer> observer_;  // none: the connection is no longer observed
  evidence::Budget::Share share_;
  bool greeted_ = false;     // the table knows that Postfix has greeted
  bool behind_ = false;      // the table knows that the observer is behind
  std::uint32_t words_ = 0;  // how the client has talked, as the table was told last
  bool over_ = false;
};

}  // namespace wire
