#include "classifier/signs.h"

#include <fmt/format.h>

namespace classifier {

// From the table in senders.md: who makes each pattern, legitimate programs among them. Headers
// apart is what several mail libraries do; a template's cuts no known program made.
Weights::Weights() {
  const auto set = [this](Pattern which, double weight) {
    pattern[static_cast<std::size_t>(which)] = weight;
  };
  set(Pattern::BotTemplate, 4.0);
  set(Pattern::BotHeadersApart, 1.0);
  set(Pattern::Mobile, 1.5);
  set(Pattern::GarageServer, 0.7);
  set(Pattern::Relay, 0.3);
  set(Pattern::KilobyteBlocks, 0.2);
  set(Pattern::LineWriter, 0.5);
  set(Pattern::OfficialMta, -1.0);
}

std::string Term::sentence() const {
  return fmt::format(fmt::runtime(sign->sentence), about);
}

}  // namespace classifier
