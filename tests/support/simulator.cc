// The model. What it takes from Linux (net/ipv4/tcp_output.c, compared with recordings):
//  * A write is appended to the last send unit while there is room. Its end marks the unit with
//    PSH; appending more bytes removes the mark.
//  * A unit is sent when it is full, or as far as it consists of full segments. The rest waits for
//    Nagle: Minshall's form holds a short segment only while an earlier short one is not
//    acknowledged, the classic form while anything is not acknowledged.
//  * A unit of two segments or more always ends with PSH (since 5.4).
//  * A lost unit is sent again as it was. If the path has become smaller it is cut again, which
//    leaves a remnant: 2 x 1448 = 948 948 948 52.
//
// This file has more than 450 lines, because sender, path and receiver act on each other: none of
// them can be understood without the other two.
#include "tests/support/simulator.h"

#include <algorithm>
#include <array>
#include <deque>
#include <limits>
#include <map>
#include <queue>

#include "classifier/writes.h"

namespace test {
namespace {

using classifier::Arrival;
using classifier::Segment;

constexpr std::uint64_t kDelayedAckUs = 40'000;
constexpr std::uint64_t kLeastTimeoutUs = 200'000;  // Linux's shortest retransmission timeout
constexpr std::uint32_t kFirstWindow = 10;          // segments, RFC 6928
constexpr std::uint32_t kDuplicates = 3;            // RFC 5681
constexpr std::uint64_t kMostEvents = 200'000;      // more: the message never ends, a bug here
constexpr std::uint32_t kQuit = 6;

struct Unit {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  bool push = false;
  bool lost = false;    // assumed to be lost, and will be sent again
  bool sacked = false;  // the receiver has reported it
  std::uint32_t sacked_above = 0;
  std::uint64_t sent_us = 0;
  std::uint32_t cut_for = 0;  // the segment size with which it was last sent
};

enum class Kind : std::uint8_t { Write, Arrival, Ack, DelayedAck, Timeout, TooBig };

struct Event {
  std::uint64_t at_us = 0;
  std::uint64_t order = 0;
  Kind kind = Kind::Write;
  std::uint32_t a = 0;  // Arrival: begin; Ack: acknowledged up to; TooBig: begin
  std::uint32_t b = 0;  // Arrival: end; Ack: highest seen; TooBig: end
  bool push = false;
  bool operator>(const Event& other) const {
    return at_us != other.at_us ? at_us > other.at_us : order > other.order;
  }
};

class Sender {
 public:
  Sender(const Program& program, const Stack& stack, const Link& link, Random& random)
      : program_(program), stack_(stack), link_(link), random_(random), mss_(link.mss) {
    for (const Write& write : program.writes) total_ += write.size;
    if (program.quit) total_ += kQuit;
    window_ = kFirstWindow * mss_;
  }

  std::vector<Arrival> run() {
    at(program_.writes.empty() ? 0 : program_.writes.front().pause_us, Kind::Write);
    for (std::uint64_t n = 0; n < kMostEvents && received_ < total_ && !events_.empty(); ++n) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at_us;
      handle(event);
    }
    return std::move(arrivals_);
  }

 private:
  void at(std::uint64_t when, Kind kind, std::uint32_t a = 0, std::uint32_t b = 0,
          bool push = false) {
    events_.push({when, order_++, kind, a, b, push});
  }

  void handle(const Event& event) {
    switch (event.kind) {
      case Kind::Write:
        return write();
      case Kind::Arrival:
        return arrive(event.a, event.b, event.push);
      case Kind::Ack:
        return acknowledge(event.a, event.b);
      case Kind::DelayedAck:
        if (unacknowledged_ != 0) answer();
        return;
      case Kind::Timeout:
        return time_out(event.a);
      case Kind::TooBig:
        return too_big(event.a, event.b);
    }
  }

  // --- the program and its buffer

  void write() {
    const Write& one = program_.writes[next_write_++];
    const bool last = next_write_ == program_.writes.size();
    append(one.size + (last && program_.quit ? kQuit : 0), one.more && !last);
    if (!last) at(now_ + program_.writes[next_write_].pause_us, Kind::Write);
    transmit();
  }

  void append(std::uint32_t size, bool more) {
    const std::uint32_t goal = stack_.unit * mss_;
    if (!unsent_.empty() && unsent_.back().end - unsent_.back().begin < goal) {
      unsent_.back().push = false;
    }
    while (size != 0) {
      if (unsent_.empty() || unsent_.back().end - unsent_.back().begin >= goal) {
        unsent_.push_back({.begin = written_, .end = written_});
      }
      Unit& unit = unsent_.back();
      const std::uint32_t room = goal - (unit.end - unit.begin);
      const std::uint32_t taken = std::min(room, size);
      unit.end += taken;
      written_ += taken;
      size -= taken;
      if (size == 0) break;
      if (stack_.push_half_window && written_ - pushed_to_ > link_.window / 2) {
        unit.push = true;
        pushed_to_ = written_;
      }
      // A full unit at the head is sent while the write is still being copied.
      transmit();
    }
    if (!unsent_.empty()) unsent_.back().push = !more;
    if (!more) pushed_to_ = written_;
    corked_ = more;
  }

  // --- sending

  std::uint32_t in_flight() const {
    std::uint32_t bytes = 0;
    for (const Unit& unit : sent_) {
      if (!unit.lost && !unit.sacked) bytes += unit.end - unit.begin;
    }
    return bytes;
  }

  bool held_by_nagle() const {
    if (corked_) return true;
    switch (stack_.nagle) {
      case Nagle::Off:
        return false;
      case Nagle::Minshall:
        return short_end_ > acknowledged_;
      case Nagle::Classic:
        return sent_to_ > acknowledged_;
    }
    return false;
  }

  void transmit() {
    if (link_.at_sender) mss_ = std::min(link_.mss, path_mss());
    resend();
    while (!unsent_.empty()) {
      Unit& head = unsent_.front();
      const std::uint32_t length = head.end - head.begin;
      const std::uint32_t room = std::min(window_, link_.window);
      const std::uint32_t flying = in_flight();
      if (flying + std::min(mss_, length) > room) return;
      std::uint32_t size = std::min({length, stack_.unit * mss_, room - flying});
      const bool all = size == length;
      const bool tail = unsent_.size() == 1;
      // The classic rule counts the full segments that are sent before the short one.
      const bool behind_full = stack_.nagle == Nagle::Classic && size > mss_;
      const bool holds = tail && size % mss_ != 0 && (behind_full || held_by_nagle());
      if (!all || holds) size -= size % mss_;
      if (size == 0) return;
      Unit unit{.begin = head.begin, .end = head.begin + size, .push = size == length && head.push};
      head.begin += size;
      if (head.begin == head.end) unsent_.pop_front();
      sent_to_ = unit.end;
      if (size % mss_ != 0) short_end_ = unit.end;
      launch(unit);
      sent_.push_back(unit);
    }
  }

  void resend() {
    for (std::size_t i = 0; i < sent_.size(); ++i) {
      if (!sent_[i].lost) continue;
      if (i != 0 && in_flight() + mss_ > std::max(window_, mss_ * 2)) return;
      sent_[i].lost = false;
      sent_[i].sacked_above = 0;
      launch(sent_[i]);
    }
  }

  // Puts a unit on the wire, cut to the current segment size.
  void launch(Unit& unit) {
    unit.sent_us = now_;
    unit.cut_for = mss_;
    const bool several = unit.end - unit.begin > mss_;
    for (std::uint32_t begin = unit.begin; begin < unit.end; begin += mss_) {
      const std::uint32_t end = std::min(unit.end, begin + mss_);
      const bool last = end == unit.end;
      wire(begin, end, last && (unit.push || (several && stack_.push_units)));
    }
    at(now_ + timeout_us(), Kind::Timeout, unit.begin);
  }

  std::uint64_t timeout_us() const { return (kLeastTimeoutUs + link_.rtt_us * 2) << backoff_; }

  std::uint32_t path_mss() const {
    std::uint32_t mss = std::numeric_limits<std::uint32_t>::max();
    for (const MtuChange& change : link_.changes) {
      if (now_ >= change.at_us) mss = change.mss;
    }
    return mss;
  }

  void wire(std::uint32_t begin, std::uint32_t end, bool push) {
    const std::uint32_t limit = path_mss();
    if (end - begin > limit) {
      if (link_.tells_mtu) at(now_ + link_.rtt_us / 2, Kind::TooBig, begin, limit);
      return;
    }
    if (link_.rate != 0) {
      constexpr std::uint64_t kHeaders = 66;
      free_us_ = std::max(free_us_, now_) + (end - begin + kHeaders) * 8'000'000 / link_.rate;
    } else {
      free_us_ = std::max(free_us_ + 8, now_);
    }
    if (link_.loss > 0 && std::uniform_real_distribution<>(0, 1)(random_) < link_.loss) return;
    std::uint64_t when = free_us_ + link_.rtt_us / 2;
    if (link_.jitter_us != 0) {
      when += std::uniform_int_distribution<std::uint64_t>(0, link_.jitter_us)(random_);
    }
    at(when, Kind::Arrival, begin, end, push);
  }

  // --- the receiver

  void arrive(std::uint32_t begin, std::uint32_t end, bool push) {
    arrivals_.push_back(
        {.offset = begin, .size = end - begin, .time_ns = now_ * 1000, .push = push});
    const bool in_order = begin <= received_;
    if (end > received_) {
      std::uint32_t& to = held_[begin];
      to = std::max(to, end);
    }
    while (!held_.empty() && held_.begin()->first <= received_) {
      received_ = std::max(received_, held_.begin()->second);
      held_.erase(held_.begin());
    }
    highest_ = std::max(highest_, end);
    ++unacknowledged_;
    if (!in_order || !held_.empty() || unacknowledged_ >= 2) return answer();
    at(now_ + kDelayedAckUs, Kind::DelayedAck);
  }

  void answer() {
    unacknowledged_ = 0;
    at(now_ + link_.rtt_us - link_.rtt_us / 2, Kind::Ack, received_, highest_);
  }

  // --- back at the sender

  void acknowledge(std::uint32_t to, std::uint32_t highest) {
    const bool progress = to > acknowledged_;
    acknowledged_ = std::max(acknowledged_, to);
    while (!sent_.empty() && sent_.front().end <= acknowledged_) sent_.pop_front();
    // The acknowledged part of a unit is not sent again: partial retransmission.
    if (!sent_.empty() && sent_.front().begin < acknowledged_) {
      sent_.front().begin = acknowledged_;
      at(now_ + timeout_us(), Kind::Timeout, acknowledged_);
    }
    for (Unit& unit : sent_) unit.sacked = unit.sacked || has(unit);
    if (progress) {
      window_ += mss_ * 2;
      backoff_ = 0;
    } else if (!sent_.empty() && highest > sent_.front().end) {
      Unit& head = sent_.front();
      if (++head.sacked_above >= kDuplicates && now_ >= head.sent_us + link_.rtt_us) {
        head.lost = true;
        window_ = std::max(window_ / 2, 2 * mss_);
      }
    }
    transmit();
  }

  // SACK, read directly from the receiver's state: at most half a round trip too early.
  bool has(const Unit& unit) const {
    auto above = held_.upper_bound(unit.begin);
    return above != held_.begin() && std::prev(above)->second >= unit.end;
  }

  void time_out(std::uint32_t begin) {
    for (Unit& unit : sent_) {
      if (unit.begin != begin || unit.sacked) continue;
      const std::uint64_t due = unit.sent_us + timeout_us();
      if (now_ < due) return at(due, Kind::Timeout, begin);
      if (!link_.tells_mtu && unit.end - unit.begin > path_mss()) mss_ = std::min(mss_, path_mss());
      unit.lost = true;
      window_ = 2 * mss_;
      backoff_ = std::min(backoff_ + 1, 4U);
      transmit();
      return;
    }
  }

  void too_big(std::uint32_t begin, std::uint32_t limit) {
    mss_ = std::min(mss_, limit);
    for (Unit& unit : sent_) {
      // Each segment of a unit causes its own report; the first one has already made the unit be
      // cut again.
      if (unit.begin <= begin && begin < unit.end && unit.cut_for > limit) unit.lost = true;
    }
    transmit();
  }

  const Program& program_;
  const Stack& stack_;
  const Link& link_;
  Random& random_;
  std::uint32_t mss_;
  std::uint32_t total_ = 0;

  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  std::uint64_t now_ = 0;
  std::uint64_t free_us_ = 0;  // when the slowest link is free again

  std::size_t next_write_ = 0;
  std::uint32_t written_ = 0;
  std::uint32_t pushed_to_ = 0;
  bool corked_ = false;
  std::deque<Unit> unsent_;
  std::deque<Unit> sent_;
  std::uint32_t sent_to_ = 0;
  std::uint32_t short_end_ = 0;  // after the last short segment that was sent
  std::uint32_t acknowledged_ = 0;
  std::uint32_t window_ = 0;  // congestion window, bytes
  std::uint32_t backoff_ = 0;

  std::uint32_t received_ = 0;
  std::uint32_t highest_ = 0;
  std::uint32_t unacknowledged_ = 0;  // segments
  std::map<std::uint32_t, std::uint32_t> held_;
  std::vector<Arrival> arrivals_;
};

std::uint32_t between(Random& random, std::uint32_t least, std::uint32_t most) {
  return std::uniform_int_distribution<std::uint32_t>(least, most)(random);
}

bool chance(Random& random, double share) {
  return std::uniform_real_distribution<>(0, 1)(random) < share;
}

template <std::size_t N, class T>
T one_of(Random& random, const std::array<T, N>& all) {
  return all[between(random, 0, static_cast<std::uint32_t>(N) - 1)];
}

}  // namespace

bool Letter::line_ends_at(std::uint32_t offset) const {
  return std::binary_search(lines.begin(), lines.end(), offset);
}

Letter write_letter(Random& random, std::uint32_t fields, std::uint32_t body, bool received) {
  Letter letter;
  std::uint32_t at = 0;
  const auto line = [&](std::uint32_t length) { letter.lines.push_back(at += length); };
  for (std::uint32_t i = 0; i < fields; ++i) {
    line(between(random, 19, 78));
    const bool trace_field = received && i == 0;
    // A Received is folded into two or three lines; of the other fields one in six is folded.
    const std::uint32_t folds = trace_field ? between(random, 1, 2) : (between(random, 0, 5) == 0);
    for (std::uint32_t fold = 0; fold < folds; ++fold) line(between(random, 24, 90));
    if (letter.marks.fields.size() < classifier::Landmarks::kMaxFields) {
      letter.marks.fields.push_back({.end = at, .received = trace_field});
    }
  }
  letter.marks.first_line_end = letter.lines.empty() ? 2 : letter.lines.front();
  letter.marks.header_end = at;
  line(2);
  letter.marks.body_begin = at;
  const std::uint32_t end = at + body;
  while (at < end) line(between(random, 0, 7) == 0 ? 2 : between(random, 30, 78));
  line(3);
  letter.marks.terminator = 3;
  letter.size = at;
  return letter;
}

std::string text_of(const Letter& letter) {
  std::string text;
  std::size_t field = 0;
  std::uint32_t begin = 0;
  for (const std::uint32_t end : letter.lines) {
    const std::uint32_t length = end - begin;
    const auto& fields = letter.marks.fields;
    std::string line(length - 2, 'x');
    if (end == letter.size) {
      line = ".";
    } else if (end <= letter.marks.header_end && field < fields.size()) {
      const std::uint32_t start = field == 0 ? 0 : fields[field - 1].end;
      const std::string_view name =
          begin != start ? " " : (fields[field].received ? "Received: " : "X-Simulated: ");
      line.replace(0, std::min(line.size(), name.size()), name);
      if (end == fields[field].end) ++field;
    }
    text += line + "\r\n";
    begin = end;
  }
  return text;
}

Program cut_at(const Letter& letter, const std::vector<std::uint32_t>& offsets) {
  Program program;
  std::uint32_t begin = 0;
  for (const std::uint32_t offset : offsets) {
    program.writes.push_back({.size = offset - begin});
    begin = offset;
  }
  program.writes.push_back({.size = letter.size - begin});
  return program;
}

Program in_blocks(const Letter& letter, std::uint32_t block, bool dot_apart) {
  const std::uint32_t end = letter.size - (dot_apart ? letter.marks.terminator : 0);
  std::vector<std::uint32_t> offsets;
  for (std::uint32_t offset = block; offset < end; offset += block) offsets.push_back(offset);
  if (dot_apart) offsets.push_back(end);
  return cut_at(letter, offsets);
}

Program by_line(const Letter& letter) {
  std::vector<std::uint32_t> offsets = letter.lines;
  offsets.pop_back();
  return cut_at(letter, offsets);
}

std::vector<Arrival> send(const Program& program, const Stack& stack, const Link& link,
                          Random& random) {
  return Sender(program, stack, link, random).run();
}

classifier::Trace trace_of(const std::vector<Arrival>& arrivals, const Letter& letter,
                           const Link& link) {
  struct Piece {
    std::uint32_t begin, end;
    const Arrival* arrival;
    bool resent, late;
  };
  std::vector<Piece> pieces;  // sorted by begin
  for (const Arrival& arrival : arrivals) {
    auto begin = static_cast<std::uint32_t>(arrival.offset);
    const std::uint32_t end = begin + arrival.size;
    auto next = std::find_if(pieces.begin(), pieces.end(),
                             [&](const Piece& piece) { return piece.end > begin; });
    bool resent = false;
    while (begin < end) {
      if (next != pieces.end() && next->begin <= begin) {
        next->resent = resent = true;
        begin = next->end;
        ++next;
        continue;
      }
      const std::uint32_t to = next == pieces.end() ? end : std::min(end, next->begin);
      const bool late = next != pieces.end();
      next = pieces.insert(next, {begin, to, &arrival, resent, late}) + 1;
      begin = to;
    }
  }
  classifier::Trace trace;
  trace.size = letter.size;
  trace.landmarks = letter.marks;
  trace.path.mss = link.announced != 0 ? link.announced : link.mss;
  trace.path.rtt_us = static_cast<std::uint32_t>(link.rtt_us);
  trace.path.timestamps = link.timestamps;
  std::uint64_t before_ns = 0;
  for (const Piece& piece : pieces) {
    if (piece.begin >= letter.size) break;
    const std::uint32_t end = std::min(piece.end, letter.size);
    Segment segment;
    segment.size = end - piece.begin;
    segment.before = piece.begin - static_cast<std::uint32_t>(piece.arrival->offset);
    segment.after = static_cast<std::uint32_t>(piece.arrival->offset) + piece.arrival->size - end;
    const std::uint64_t now_ns = piece.arrival->time_ns;
    if (now_ns > before_ns)
      segment.gap_us = static_cast<std::uint32_t>((now_ns - before_ns) / 1000);
    before_ns = now_ns;
    segment.push = piece.arrival->push;
    segment.resent = piece.resent;
    segment.late = piece.late;
    segment.line_end = letter.line_ends_at(end);
    segment.cr_end = letter.line_ends_at(end + 1);
    trace.segments.push_back(segment);
    if (piece.end > letter.size) trace.dialogue.quit_with_dot = true;
  }
  return trace;
}

classifier::Trace simulate(const Letter& letter, const Program& program, const Stack& stack,
                           const Link& link, Random& random) {
  return trace_of(send(program, stack, link, random), letter, link);
}

Program mta_program(Mta mta, const Letter& letter, std::uint32_t mss, Stack& stack,
                    Random& random) {
  Program program;
  switch (mta) {
    case Mta::Postfix: {
      // Its buffer follows the MSS but is never smaller than 4096.
      constexpr std::uint32_t kLeast = 4096;
      program = in_blocks(letter, mss * 4 < kLeast ? kLeast : mss * 4);
      program.quit = chance(random, 0.8);  // with a server that offers PIPELINING
      break;
    }
    case Mta::Exim:
      program = in_blocks(letter, classifier::kEximBlock);
      program.quit = chance(random, 0.8);
      break;
    case Mta::Sendmail:
      program = in_blocks(letter, 4096, true);
      break;
    case Mta::Qmail:
      program = in_blocks(letter, 1024);
      break;
    case Mta::Courier:
      program = in_blocks(letter, 8192);
      break;
    case Mta::OpenSmtpd: {
      // Whole lines up to 4096 bytes at a time, or, if its loop was late, all of them at once.
      std::vector<std::uint32_t> offsets;
      if (chance(random, 0.5)) {
        std::uint32_t begin = 0;
        for (std::size_t i = 0; i + 2 < letter.lines.size(); ++i) {
          if (letter.lines[i + 1] - begin <= 4096) continue;
          offsets.push_back(begin = letter.lines[i]);
        }
      }
      const std::uint32_t dot = letter.size - letter.marks.terminator;
      if (offsets.empty() || offsets.back() < dot) offsets.push_back(dot);
      program = cut_at(letter, offsets);
      break;
    }
    case Mta::Chasquid:
      program = in_blocks(letter, 4096);
      stack.nagle = Nagle::Off;
      break;
  }
  for (Write& write : program.writes) write.pause_us = between(random, 1, 60);
  return program;
}

Link random_link(Random& random) {
  constexpr std::array<std::uint32_t, 13> kSizes = {1460, 1448, 1448, 1448, 1440, 1428, 1400,
                                                    1380, 1208, 948,  920,  536,  524};
  constexpr std::array<std::uint64_t, 7> kRoundTrips = {100,    1'000,   10'000, 40'000,
                                                        80'000, 200'000, 600'000};
  constexpr std::array<std::uint64_t, 7> kRates = {0,         0,          0,          256'000,
                                                   1'000'000, 10'000'000, 100'000'000};
  constexpr std::array<double, 6> kLosses = {0, 0, 0, 0.005, 0.02, 0.05};
  constexpr std::array<std::uint32_t, 4> kWindows = {65'535, 65'535, 29'200, 14'480};
  Link link;
  link.mss = one_of(random, kSizes);
  link.timestamps = link.mss % 4 == 0 && chance(random, 0.7);
  link.rtt_us = one_of(random, kRoundTrips);
  link.rate = one_of(random, kRates);
  link.loss = one_of(random, kLosses);
  if (chance(random, 0.2)) link.jitter_us = link.rtt_us / 4;
  link.window = one_of(random, kWindows);
  if (chance(random, 0.1)) {
    // A tunnel, or a radio that changes its cell, at some place in the message.
    const std::uint32_t small = one_of(random, std::array<std::uint32_t, 4>{536, 948, 1220, 1368});
    if (small < link.mss) {
      const std::uint64_t first =
          between(random, 0, 3) * std::min<std::uint64_t>(link.rtt_us, 10'000);
      link.changes.push_back({first, small});
      link.tells_mtu = chance(random, 0.8);
      link.at_sender = chance(random, 0.5);
      if (link.at_sender) {
        for (std::uint64_t i = 1; i < 6; ++i) {
          link.changes.push_back({i * 50'000, i % 2 != 0 ? link.mss : small});
        }
      }
    }
  }
  return link;
}

Stack random_stack(Random& random) {
  Stack stack;
  if (chance(random, 0.15))
    stack = {.nagle = Nagle::Classic, .push_units = false, .push_half_window = false, .unit = 44};
  if (chance(random, 0.15)) stack.unit = 16;  // fast paths make large send units
  return stack;
}

}  // namespace test
