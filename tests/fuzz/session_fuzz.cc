// A whole session as the observing process sees it, in clear and under TLS: two hostile streams,
// arrivals that are false, and a milter that asks in the middle; then what the filter makes of the
// answer.
//
// Input: steps, each with one byte for its kind and the bytes that belong to it. A client's piece
// comes with a true arrival, unless its kind says that the arrival was not seen.
//
// What must hold: the segments of a trace fit its size, and those of a complete one cover it; a
// trace that is printed is parsed to the same; verdict and header are inside their bounds; after
// the session was closed and forgotten, nothing of it takes memory.
#include <cmath>
#include <string>
#include <utility>
#include <variant>

#include "classifier/classify.h"
#include "classifier/observer.h"
#include "classifier/trace_text.h"
#include "milter/evidence/table.h"
#include "milter/filter/header.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using fuzz::require;

void check_sizes(const classifier::Trace& trace) {
  std::uint64_t segments = 0;
  for (const auto& segment : trace.segments) {
    require(segment.size > 0 && segment.count > 0);
    segments += segment.size;
  }
  std::uint64_t records = 0;
  for (const auto& record : trace.records) {
    require(record.size > 0);
    records += record.size;
  }
  if (trace.state == classifier::State::Unobserved) {
    require(trace.segments.empty() && trace.reason != classifier::Reason::None);
    return;
  }
  if (trace.tls) {
    require(records == trace.size);
    return;
  }
  require(segments <= trace.size && trace.records.empty());
  if (trace.state == classifier::State::Complete) require(segments == trace.size);
  const auto& marks = trace.landmarks;
  require(marks.header_end <= trace.size && marks.body_begin <= trace.size);
}

void check_header(const classifier::Trace& trace, const classifier::Verdict& verdict) {
  const auto value = filter::header_value("mx1.example.org", trace, verdict, {}, trace.tls, 40);
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (c == '\n') {
      require(value[i + 1] == '\t');
    } else {
      require(c == '\t' || (c >= ' ' && c < 0x7f));
    }
  }
  require(value.ends_with("; v=1") || value.ends_with(";\n\tv=1"));
}

void check(const classifier::Trace& trace) {
  check_sizes(trace);
  const auto again = classifier::parse_trace(classifier::print(trace));
  require(std::holds_alternative<classifier::Trace>(again) &&
          std::get<classifier::Trace>(again) == trace);
  const auto verdict = classifier::classify(trace, {});
  require(verdict.confidence >= 0 && verdict.confidence <= 1 && std::isfinite(verdict.score));
  check_header(trace, verdict);
}

// The evidence of one session, from both sides. It is this target's table.
class Evidence final : public classifier::Observer::Sink {
 public:
  Evidence() { table_.open(session_); }
  void message(classifier::ObservedMessage&& message) override {
    check(message.trace);
    require(message.trace.message == last_ + 1);
    last_ = message.trace.message;
    table_.publish(session_, std::move(message));
  }
  void answered(std::uint32_t ordinal) override { table_.answered(session_, ordinal); }
  void lost(classifier::Reason reason) override { table_.lost(session_, reason); }
  std::shared_ptr<classifier::TlsStream> follow_tls(classifier::TlsLog::Start&& start,
                                                    classifier::ArrivalLog&& arrivals) override {
    return table_.follow(session_, std::move(start), std::move(arrivals));
  }
  void ask(std::uint32_t after, const classifier::ShownSizes& sizes) {
    const auto found = table_.find({.client = session_.client, .after = after, .shown = sizes});
    if (const auto* trace = std::get_if<classifier::Trace>(&found)) {
      require(trace->message > after);
      check(*trace);
    }
  }
  void end() {
    constexpr evidence::steady_clock::time_point kEnd{};
    table_.close(session_, kEnd);
    table_.expire(kEnd + std::chrono::hours(1));
    require(table_.size() == 0 && table_.budget().used() == 0);
  }

 private:
  const evidence::SessionKey session_{.client = *net::Endpoint::parse("192.0.2.7:40112"),
                                      .number = 7};
  evidence::Table table_{4, std::chrono::seconds(60)};
  std::uint32_t last_ = 0;
};

void take_step(fuzz::Input& input, classifier::Observer& observer, Evidence& evidence) {
  enum Kind { Client, Unseen, Server, LongClient, LongServer, Arrival, Missed, Ask, kKinds };
  const int kind = input.byte() % kKinds;
  switch (kind) {
    case Client:
    case Unseen:
    case LongClient: {
      const auto bytes = kind == LongClient ? input.take(input.word()) : input.text();
      if (kind != Unseen && !bytes.empty()) {
        observer.segment({.offset = observer.client_offset(),
                          .size = static_cast<std::uint32_t>(bytes.size()),
                          .push = true});
      }
      observer.client(bytes);
      return;
    }
    case Server:
      return observer.server(input.text());
    case LongServer:
      return observer.server(input.take(input.word()));
    case Arrival: {
      // Up to 32 KB before or after the stream's place; sometimes much further away.
      const auto place = static_cast<std::int16_t>(input.word());
      const std::uint32_t size = input.word();
      const auto count = static_cast<std::uint32_t>(1 + input.byte() % 4);
      const std::int64_t far = input.byte() == 0xff ? std::int64_t{1} << 31 : 0;
      const auto offset = static_cast<std::int64_t>(observer.client_offset()) + place + far;
      observer.segment({.offset = static_cast<std::uint64_t>(std::max<std::int64_t>(0, offset)),
                        .size = std::max(1U, size),
                        .count = count,
                        .push = (size & 1) != 0});
      return;
    }
    case Missed:
      return observer.missed_some();
    case Ask: {
      classifier::ShownSizes sizes{.header = input.word(), .dots = input.byte()};
      if (const auto body = input.word(); body != 0) sizes.body = body;
      sizes.envelope.add_mail(input.byte());
      return evidence.ask(input.byte(), sizes);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Evidence evidence;
  const auto via = static_cast<classifier::Via>(input.byte() % 3);
  classifier::Observer observer(evidence, via, {.segments = std::size_t{1} << (input.byte() % 13)});
  observer.set_path({.mss = input.word(), .timestamps = true, .syn = {}});
  while (!input.empty()) take_step(input, observer, evidence);
  observer.finish();
  for (std::uint32_t after = 0; after < 4; ++after) evidence.ask(after, {});
  evidence.end();
  return 0;
}
