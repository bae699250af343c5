// Both ends of an SMTP session, for the targets that join labels and messages: a client that sends
// what the input decides, and Postfix's smtpd and cleanup as far as its questions depend on them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "classifier/message_sizes.h"
#include "classifier/stream.h"
#include "tests/fuzz/fuzz_input.h"

namespace fuzz {

using classifier::Span;

// What a client sends as one message: header fields and a body, with sizes from the input.
struct Text {
  std::vector<std::uint32_t> fields;
  std::string bytes;  // without the line of the dot
  std::uint64_t body = 0;
};

inline Text make_text(Input& input) {
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

// Messages, by the place of their first byte in the client's stream.
using Texts = std::deque<std::pair<std::uint64_t, Text>>;

// The client's stream, which grows with each command or message.
class Client {
 public:
  // Adds one more command or message.
  void say(Input& input) {
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
  const std::string& said() const { return said_; }
  const Texts& texts() const { return texts_; }

 private:
  std::string said_;
  Texts texts_;
};

// The server of one session: Postfix's smtpd and cleanup.
class Server {
 public:
  struct Message {
    std::vector<Span> spans;
    classifier::ShownSizes shown;
  };

  // Reads up to `most` bytes of the client's stream. Calls `ask` for each message that is accepted.
  template <typename Ask>
  void read(const std::string& stream, const Texts& texts, std::size_t most, Ask ask) {
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
        if (dot == stream.npos) return;  // everything is read, and the end has not come yet
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
  void command(const std::string& line, const Texts& texts, Ask ask) {
    const std::string verb = line.substr(0, 4);
    const auto argument = line.size() > 12 ? line.size() - 2 : 0;
    if (verb == "EHLO" || verb == "RSET" || verb == "NOOP") {
      if (verb != "NOOP") reset();
      if (verb == "EHLO") greeting_ = line.size();
      out_ += "250 ok\r\n";
    } else if (verb == "MAIL") {
      const bool bad = mail_ != 0 || line.find('>') == line.npos;
      if (!bad) mail_ = argument - 10;
      out_ += bad ? "501 no\r\n" : "250 ok\r\n";
    } else if (verb == "RCPT") {
      const bool good = mail_ != 0 && line.find("foreign") == line.npos;
      if (mail_ != 0) told_rcpt_.push_back(argument - 8);  // refused ones are counted too
      taken_ = taken_ || good;
      out_ += good ? "250 ok\r\n" : "554 no\r\n";
    } else if (verb == "DATA") {
      data_ = taken_ && !chunking_;
      begin_ = at_;
      out_ += data_ ? "354 go on\r\n" : "554 no\r\n";
    } else if (verb == "BDAT") {
      chunking_ = true;
      last_ = line.find("LAST") != line.npos;
      left_ = std::stoul(line.substr(5));
      begin_ = at_;
      if (!taken_) refused_ = true;
      if (left_ == 0) end_chunk(texts, ask);
    } else if (verb == "QUIT") {
      closed_ = true;
      out_ += "221 bye\r\n";
    } else {
      out_ += "500 what\r\n";
    }
  }
  template <typename Ask>
  void end_chunk(const Texts& texts, Ask ask) {
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
  void end_message(std::vector<Span> spans, const Texts& texts, Ask ask) {
    const std::uint64_t begin = spans.empty() ? at_ : spans.front().begin;
    const Text* text = nullptr;
    for (const auto& [offset, sent] : texts) {
      if (offset == begin) text = &sent;
    }
    // Questions are asked only about messages that are known to the byte. Text that the client sent
    // as commands, and commands that it sent as text, are treated as what they are.
    const bool whole = text != nullptr && size_of(spans) >= text->bytes.size() &&
                       size_of(spans) <= text->bytes.size() + 3;
    bool taken = true;
    if (whole) {
      Message message{std::move(spans), {}};
      message.shown.fields = text->fields;
      message.shown.header = text->bytes.size() - text->body;
      message.shown.body = text->body;
      message.shown.envelope.add_mail(mail_);
      for (const auto size : told_rcpt_) message.shown.envelope.add_rcpt(size);
      message.shown.greeting = greeting_;
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
    told_rcpt_.clear();
    taken_ = chunking_ = refused_ = false;
    spans_.clear();
  }

  std::size_t at_ = 0;
  std::string out_;
  std::uint64_t mail_ = 0;  // size of its argument; 0: no MAIL
  std::vector<std::uint64_t> told_rcpt_;
  bool taken_ = false;  // a recipient was accepted
  std::uint64_t greeting_ = 0;
  std::uint64_t begin_ = 0;  // where the text or the chunk begins
  std::uint64_t left_ = 0;
  std::vector<Span> spans_;
  bool data_ = false;
  bool chunking_ = false;
  bool refused_ = false;
  bool last_ = false;
  bool closed_ = false;
};

}  // namespace fuzz
