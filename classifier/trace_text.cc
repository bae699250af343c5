// Reads and prints the one text form of a Trace. segmilter-trace(5) has the grammar. The table
// below implements it: each key has one row for both directions. trace_values.h says how each kind
// of value is written. Pure functions; any thread.
//
//     segmilter/1 mss=1440 ts=yes line1=18 header=610 body=612 dot=3
//     seg=399p,29p@412,184p,1440,1377p
//
// An absent field has the value of a new Trace. An absent `size` is the sum of all records or
// segments, because a trace whose parts do not add up is rare. The reader takes the fields in any
// order, since people write them too. The printer has one order.
#include "classifier/trace_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

#include "classifier/enum_names.h"
#include "classifier/trace_reader.h"
#include "classifier/trace_values.h"

namespace classifier {
namespace {

constexpr std::string_view kMagic = "segmilter/1";

constexpr auto kVia =
    std::to_array<std::string_view>({"kernel", "read", "wire", "pcap", "balancer"});
constexpr auto kState = std::to_array<std::string_view>({"complete", "partial", "unobserved"});
constexpr auto kReason = std::to_array<std::string_view>(
    {"none", "no-session", "lost", "ambiguous", "encrypted", "full", "dropped", "no-capture",
     "not-mail", "timeout", "busy", "error", "balancer", "overload", "expired"});
constexpr auto kTransfer = std::to_array<std::string_view>({"data", "bdat"});
constexpr auto kWindow =
    std::to_array<std::string_view>({"followed", "one-sided", "inferred", "exact", "near"});

struct Key {
  std::string_view name;
  bool (*differs)(const Trace& trace, const Trace& fresh);
  void (*print)(values::Out out, const Trace& trace);
  bool (*read)(TraceReader& in, Trace& trace);
};

// The member to which `kPath` leads: member<&Trace::path, &Path::mss>(trace) is trace.path.mss.
template <auto... kPath>
auto& member(auto& trace) {
  return (trace.*....*kPath);  // a fold of the operator .*
}

// Makes a row of the table.
template <typename Kind, auto... kPath>
constexpr Key key(std::string_view name) {
  return {name,
          [](const Trace& trace, const Trace& fresh) {
            return Kind::differs(member<kPath...>(trace), member<kPath...>(fresh));
          },
          [](values::Out out, const Trace& trace) { Kind::print(out, member<kPath...>(trace)); },
          [](TraceReader& in, Trace& trace) { return Kind::read(in, member<kPath...>(trace)); }};
}

// The order is that in which they are printed.
constexpr auto kKeys = [] {
  using namespace values;
  return std::to_array<Key>({
      key<Choice<kVia>, &Trace::via>("via"),
      key<Choice<kState>, &Trace::state>("state"),
      key<Choice<kReason>, &Trace::reason>("reason"),
      key<Number, &Trace::message>("msg"),
      key<Choice<kTransfer>, &Trace::transfer>("transfer"),
      key<Flag, &Trace::tls>("tls"),
      key<Hex, &Trace::hello, &Tls::version>("version"),
      key<Hex, &Trace::hello, &Tls::cipher>("cipher"),
      key<Number, &Trace::hello, &Tls::slack>("slack"),
      key<Ja4, &Trace::hello, &Tls::ja4>("ja4"),
      key<Choice<kWindow>, &Trace::window>("window"),
      key<Number, &Trace::miss>("miss"),
      key<Number, &Trace::size>("size"),
      key<Number, &Trace::path, &Path::mss>("mss"),
      key<Number, &Trace::path, &Path::rtt_us>("rtt"),
      key<Flag, &Trace::path, &Path::timestamps>("ts"),
      key<Syn, &Trace::path, &Path::syn>("syn"),
      key<Number, &Trace::landmarks, &Landmarks::first_line_end>("line1"),
      key<Number, &Trace::landmarks, &Landmarks::header_end>("header"),
      key<Number, &Trace::landmarks, &Landmarks::body_begin>("body"),
      key<Number, &Trace::landmarks, &Landmarks::terminator>("dot"),
      key<Fields, &Trace::landmarks, &Landmarks::fields>("fields"),
      key<Offsets, &Trace::landmarks, &Landmarks::folds>("folds"),
      key<Talk, &Trace::dialogue>("talk"),
      key<Number, &Trace::dialogue, &Dialogue::declared>("declared"),
      key<Number, &Trace::dialogue, &Dialogue::chunks>("chunks"),
      key<Offsets, &Trace::chunk_begins>("chunk-begins"),
      key<Runs, &Trace::segments>("seg"),
      key<Runs, &Trace::records>("rec"),
  });
}();
static_assert(kKeys.size() <= 32);  // parse_trace() has a bit for each

// Returns kKeys.size() if there is no such key.
constexpr std::size_t index_of(std::string_view name) {
  std::size_t at = 0;
  while (at < kKeys.size() && kKeys[at].name != name) ++at;
  return at;
}
constexpr std::size_t kSize = index_of("size");
static_assert(kSize < kKeys.size());

std::uint64_t sum_of_sizes(const Trace& trace) {
  if (trace.records.empty()) return segments_size(trace);
  std::uint64_t sum = 0;
  for (const Record& record : trace.records) sum += record.size;
  return sum;
}

// The message's bytes in each segment of the wire. A segment with parts of two BDAT chunks is two
// Segments, because the command lies between the parts. The `after` of the first and the `before`
// of the second show that they are one segment.
std::vector<std::uint32_t> wire_sizes(const std::vector<Segment>& segments) {
  std::vector<std::uint32_t> sizes;
  sizes.reserve(segments.size());
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    const bool continues = i > 0 && segments[i - 1].payload() == segment.payload() &&
                           segment.before > segments[i - 1].before + segments[i - 1].size;
    if (continues) {
      sizes.back() += segment.size;
    } else {
      sizes.push_back(segment.size);
    }
  }
  return sizes;
}

}  // namespace

std::string print(const Trace& trace) {
  Trace fresh;
  fresh.size = sum_of_sizes(trace);
  std::string text(kMagic);
  const values::Out out = std::back_inserter(text);
  for (const Key& key : kKeys) {
    if (!key.differs(trace, fresh)) continue;
    fmt::format_to(out, " {}=", key.name);
    key.print(out, trace);
  }
  return text;
}

std::variant<Trace, TraceError> parse_trace(std::string_view text) {
  if (!text.starts_with(kMagic)) return TraceError{0, "should start with segmilter/1"};
  TraceReader in(text.substr(kMagic.size()));
  Trace trace;
  std::uint32_t seen = 0;
  while (!in.error() && !in.at_end()) {
    if (!in.skip(' ')) {
      in.fail("one space should stand here");
      break;
    }
    const std::size_t begin = in.position();
    const std::size_t at = index_of(in.token("= "));
    if (at == kKeys.size()) {
      in.fail_at(begin, "unknown key");
    } else if ((seen & 1U << at) != 0) {
      in.fail_at(begin, "key stands twice");
    } else if (!in.skip('=')) {
      in.fail("= should stand here");
    } else {
      seen |= 1U << at;
      kKeys[at].read(in, trace);
    }
  }
  if (in.error()) {
    return TraceError{in.error()->offset + kMagic.size(), in.error()->message};
  }
  if ((seen & 1U << kSize) == 0) trace.size = sum_of_sizes(trace);
  return trace;
}

std::string_view name(Via via) {
  return word(kVia, via);
}
std::string_view name(State state) {
  return word(kState, state);
}
std::string_view name(Reason reason) {
  return word(kReason, reason);
}
std::string_view name(Transfer transfer) {
  return word(kTransfer, transfer);
}
std::string_view name(Window window) {
  return word(kWindow, window);
}
std::optional<Via> via_named(std::string_view text) {
  return find<Via>(kVia, text);
}
std::optional<State> state_named(std::string_view text) {
  return find<State>(kState, text);
}
std::optional<Reason> reason_named(std::string_view text) {
  return find<Reason>(kReason, text);
}

std::string print_sizes(const Trace& trace, std::size_t max_runs) {
  return print_sizes(wire_sizes(trace.segments), max_runs);
}

std::string print_sizes(std::span<const std::uint32_t> sizes, std::size_t max_runs) {
  // Two equal sizes are not joined: "1448,1448" is easier to read in a header than "1448x2".
  constexpr std::size_t kShortestRun = 3;
  std::string text;
  values::Out out = std::back_inserter(text);
  std::size_t runs = 0;
  for (std::size_t i = 0; i < sizes.size(); ++runs) {
    if (i != 0) *out++ = ',';
    if (runs == max_runs) {
      fmt::format_to(out, "+{}", sizes.size() - i);
      break;
    }
    std::size_t end = i + 1;
    while (end < sizes.size() && sizes[end] == sizes[i]) ++end;
    const std::size_t run = end - i < kShortestRun ? 1 : end - i;
    fmt::format_to(out, "{}", sizes[i]);
    if (run > 1) fmt::format_to(out, "x{}", run);
    i += run;
  }
  return text;
}

}  // namespace classifier
