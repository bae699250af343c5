// Plays a client under TLS and Postfix (smtp_play.h) against the log of its records. It checks of
// whose bytes a label is made.
//
// The input decides what the client sends, in which records; how much of it Postfix reads before it
// answers; and when the answer passes, which ends a turn. Postfix asks about the messages that it
// has accepted, in their order, before it answers them. What must hold: the records of a trace are
// those of the very message in question, give or take a few bytes of commands; or there is no
// trace.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "classifier/tls_log.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/smtp_play.h"
#include "tests/support/tls_stream.h"

namespace {

using classifier::Record;
using classifier::Span;
using classifier::Trace;
using fuzz::require;
using fuzz::Server;

class Session {
 public:
  Session() : log_({.offset = 100}, classifier::ArrivalLog(4096).from(100), nullptr) {
    client(tls_.client_hello());
    log_.server(tls_.server_flight());
    client(tls_.client_finished());
  }

  void say(fuzz::Input& input) { client_.say(input); }
  // One record of the stream, which Postfix can read.
  void send(std::size_t size) {
    size = std::min(size, client_.said().size() - sent_);
    if (size == 0) return;
    records_.push_back({sent_, sent_ + size});
    client(tls_.plain(size));
    sent_ += size;
  }
  void read(std::size_t most, std::uint8_t mood) {
    server_.read(client_.said().substr(0, sent_), client_.texts(), most,
                 [&](Server::Message&& message) {
                   if ((mood & 3) == 3) return false;  // refused for its content: not asked about
                   ask(std::move(message));
                   return true;
                 });
  }
  // The server's answers pass the observer.
  void pass() {
    const std::string output = server_.take_output();
    if (!output.empty()) log_.server(tls_.plain(output.size()));
  }

 private:
  void client(const std::string& bytes) {
    log_.segment(
        {.offset = log_.client_offset(), .size = static_cast<std::uint32_t>(bytes.size())});
    log_.client(bytes);
  }

  void ask(Server::Message&& message) {
    const auto found = log_.trace(message.shown, ++asked_);
    const auto* trace = std::get_if<Trace>(&found);
    if (trace == nullptr) return;
    // A few bytes of commands in the message's turn may be taken for other commands of the same
    // size (NOOP before the message for QUIT after it, EHLO for a second BDAT).
    const std::uint64_t size = message.shown.header + *message.shown.body;
    require(near(*trace, message.spans, 2 * classifier::most_miss(size)));
  }

  // Whether these are records in the order of the stream, and at most `most` bytes of them lie
  // outside the message, or at most `most` bytes of the message outside them.
  bool near(const Trace& trace, const std::vector<Span>& spans, std::uint64_t most) const {
    std::uint64_t size = 0;
    for (const Span& span : spans) size += span.end - span.begin;
    for (std::size_t first = 0; first < records_.size(); ++first) {
      const auto shared = shared_from(first, trace, spans);
      if (shared && size - *shared <= most && trace.size - *shared <= most) return true;
    }
    return false;
  }
  // How many bytes of the message are in the trace's records, if the first of them is searched from
  // number `first` on. Nothing: these records do not exist.
  std::optional<std::uint64_t> shared_from(std::size_t first, const Trace& trace,
                                           const std::vector<Span>& spans) const {
    std::uint64_t shared = 0;
    auto at = records_.begin() + static_cast<std::ptrdiff_t>(first);
    for (const Record& record : trace.records) {
      const std::uint64_t whole = std::uint64_t{record.before} + record.size + record.after;
      at = std::find_if(at, records_.end(),
                        [whole](const Span& sent) { return sent.end - sent.begin == whole; });
      if (at == records_.end()) return std::nullopt;
      const Span part{at->begin + record.before, at->end - record.after};
      for (const Span& span : spans) {
        const auto begin = std::max(part.begin, span.begin);
        const auto end = std::min(part.end, span.end);
        if (begin < end) shared += end - begin;
      }
      ++at;
    }
    return shared;
  }

  const support::Tls13 tls_;
  classifier::TlsLog log_;
  fuzz::Client client_;
  Server server_;
  std::size_t sent_ = 0;
  std::vector<Span> records_;  // places in the plaintext
  std::uint32_t asked_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  enum Kind { Say, SayMore, Send, SendAll, Read, ReadAll, Pass, kKinds };
  fuzz::Input input(data, size);
  Session session;
  while (!input.empty()) {
    switch (input.byte() % kKinds) {
      case Say:
      case SayMore:
        session.say(input);
        break;
      case Send:
        session.send(1 + input.byte() * std::size_t{4});
        break;
      case SendAll:
        session.send(16384);
        break;
      case Read: {
        const std::size_t most = 1 + input.byte() * std::size_t{16};
        session.read(most, input.byte());
        break;
      }
      case ReadAll:
        session.read(65536, input.byte());
        break;
      case Pass:
        session.pass();
        break;
    }
  }
  return 0;
}
