// Two TLS streams from strangers: record headers, hellos, turns.
//
// Input: pieces. Each has one byte for the side, the cut and whether a capture lost it (0x80), one
// byte for the size, then the bytes. What must hold: any cut gives the same messages; they lie one
// after another inside what was given; sizes are those of records.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include "classifier/classify.h"
#include "classifier/tls_log.h"
#include "classifier/trace_text.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

struct Piece {
  bool client = false;
  bool lost = false;  // the capture does not have it
  std::string bytes;
};

std::vector<Piece> pieces_of(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kScale = 8;  // so that a record of 16 KB needs few pieces
  std::vector<Piece> pieces;
  for (std::size_t at = 0; at + 2 <= size;) {
    Piece piece{.client = (data[at] & 1) != 0, .lost = (data[at] & 0x80) != 0};
    const std::size_t wanted = std::size_t{data[at + 1]} * kScale;
    at += 2;
    const std::size_t some = std::min(wanted, size - at);
    piece.bytes.assign(reinterpret_cast<const char*>(data) + at, some);
    at += some;
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

struct Told final : classifier::TlsLog::Sink {
  std::vector<classifier::Trace> traces;
  void tls_message(classifier::Trace&& trace) override { traces.push_back(std::move(trace)); }
};

void check(const classifier::Trace& trace) {
  const auto again = classifier::parse_trace(classifier::print(trace));
  require(std::get<classifier::Trace>(again) == trace);
  std::uint64_t size = 0;
  for (const auto& record : trace.records) {
    require(record.size > 0);
    size += record.size;
  }
  const bool torn = trace.records.empty() && trace.state == classifier::State::Partial;
  require(torn || (!trace.records.empty() && size == trace.size));
  const auto verdict = classifier::classify(trace, {});
  require(verdict.confidence >= 0 && verdict.confidence <= 1);
}

// `ask`: asks after each piece, as a milter would; else messages are inferred.
std::vector<classifier::Trace> follow(const std::vector<Piece>& pieces, std::size_t cut, bool ask) {
  // The limit holds for arrivals too: where it is reached depends on the cut.
  constexpr std::size_t kRecords = 16384;
  Told told;
  classifier::TlsLog log({.segments = kRecords}, classifier::ArrivalLog(kRecords),
                         ask ? nullptr : &told);
  std::uint64_t given = 0;
  for (const Piece& piece : pieces) {
    const std::string_view bytes(piece.bytes);
    for (std::size_t at = 0; at < bytes.size(); at += cut) {
      const auto some = bytes.substr(at, cut);
      if (piece.lost && !ask) {
        if (piece.client) given += some.size();
        piece.client ? log.client_gap(some.size()) : log.server_gap(some.size());
        continue;
      }
      if (piece.client) {
        log.segment({.offset = given, .size = static_cast<std::uint32_t>(some.size())});
        given += some.size();
      }
      piece.client ? log.client(some) : log.server(some);
      require(log.client_offset() == given);
    }
    if (!ask) continue;
    for (const std::uint64_t body : {0, 90, 5000}) {
      auto found = log.trace({.header = 300, .body = body, .dots = 1}, 1);
      if (auto* trace = std::get_if<classifier::Trace>(&found)) {
        check(*trace);
        told.traces.push_back(std::move(*trace));
      }
    }
  }
  log.finish();
  for (const auto& trace : told.traces) check(trace);
  return told.traces;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto pieces = pieces_of(data, size);
  for (const bool ask : {false, true}) {
    const auto whole = follow(pieces, 1 << 20, ask);
    const auto cut = follow(pieces, 3, ask);
    require(whole.size() == cut.size());
    for (std::size_t i = 0; i < whole.size(); ++i) {
      require(whole[i].records == cut[i].records && whole[i].window == cut[i].window);
    }
  }
  return 0;
}
