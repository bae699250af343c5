// The texts of the evidence socket. A question that is parsed prints as it was, and any text
// gets an answer of one line. Whatever an observer answers, the filter gets a trace with a higher
// number than the last one, or a reason.
#include <cstdint>
#include <string_view>
#include <variant>

#include "classifier/dialogue_words.h"
#include "classifier/trace_text.h"
#include "milter/evidence/client.h"
#include "milter/evidence/question.h"
#include "milter/evidence/server.h"
#include "milter/evidence/table.h"
#include "tests/fuzz/fuzz_input.h"

using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto question = evidence::parse_question(text)) {
    const std::string printed = evidence::print(*question);
    require(printed.size() <= evidence::Question::kMostText);
    require(evidence::parse_question(printed) == question);
  }
  if (const auto question = evidence::parse_session_question(text)) {
    require(evidence::parse_session_question(evidence::print(*question)) == question);
  }
  const auto talk = evidence::read_talk(text);
  if (const auto* words = std::get_if<std::uint32_t>(&talk)) {
    require(classifier::words_named(classifier::print_words(*words)) == *words);
  }
  evidence::Table table(10, std::chrono::seconds(60));
  const evidence::SessionKey session{*net::Endpoint::parse("192.0.2.7:1"),
                                     *net::Endpoint::parse("198.51.100.25:25"), 1,
                                     evidence::steady_clock::time_point{}};
  table.open(session);
  table.publish(session, {.trace = {.message = 1, .size = 7, .segments = {{.size = 7}}}});
  const std::string answer = evidence::answer(table, text);
  require(answer.starts_with("trace ") || answer.starts_with("none ") ||
          answer.starts_with("talk "));
  require(answer.find('\n') == answer.npos);
  for (const std::uint32_t after : {0U, 3U}) {
    for (const std::string_view said : {std::string_view(answer), text}) {
      const auto trace = evidence::read_answer(said, after);
      require(trace.message > after);
      const auto again = classifier::parse_trace(classifier::print(trace));
      require(std::holds_alternative<classifier::Trace>(again));
    }
  }
  return 0;
}
