#include "milter/cli/gait.h"

#include <fmt/format.h>
#include <sysexits.h>

#include <cstdio>

#include "classifier/gait_learn.h"
#include "milter/offline/offline.h"

namespace cli {
namespace {

int list(const classifier::GaitBook& book) {
  for (const auto& gait : book.gaits()) {
    fmt::print("{:<24} {:<12} {}\n", gait.name, classifier::name(gait.kind),
               fmt::join(gait.programs, " "));
  }
  return EX_OK;
}

void warn(const std::string& what) {
  fmt::print(stderr, "segmilter: warning: {}\n", what);
}

// Warns if the book already knows the messages, because an entry for a known program is rarely
// useful.
void mention_known(const std::vector<classifier::Traits>& messages,
                   const classifier::GaitBook& book) {
  std::string last;
  for (const auto& traits : messages) {
    const auto* known = book.match(traits).gait;
    if (known == nullptr || known->name == last) continue;
    last = known->name;
    warn(fmt::format("such messages are already known, as {}", last));
  }
}

int learn(const GaitOptions& options, const classifier::GaitBook& book) {
  if (!classifier::is_gait_name(options.learn)) {
    fmt::print(stderr,
               "segmilter: gait --learn {}: a name has 1 to 24 characters of a-z, 0-9 and -\n",
               options.learn);
    return EX_USAGE;
  }
  std::vector<classifier::Traits> messages;
  classifier::Writes writes;
  classifier::Features features;
  bool damaged = false;
  for (const auto& file : options.files) {
    const auto outcome = offline::classify_file(file, {}, [&](offline::Result&& result) {
      if (result.trace.state == classifier::State::Unobserved) return;
      classifier::recover_writes(result.trace, writes);
      classifier::extract(result.trace, writes, features);
      messages.push_back(classifier::observe(result.trace, writes, features));
    });
    if (outcome.kind == offline::Outcome::Kind::Good) continue;
    damaged = true;
    warn(outcome.warning);
  }
  if (messages.empty()) {
    fmt::print(stderr, "segmilter: gait --learn {}: the files have no observed message\n",
               options.learn);
    return EX_NOINPUT;
  }
  const std::string entry = classifier::learn(options.learn, messages);
  if (entry.empty()) {
    fmt::print(
        stderr,
        "segmilter: gait --learn {}: nothing can be learned, because no message has three or more "
        "segments\n",
        options.learn);
    return EX_DATAERR;
  }
  mention_known(messages, book);
  fmt::print("{}", entry);
  return damaged ? 1 : EX_OK;
}

}  // namespace

int gait(const GaitOptions& options, const classifier::GaitBook& book) {
  return options.learn.empty() ? list(book) : learn(options, book);
}

}  // namespace cli
