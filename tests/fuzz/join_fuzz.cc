// Plays clients and Postfix against observer, evidence table and the text of questions: whose bytes
// is a label of?
//
// The input says what some sessions of one client port send, and in which segments; how much of it
// Postfix reads before it says something; when what it said passes by; what it shows otherwise than
// it came; and when a client leaves and comes again from the same port. Postfix asks about messages
// that it has accepted, in their order, and before it answers them; what it said of earlier ones
// may still be on its way. What must hold: the trace that a question gets has the segments of the
// very message in question, or there is none.
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

namespace {

using classifier::Span;
using evidence::SessionKey;
using evidence::steady_clock;
using fuzz::require;

// What a client sends as one message: so many fields and bytes of body.
struct Text {
  std::vector<std::uint32_t> fields;
  std::string bytes;  // without the dot line
  std::uint64_t body = 0;
};

Text make_text(fuzz::Input& input) {
  Text text;
  for (int i = input.byte() % 4; i >= 0; --i) {
    const std::string field = "X: " + std::string(input.byte(), 'a') + "\r\n";
    text.fields.push_back(static_cast<std::uint32_t>(field.size()));
    text.bytes += field;
  }
  text.bytes += "\r\n";
  const std::size_t header = text.bytes.size();
  for (int lines = input.byte(); lines > 0; lines -= 16) text.bytes += "text of the body\r\n";
  text.body = text.bytes.size() - header;
  return text;
}

// The server of one session, as far as questions depend on it: Postfix's smtpd and cleanup.
class Server {
 public:
  struct Message {
    std::vector<Span> spans;
    classifier::ShownSizes shown;
  };

  // Reads up to `most` bytes of the client's stream; what was accepted goes to `ask`.
  template <typename Ask>
  void read(const std::string& stream, const std::deque<std::pair<std::uint64_t, Text>>& texts,
            std::size_t most, Ask ask) {
    for (std::size_t end = at_ + most; !closed_ && at_ < stream.size() && at_ < end;) {
      if (left_ != 0) {
        const auto some = std::min<std::uint64_t>(left_, stream.size() - at_);
        at_ += some;
        left_ -= some;
        if (left_ == 0) end_chunk(texts, ask);
        continue;
      }
      if (data_) {
        const auto dot = stream.find("\r\n.\r\n", at_ == begin_ ? at_ : at_ - 4);
        if (dot == stream.npos) return;  // all of it is read, and it is no end
        at_ = dot + 5;
        data_ = false;
        end_message({{begin_, at_}}, texts, ask);
        continue;
      }
      const auto lf = stream.find('\n', at_);
      if (lf == stream.npos) return;
      const std::string line = stream.substr(at_, lf + 1 - at_);
      at_ = lf + 1;
      command(line, texts, ask);
    }
  }
  void greet() { out_ += "220 mx\r\n"; }
  std::string take_output() { return std::exchange(out_, {}); }

 private:
  template <typename Ask>
  void command(const std::string& line, const std::deque<std::pair<std::uint64_t, Text>>& texts,
               Ask ask) {
    const std::string verb = line.substr(0, 4);
    const auto argument = line.size() > 12 ? line.size() - 2 : 0;
    if (verb == "EHLO" || verb == "RSET" || verb == "NOOP") {
      if (verb != "NOOP") reset();
      out_ += "250 ok\r\n";
    } else if (verb == "MAIL") {
      const bool bad = mail_ != 0 || line.find('>') == line.npos;
      if (!bad) mail_ = argument - 10;
      out_ += bad ? "501 no\r\n" : "250 ok\r\n";
    } else if (verb == "RCPT") {
      const bool good = mail_ != 0 && line.find("foreign") == line.npos;
      if (good) rcpt_.push_back(argument - 8);
      out_ += good ? "250 ok\r\n" : "554 no\r\n";
    } else if (verb == "DATA") {
      data_ = !rcpt_.empty() && !chunking_;
      begin_ = at_;
      out_ += data_ ? "354 go on\r\n" : "554 no\r\n";
    } else if (verb == "BDAT") {
      chunking_ = true;
      last_ = line.find("LAST") != line.npos;
      left_ = std::stoul(line.substr(5));
      begin_ = at_;
      if (rcpt_.empty()) refused_ = true;
      if (left_ == 0) end_chunk(texts, ask);
    } else if (verb == "QUIT") {
      closed_ = true;
      out_ += "221 bye\r\n";
    } else {
      out_ += "500 what\r\n";
    }
  }
  template <typename Ask>
  void end_chunk(const std::deque<std::pair<std::uint64_t, Text>>& texts, Ask ask) {
    if (at_ > begin_) spans_.push_back({begin_, at_});
    if (refused_) {
      out_ += "554 no\r\n";
      if (last_) reset();
      return;
    }
    if (!last_) {
      out_ += "250 ok\r\n";
      return;
    }
    end_message(std::exchange(spans_, {}), texts, ask);
  }
  template <typename Ask>
  void end_message(std::vector<Span> spans, const std::deque<std::pair<std::uint64_t, Text>>& texts,
                   Ask ask) {
    const std::uint64_t begin = spans.empty() ? at_ : spans.front().begin;
    const Text* text = nullptr;
    for (const auto& [offset, sent] : texts) {
      if (offset == begin) text = &sent;
    }
    // Only what is known to the byte is asked about: text that the client sent as commands, and
    // commands that it sent as text, are what they are.
    const bool whole = text != nullptr && size_of(spans) >= text->bytes.size() &&
                       size_of(spans) <= text->bytes.size() + 3;
    bool taken = true;
    if (whole) {
      Message message{std::move(spans), {}};
      message.shown.fields = text->fields;
      message.shown.header = text->bytes.size() - text->body;
      message.shown.body = text->body;
      message.shown.envelope.add_mail(mail_);
      for (const auto size : rcpt_) message.shown.envelope.add_rcpt(size);
      taken = ask(std::move(message));
    }
    out_ += taken ? "250 queued\r\n" : "550 no\r\n";
    reset();
  }
  static std::uint64_t size_of(const std::vector<Span>& spans) {
    std::uint64_t size = 0;
    for (const Span& span : spans) size += span.end - span.begin;
    return size;
  }
  void reset() {
    mail_ = 0;
    rcpt_.clear();
    chunking_ = refused_ = false;
    spans_.clear();
  }

  std::size_t at_ = 0;
  std::string out_;
  std::uint64_t mail_ = 0;  // size of its argument; 0: none
  std::vector<std::uint64_t> rcpt_;
  std::uint64_t begin_ = 0;  // of the text or the chunk
  std::uint64_t left_ = 0;
  std::vector<Span> spans_;
  bool data_ = false;
  bool chunking_ = false;
  bool refused_ = false;
  bool last_ = false;
  bool closed_ = false;
};

class Session final : private classifier::Observer::Sink {
 public:
  Session(evidence::Table& table, std::uint64_t number, steady_clock::time_point now)
      : table_(table),
        key_{*net::Endpoint::parse("192.0.2.7:40112"), *net::Endpoint::parse("198.51.100.25:25"),
             number, now},
        observer_(static_cast<classifier::Observer::Sink&>(*this), classifier::Via::Kernel, {}) {
    table_.open(key_);
  }

  // What the client says next, and sends later.
  void say(fuzz::Input& input) {
    static constexpr const char* kCommands[] = {"EHLO a\r\n",
                                                "MAIL FROM:<a@b>\r\n",
                                                "MAIL FROM:<long@b>\r\n",
                                                "MAIL FROM:<a@b\r\n",
                                                "RCPT TO:<c@d>\r\n",
                                                "RCPT TO:<cc@d>\r\n",
                                                "RCPT TO:<foreign>\r\n",
                                                "DATA\r\n",
                                                "RSET\r\n",
                                                "NOOP\r\n",
                                                "QUIT\r\n"};
    const std::uint8_t kind = input.byte() % 16;
    if (kind < std::size(kCommands)) {
      said_ += kCommands[kind];
    } else if (kind < 13) {
      Text text = make_text(input);
      said_ += text.bytes + (text.body == 0 ? "\r\n.\r\n" : ".\r\n");
      if (text.body == 0) return;
      texts_.emplace_back(said_.size() - text.bytes.size() - 3, std::move(text));
    } else {
      Text text = make_text(input);
      const std::size_t first = kind == 15 ? text.bytes.size() / 2 : 0;
      if (first != 0) {
        said_ += "BDAT " + std::to_string(first) + "\r\n";
        texts_.emplace_back(said_.size(), text);
        said_ += text.bytes.substr(0, first);
      }
      said_ += "BDAT " + std::to_string(text.bytes.size() - first) + " LAST\r\n";
      if (first == 0) texts_.emplace_back(said_.size(), text);
      said_ += text.bytes.substr(first);
    }
  }
  // One segment of it reaches the observer, and Postfix can read it.
  void send(std::size_t size) {
    if (gone_) return;
    size = std::min(size, said_.size() - sent_);
    if (size == 0) return;
    arrivals_.push_back({sent_, sent_ + size});
    observer_.segment({.offset = sent_, .size = static_cast<std::uint32_t>(size), .push = true});
    observer_.client(std::span(said_).subspan(sent_, size));
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
    server_.read(said_.substr(0, sent_), texts_, most, [&](Server::Message&& message) {
      if ((mood & 3) == 3) return false;  // refused for its content: nobody is asked
      ask(std::move(message), mood);
      return true;
    });
  }
  // What the server has said passes by.
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
    if ((mood & 4) != 0) {  // a policy service puts a field in front
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
  std::string said_;
  std::size_t sent_ = 0;
  std::deque<std::pair<std::uint64_t, Text>> texts_;  // by their first byte in the stream
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
      case Read:
        current->read(1 + input.byte() * std::size_t{16}, input.byte());
        break;
      case Pass:
        current->pass(now);
        break;
      case Leave:
        current->leave(now);
        break;
      case Come:  // only one at a time has the port
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
