#include "classifier/habits.h"

#include <algorithm>

#include "classifier/claims.h"
#include "classifier/smtp_words.h"

namespace classifier {

void Habits::command(const Command& command, bool pipelined, bool within_chunks) {
  const std::string_view line = command.line;
  if (pipelined) dialogue_.pipelined = true;
  if (std::exchange(after_helo_, command.is("EHLO") || command.is("HELO")) && pipelined) {
    dialogue_.helo_ahead = true;
  }
  if (line.size() < 2 || line[line.size() - 2] != '\r') dialogue_.bare_lf = true;
  if (command.verb == nullptr) return;
  (command.word == command.verb->name ? capitals_ : dialogue_.lower_case) = true;
  dialogue_.mixed_case = capitals_ && dialogue_.lower_case;
  std::string_view rest = line;
  while (!rest.empty() && (rest.back() == '\n' || rest.back() == '\r')) rest.remove_suffix(1);
  if (!rest.empty() && (rest.back() == ' ' || rest.back() == '\t')) {
    dialogue_.trailing_space = true;
  }
  (void)take_word(rest);
  if (command.is("EHLO") || command.is("HELO")) return greeting(command, rest);
  if (command.is("MAIL") || command.is("RCPT")) return envelope(command, rest, pipelined);
  if (command.is("DATA") || (command.is("BDAT") && !within_chunks)) {
    dialogue_.data_ahead = pipelined;
  } else if (command.is("RSET")) {
    reset_asked_ = true;
  } else if (command.is("AUTH")) {
    dialogue_.auth = true;
  }
}

void Habits::greeting(const Command& command, std::string_view rest) {
  using Greeting = Dialogue::Greeting;
  const bool ehlo = command.is("EHLO");
  dialogue_.fallback = !ehlo && dialogue_.greeting == Greeting::Ehlo;
  dialogue_.greeting = ehlo ? Greeting::Ehlo : Greeting::Helo;
  const std::string_view host = take_word(rest);
  helo_ = host.substr(0, Claims::kLongest);
  dialogue_.literal = host.starts_with('[');
  dialogue_.dotless = !dialogue_.literal && host.find('.') == host.npos;
}

// `rest` is what follows MAIL or RCPT, without the line end.
void Habits::envelope(const Command& command, std::string_view rest, bool pipelined) {
  const bool mail = command.is("MAIL");
  if (mail) {
    dialogue_.rset = std::exchange(reset_asked_, false);
    forget_transaction();
  } else if (after_mail_) {
    dialogue_.rcpt_ahead = pipelined;
  }
  after_mail_ = mail;
  const std::size_t colon = rest.find(':');
  const std::uint64_t arguments = colon == rest.npos ? 0 : argument_size(rest.substr(colon + 1));
  mail ? envelope_.add_mail(arguments) : envelope_.add_rcpt(arguments);
  if (colon == rest.npos) return;
  const std::string_view path = rest.substr(0, colon);
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  dialogue_.soft_path = dialogue_.soft_path || std::any_of(path.begin(), path.end(), lower);
  rest.remove_prefix(colon + 1);
  if (rest.starts_with(' ') || rest.starts_with('\t')) dialogue_.space_after_colon = true;
  (void)take_word(rest);
  for (auto word = take_word(rest); !word.empty(); word = take_word(rest)) {
    note_mail_parameter(word, dialogue_);
  }
}

void Habits::forget_transaction() {
  dialogue_.soft_path = dialogue_.eight_bit = dialogue_.seven_bit = false;
  dialogue_.body_first = dialogue_.dsn = dialogue_.rcpt_ahead = dialogue_.data_ahead = false;
  dialogue_.declared = 0;
}

}  // namespace classifier
