// Two hostile streams against the tracker and the observer. The input is text: \x01 begins the
// client's bytes, \x02 the server's, and \x03 is a cut; all other bytes stand for themselves.
//
// What must hold: the events are the same wherever the bytes are cut; message windows are in order,
// inside the stream, as large as they say, and end as they say; no event follows the loss; segments
// fit the window exactly.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "classifier/observer.h"
#include "classifier/smtp_tracker.h"

namespace {

using namespace classifier;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Piece {
  bool client = true;
  std::string bytes;
};

std::vector<Piece> read_pieces(std::string_view input) {
  std::vector<Piece> pieces(1);
  for (const char c : input) {
    if (c == '\x01' || c == '\x02') {
      pieces.push_back({.client = c == '\x01', .bytes = {}});
    } else if (c == '\x03') {
      pieces.push_back({.client = pieces.back().client, .bytes = {}});
    } else {
      pieces.back().bytes += c;
    }
  }
  return pieces;
}

std::vector<Piece> joined(const std::vector<Piece>& pieces) {
  std::vector<Piece> out;
  for (const Piece& piece : pieces) {
    if (piece.bytes.empty()) continue;
    if (out.empty() || out.back().client != piece.client) {
      out.push_back(piece);
    } else {
      out.back().bytes += piece.bytes;
    }
  }
  return out;
}

std::vector<Piece> single_bytes(const std::vector<Piece>& pieces) {
  std::vector<Piece> out;
  for (const Piece& piece : pieces) {
    for (const char c : piece.bytes) out.push_back({.client = piece.client, .bytes = {c}});
  }
  return out;
}

struct Event {
  char kind;
  std::uint64_t number;
  std::vector<Span> spans;
  std::vector<Tail> tails;
  Landmarks landmarks;
  Dialogue dialogue;
  bool operator==(const Event&) const = default;
};

class Checker final : public SmtpTracker::Listener {
 public:
  explicit Checker(std::string_view stream) : stream_(stream) {}

  // `queued`: the limit on bytes that the tracker keeps while they wait for a reply.
  void run(const std::vector<Piece>& pieces, std::size_t queued) {
    SmtpTracker tracker(*this, {.queued = queued});
    for (const Piece& piece : pieces) {
      piece.client ? tracker.client(piece.bytes) : tracker.server(piece.bytes);
      require(tracker.lost() == lost_);
      require(tracker.needed_from() >= needed_ && tracker.needed_from() <= tracker.client_offset());
      needed_ = tracker.needed_from();
    }
    require(tracker.client_offset() == stream_.size());
  }

  std::vector<Event> events;

 private:
  void on_command(Span line) override {
    require(!lost_ && line.begin >= std::max(last_, needed_) && line.begin < line.end);
    require(line.end <= stream_.size() && stream_[line.end - 1] == '\n');
    const std::string_view text = stream_.substr(line.begin, line.end - line.begin);
    require(text.find('\n') == text.size() - 1);
    last_ = line.end;
    events.push_back({.kind = 'c', .number = line.begin, .spans = {line}});
  }

  void on_message(Message&& m) override {
    require(!lost_ && m.ordinal == ++messages_ && m.spans.size() == m.tails.size());
    std::uint64_t size = 0;
    std::uint64_t at = needed_;
    for (std::size_t i = 0; i < m.spans.size(); ++i) {
      const Span span = m.spans[i];
      require(span.begin >= at && span.begin < span.end && span.end <= stream_.size());
      require(m.tails[i] == tail_of(stream_[span.end - 1]));
      size += span.end - span.begin;
      at = span.end;
    }
    require(size == m.size);
    if (m.transfer == Transfer::Data) check_data(m);
    check_landmarks(m);
    last_ = std::max(last_, at);
    events.push_back({'m', m.ordinal, m.spans, m.tails, m.landmarks, m.dialogue});
  }

  void check_data(const Message& m) {
    require(m.spans.size() == 1);
    // The first line that has only a dot and, perhaps, CRs is the last line.
    const std::string_view text = stream_.substr(m.spans[0].begin, m.size);
    std::size_t begin = 0;
    std::string_view line;
    for (std::size_t lf = 0; begin < text.size(); begin = lf + 1) {
      lf = text.find('\n', begin);
      require(lf != text.npos);
      line = text.substr(begin, lf - begin);
      const bool dot = line.starts_with('.') && line.find_first_not_of('\r', 1) == line.npos;
      require(dot == (lf + 1 == text.size()));
    }
    require(m.landmarks.terminator == std::min<std::size_t>(line.size() + 1, 4));
  }

  static void check_landmarks(const Message& m) {
    const Landmarks& l = m.landmarks;
    std::uint32_t end = 0;
    for (const HeaderField& field : l.fields) {
      require(field.end > end);
      end = field.end;
    }
    require(l.fields.size() <= Landmarks::kMaxFields && end <= l.header_end);
    require(l.header_end <= m.size && l.body_begin <= m.size && l.first_line_end <= m.size);
    require(l.body_begin == 0 || l.body_begin >= l.header_end);
  }

  void on_answer(std::uint32_t ordinal) override {
    require(!lost_ && ordinal <= messages_ && ordinal > answered_);
    answered_ = ordinal;
    events.push_back({.kind = 'a', .number = ordinal});
  }

  void on_lost(Reason reason) override {
    require(!std::exchange(lost_, true));
    events.push_back({.kind = 'l', .number = static_cast<std::uint64_t>(reason)});
  }

  std::string_view stream_;
  std::uint64_t last_ = 0;
  std::uint64_t needed_ = 0;
  std::uint32_t messages_ = 0;
  std::uint32_t answered_ = 0;
  bool lost_ = false;
};

// Each piece of the client arrives as one segment, and some arrive twice.
class SegmentChecker final : public Observer::Sink {
 public:
  void run(const std::vector<Piece>& pieces, std::size_t limit, bool repeat) {
    limit_ = limit;
    Observer observer(*this, Via::Pcap, {.segments = limit});
    std::uint64_t time = 0;
    for (const Piece& piece : pieces) {
      const auto size = static_cast<std::uint32_t>(piece.bytes.size());
      if (!piece.client) {
        observer.server(piece.bytes);
        continue;
      }
      const Arrival arrival{
          .offset = observer.client_offset(), .size = size, .time_ns = time += 1000};
      observer.segment(arrival);
      observer.client(piece.bytes);
      // After its bytes: before them it would contradict the first.
      if (repeat && arrival.offset > 3) {
        observer.segment({.offset = arrival.offset - 3, .size = size + 1, .time_ns = time});
      }
    }
  }

 private:
  void message(classifier::ObservedMessage&& message) override {
    const Trace& trace = message.trace;
    // If the limit was exceeded, a copy may stand for a first arrival that was not kept, and is
    // late.
    const bool full = trace.state == State::Partial && trace.reason == Reason::Full;
    std::uint64_t size = 0;
    for (const Segment& segment : trace.segments) {
      require(segment.size > 0 && (full || !segment.late));
      size += segment.size;
    }
    require(trace.segments.size() <= limit_);
    require(full || (size == trace.size && trace.state == State::Complete));
  }
  void answered(std::uint32_t) override {}
  void lost(Reason) override {}

  std::size_t limit_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<Piece> pieces = read_pieces({reinterpret_cast<const char*>(data), size});
  const std::vector<Piece> whole = joined(pieces);
  std::string stream;
  for (const Piece& piece : whole) {
    if (piece.client) stream += piece.bytes;
  }
  for (const std::size_t queued : {std::size_t{64 * 1024}, std::size_t{8}}) {
    Checker expected(stream);
    expected.run(whole, queued);
    Checker cut(stream);
    cut.run(pieces, queued);
    require(cut.events == expected.events);
    Checker bytes(stream);
    bytes.run(single_bytes(pieces), queued);
    require(bytes.events == expected.events);
  }

  constexpr std::size_t kMany = 4096;
  constexpr std::size_t kFew = 3;
  SegmentChecker().run(pieces, kMany, false);
  SegmentChecker().run(pieces, kMany, true);
  SegmentChecker().run(pieces, kFew, true);
  return 0;
}
