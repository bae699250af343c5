// Plays clients and Postfix (smtp_play.h) against the observer, the evidence table and the text of
// questions. It checks of whose bytes a label is made.
//
// The input decides what some sessions of one client port send, and in which segments; how much of
// it Postfix reads before it answers; when the answer passes the observer; where Postfix shows
// something other than what came; and when a client leaves and comes again from the same port.
// Postfix asks about the messages that it has accepted, in their order, before it answers them. Its
// answers to earlier ones may still be on their way. What must hold: a question gets a trace with
// the segments of the very message in question, or none.
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "classifier/observer.h"
#include "milter/evidence/question.h"
#include "milter/evidence/table.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/smtp_play.h"

namespace {

using classifier::Span;
using evidence::SessionKey;
using evidence::steady_clock;
using fuzz::require;
using fuzz::Server;

class Session final : private classifier::Observer::Sink {
 public:
  Session(evidence::Table& table, std::uint64_t number, steady_clock::time_point now)
      : table_(table),
        key_{*net::Endpoint::parse("192.0.2.7:40112"), *net::Endpoint::parse("198.51.100.25:25"),
             number, now},
        observer_(static_cast<classifier::Observer::Sink&>(*this), classifier::Via::Kernel, {}) {
    table_.open(key_);
  }

  void say(fuzz::Input& input) { client_.say(input); }
  // One segment of the stream reaches the observer, and Postfix can read it.
  void send(std::size_t size) {
    if (gone_) return;
    size = std::min(size, client_.said().size() - sent_);
    if (size == 0) return;
    arrivals_.push_back({sent_, sent_ + size});
    observer_.segment({.offset = sent_, .size = static_cast<std::uint32_t>(size), .push = true});
    observer_.client(std::span(client_.said()).subspan(sent_, size));
    sent_ += size;
    table_.behind(key_, observer_.behind());
  }
  void greet(steady_clock::time_point now) {
    if (began_ != steady_clock::time_point{}) return;
    began_ = now;
    server_.greet();
  }
  void read(std::size_t most, std::uint8_t mood) {
    if (began_ == steady_clock::time_point{}) return;
    server_.read(client_.said().substr(0, sent_), client_.texts(), most,
                 [&](Server::Message&& message) {
                   if ((mood & 3) == 3) return false;  // refused for its content: not asked about
                   ask(std::move(message), mood);
                   return true;
                 });
  }
  // The server's answers pass the observer.
  void pass(steady_clock::time_point now) {
    const std::string output = server_.take_output();
    if (gone_ || output.empty()) return;
    observer_.server(output);
    table_.behind(key_, observer_.behind());
    if (observer_.greeted()) table_.greeted(key_, now);
  }
  void leave(steady_clock::time_point now) {
    if (std::exchange(gone_, true)) return;
    table_.close(key_, now);
  }

 private:
  void ask(Server::Message&& message, std::uint8_t mood) {
    evidence::Question question{
        .client = key_.client, .server = key_.server, .began = began_, .after = judged_++};
    question.shown = std::move(message.shown);
    auto& shown = question.shown;
    if ((mood & 4) != 0) {  // a policy service adds a field at the top
      shown.fields.insert(shown.fields.begin(), 30);
      shown.header += 30;
    }
    if ((mood & 8) != 0) shown.body.reset();
    const auto again = evidence::parse_question(evidence::print(question));
    require(again == question);
    const auto found = table_.find(*again);
    const auto* trace = std::get_if<classifier::Trace>(&found);
    if (trace == nullptr || trace->state == classifier::State::Unobserved) return;
    judged_ = std::max(judged_, trace->message);
    std::vector<std::uint32_t> own;
    for (const Span& span : message.spans) {
      for (const Span& arrival : arrivals_) {
        const auto begin = std::max(arrival.begin, span.begin);
        const auto end = std::min(arrival.end, span.end);
        if (begin < end) own.push_back(static_cast<std::uint32_t>(end - begin));
      }
    }
    std::vector<std::uint32_t> labelled;
    for (const auto& segment : trace->segments) labelled.push_back(segment.size);
    require(labelled == own);
  }

  void message(classifier::ObservedMessage&& message) override {
    if (!gone_) table_.publish(key_, std::move(message));
  }
  void answered(std::uint32_t ordinal) override { table_.answered(key_, ordinal); }
  void lost(classifier::Reason reason) override { table_.lost(key_, reason); }

  evidence::Table& table_;
  const SessionKey key_;
  classifier::Observer observer_;
  Server server_;
  fuzz::Client client_;
  std::size_t sent_ = 0;
  std::vector<Span> arrivals_;
  steady_clock::time_point began_{};
  std::uint32_t judged_ = 0;
  bool gone_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  enum Kind { Say, SayMore, Send, SendAll, Greet, Read, Pass, Leave, Come, Other, kKinds };
  constexpr std::size_t kMostSessions = 12;
  fuzz::Input input(data, size);
  evidence::Table table(100, std::chrono::seconds(60));
  std::list<Session> sessions;
  steady_clock::time_point now{std::chrono::seconds(1)};
  auto current = sessions.emplace(sessions.end(), table, 1, now);
  while (!input.empty()) {
    now += std::chrono::milliseconds(1);
    switch (input.byte() % kKinds) {
      case Say:
      case SayMore:
        current->say(input);
        break;
      case Send:
        current->send(1 + input.byte() * std::size_t{4});
        break;
      case SendAll:
        current->send(SIZE_MAX);
        break;
      case Greet:
        current->greet(now);
        break;
      case Read: {
        const std::size_t most = 1 + input.byte() * std::size_t{16};
        current->read(most, input.byte());
        break;
      }
      case Pass:
        current->pass(now);
        break;
      case Leave:
        current->leave(now);
        break;
      case Come:  // only one session at a time has the port
        if (sessions.size() == kMostSessions) break;
        for (Session& session : sessions) session.leave(now);
        current = sessions.emplace(sessions.end(), table, sessions.size() + 1, now);
        break;
      case Other:
        current = std::next(sessions.begin(), input.byte() % sessions.size());
        break;
    }
  }
  return 0;
}
