// Two TLS streams from strangers: record headers, hellos, turns.
//
// Input: pieces, each one byte for the side and the cut, one for the size, then the bytes. What
// must hold: any cut gives the same messages; they lie behind one another within what was given;
// sizes are those of records.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "classifier/tls_session.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

struct Piece {
  bool client = false;
  std::string bytes;
};

std::vector<Piece> pieces_of(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kScale = 8;  // so that a record of 16 KB needs few pieces
  std::vector<Piece> pieces;
  for (std::size_t at = 0; at + 2 <= size;) {
    Piece piece{.client = (data[at] & 1) != 0};
    const std::size_t wanted = std::size_t{data[at + 1]} * kScale;
    at += 2;
    const std::size_t some = std::min(wanted, size - at);
    piece.bytes.assign(reinterpret_cast<const char*>(data) + at, some);
    at += some;
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

struct Told final : classifier::TlsSession::Listener {
  std::vector<classifier::SealedMessage> messages;
  void on_sealed(classifier::SealedMessage&& message) override {
    messages.push_back(std::move(message));
  }
};

Told follow(const std::vector<Piece>& pieces, std::size_t cut) {
  Told told;
  classifier::TlsSession session(told, {.records = 64});
  std::uint64_t given = 0;
  for (const Piece& piece : pieces) {
    const std::string_view bytes(piece.bytes);
    for (std::size_t at = 0; at < bytes.size(); at += cut) {
      const auto some = bytes.substr(at, cut);
      if (piece.client) given += some.size();
      piece.client ? session.client(some) : session.server(some);
      require(session.lost() || session.needed_from() <= given);
    }
  }
  session.finish();
  std::uint64_t end = 0;
  for (const auto& message : told.messages) {
    require(message.begin >= end && message.end > message.begin && message.end <= given);
    require(!message.records.empty() && message.records.size() <= 64);
    for (const auto& record : message.records) require(record.size > 0);
    end = message.end;
  }
  return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto pieces = pieces_of(data, size);
  const Told whole = follow(pieces, 1 << 20);
  const Told cut = follow(pieces, 3);
  require(whole.messages.size() == cut.messages.size());
  for (std::size_t i = 0; i < whole.messages.size(); ++i) {
    require(whole.messages[i].begin == cut.messages[i].begin);
    require(whole.messages[i].records == cut.messages[i].records);
  }
  return 0;
}
