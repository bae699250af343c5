#include "milter/config/policy_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "milter/config/access.h"
#include "milter/config/text_checks.h"
#include "text/ascii.h"

namespace config {
namespace {

using Kind = PolicyAnswer::Kind;
using Parsed = std::variant<PolicyAnswer, std::string>;

constexpr std::array<std::string_view, kPolicyStates> kStateNames = {
    "CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"};
constexpr std::array<std::string_view, PolicyAnswer::kKinds> kKindNames = {
    "dunno", "defer", "defer_if_permit", "reject", "hold", "prepend", "filter", "class"};

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

bool has_only(std::string_view text, std::string_view set) {
  return text.find_first_not_of(set) == text.npos;
}

// An enhanced status code at the front has to be of this class (RFC 3463); Postfix adds one to a
// text without it.
std::string check_status(std::string_view text, char status_class) {
  const auto code = text.substr(0, text.find(' '));
  const bool is_code = code.find('.') != code.npos && has_only(code, "0123456789.");
  if (!is_code || (code.front() == status_class && code.size() > 1 && code[1] == '.')) return "";
  return fmt::format("\"{}\" is not a status code of the form {}.x.y, which this answer has", code,
                     status_class);
}

// The field must not be ours: a header of our name that we did not seal or make is forged.
std::string check_field(std::string_view text) {
  const auto colon = text.find(':');
  const auto field = text.substr(0, colon);
  const bool named = colon != text.npos && !field.empty() &&
                     std::all_of(field.begin(), field.end(), text::is_visible);
  if (!named) return "PREPEND takes a header field, such as \"PREPEND X-Sender-History: bad\"";
  if (text::same(field, "X-Protocol-Pattern")) {
    return "the filter writes the field X-Protocol-Pattern; use another name for PREPEND";
  }
  if (text.substr(colon + 1).find_first_not_of(' ') == text.npos) {
    return "the header field of PREPEND has no text";
  }
  return "";
}

std::string check_filter(std::string_view text) {
  const auto colon = text.find(':');
  const bool good = colon != text.npos && colon != 0 &&
                    has_only(text.substr(0, colon), kNameCharacters) && text.find(' ') == text.npos;
  return good ? ""
              : "FILTER takes a transport and a destination of Postfix, such as \"FILTER "
                "smtp:[127.0.0.1]:10026\"";
}

std::string check_nothing(std::string_view) {
  return "";
}
std::string check_4(std::string_view text) {
  return check_status(text, '4');
}
std::string check_5(std::string_view text) {
  return check_status(text, '5');
}
std::string check_empty(std::string_view text) {
  return text.empty() ? "" : "DUNNO takes no text";
}

struct Word {
  std::string_view word;
  Kind kind;
  bool has_text;  // a text must follow
  std::string (*check)(std::string_view text);
};
constexpr Word kWords[] = {
    {"DUNNO", Kind::Dunno, false, check_empty},
    {"DEFER", Kind::Defer, true, check_4},
    {"DEFER_IF_PERMIT", Kind::DeferIfPermit, true, check_4},
    {"REJECT", Kind::Reject, true, check_5},
    {"HOLD", Kind::Hold, false, check_nothing},
    {"PREPEND", Kind::Prepend, true, check_field},
    {"FILTER", Kind::Filter, true, check_filter},
};

// Actions of access(5) that would let mail pass all later restrictions, lose it, or send it
// elsewhere.
constexpr std::string_view kNever[] = {"OK",    "PERMIT", "DISCARD", "REDIRECT",
                                       "BCC",   "WARN",   "INFO",    "DEFER_IF_REJECT",
                                       "STRIP", "IGNORE", "REPLACE"};

Parsed parse_class(std::string_view text) {
  const bool is_name = has_only(text, kNameCharacters) && has_only(text.substr(0, 1), kLetters);
  if (!is_name) {
    return fmt::format(
        "\"{}\" is not an answer: DUNNO, DEFER, DEFER_IF_PERMIT, REJECT, HOLD, PREPEND or FILTER "
        "with its text, or the name of a class in smtpd_restriction_classes",
        text);
  }
  const auto is_word = [text](std::string_view word) { return text::same(text, word); };
  if (std::any_of(std::begin(kNever), std::end(kNever), is_word) ||
      text::same(text.substr(0, 7), "permit_")) {
    return fmt::format(
        "\"{}\" is not among the answers: the service may refuse, mark and route "
        "mail, but not permit or lose it",
        text);
  }
  return PolicyAnswer{Kind::Class, std::string(text)};
}

bool is_refusal_for_a_while(Kind kind) {
  return kind == Kind::Defer || kind == Kind::DeferIfPermit;
}

}  // namespace

std::string_view name(PolicyState state) {
  return kStateNames[static_cast<std::size_t>(state)];
}

std::string_view name(PolicyAnswer::Kind kind) {
  return kKindNames[static_cast<std::size_t>(kind)];
}

std::uint32_t access_bit(std::string_view word) {
  for (std::uint32_t i = 1; i < kAccessNames.size(); ++i) {
    if (kAccessNames[i] == word) return 1U << i;
  }
  return 0;
}

std::vector<std::string_view> print_access(std::uint32_t bits) {
  std::vector<std::string_view> words;
  for (std::uint32_t i = 1; i < kAccessNames.size(); ++i) {
    if ((bits & 1U << i) != 0) words.push_back(kAccessNames[i]);
  }
  return words;
}

Parsed parse_policy_answer(std::string_view text) {
  if (auto reason = check_note(text); !reason.empty()) return reason;
  const auto space = text.find(' ');
  const auto front = text.substr(0, space);
  auto rest = space == text.npos ? std::string_view() : text.substr(space + 1);
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  const auto word = std::find_if(std::begin(kWords), std::end(kWords),
                                 [front](const Word& one) { return text::same(front, one.word); });
  if (word == std::end(kWords)) return parse_class(text);
  if (word->has_text && rest.empty()) return fmt::format("{} needs a text after it", word->word);
  if (auto reason = word->check(rest); !reason.empty()) return reason;
  return PolicyAnswer{
      word->kind, rest.empty() ? std::string(word->word) : fmt::format("{} {}", word->word, rest)};
}

std::string check_policy_rule(const PolicyRule& rule) {
  const bool end = rule.states == 0 || (rule.states & bit_of(PolicyState::EndOfMessage)) != 0;
  const bool only_end = rule.states == bit_of(PolicyState::EndOfMessage);
  const bool any = rule.reputation || rule.talk != 0 || rule.access != 0 ||
                   rule.is_about_message() || !rule.networks.empty();
  if (!any && rule.answer.kind != Kind::Dunno) {
    return "the rule holds for every client: give it reputation, talk, access, pattern, score or "
           "network";
  }
  if (rule.is_about_message() && !end) {
    return "pattern and score are known at END-OF-MESSAGE only; add it to the states";
  }
  if (rule.answer.kind == Kind::Prepend && (only_end || rule.is_about_message())) {
    return "Postfix accepts PREPEND only before the message has come, not at END-OF-MESSAGE";
  }
  if (!rule.greylist) return "";
  if (!is_refusal_for_a_while(rule.answer.kind)) {
    return "greylist needs an answer that defers: DEFER_IF_PERMIT or DEFER";
  }
  if (rule.is_about_message() || (rule.states != 0 && rule.states != bit_of(PolicyState::Rcpt))) {
    return "greylist is for the state RCPT only, where the recipient is known";
  }
  return "";
}

void complete_states(PolicyRule& rule) {
  if (rule.states != 0) return;
  if (rule.is_about_message()) {
    rule.states = bit_of(PolicyState::EndOfMessage);
  } else if (rule.greylist) {
    rule.states = bit_of(PolicyState::Rcpt);
  }
}

}  // namespace config
