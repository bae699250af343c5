#include "classifier/signs.h"

#include <fmt/format.h>

namespace classifier {

// The weights follow from a survey of the programs that make each pattern, legitimate ones among
// them. Several mail libraries write headers apart. No known mail program makes a template's cuts.
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
