#include "milter/memory/sighting_bytes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <iterator>
#include <variant>

#include "classifier/enum_names.h"
#include "classifier/trace_text.h"
#include "milter/reputation/key.h"

namespace memory {
namespace {

constexpr std::uint8_t kVersion = 2;
// Queue ids of Postfix have 5 to 17 characters; the name of a listener has 255 at most.
constexpr std::size_t kMostText = 255;

enum Flag : std::uint8_t {
  kClient = 1,
  kTls = 2,
  kLiteral = 4,
  kDotless = 8,
  kConfirmed = 16,
  kGaitClass = 32,
};
constexpr unsigned kAllFlags = 63;

bool printable(char c) {
  return c > ' ' && c <= '~';
}

class Writer {
 public:
  template <std::unsigned_integral T>
  void number(T value) {
    for (std::size_t i = 0; i < sizeof value; ++i) {
      bytes_.push_back(static_cast<char>(value >> (8 * i) & 0xff));
    }
  }
  template <typename Enum>
  void code(Enum value) {
    number(static_cast<std::uint8_t>(value));
  }
  void real(double value) { number(std::bit_cast<std::uint64_t>(value)); }
  // What is not a printable character has no place in it and is left out.
  void text(std::string_view text) {
    std::string kept;
    std::copy_if(text.begin(), text.end(), std::back_inserter(kept), printable);
    kept.resize(std::min(kept.size(), kMostText));
    number(static_cast<std::uint8_t>(kept.size()));
    bytes_ += kept;
  }
  void raw(std::string_view bytes) { bytes_ += bytes; }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Once something is missing or out of range, it stays that way (failed) and all that is read is
// zero.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool failed() const { return failed_; }
  bool ended() const { return rest_.empty(); }
  void fail() { failed_ = true; }

  std::string_view take(std::size_t size) {
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      return {};
    }
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  template <std::unsigned_integral T>
  T number() {
    T value = 0;
    const auto bytes = take(sizeof value);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      value = static_cast<T>(value | T{static_cast<std::uint8_t>(bytes[i])} << (8 * i));
    }
    return value;
  }
  template <typename Enum>
  Enum code() {
    const auto value = number<std::uint8_t>();
    if (value >= classifier::enumerators<Enum>()) fail();
    return static_cast<Enum>(failed_ ? 0 : value);
  }
  double real() {
    const double value = std::bit_cast<double>(number<std::uint64_t>());
    if (!std::isfinite(value)) fail();
    return failed_ ? 0 : value;
  }
  std::string text() {
    const auto text = take(number<std::uint8_t>());
    if (!std::all_of(text.begin(), text.end(), printable)) fail();
    return std::string(text);
  }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

std::string trace_text(const classifier::Trace& trace) {
  auto text = classifier::print(trace);
  classifier::Trace cut;
  for (std::size_t most = 2048; text.size() > kMostTraceText; most /= 2) {
    cut = trace;
    cut.segments.resize(std::min(cut.segments.size(), most));
    cut.records.resize(std::min(cut.records.size(), most));
    cut.state = classifier::State::Partial;
    cut.reason = classifier::Reason::Full;
    text = classifier::print(cut);
  }
  return text;
}

std::uint8_t flags_of(const Sighting& sighting) {
  const auto bit = [](bool set, Flag flag) { return set ? unsigned{flag} : 0U; };
  return static_cast<std::uint8_t>(bit(sighting.client.has_value(), kClient) |
                                   bit(sighting.tls, kTls) | bit(sighting.helo.literal, kLiteral) |
                                   bit(sighting.helo.dotless, kDotless) |
                                   bit(sighting.helo.confirmed, kConfirmed) |
                                   bit(sighting.verdict.gait_class.has_value(), kGaitClass));
}

void write_client(Writer& out, const net::Endpoint& client) {
  const auto& address = client.bytes();
  out.raw({reinterpret_cast<const char*>(address.data()), address.size()});
  out.number(client.port());
}

void write_terms(Writer& out, const classifier::Reasons& reasons) {
  std::vector<classifier::Term> terms;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (reasons.because(i) == classifier::Because::Term) terms.push_back(reasons.term(i));
  }
  out.number(static_cast<std::uint8_t>(terms.size()));
  for (const auto& term : terms) {
    out.number(static_cast<std::uint8_t>(term.sign - classifier::kSigns.data()));
    out.number(std::bit_cast<std::uint32_t>(static_cast<float>(term.weight)));
    out.text(term.about);
  }
}

// The name of the level and its numbers stay with the filter: the row has the client's address for
// some days only.
void write_added(Writer& out, const classifier::Reasons& reasons) {
  std::vector<classifier::AddedTerm> terms;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (reasons.because(i) == classifier::Because::Added) terms.push_back(reasons.added(i));
  }
  out.number(static_cast<std::uint8_t>(terms.size()));
  for (const auto& term : terms) {
    out.text(term.kind);
    out.number(std::bit_cast<std::uint32_t>(static_cast<float>(term.weight)));
  }
}

net::Endpoint read_client(Reader& in) {
  std::array<std::uint8_t, 16> address{};
  const auto bytes = in.take(address.size());
  std::copy(bytes.begin(), bytes.end(), address.begin());
  return net::Endpoint::from_bytes(address, in.number<std::uint16_t>());
}

void read_terms(Reader& in, classifier::Reasons& reasons) {
  const std::size_t count = in.number<std::uint8_t>();
  if (count > classifier::Reasons::kMost) in.fail();
  for (std::size_t i = 0; i < count && !in.failed(); ++i) {
    const std::size_t sign = in.number<std::uint8_t>();
    const auto weight = std::bit_cast<float>(in.number<std::uint32_t>());
    const auto about = in.text();
    const bool fits = sign < classifier::kSigns.size() && std::isfinite(weight) &&
                      about.size() <= classifier::Reasons::kLongestText;
    if (!fits) return in.fail();
    reasons.add_term({&classifier::kSigns[sign], weight, about});
  }
}

void read_added(Reader& in, classifier::Reasons& reasons) {
  const std::size_t count = in.number<std::uint8_t>();
  if (count > classifier::Reasons::kMostAdded) in.fail();
  for (std::size_t i = 0; i < count && !in.failed(); ++i) {
    const auto kind = in.text();
    const auto weight = std::bit_cast<float>(in.number<std::uint32_t>());
    if (!reputation::is_kind(kind) || !std::isfinite(weight)) return in.fail();
    reasons.add_added({.kind = kind, .weight = weight});
  }
}

void read_trace(Reader& in, classifier::Trace& trace) {
  auto read = classifier::parse_trace(in.take(in.number<std::uint16_t>()));
  auto* parsed = std::get_if<classifier::Trace>(&read);
  if (parsed == nullptr) return in.fail();
  trace = std::move(*parsed);
}

}  // namespace

std::string to_bytes(const Sighting& sighting) {
  const auto& verdict = sighting.verdict;
  Writer out;
  out.number(kVersion);
  out.number(flags_of(sighting));
  out.code(verdict.pattern);
  out.code(verdict.writer);
  out.code(verdict.path);
  out.code(verdict.asks);
  out.code(verdict.gait_class.value_or(classifier::GaitClass{}));
  out.code(sighting.basis);
  out.code(sighting.decision.action);
  out.code(sighting.decision.would);
  out.code(sighting.decision.held);
  out.number(static_cast<std::uint64_t>(sighting.time.time_since_epoch().count()));
  out.real(verdict.score);
  out.real(verdict.confidence);
  out.number(verdict.block);
  out.number(verdict.mss);
  if (sighting.client) write_client(out, *sighting.client);
  out.text(sighting.queue_id);
  out.text(sighting.listener);
  out.text(verdict.gait);
  write_terms(out, verdict.reasons);
  write_added(out, verdict.reasons);
  const auto trace = trace_text(sighting.trace);
  out.number(static_cast<std::uint16_t>(trace.size()));
  out.raw(trace);
  return out.take();
}

std::optional<Sighting> from_bytes(std::string_view bytes) {
  if (bytes.size() > kMostBytes) return std::nullopt;
  Reader in(bytes);
  Sighting sighting;
  auto& verdict = sighting.verdict;
  if (in.number<std::uint8_t>() != kVersion) return std::nullopt;
  const unsigned flags = in.number<std::uint8_t>();
  if ((flags & ~kAllFlags) != 0) return std::nullopt;
  sighting.tls = (flags & kTls) != 0;
  sighting.helo = {.literal = (flags & kLiteral) != 0,
                   .dotless = (flags & kDotless) != 0,
                   .confirmed = (flags & kConfirmed) != 0};
  verdict.pattern = in.code<classifier::Pattern>();
  verdict.writer = in.code<classifier::Writer>();
  verdict.path = in.code<classifier::PathShape>();
  verdict.asks = in.code<classifier::Action>();
  const auto gait_class = in.code<classifier::GaitClass>();
  if ((flags & kGaitClass) != 0) verdict.gait_class = gait_class;
  sighting.basis = in.code<policy::Basis>();
  sighting.decision.action = in.code<classifier::Action>();
  sighting.decision.would = in.code<classifier::Action>();
  sighting.decision.held = in.code<policy::HeldBackBy>();
  const auto time = static_cast<std::int64_t>(in.number<std::uint64_t>());
  if (time < 0 || time > kLatestTime) in.fail();
  sighting.time = decltype(sighting.time)(std::chrono::milliseconds(time));
  verdict.score = in.real();
  verdict.confidence = in.real();
  verdict.block = in.number<std::uint32_t>();
  verdict.mss = in.number<std::uint32_t>();
  if ((flags & kClient) != 0) sighting.client = read_client(in);
  sighting.queue_id = in.text();
  sighting.listener = in.text();
  verdict.gait = in.text();
  read_terms(in, verdict.reasons);
  read_added(in, verdict.reasons);
  read_trace(in, sighting.trace);
  if (in.failed() || !in.ended()) return std::nullopt;
  return sighting;
}

}  // namespace memory
